"""Exercises of the lesson `synthesised-pairs`: noise by Grad-CAM score, and the dimensions of low variance."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fgssl_edu.exercises.verdict import TOLERANCE, Answer, Verdict, judge


def check_gradcam_noise(answer: Answer) -> Verdict:
    """Check `answer(scores, noise, sigma) -> (B, D)`: std sigma (1 - min-maxed score) (arXiv 2407.14676, eq. 4-5)."""
    scores = torch.tensor([[0.0, 2.0, 4.0], [30.0, 10.0, 20.0]])
    ones = torch.ones(2, 3)

    def shape(f: Answer) -> str | None:
        ok = _tensor(f(scores, ones, 0.2)).shape == scores.shape
        return None if ok else "should return one number an image and dimension, shape (B, D)"

    def hand(f: Answer) -> str | None:
        found = _tensor(f(scores[:1], ones[:1], 1.0))
        ok = _close(found, torch.tensor([[1.0, 0.5, 0.0]]))
        words = "scores 0, 2, 4 and sigma 1: standard deviations should be 1, .5, 0"
        return None if ok else f"{words}, not {_numbers(found[0])}: the most important dimension stays as it is"

    def each_image(f: Answer) -> str | None:
        ok = _close(_tensor(f(scores, ones, 1.0))[1], torch.tensor([0.0, 1.0, 0.5]))
        return None if ok else "min-max goes over the dimensions of each image, not over the batch"

    def scale(f: Answer) -> str | None:
        ok = _close(_tensor(f(1e-4 * scores + 3e-4, ones, 0.2)), _tensor(f(scores, ones, 0.2)))
        words = "another scale or offset of all scores should change nothing: a gradient of a mean is B times smaller"
        return None if ok else words

    def sigma(f: Answer) -> str | None:
        ok = _close(_tensor(f(scores, ones, 0.6)), 3 * _tensor(f(scores, ones, 0.2)))
        return None if ok else "three times the sigma should give three times the noise: it is a standard deviation"

    def follows(f: Answer) -> str | None:
        noise = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
        ok = _close(_tensor(f(scores, noise, 0.2)), noise * _tensor(f(scores, ones, 0.2)))
        return None if ok else "the draws in `noise` have standard deviation 1; multiply them, draw none of your own"

    def constant(f: Answer) -> str | None:
        found = _tensor(f(torch.full((1, 3), 7.0), ones[:1], 0.2))
        ok = bool(found.isfinite().all()) and _close(found, torch.full((1, 3), 0.2))
        words = "equal scores point at nothing: every dimension should get sigma, none a division by zero"
        return None if ok else words

    return judge(answer, [shape, hand, each_image, scale, sigma, follows, constant])


def check_low_variance_mask(answer: Answer) -> Verdict:
    """Check `answer(memory, threshold) -> (D,) bool`: std over unit rows of (N, D) below it (arXiv 2407.14676, 3.4)."""
    memory = _bank()
    spread = F.normalize(memory, dim=1).std(dim=0)  # about .0005, .006, .05 and .4 in pairs

    def shape(f: Answer) -> str | None:
        mask = _tensor(f(memory, 0.02))
        ok = mask.shape == (8,) and mask.dtype == torch.bool
        return None if ok else "should return one truth value a dimension, shape (D,), torch.bool"

    def deviation(f: Answer) -> str | None:
        mask = _tensor(f(memory, 0.02))
        if mask.tolist() == (spread < 0.02).tolist():
            return None
        if mask.tolist() == (spread.square() < 0.02).tolist():
            return "that is the variance: of unit vectors it is nearly always below .02; take the standard deviation"
        if (mask == (spread >= 0.02)).all():
            return "the other way round: noise goes where the standard deviation is below the threshold"
        return f"threshold .02 should select {(spread < 0.02).nonzero()[:, 0].tolist()}: std over the pictures"

    def unit(f: Answer) -> str | None:
        length = torch.linspace(0.2, 9, len(memory))[:, None]
        ok = torch.equal(_tensor(f(memory * length, 0.02)), _tensor(f(memory, 0.02)))
        return None if ok else "the length of a picture's vector should not matter: bring the rows to unit length first"

    def none(f: Answer) -> str | None:
        ok = not _tensor(f(memory, 0.0)).any()
        return None if ok else "threshold 0 should select nothing: the paper's 'Grad-CAM only'"

    def everything(f: Answer) -> str | None:
        ok = bool(_tensor(f(memory, 2.0)).all())
        return None if ok else "a threshold above every deviation should select all dimensions"

    def finer(f: Answer) -> str | None:
        counts = [int(_tensor(f(memory, level)).sum()) for level in (0.002, 0.02, 0.15)]
        return (
            None if counts == [2, 4, 6] else f"thresholds .002, .02, .15 should select 2, 4, 6 dimensions, not {counts}"
        )

    return judge(answer, [shape, deviation, unit, none, everything, finer])


def _bank() -> Tensor:
    """400 rows of 8 dimensions, two of each of four spreads; the last two are large, so that lengths hardly vary."""
    generator = torch.Generator().manual_seed(9)
    angle = torch.rand(400, generator=generator) * 2 * torch.pi
    small = torch.randn(400, 6, generator=generator) * torch.tensor([0.0005, 0.0005, 0.006, 0.006, 0.05, 0.05])
    return torch.cat([small, angle.cos()[:, None], angle.sin()[:, None]], dim=1)


def _tensor(value: object) -> Tensor:
    if not isinstance(value, Tensor):
        raise ValueError(f"should return a tensor, returned {type(value).__name__}")
    return value.detach()


def _close(found: Tensor, expected: Tensor) -> bool:
    return found.shape == expected.shape and torch.allclose(found, expected, atol=TOLERANCE)


def _numbers(row: Tensor) -> str:
    return ", ".join(f"{value:.3g}" for value in row.tolist())
