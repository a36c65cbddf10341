"""Perturbation strength: the pair is what the rule makes of the feature, and the strip shows where the noise went."""

from __future__ import annotations

import time

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fgssl_edu.data.image_set import Splits
from fgssl_edu.evaluate.dimensions import Roles
from fgssl_edu.evaluate.features import extract
from fgssl_edu.methods.finegrained.pairs_shown import remember
from fgssl_edu.methods.finegrained.synthesized_pairs import SynthesizedPairs
from fgssl_edu.nets.encoders import Encoder, build_encoder
from fgssl_edu.panels.canvas import BLUE, RED, Canvas
from fgssl_edu.panels.dimension_strip import MOST_BARS, draw_strip, left_half, stacked
from fgssl_edu.panels.perturbation import PerturbationStrength, State
from fgssl_edu.views import resized

SIZE = 32  # of decoded pictures: less work than 40


def state(**changed: object) -> State:
    given = {
        "picture": 0,
        "decoder": "learned",
        "draw": 0,
        "sigma_cam": 0.5,
        "sigma_var": 0.5,
        "threshold": 0.02,
        "per_dimension": False,
    }
    return State(**{**given, **changed})


def made(splits: Splits, **fields: object) -> SynthesizedPairs:
    """An untrained method that has seen the training pictures, and whose decoder is not grey."""
    encoder = build_encoder("resnet10", seed=0)
    method = SynthesizedPairs(encoder, decoder_size=SIZE, queue=64, memory=96, **fields)
    if method.decoder is not None:
        with torch.no_grad(), torch.random.fork_rng():
            torch.manual_seed(0)
            nn.init.normal_(method.decoder.body[-2].weight, std=0.3)
    remember(method, splits.train.views())
    return method


@pytest.fixture(scope="module")
def method(splits: Splits) -> SynthesizedPairs:
    return made(splits)


@pytest.fixture(scope="module")
def roles() -> Roles:
    """Odd dimensions follow the parts, even ones the sky."""
    odd = torch.arange(128).double() % 2
    return Roles(1 - odd, odd, odd, odd, 1 - odd, torch.ones(128, dtype=torch.bool))


@pytest.fixture(scope="module")
def panel(splits: Splits, encoders: dict[str, Encoder], method: SynthesizedPairs, roles: Roles) -> PerturbationStrength:
    return PerturbationStrength(method, splits, encoders, roles)


def test_without_noise_both_pictures_and_features_are_the_same(panel: PerturbationStrength):
    still = state(sigma_cam=0.0, sigma_var=0.0)
    pair = panel.pair(still)
    assert torch.equal(pair.shown.reconstruction, pair.shown.perturbed)
    assert pair.by_gradcam.abs().sum() == 0 and pair.by_variance.abs().sum() == 0
    cosines = dict(panel.cosines(still, pair))
    assert cosines["h and h + noise"] == pytest.approx([1])
    assert cosines["the pair, encoded"] == pytest.approx([1, 1])
    assert max(cosines["another picture"]) < 1 - 1e-4


def test_the_pair_is_the_method_s(panel: PerturbationStrength):
    asked = {"sigma_cam": 0.7, "sigma_var": 0.3, "threshold": 0.05}
    ours = panel.pair(state(picture=3, draw=2, **asked)).shown
    theirs = panel.method.perturb(panel.images.images[3:4], step=2, **asked)
    assert torch.equal(ours.perturbed, theirs.perturbed) and torch.equal(ours.moved, theirs.moved)


def test_the_strip_shows_the_deviation_of_the_noise_that_was_added(panel: PerturbationStrength):
    asked = state(picture=5, sigma_cam=1.0, sigma_var=1.0)
    pair = panel.pair(asked)
    many = panel.images.images[5:6].expand(200, -1, -1, -1)
    drawn = panel.method.perturb(many, **asked.noise)
    added = drawn.moved - drawn.features  # (200, D)
    expected = (pair.by_gradcam.square() + pair.by_variance.square()).mean().sqrt()
    assert float(added.square().mean().sqrt()) == pytest.approx(float(expected), rel=0.05)


def test_noise_grows_with_its_strength_and_the_cosine_falls(panel: PerturbationStrength):
    pairs = [panel.pair(state(sigma_cam=sigma)) for sigma in (0.1, 0.5, 2.0)]
    assert torch.allclose(pairs[1].by_gradcam, 5 * pairs[0].by_gradcam, rtol=1e-5)
    near = [panel.cosines(state(), pair)[0][1][0] for pair in pairs]
    assert near[0] > near[1] > near[2]


def test_noise_spares_the_dimension_with_the_highest_score(panel: PerturbationStrength):
    pair = panel.pair(state(picture=2))
    assert pair.by_gradcam[pair.shown.gradcam[0].argmax()] == 0
    rms = float(pair.shown.features.square().mean().sqrt())
    assert pair.by_gradcam.max() == pytest.approx(0.5 * rms, rel=1e-5)


def test_the_threshold_is_a_standard_deviation_over_the_bank(panel: PerturbationStrength, splits: Splits):
    bank = extract(panel.method.encoder, splits.train.images, SIZE)
    spread = F.normalize(bank, dim=1).std(dim=0, correction=0)
    level = float(spread.median()) + 1e-6
    hit = panel.pair(state(threshold=level)).by_variance > 0
    assert torch.equal(hit, spread < level) and 0 < int(hit.sum()) < 128
    assert panel.pair(state(threshold=0.0)).by_variance.abs().sum() == 0


def test_by_its_own_spread_a_dimension_that_hardly_varies_is_hardly_moved(panel: PerturbationStrength):
    own, one = panel.pair(state(per_dimension=True)), panel.pair(state())
    low = panel.memory.std(dim=0).argsort()[:32]
    assert own.by_gradcam[low].mean() < 0.3 * one.by_gradcam[low].mean()


def test_the_nearest_is_a_training_picture_and_the_first_is_the_picture(panel: PerturbationStrength, splits: Splits):
    shown = panel.pair(state(decoder="nearest")).shown
    bank = resized(splits.train.images, SIZE)
    assert any(torch.equal(shown.perturbed[0], picture) for picture in bank)
    assert torch.equal(shown.reconstruction[0], resized(panel.images.images[:1], SIZE)[0])


def test_the_renderer_uses_no_noise_and_draws_another_sky_each_time(panel: PerturbationStrength):
    pair, other = panel.pair(state(decoder="renderer")), panel.pair(state(decoder="renderer", draw=1))
    assert pair.by_gradcam.abs().sum() == 0 and pair.by_variance.abs().sum() == 0
    bird = resized(panel.images.foreground[:1, None].expand(-1, 3, -1, -1), SIZE)[0, 0] > 0.99
    away = (pair.shown.perturbed - other.shown.perturbed)[0].abs().mean(dim=0)
    assert away[~bird].mean() > 0.02


def test_photographs_have_no_renderer_and_no_roles(bare_splits: Splits, method: SynthesizedPairs):
    panel = PerturbationStrength(method, bare_splits, drawn_by="renderer")
    assert panel.values["decoder"] == "learned"
    assert [value for _, value in panel.controls["decoder"].options] == ["learned", "nearest"]
    spread = panel.pair(state()).shown.spread[panel.order]
    assert (spread.diff() >= 0).all()
    before = panel.picture()
    panel.set(decoder="nearest")
    assert panel.picture() != before


def test_every_control_changes_the_picture(panel: PerturbationStrength):
    moves = [
        {"picture": 4},
        {"draw": 1},
        {"sigma_cam": 1.0},
        {"sigma_var": 1.0},
        {"threshold": 0.1},
        {"per_dimension": True},
        {"decoder": "nearest"},
        {"decoder": "renderer"},
    ]
    seen = [panel.picture()]
    for move in moves:
        panel.set(**move)
        seen.append(panel.picture())
    assert len(set(seen)) == len(moves) + 1


def test_it_begins_with_the_method_s_noise_and_stays_within_its_sliders(splits: Splits):
    rule = {"sigma_cam": 0.7, "sigma_var": 9.0, "threshold": 0.05, "per_dimension": True}
    values = PerturbationStrength(made(splits, **rule), splits).values
    assert [values[name] for name in rule] == [0.7, 3.0, 0.05, True]


def test_what_cannot_be_shown_is_refused_by_name(splits: Splits, method: SynthesizedPairs, roles: Roles):
    few = Roles(*(getattr(roles, name)[:5] for name in ("background", "genus", "species", "edit", "sky", "alive")))
    with pytest.raises(ValueError, match="5 dimensions for features of 128"):
        PerturbationStrength(method, splits, roles=few)
    one = Splits(splits.train, splits.test.subset(torch.tensor([0])))
    with pytest.raises(ValueError, match="at least two"):
        PerturbationStrength(method, one)
    with pytest.raises(ValueError, match="room for two"):
        PerturbationStrength(method, splits, dict.fromkeys("abc", method.encoder))
    with pytest.raises(ValueError, match="remember"):
        PerturbationStrength(SynthesizedPairs(build_encoder("resnet10", seed=0), decoder_size=SIZE), splits)
    with pytest.raises(ValueError, match="nearest"):
        PerturbationStrength(made(splits, decoder="nearest"), splits)


def test_the_method_is_left_alone(panel: PerturbationStrength):
    before = {name: value.clone() for name, value in panel.method.state_dict().items()}
    panel.method.train()
    for way in ("learned", "nearest", "renderer"):
        panel.cosines(state(), panel.pair(state(picture=7, decoder=way)))
    assert panel.method.training and panel.method.decoder.training
    assert all(torch.equal(before[name], value) for name, value in panel.method.state_dict().items())
    assert all(p.grad is None for p in panel.method.parameters())


def test_slider_to_picture_is_quick(panel: PerturbationStrength):
    panel.set(decoder="learned")
    seconds = []
    for i in range(30):
        start = time.process_time()
        panel.set(sigma_cam=round(0.1 * (i % 20), 1), picture=40 + i)
        seconds.append(time.process_time() - start)
    assert sorted(seconds)[-2] < 0.15  # as promised where a network runs


def test_variances_add_up_in_a_bar_and_many_dimensions_are_binned():
    total, begin = stacked(torch.tensor([3.0, 0.0, 1.0]), torch.tensor([4.0, 0.0, 0.0]))
    assert total.tolist() == [5, 0, 1] and begin.tolist() == pytest.approx([5 * 9 / 25, 0, 1])
    wide = torch.rand(2048, generator=torch.Generator().manual_seed(0))
    assert len(stacked(wide, wide)[0]) == MOST_BARS
    assert left_half(torch.tensor([1.0, 1.0, 2.0, 0.0])) == pytest.approx(100 * 2 / 6)


def test_the_strip_draws_each_noise_in_its_colour_and_its_place():
    def drawn(first: list[float], second: list[float]) -> Tensor:
        canvas = Canvas(240)
        draw_strip(canvas, 200, torch.tensor(first), torch.tensor(second), ("", ""))
        return torch.from_numpy(canvas.array().copy())

    pixels = drawn([1.0, 0.0], [0.0, 1.0])
    assert pixels[180, 300].tolist() == list(BLUE) and pixels[180, 800].tolist() == list(RED)
    assert pixels[180, 300].tolist() == drawn([1.0, 0.0], [0.0, 0.0])[180, 300].tolist()
    assert drawn([0.0, 0.0], [0.0, 0.0])[60:195, 100:].min() == 255
