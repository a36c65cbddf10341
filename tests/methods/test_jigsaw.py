"""Jigsaw: a shared trunk, orders that can be undone, a head that alone sees all tiles, and tricks with switches."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from fgssl_edu import draws
from fgssl_edu.data.image_set import Batch
from fgssl_edu.methods import build
from fgssl_edu.methods.pretext.jigsaw import Jigsaw, arranged
from fgssl_edu.methods.pretext.tiles import cut
from fgssl_edu.nets import build_encoder
from fgssl_edu.views.permutations import permutation_set

SIDE = 24


def batch(count: int = 8) -> Batch:
    coarse = draws.uniform(1, 0, torch.arange(count), "pictures", 3 * 16).view(-1, 3, 4, 4)
    pictures = (F.interpolate(coarse, size=SIDE, mode="bilinear") * 255).byte()
    return Batch(pictures, torch.arange(count))


def jigsaw(**fields) -> Jigsaw:
    return Jigsaw(build_encoder("resnet10", seed=0), **{"size": 16, "permutations": 12, **fields})


def test_the_answer_undoes_the_shuffle():
    method = jigsaw()
    tiles, answer = method.views(batch(), 3)
    assert tiles.shape == (8, 9, 3, 7, 7) and answer.shape == (8,) and 0 <= int(answer.min()) <= int(answer.max()) < 12
    back = arranged(tiles, method.permutations[answer].argsort(dim=1))
    assert torch.equal(back, cut(method.tiling, batch(), method.seed, 3, method.encoder))
    place = int(method.permutations[answer[2], 4])
    assert torch.equal(tiles[2, 4], back[2, place])  # slot 4 shows that tile


def test_orders_are_drawn_alike_often_and_anew_each_step():
    method = jigsaw()
    many = Batch(batch(1).images.expand(1200, -1, -1, -1), torch.arange(1200))
    answers = method.views(many, 0)[1].bincount(minlength=12)
    assert answers.min() > 60 and answers.max() < 140  # 100 each, four deviations
    assert not torch.equal(method.views(batch(), 0)[1], method.views(batch(), 1)[1])


def test_the_trunk_is_shared_so_slots_that_change_places_change_features_of_places():
    method = jigsaw().eval()
    tiles, _ = method.views(batch(), 0)
    turn = torch.tensor([4, 0, 8, 1, 7, 2, 6, 3, 5])
    features = method.logits(tiles)[1].view(8, 9, -1)
    moved = method.logits(tiles[:, turn])[1].view(8, 9, -1)
    assert torch.allclose(features[:, turn], moved, atol=1e-5)
    assert not torch.allclose(
        method.logits(tiles)[0], method.logits(tiles[:, turn])[0], atol=1e-4
    )  # the head sees places


def test_loss_is_cross_entropy_over_orders_and_chance_its_value_without_knowledge():
    method = jigsaw().eval()
    tiles, answer = method.views(batch(), 0)
    outputs, (logits, _) = method(batch(), (tiles, answer)), method.logits(tiles)
    assert torch.allclose(outputs["loss"], F.cross_entropy(logits, answer))
    assert float(outputs["accuracy"]) == pytest.approx(float((logits.argmax(1) == answer).float().mean()))
    assert outputs["embeddings"].shape == (72, 128) and not outputs["embeddings"].requires_grad
    torch.nn.init.zeros_(method.head[-1].weight)
    torch.nn.init.zeros_(method.head[-1].bias)
    assert method.chance == math.log(12)
    assert method(batch(), (tiles, answer))["loss"].item() == pytest.approx(method.chance, abs=1e-5)


def test_every_weight_gets_a_gradient():
    method = jigsaw()
    method(batch(), method.views(batch(), 0))["loss"].backward()
    assert all(value.grad is not None and value.grad.abs().sum() > 0 for value in method.parameters())


def test_tiles_reach_the_encoder_normalised_by_its_own_scale():
    method = jigsaw()
    tiles, _ = method.views(batch(), 0)
    seen = (tiles - method.encoder.mean) / method.encoder.std
    assert seen.mean(dim=(-2, -1)).abs().max() < 1e-4
    assert (seen.std(dim=(-2, -1), correction=0) - 1).abs().max() < 0.05
    open_tiles, _ = jigsaw(per_tile_norm=False).views(batch(), 0)
    assert float(open_tiles.min()) >= 0 and float(open_tiles.max()) <= 1


def test_switches_reach_the_tiling_and_the_tile_follows_the_size():
    shut, wide = jigsaw(), jigsaw(gap=0, jitter=False, per_tile_norm=False, gray=0.3, color_drop=0.5, size=32)
    assert (shut.tiling.tile, shut.tiling.gap, shut.tiling.jitter, shut.tiling.side) == (7, 2, 1, 27)
    assert (wide.tiling.tile, wide.tiling.gap, wide.tiling.jitter, wide.tiling.side) == (14, 0, 0, 42)
    assert (wide.tiling.gray, wide.tiling.color_drop, wide.tiling.per_tile_norm) == (0.3, 0.5, False)
    assert torch.equal(shut.permutations, permutation_set(12, 9, "min", 0))
    assert not torch.equal(shut.permutations, jigsaw(seed=1).permutations)


def test_the_published_preset_has_the_papers_geometry():
    method = build("jigsaw", build_encoder("resnet10", seed=0), preset="paper", permutations=10)
    assert (method.tiling.tile, method.tiling.side, method.tiling.jitter) == (64, 225, 5)
    assert (method.embed[0].out_features, method.head[0].in_features, method.head[0].out_features) == (1024, 9216, 4096)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"permutations": 1}, "permutations=1"),
        ({"criterion": "max"}, "criterion='max'"),
        ({"tile": 3}, "tile=3"),
        ({"gap": -1}, "gap=-1"),
        ({"gray": 1.5}, "gray=1.5"),
        ({"color_drop": -0.1}, "color_drop=-0.1"),
        ({"channel_jitter": 1.5}, "channel_jitter=1.5"),
        ({"lens": 0.5}, "lens=0.5"),
    ],
)
def test_mistakes_are_refused_at_construction(fields: dict, complaint: str):
    with pytest.raises(ValueError, match=complaint):
        jigsaw(**fields)
