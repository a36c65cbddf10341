"""Both checks accept a right answer and name what a wrong one breaks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from fgssl_edu.exercises.synthesised_pairs import check_gradcam_noise, check_low_variance_mask


def noise(scores, noise, sigma):
    low, high = scores.amin(dim=1, keepdim=True), scores.amax(dim=1, keepdim=True)
    return sigma * (1 - (scores - low) / (high - low).clamp(min=1e-12)) * noise


def over_the_batch(scores, noise, sigma):
    return sigma * (1 - (scores - scores.min()) / (scores.max() - scores.min()).clamp(min=1e-12)) * noise


def of_the_important(scores, draws, sigma):
    return sigma * draws - noise(scores, draws, sigma)


def unscaled(scores, noise, sigma):
    return sigma * (1 - scores / 4) * noise


def divides_by_zero(scores, noise, sigma):
    low, high = scores.amin(dim=1, keepdim=True), scores.amax(dim=1, keepdim=True)
    return sigma * (1 - (scores - low) / (high - low)) * noise


def mask(memory, threshold):
    return F.normalize(memory, dim=1).std(dim=0) < threshold


WRONG_NOISE: list[tuple[Callable[..., object], str]] = [
    (lambda scores, draws, sigma: noise(scores, draws, sigma).sum(dim=1), "shape"),
    (lambda scores, draws, sigma: 0.3, "float"),
    (of_the_important, "1, .5, 0"),
    (over_the_batch, "not over the batch"),
    (unscaled, "not over the batch"),
    (lambda scores, draws, sigma: noise(scores.round(), draws, sigma), "scale or offset"),
    (lambda scores, draws, sigma: noise(scores, draws, 1.0) * sigma**0.5, "standard deviation"),
    (lambda scores, draws, sigma: noise(scores, draws.abs(), sigma), "multiply them"),
    (divides_by_zero, "division by zero"),
]
WRONG_MASK: list[tuple[Callable[..., object], str]] = [
    (lambda memory, threshold: mask(memory, threshold).float(), "torch.bool"),
    (lambda memory, threshold: F.normalize(memory, dim=1).var(dim=0) < threshold, "that is the variance"),
    (lambda memory, threshold: ~mask(memory, threshold), "other way round"),
    (lambda memory, threshold: memory.std(dim=0) < threshold, "unit length"),
    (lambda memory, threshold: F.normalize(memory, dim=0).std(dim=0) < threshold, "std over the pictures"),
    (lambda memory, threshold: mask(memory, max(threshold, 1e-3)), "threshold 0"),
    (lambda memory, threshold: mask(memory, min(threshold, 0.02)), "above every deviation"),
    (lambda memory, threshold: mask(memory, 0.02) if 0 < threshold < 1 else mask(memory, threshold), "2, 4, 6"),
]


def test_a_right_answer_passes():
    assert check_gradcam_noise(noise).passed and check_low_variance_mask(mask).passed


@pytest.mark.parametrize(("wrong", "words"), WRONG_NOISE)
def test_wrong_noise_is_named(wrong: Callable[..., object], words: str):
    verdict = check_gradcam_noise(wrong)
    assert not verdict.passed and words in verdict.message, verdict


@pytest.mark.parametrize(("wrong", "words"), WRONG_MASK)
def test_wrong_mask_is_named(wrong: Callable[..., object], words: str):
    verdict = check_low_variance_mask(wrong)
    assert not verdict.passed and words in verdict.message, verdict


def test_a_stub_is_told_to_be_written_and_torch_is_left_alone():
    def stub(*_: object) -> object:
        raise NotImplementedError

    state = torch.get_rng_state()
    assert "not written yet" in check_gradcam_noise(stub).message
    assert "not written yet" in check_low_variance_mask(stub).message
    assert torch.equal(torch.get_rng_state(), state)
