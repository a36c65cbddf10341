"""The decoder: sizes, the picture before the first step, gradients, reproducible weights."""

from __future__ import annotations

import pytest
import torch

from fgssl_edu.nets.decoders import Decoder
from fgssl_edu.nets.encoder import IMAGENET_MEAN


@pytest.mark.parametrize("size", [32, 40, 48, 64, 224])
def test_pictures_have_the_size_asked_for(size: int) -> None:
    assert Decoder(8, size, seed=0)(torch.randn(2, 8)).shape == (2, 3, size, size)


@pytest.mark.parametrize("size", [33, 20 + 1, 8, 300])
def test_a_size_that_no_doubling_reaches_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"size={size}"):
        Decoder(8, size)


def test_before_the_first_step_every_feature_gives_the_mean_colour() -> None:
    pictures = Decoder(16, 32, seed=0)(torch.randn(3, 16))
    assert torch.allclose(pictures, torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1).expand_as(pictures))


def test_weights_come_from_the_seed_and_the_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    first, second, other = (Decoder(8, 32, seed=seed).entry[0].weight for seed in (1, 1, 2))
    assert torch.equal(first, second) and not torch.equal(first, other)
    assert torch.equal(before, torch.get_rng_state())


def test_the_shipped_size_stays_under_a_megabyte_in_half_precision() -> None:
    assert 2 * sum(value.numel() for value in Decoder(128, 40).state_dict().values()) < 1_000_000
