"""Rotation: the order of turns and answers, what no network can tell, and the shortcuts that it is given."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from fgssl_edu import draws
from fgssl_edu.data.image_set import Batch
from fgssl_edu.evaluate.pretext import pretext_accuracy
from fgssl_edu.methods import METHODS, build
from fgssl_edu.methods.pretext.rotation import QUARTERS, Rotation
from fgssl_edu.nets import build_encoder
from fgssl_edu.recipe import Recipe
from fgssl_edu.train import pretrain
from fgssl_edu.views.presets import VIEWS, scaled

SIDE = 24
WHOLE = scaled(VIEWS["mild"], 0.0)  # the picture itself
EIGHT = tuple(range(0, 360, 45))


def pictures(count: int = 8, side: int = SIDE) -> torch.Tensor:
    return (draws.uniform(1, 0, torch.arange(count), "pictures", 3 * side * side) * 256).byte().view(-1, 3, side, side)


def batch(count: int = 8, side: int = SIDE) -> Batch:
    return Batch(pictures(count, side), torch.arange(count))


def rotation(**fields) -> Rotation:
    return Rotation(build_encoder("resnet10", seed=0), **{"size": 16, **fields})


def test_turn_r_of_image_i_is_row_4i_plus_r():
    made, target = rotation(views=WHOLE, size=SIDE).views(batch(2), 0)
    whole = pictures(2).float() / 255
    assert target.tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    for row in range(8):
        assert torch.allclose(made[row], whole[row // 4].rot90(row % 4, dims=(1, 2)), atol=1e-6)


def test_the_views_do_not_depend_on_the_batch_around_them():
    for fields in ({}, {"all_turns": False}, {"angles": EIGHT}):
        method = rotation(**fields)
        whole, some = batch(), batch().index[[5, 2]]
        k = len(method.angles) if method.all_turns else 1
        many, targets = method.views(whole, 3)
        few, its = method.views(Batch(whole.images[some], some), 3)
        rows = (some[:, None] * k + torch.arange(k)).flatten()
        assert torch.equal(few, many[rows]) and torch.equal(its, targets[rows])


def test_one_drawn_turn_an_image_is_one_of_its_four_and_all_are_drawn():
    one, target = rotation(all_turns=False, views=WHOLE, size=SIDE).views(batch(64), 0)
    four, _ = rotation(views=WHOLE, size=SIDE).views(batch(64), 0)
    assert one.shape[0] == 64 and torch.equal(one, four.view(64, 4, 3, SIDE, SIDE)[torch.arange(64), target])
    assert target.bincount(minlength=4).min() >= 8  # 16 expected


def test_the_loss_is_the_mean_over_images_and_angles():
    method = rotation().eval()
    views = method.views(batch(), 0)
    outputs = method(batch(), views)
    logits = method.head(method.encoder.feature_map(views[0]))
    by_hand = -logits.log_softmax(dim=1).view(8, 4, 4).diagonal(dim1=1, dim2=2).mean()
    assert outputs["loss"].item() == pytest.approx(by_hand.item(), abs=1e-6)
    hits = (logits.view(8, 4, 4).argmax(dim=2) == torch.arange(4)).float().mean()
    assert outputs["accuracy"].item() == pytest.approx(hits.item())
    assert torch.allclose(outputs["embeddings"], method.encoder(views[0]), atol=1e-6)
    assert not outputs["embeddings"].requires_grad and not outputs["accuracy"].requires_grad


def test_a_head_that_says_nothing_has_the_loss_of_chance():
    for angles in (QUARTERS, (0, 180), EIGHT):
        method = rotation(angles=angles)
        nn.init.zeros_(method.head[-1].weight)
        nn.init.zeros_(method.head[-1].bias)
        loss = method(batch(), method.views(batch(), 0))["loss"]
        assert method.chance == math.log(len(angles)) and loss.item() == pytest.approx(method.chance, abs=1e-5)


@pytest.mark.parametrize("head", ["linear", "conv"])
def test_pictures_that_look_alike_at_four_angles_have_no_answer(head: str):
    """What is round has no label: the loss cannot fall below chance there, nor accuracy rise above it."""
    method = rotation(views=WHOLE, size=SIDE, head=head).eval()
    random = pictures().long()
    round_ones = Batch((sum(random.rot90(k, dims=(2, 3)) for k in range(4)) // 4).byte(), torch.arange(8))
    outputs = method(round_ones, method.views(round_ones, 0))
    assert outputs["accuracy"].item() == 0.25 and outputs["loss"].item() >= math.log(4) - 1e-5


def test_a_network_that_sees_all_turns_at_once_cannot_tell_them():
    method = rotation().eval()
    made, target = method.views(batch(), 0)
    features = torch.stack([method.encoder.feature_map(made.rot90(k, dims=(2, 3))) for k in range(4)]).mean(dim=0)
    logits = method.head(features.mean(dim=(2, 3), keepdim=True))
    assert (logits.argmax(dim=1) == target).float().mean().item() == 0.25


def test_a_shortcut_is_enough_where_there_is_nothing_to_learn():
    """Noise has no above: by heart is all that can be learned, until light or a missed middle gives it away."""
    recipe = Recipe(steps=30, batch=32, lr=2e-3, warmup=5, accelerator="cpu")
    old, new = pictures(768)[256:], pictures(256)
    found = {}
    for name, shortcut in {"none": {}, "light": {"light": 0.5}, "offset": {"offset": 0.25}}.items():
        method = rotation(views=WHOLE, size=SIDE, **shortcut)
        pretrain(method, old, recipe, progress=False)
        found[name] = pretext_accuracy(method, new).value
    assert found["none"] < 0.35 and found["light"] > 0.9 and found["offset"] > 0.9


def test_shortcuts_are_in_the_views_and_nowhere_else():
    plain, _ = rotation(views=WHOLE, size=SIDE).views(batch(), 0)
    lit, _ = rotation(views=WHOLE, size=SIDE, light=0.4).views(batch(), 0)
    missed, _ = rotation(views=WHOLE, size=SIDE, offset=0.25).views(batch(), 0)
    assert torch.equal(missed[0::4], plain[0::4]) and not torch.allclose(missed[1::4], plain[1::4], atol=0.1)
    assert (lit - plain)[0, :, 0].mean() > 0.05 and (lit - plain)[0, :, -1].mean() < -0.05  # from above
    assert (lit - plain)[2, :, 0].mean() < -0.05  # turned with the picture


def test_every_trained_weight_gets_a_gradient():
    for head in ("linear", "conv"):
        method = rotation(head=head)
        method(batch(), method.views(batch(), 0))["loss"].backward()
        assert [name for name, value in method.named_parameters() if value.grad is None] == []


def test_beside_an_encoder_without_batch_norm_no_image_depends_on_its_batch():
    method = Rotation(build_encoder("resnet10", norm="group", seed=0), size=16, head="conv")
    assert not any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in method.modules())
    made, _ = method.views(batch(), 0)
    whole, part = (method.head(method.encoder.feature_map(images)) for images in (made, made[:4]))
    assert torch.allclose(whole[:4], part, atol=1e-5)


def test_the_papers_settings_build():
    assert METHODS["rotation"] is Rotation
    method = build("rotation", build_encoder("resnet10", seed=0), preset="paper", size=32)
    assert method.angles == QUARTERS and method.augment.preset.jitter == 0 and len(method.views(batch(2), 0)[0]) == 8


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"angles": (0,)}, "at least two"),
        ({"angles": (0, 360)}, "at least two"),
        ({"head": "mlp"}, "head='mlp'"),
        ({"offset": 9.0}, "offset=9.0"),
        ({"light": -0.1}, "light=-0.1"),
    ],
)
def test_mistakes_are_refused_at_construction(fields: dict, complaint: str):
    with pytest.raises(ValueError, match=complaint):
        rotation(**fields)
