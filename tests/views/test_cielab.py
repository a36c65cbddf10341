"""Lab against published values, bins of colour against counts of the gamut, and codes, weights and means by hand."""

from __future__ import annotations

import math

import pytest
import torch

from fgssl_edu.views.color_bins import (
    annealed_mean,
    gamut_bins,
    nearest_bin,
    rarity_weights,
    smoothed,
    soft_code,
)
from fgssl_edu.views.lab import lab_to_rgb, rgb_to_lab

KNOWN = {  # sRGB -> Lab under D65, as printed by any colour calculator
    (1.0, 1.0, 1.0): (100.0, 0.0, 0.0),
    (0.0, 0.0, 0.0): (0.0, 0.0, 0.0),
    (1.0, 0.0, 0.0): (53.2408, 80.0925, 67.2032),
    (0.0, 1.0, 0.0): (87.7347, -86.1827, 83.1793),
    (0.0, 0.0, 1.0): (32.2970, 79.1875, -107.8602),
    (0.5, 0.5, 0.5): (53.3890, 0.0, 0.0),
}


def place(*values: float) -> torch.Tensor:
    """Numbers as the channels of one picture of one place, (1, n, 1, 1)."""
    return torch.tensor(values).view(1, -1, 1, 1)


def draw(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("rgb", "lab"), KNOWN.items())
def test_known_colours(rgb: tuple, lab: tuple):
    assert torch.allclose(rgb_to_lab(place(*rgb)), place(*lab), atol=2e-3)  # TO_XYZ has seven digits
    assert torch.allclose(lab_to_rgb(place(*lab)), place(*rgb), atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_there_and_back_again(dtype: torch.dtype):
    images = draw(4, 3, 16, 16).to(dtype)
    images[0, :, 0] = torch.linspace(0, 0.01, 16)  # on the straight piece of both curves
    assert rgb_to_lab(images).dtype == dtype
    assert torch.allclose(lab_to_rgb(rgb_to_lab(images)), images, atol=2e-5 if dtype == torch.float32 else 1e-12)


def test_grey_has_no_colour_and_its_lightness_rises():
    grey = torch.linspace(0, 1, 11).view(1, 1, 1, 11).expand(1, 3, 1, 11)
    lab = rgb_to_lab(grey)
    assert lab[:, 1:].abs().max() < 1e-3
    assert (lab[0, 0, 0].diff() > 0).all()


def test_autocast_costs_no_digit():
    images = draw(2, 3, 8, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(rgb_to_lab(images), expected := rgb_to_lab(images))
    assert torch.equal(expected, rgb_to_lab(images)) and expected.dtype == torch.float32


def test_what_no_screen_shows_is_clipped_and_gradients_stay_finite():
    vivid = lab_to_rgb(place(50.0, 120.0, -120.0))
    assert vivid.min() >= 0 and vivid.max() <= 1
    images = torch.zeros(1, 3, 2, 2, requires_grad=True)
    rgb_to_lab(images).sum().backward()
    assert images.grad.isfinite().all()


def test_how_many_bins_the_gamut_has():
    """261 10 apart: what sRGB's colours round to. The paper's 313 is a list that no rule gives back."""
    assert {spacing: len(gamut_bins(spacing)) for spacing in (10.0, 20.0, 25.0)} == {10.0: 261, 20.0: 77, 25.0: 51}


def test_every_colour_is_nearest_to_the_bin_it_rounds_to():
    ab, centers = rgb_to_lab(draw(8, 3, 16, 16))[:, 1:], gamut_bins(20.0)
    chosen = centers[nearest_bin(ab, centers)].permute(0, 3, 1, 2)
    assert torch.equal(chosen, (ab / 20).round() * 20)
    assert torch.equal(soft_code(ab, centers).argmax(dim=1), nearest_bin(ab, centers))


def test_soft_code_by_hand():
    centers = gamut_bins(10.0)
    code = soft_code(place(3.0, 4.0), centers, count=5, sigma=5.0)
    assert code.shape == (1, 261, 1, 1) and code.sum() == pytest.approx(1)
    shares, which = code.flatten().topk(5)
    assert shares.tolist() == pytest.approx([0.40624, 0.27231, 0.18253, 0.12236, 0.01656], abs=1e-5)
    squared = (centers[which] - torch.tensor([3.0, 4.0])).square().sum(dim=1)
    assert squared.tolist() == [25, 45, 65, 85, 185]
    assert (code.flatten() @ centers).tolist() == pytest.approx([2.883, 3.947], abs=1e-3)
    assert int((code > 0).sum()) == 5
    assert soft_code(place(3.0, 4.0), centers, count=1).max() == 1  # the nearest alone


def test_rarity_weights_by_hand_and_at_their_limits():
    shares = torch.tensor([0.8, 0.15, 0.05])
    weights = rarity_weights(shares, 0.5)
    assert weights.tolist() == pytest.approx([0.7695, 1.8043, 2.2750], abs=1e-4)
    assert (shares * weights).sum() == pytest.approx(1)
    assert rarity_weights(shares, 1.0).tolist() == pytest.approx([1, 1, 1])
    inverse = rarity_weights(shares, 0.0)
    assert (inverse * shares).tolist() == pytest.approx([1 / 3] * 3)
    assert rarity_weights(torch.tensor([1.0, 0.0]), 0.0).isfinite().all()


def test_smoothing_spreads_a_share_over_its_neighbours_and_loses_none():
    centers = gamut_bins(10.0)
    peak = torch.zeros(len(centers), dtype=torch.float64)
    middle = int(centers.square().sum(dim=1).argmin())
    peak[middle] = 1
    spread = smoothed(peak, centers, sigma=5.0)
    assert spread.sum().item() == pytest.approx(1) and spread.argmax() == middle
    side = int((centers - torch.tensor([10.0, 0.0])).square().sum(dim=1).argmin())
    assert (spread[side] / spread[middle]).item() == pytest.approx(math.exp(-2), rel=1e-5)  # 10^2 / (2 5^2)


def test_annealed_mean_by_hand_and_at_its_limits():
    logits, centers = place(0.6, 0.3, 0.1).log(), torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    found = annealed_mean(logits, centers, 0.38).flatten()
    assert [*found.tolist(), 1 - found.sum().item()] == pytest.approx([0.8545, 0.1379, 0.0077], abs=1e-4)
    assert annealed_mean(logits, centers, 1.0).flatten().tolist() == pytest.approx([0.6, 0.3])
    assert annealed_mean(logits, centers, 0.0).flatten().tolist() == [1, 0]
    assert torch.allclose(annealed_mean(logits, centers, 0.01), annealed_mean(logits, centers, 0.0), atol=1e-6)
    assert torch.allclose(annealed_mean(logits + 3, centers), annealed_mean(logits, centers))  # logits will do
    assert annealed_mean(draw(2, 3, 4, 5), centers).shape == (2, 2, 4, 5)


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda: gamut_bins(1.0), "spacing=1.0"),
        (lambda: rarity_weights(torch.ones(2) / 2, 1.5), "mix=1.5"),
        (lambda: annealed_mean(torch.zeros(1, 2, 1, 1), torch.zeros(2, 2), -0.1), "temperature=-0.1"),
    ],
)
def test_mistakes_are_named(call, complaint: str):
    with pytest.raises(ValueError, match=complaint):
        call()
