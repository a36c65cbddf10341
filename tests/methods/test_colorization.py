"""Colorization: what it sees, what it is asked, what rare colours weigh, and what regression paints."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from fgssl_edu import draws
from fgssl_edu.data.image_set import Batch, Images
from fgssl_edu.losses import color_distance, soft_cross_entropy
from fgssl_edu.methods import PRESETS, build
from fgssl_edu.methods.pretext.colorization import REACH, Colorization
from fgssl_edu.methods.pretext.palette import cell_colors
from fgssl_edu.nets import build_encoder
from fgssl_edu.recipe import Recipe
from fgssl_edu.train import pretrain
from fgssl_edu.views.color import luma
from fgssl_edu.views.lab import lab_to_rgb

SIDE = 24


def pictures(count: int = 8) -> torch.Tensor:
    """Smooth random colours."""
    coarse = draws.uniform(1, 0, torch.arange(count), "pictures", 3 * 4).view(-1, 3, 2, 2)
    return (F.interpolate(coarse, size=SIDE, mode="bilinear") * 255).byte()


def grey(images: torch.Tensor) -> torch.Tensor:
    return luma(images.float()).round().byte().expand(-1, 3, -1, -1).contiguous()


def batch(images: torch.Tensor | None = None) -> Batch:
    images = pictures() if images is None else images
    return Batch(images, torch.arange(len(images)))


def made(images: torch.Tensor | None = None, **fields) -> Colorization:
    method = Colorization(build_encoder("resnet10", seed=0), **{"size": 16, **fields})
    method.start(Images(pictures() if images is None else images), resumed=False)
    return method


def test_the_loss_is_that_of_soft_codes_with_the_weights_of_their_nearest_bins():
    method = made().eval()
    (images,) = method.views(batch(), 3)
    outputs = method(batch(), (images,))
    ab = cell_colors(images, 4)[:, 1:]
    code = method.palette.soft_code(ab)
    answer = method.head(method.encoder.feature_map(images), 4)
    weights = method.palette.rarity[code.argmax(dim=1)]
    assert answer.shape == code.shape == (8, 77, 4, 4)
    assert torch.allclose(outputs["loss"], soft_cross_entropy(answer, code, weights))
    assert torch.allclose(
        made(rebalance=False).eval()(batch(), (images,))["loss"], soft_cross_entropy(answer, code), atol=1e-6
    )
    assert not any(value.requires_grad for name, value in outputs.items() if name != "loss")


def test_regression_is_half_the_squared_distance():
    method = made(objective="regression", rebalance=False).eval()
    (images,) = method.views(batch(), 0)
    answer = method.head(method.encoder.feature_map(images), 4)
    expected = color_distance(REACH * answer, cell_colors(images, 4)[:, 1:])
    assert answer.shape[1] == 2 and torch.allclose(method(batch(), (images,))["loss"], expected)


def test_what_is_asked_is_the_colour_of_the_smaller_picture():
    flat = torch.tensor([200, 40, 40], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 16, 16)
    lab = cell_colors(flat.float() / 255, 4)
    assert lab.shape == (1, 3, 4, 4) and (lab - lab[..., :1, :1]).abs().max() < 1e-4
    one = flat.clone()
    one[..., :4, :4] = 90
    changed = (cell_colors(one.float() / 255, 4) - lab).abs().amax(dim=1)[0] > 1
    assert changed.nonzero().tolist() == [[0, 0]]


def test_the_weights_average_to_one_and_rare_colours_weigh_more():
    images = pictures(16)
    palette = made(images).palette
    assert palette.shares.sum().item() == pytest.approx(1, abs=1e-6)
    assert (palette.shares * palette.rarity).sum().item() == pytest.approx(1, abs=1e-5)
    nearest = palette.nearest(cell_colors(images.float() / 255, 4)[:, 1:])
    assert torch.allclose(palette.shares, nearest.flatten().bincount(minlength=77) / nearest.numel())
    assert palette.rarity[palette.shares.argmax()] < 1 < palette.rarity[palette.shares.argmin()]
    assert made(images, mix=1.0).palette.rarity.tolist() == pytest.approx([1] * 77, abs=1e-5)


@pytest.mark.parametrize("rebalance", [True, False])
def test_chance_is_the_loss_of_the_best_answer_without_looking(rebalance: bool):
    method = made(rebalance=rebalance)
    method.optimizers(Recipe(steps=1, batch=8, warmup=0))
    ab = cell_colors(pictures().float() / 255, 4)[:, 1:]
    code, weights = method.palette.soft_code(ab), method.palette.place_weights(ab, method.palette.nearest(ab))
    best = (code * weights[:, None]).mean(dim=(0, 2, 3))
    constant = best.clamp(min=1e-12).log().view(1, -1, 1, 1).expand_as(code)
    assert soft_cross_entropy(constant, code, weights).item() == pytest.approx(method.chance, abs=1e-4)
    for other in (torch.zeros_like(constant), constant * 0.8, constant.roll(1, dims=1)):
        assert soft_cross_entropy(other, code, weights).item() > method.chance
    assert method.chance < math.log(77)


def test_chance_of_regression_is_the_spread_of_the_colours():
    method = made(objective="regression", rebalance=False)
    method.optimizers(Recipe(steps=1, batch=8, warmup=0))
    ab = cell_colors(pictures().float() / 255, 4)[:, 1:]
    middle = ab.mean(dim=(0, 2, 3), keepdim=True).expand_as(ab)
    assert color_distance(middle, ab).item() == pytest.approx(method.chance, rel=1e-4)


def test_grey_pictures_say_nothing_about_colour():
    mixed = torch.cat([pictures(4), grey(pictures(4))])
    method, alone = made(mixed).eval(), made(pictures(4)).eval()
    assert torch.allclose(method.palette.shares, alone.palette.shares)
    (views,) = method.views(batch(mixed), 0)
    loss = method(batch(mixed), (views,))["loss"]
    assert torch.allclose(2 * loss, method(batch(pictures(4)), (views[:4],))["loss"], atol=1e-5)
    kept = made(mixed, drop_grey=False).eval()
    assert kept.palette.shares.max() >= 0.5
    with pytest.raises(ValueError, match="all pictures are grey"):
        made(grey(pictures()))
    assert made(grey(pictures()), drop_grey=False).palette.shares.max() == 1


def test_the_encoder_is_blind_to_colour_and_so_is_what_is_scored():
    method = made().eval()
    assert method.evaluated() is method.encoder and "lightness" in method.encoder.name
    first = method.encoder.encoder.entry[0]
    assert first.in_channels == 1 and first.weight.shape[1] == 1


def test_accuracy_error_and_chroma_of_known_answers():
    method = made(soft_bins=1)
    ab = cell_colors(pictures().float() / 255, 4)[:, 1:]
    truth = method.palette.nearest(ab)
    right = 50 * F.one_hot(truth, 77).permute(0, 3, 1, 2).float()
    report = method.report(right, ab, truth)
    assert report["accuracy"] == 1 and report["accuracy_rare"].item() == pytest.approx(1)
    assert report["error"] < 20 / math.sqrt(2) and report["chroma"].item() == pytest.approx(1, abs=0.2)
    flat = torch.zeros_like(right)
    flat[:, int(method.palette.centers.square().sum(dim=1).argmin())] = 50  # grey everywhere
    report = method.report(flat, ab, truth)
    assert report["chroma"] < 1e-6 and report["error"].item() == pytest.approx(ab.norm(dim=1).mean().item(), rel=1e-4)
    common = torch.zeros_like(right)
    common[:, int(method.palette.shares.argmax())] = 50
    report = method.report(common, ab, truth)
    assert report["accuracy"] > report["accuracy_rare"]


def apples(count: int = 64) -> torch.Tensor:
    """Four of five are red, one is green, all of one lightness but for noise: nothing tells which is which."""
    light = 50 + 10 * draws.normal(0, 0, torch.arange(count), "light", SIDE * SIDE).view(count, 1, SIDE, SIDE)
    side = torch.where(torch.arange(count) % 5 < 4, 40.0, -40.0).view(count, 1, 1, 1).expand_as(light)
    return (lab_to_rgb(torch.cat([light, side, torch.full_like(light, 10.0)], dim=1)) * 255).round().byte()


def test_where_lightness_does_not_tell_the_colour_regression_paints_grey_and_classes_do_not():
    """The mean of four red apples and a green one, (24, 10), has .63 of their chroma."""
    images, chroma = apples(), {}
    for objective in ("classes", "regression"):
        method = made(images, objective=objective, rebalance=False)
        pretrain(method, images, Recipe(steps=40, batch=32, warmup=2, accelerator="cpu"), progress=False)
        chroma[objective] = float(method.eval()(batch(images), method.views(batch(images), 0))["chroma"])
    assert chroma["classes"] > 0.8 and chroma["regression"] < 0.7


def test_every_trained_weight_gets_a_gradient():
    for fields in ({}, {"objective": "regression"}):
        method = made(**fields)
        method(batch(), method.views(batch(), 0))["loss"].backward()
        assert [name for name, value in method.named_parameters() if value.grad is None] == []


def test_what_was_counted_is_state():
    method, other = made(), Colorization(build_encoder("resnet10", seed=0), size=16)
    other.start(Images(pictures()), resumed=True)
    other.load_state_dict(method.state_dict())
    assert torch.equal(other.palette.rarity, method.palette.rarity) and torch.equal(
        other.palette.blind, method.palette.blind
    )


def test_presets_have_sources_and_build():
    assert set(PRESETS["colorization"]) == {"paper", "code"}
    method = build("colorization", build_encoder("resnet10", seed=0), preset="code", size=16)
    assert len(method.palette.centers) == 261 and method.palette.soft_bins == 10 and method.palette.sigma == 5


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"objective": "gan"}, "objective='gan' is unknown"),
        ({"size": 30}, "size=30"),
        ({"spacing": 3.0}, "spacing=3.0"),
        ({"soft_bins": 0}, "soft_bins=0"),
        ({"sigma": 0.0}, "sigma=0.0"),
        ({"mix": -0.1}, "mix=-0.1"),
    ],
)
def test_mistakes_are_refused_at_construction(fields: dict, complaint: str):
    with pytest.raises(ValueError, match=complaint):
        Colorization(build_encoder("resnet10", seed=0), **{"size": 16, **fields})
