"""First-layer filters: pictures that no sign or offset can hide, and numbers that random weights fail."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from fgssl_edu.explain.filters import (
    chromatic,
    concentration,
    filter_numbers,
    filter_pictures,
    first_filters,
    oriented,
)
from fgssl_edu.nets import build_encoder


def random(count: int = 64, side: int = 7, seed: int = 0) -> Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def grating(side: int = 7, across: int = 1, down: int = 0, colour: tuple[float, ...] = (1, 1, 1)) -> Tensor:
    place = 2 * math.pi * torch.arange(side) / side
    wave = torch.sin(across * place[None] + down * place[:, None])
    return (torch.tensor(colour).view(3, 1, 1) * wave)[None]


def gabor(angle: float, side: int = 7, frequency: float = 0.2) -> Tensor:
    place = torch.arange(float(side)) - side // 2
    x, y = place[None], place[:, None]
    wave = torch.sin(2 * math.pi * frequency * (x * math.cos(angle) + y * math.sin(angle)))
    return (wave * torch.exp(-(x**2 + y**2) / 8)).expand(1, 3, side, side)


def test_a_picture_reaches_from_black_to_white_and_does_not_know_the_offset():
    filters = random(5)
    pictures = filter_pictures(filters)
    assert torch.equal(pictures.flatten(1).amin(dim=1), torch.zeros(5))
    assert torch.equal(pictures.flatten(1).amax(dim=1), torch.ones(5))
    torch.testing.assert_close(filter_pictures(3 * filters + 7), pictures, atol=1e-5, rtol=0)
    torch.testing.assert_close(filter_pictures(-filters), 1 - pictures, atol=1e-5, rtol=0)
    assert torch.equal(filter_pictures(torch.ones(1, 3, 7, 7)), torch.full((1, 3, 7, 7), 0.5))


@pytest.mark.parametrize("place", [(1, 0), (0, 2), (2, 3), (3, -1)])
def test_a_grating_lies_in_one_bin(place: tuple[int, int]):
    assert concentration(grating(across=place[0], down=place[1]), 1).item() == pytest.approx(1)
    two = grating() + grating(across=0, down=1)
    assert concentration(two, 1).item() == pytest.approx(0.5) and concentration(two, 2).item() == pytest.approx(1)


def test_concentration_knows_no_sign_offset_or_size():
    filters = random(8)
    for changed in (-filters, filters + 5, 0.01 * filters):
        torch.testing.assert_close(concentration(changed), concentration(filters), atol=1e-4, rtol=0)
    assert concentration(torch.ones(1, 3, 7, 7)).item() == 0
    assert concentration(filters, 24).tolist() == pytest.approx([1.0] * 8)


@pytest.mark.parametrize("side", [7, 11])
def test_random_filters_are_not_oriented_and_gabor_filters_are(side: int):
    assert not oriented(random(4000, side)).any()
    assert all(oriented(gabor(angle)).all() for angle in (0.0, 0.35, 0.8, 1.2))


def test_grey_is_not_colour_and_most_of_noise_is():
    assert not chromatic(grating()).any()
    assert chromatic(grating(colour=(1, -1, 0))).all() and chromatic(grating(colour=(1, 0, 0))).all()
    assert chromatic(random(1000)).float().mean() > 0.98  # two of three directions are colour


def test_numbers_of_an_untrained_network():
    found = filter_numbers(build_encoder("alexnet_small", seed=0))
    assert found["filters/oriented"] == 0 and found["filters/chromatic"] > 0.9


def test_the_first_convolution_is_found_whatever_the_network():
    for name, side in (("alexnet_small", 7), ("resnet10", 3)):
        filters = first_filters(build_encoder(name, seed=0))
        assert filters.shape[1:] == (3, side, side) and not filters.requires_grad
    with pytest.raises(ValueError, match="no convolution"):
        first_filters(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="2 channels"):
        first_filters(nn.Conv2d(2, 4, 3))
