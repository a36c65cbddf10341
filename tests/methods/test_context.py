"""Context prediction: labels that agree with places, one trunk, every pair of neighbours both ways."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fgssl_edu import draws
from fgssl_edu.data.image_set import Batch
from fgssl_edu.methods import build
from fgssl_edu.methods.pretext.context import ContextPrediction, direction, neighbours
from fgssl_edu.nets import build_encoder
from fgssl_edu.views.patches import tile_corners

STEPS = [(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1) if (row, column) != (0, 0)]


def batch(count: int = 8, side: int = 24) -> Batch:
    coarse = draws.uniform(1, 0, torch.arange(count), "pictures", 3 * 16).view(-1, 3, 4, 4)
    return Batch((F.interpolate(coarse, size=side, mode="bilinear") * 255).byte(), torch.arange(count))


def context(**fields) -> ContextPrediction:
    return ContextPrediction(build_encoder("resnet10", seed=0), **{"size": 16, **fields})


def test_the_way_back_is_seven_less_the_way_there():
    assert [direction(*step) for step in STEPS] == list(range(8))  # row by row, as released
    assert all(direction(-row, -column) == 7 - direction(row, column) for row, column in STEPS)
    for wrong in ((0, 0), (2, 0), (0, -2)):
        with pytest.raises(ValueError, match="one step away"):
            direction(*wrong)


def test_all_forty_pairs_of_neighbours_are_there_both_ways():
    pairs, answers = neighbours()
    assert pairs.shape == (40, 2) and len(pairs.unique(dim=0)) == 40
    label = {tuple(pair): answer for pair, answer in zip(pairs.tolist(), answers.tolist(), strict=True)}
    assert all(label[second, first] == 7 - answer for (first, second), answer in label.items())
    assert label[4, 0] == 0 and label[4, 8] == 7 and label[0, 1] == 4 and label[1, 0] == 3
    assert answers.bincount().tolist() == [4, 6, 4, 6, 6, 4, 6, 4]


def test_corners_alone_tell_the_class_and_where_the_grid_lies_does_not_change_it():
    """A linear net on the four numbers of two corners is right always: labels are consistent."""
    pairs, answers = neighbours()
    moved = draws.uniform(0, 0, torch.arange(64), "offsets", 18).view(64, 9, 2)
    corners = tile_corners(moved, 14, 4, 1).float()
    start = 40 * draws.uniform(0, 0, torch.arange(64), "start", 2)[:, None]  # the same grids elsewhere
    inputs = torch.cat([corners, corners + start])[:, pairs].flatten(2).flatten(0, 1) / 20  # (128 x 40, 4)
    targets = answers.repeat(128)
    net = nn.Linear(4, 8)
    ways = torch.tensor(STEPS).float()  # logit of a class: how well its step fits the difference of the corners
    with torch.no_grad():
        net.weight.copy_(torch.cat([-ways, ways], dim=1))
        net.bias.copy_(-0.9 * ways.square().sum(dim=1) / 2)
    assert (net(inputs).argmax(dim=1) == targets).all()


def test_forward_is_cross_entropy_over_the_pairs_of_every_picture():
    method = context().eval()
    (patches,) = method.views(batch(), 0)
    assert patches.shape == (8, 9, 3, 7, 7)
    outputs = method(batch(), (patches,))
    features = method.encoder(patches.flatten(0, 1)).view(8, 9, -1)
    losses = [
        F.cross_entropy(method.head(torch.cat([features[i, a], features[i, b]])), answer)
        for i in range(8)
        for (a, b), answer in zip(method.pairs.tolist(), method.answers, strict=True)
    ]
    assert outputs["loss"].item() == pytest.approx(torch.stack(losses).mean().item(), abs=1e-5)
    assert outputs["embeddings"].shape == (72, 128) and not outputs["embeddings"].requires_grad
    nn.init.zeros_(method.head[-1].weight)
    nn.init.zeros_(method.head[-1].bias)
    assert method(batch(), (patches,))["loss"].item() == pytest.approx(math.log(8), abs=1e-5)


def test_features_of_a_patch_do_not_depend_on_its_place():
    method = context().eval()
    (patches,) = method.views(batch(), 0)
    turn = torch.tensor([4, 0, 8, 1, 7, 2, 6, 3, 5])
    first, second = (method(batch(), (each,))["embeddings"].view(8, 9, -1) for each in (patches, patches[:, turn]))
    assert torch.allclose(first[:, turn], second, atol=1e-5)


def test_every_weight_gets_a_gradient():
    method = context()
    method(batch(), method.views(batch(), 0))["loss"].backward()
    assert all(value.grad is not None and value.grad.abs().sum() > 0 for value in method.parameters())


def test_the_published_preset_keeps_patches_34_px_apart():
    tiling = build("context", build_encoder("resnet10", seed=0), preset="paper").tiling
    assert (tiling.tile, tiling.gap, tiling.jitter, tiling.color_drop) == (96, 48, 7, 1.0)
    assert tiling.gap - 2 * tiling.jitter == 34


def test_a_patch_that_may_overlap_another_is_refused():
    with pytest.raises(ValueError, match="jitter=3 px each way in a gap of 4"):
        context(gap=4, jitter=3)
