"""The colour panel: distributions that are the method's, weights that come off again, and numbers that are true."""

from __future__ import annotations

import time

import pytest
import torch

from fgssl_edu.data.image_set import Images, Splits
from fgssl_edu.methods.pretext.colorization import Colorization
from fgssl_edu.nets.encoders import build_encoder
from fgssl_edu.nets.modes import frozen
from fgssl_edu.panels.colour import PaintedColours, recolored
from fgssl_edu.views import resized
from fgssl_edu.views.lab import rgb_to_lab

SIZE = 40


def made(splits: Splits, seed: int = 0, **fields: object) -> Colorization:
    method = Colorization(build_encoder("resnet10", seed=seed), size=32, seed=seed, **fields)
    method.start(Images(splits.train.images), resumed=False)
    return method


@pytest.fixture(scope="module")
def methods(splits: Splits) -> dict[str, Colorization]:
    return {"one": made(splits), "plain": made(splits, seed=1, rebalance=False)}


@pytest.fixture(scope="module")
def panel(methods: dict[str, Colorization], splits: Splits) -> PaintedColours:
    return PaintedColours(methods, splits.test, SIZE)


def test_the_distribution_is_the_methods(panel: PaintedColours, methods: dict[str, Colorization], splits: Splits):
    for name, rare in (("one", "up"), ("plain", "plain")):
        method = methods[name]
        with frozen(method), torch.no_grad():
            pixels = resized(splits.test.images[[3]], SIZE)
            expected = method.head(method.encoder.feature_map(pixels), 10)[0].log_softmax(dim=0)
        look = panel.look(name, 3, 0.38, rare)
        assert torch.allclose(look.chances, expected, atol=1e-5)
        assert torch.allclose(look.painted, method.paint(expected[None])[0], atol=1e-3)


def test_weights_of_rare_colours_can_be_put_on_and_taken_off(panel: PaintedColours, methods: dict[str, Colorization]):
    for name in methods:
        up, plain = (panel.look(name, 2, 1.0, rare).chances for rare in ("up", "plain"))
        ratio = (up - plain) - (up - plain)[:1]
        rarity = methods[name].palette.rarity.log()
        assert torch.allclose(ratio[:, 4, 4], rarity - rarity[0], atol=1e-4)
        assert up.exp().sum(dim=0).mean().item() == pytest.approx(1, abs=1e-5)


def test_the_mean_is_greyer_than_the_mode(panel: PaintedColours):
    chroma = [panel.look("one", 1, t, "up").chroma for t in (0.0, 0.38, 1.0)]
    assert chroma == sorted(chroma, reverse=True) and chroma[0] > 2 * chroma[2]


def test_error_is_the_distance_from_the_truth(panel: PaintedColours):
    look = panel.look("one", 5, 1.0, "plain")
    by_hand = ((look.painted - look.truth) ** 2).sum(dim=0).sqrt().mean().item()
    assert look.error == pytest.approx(by_hand) and 0 <= look.right <= 1


def test_a_painted_picture_keeps_its_lightness(splits: Splits):
    pixels = splits.test.images[[0]].float() / 255
    painted = recolored(pixels, torch.full((2, 4, 4), 5.0))
    assert (rgb_to_lab(painted[None])[:, 0] - rgb_to_lab(pixels)[:, 0]).abs().median() < 0.5
    grey = recolored(pixels, torch.zeros(2, 1, 1))
    assert (grey - grey.mean(dim=0)).abs().max() < 1e-3


def test_every_control_changes_the_picture(panel: PaintedColours):
    moves = [{"picture": 4}, {"temperature": 1.0}, {"rare": "plain"}, {"row": 1}, {"column": 1}, {"network": "plain"}]
    seen = [panel.picture()]
    for move in moves:
        panel.set(**move)
        seen.append(panel.picture())
    assert len(set(seen)) == len(moves) + 1


def test_looking_leaves_methods_as_they_were(panel: PaintedColours, methods: dict[str, Colorization]):
    method = methods["one"].train()
    before = {name: value.clone() for name, value in method.state_dict().items()}
    panel.look("one", 11, 0.5, "up")
    assert method.training
    assert all(torch.equal(before[name], value) for name, value in method.state_dict().items())


def test_photographs_without_parts_will_do(methods: dict[str, Colorization], bare_splits: Splits):
    panel = PaintedColours({"one": methods["one"]}, bare_splits.test, 42)  # 42 px: ten places of 4 and a rest
    before = panel.picture()
    panel.set(picture=2)
    assert panel.picture() != before and panel.places == 10


def test_regression_has_no_distribution(splits: Splits):
    with pytest.raises(ValueError, match="objective='classes'"):
        PaintedColours({"l2": made(splits, objective="regression")}, splits.test)
    with pytest.raises(ValueError, match="methods="):
        PaintedColours({}, splits.test)


def test_pictures_follow_the_controls_in_time(panel: PaintedColours):
    seconds = []
    for i in range(22):
        start = time.process_time()
        panel.set(picture=i + 12, temperature=round(0.04 * i, 2))
        seconds.append(time.process_time() - start)
    assert sorted(seconds[2:])[18] < 0.15  # as promised where a network runs; 45 ms were seen
