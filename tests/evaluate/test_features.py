"""Frozen means frozen."""

from __future__ import annotations

import pytest
import torch

from fgssl_edu.evaluate.features import extract
from fgssl_edu.nets.encoders import Encoder, build_encoder
from fgssl_edu.views import resized

IMAGES = torch.randint(0, 256, (21, 3, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def encoder_in_use() -> Encoder:
    encoder = build_encoder("resnet10", seed=0)
    encoder.blocks[0].eval()  # a part that the caller has frozen by itself
    return encoder


def test_extraction_changes_no_bit_no_mode_and_no_random_number():
    encoder = encoder_in_use()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    modes, random = [part.training for part in encoder.modules()], torch.get_rng_state()
    features = extract(encoder, IMAGES, 40)
    assert all(torch.equal(before[name], value) for name, value in encoder.state_dict().items())
    assert modes == [part.training for part in encoder.modules()] and True in modes and False in modes
    assert torch.equal(random, torch.get_rng_state())
    assert features.shape == (21, encoder.dim) and features.dtype == torch.float32 and not features.requires_grad


def test_mode_is_restored_after_an_error():
    encoder = encoder_in_use()
    with pytest.raises(RuntimeError):
        extract(encoder, IMAGES[:, :2], 40)
    assert encoder.training and not encoder.blocks[0].training


def test_batch_size_does_not_matter():
    encoder = encoder_in_use()
    assert torch.allclose(
        extract(encoder, IMAGES, 40, batch=4), extract(encoder, IMAGES, 40), atol=1e-5
    )  # float32 sums


def test_resizing_keeps_a_constant_picture_and_its_range():
    grey = torch.full((2, 3, 48, 48), 128, dtype=torch.uint8)
    assert torch.allclose(resized(grey, 40), torch.tensor(128 / 255))
    small = resized(IMAGES, 20)
    assert small.shape == (21, 3, 20, 20) and small.min() >= 0 and small.max() <= 1
    assert small.std() < 0.8 * resized(IMAGES, None).std()  # antialiased: noise is averaged


def test_a_diverged_encoder_is_refused():
    encoder = encoder_in_use()
    with torch.no_grad():
        next(encoder.parameters()).fill_(float("nan"))
    with pytest.raises(ValueError, match="not finite"):
        extract(encoder, IMAGES)
