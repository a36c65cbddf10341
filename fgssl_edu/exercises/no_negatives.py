"""Exercises of the lesson `no-negatives`: Barlow Twins' loss, and the term that keeps VICReg from collapse."""

from __future__ import annotations

import torch
from torch import Tensor

from fgssl_edu.exercises.verdict import Answer, Verdict, judge, near, number

CORNERS = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])  # two dimensions, uncorrelated
ROUGH = 1e-3  # an epsilon beside the variance, or none, is both right


def check_barlow_twins(answer: Answer) -> Verdict:
    """Check `answer(first, second, redundancy) -> scalar`: (1 - C_ii)² summed, and redundancy times C_ij² summed.

    first, second: (B, d) embeddings of two views, of any scale; C is their cross-correlation over the batch, by the
    biased variance.
    """
    twice = CORNERS[:, [0, 0]]
    first, second = _rows(32, 3, 21), _rows(32, 3, 22)

    def one(f: Answer) -> str | None:
        value = number(f(CORNERS, CORNERS, 0.005))
        words = "views that agree in uncorrelated dimensions have the identity as C: 0"
        hint = ": by the biased variance (divide by B) C_ii is 1" if near(value, 0.125, 0.02) else ""
        return None if near(value, 0, ROUGH) else f"{words}, not {value:.4f}{hint}"

    def opposite(f: Answer) -> str | None:
        value = number(f(CORNERS, -CORNERS, 0.005))
        words = "opposite views have C_ii = -1: two dimensions cost (1 + 1)² each, 8"
        return None if near(value, 8, ROUGH) else f"{words}, not {value:.4f}: sum over the diagonal"

    def beside(f: Answer) -> str | None:
        value = number(f(twice, twice, 0.005))
        words = "one dimension said twice has C_12 = C_21 = 1, which costs 2 x .005 = .01"
        return None if near(value, 0.01, ROUGH / 10) else f"{words}, not {value:.4f}"

    def weight(f: Answer) -> str | None:
        less, more = (number(f(twice, twice, w)) for w in (0.1, 0.2))
        return None if near(more - less, 0.2, ROUGH) else "`redundancy` should weigh what is beside the diagonal, alone"

    def scale(f: Answer) -> str | None:
        plain, moved = number(f(first, second, 0.1)), number(f(3 * first + 5, second, 0.1))
        words = "scale and shift of a dimension should not matter: subtract the batch's mean, divide by its deviation"
        return None if near(plain, moved, 10 * ROUGH) else words

    def constant(f: Answer) -> str | None:
        value = number(f(torch.ones(4, 3), torch.ones(4, 3), 0.005))
        words = "constant embeddings correlate with nothing: they cost d = 3"
        return None if near(value, 3, ROUGH) else f"{words}, not {value:.4f}: add a small number to the variance"

    def gradient(f: Answer) -> str | None:
        views = first.clone().requires_grad_(), second.clone().requires_grad_()
        loss = f(*views, 0.1)
        if not isinstance(loss, Tensor) or not loss.requires_grad:
            return "no gradient reaches the embeddings: return a tensor"
        found = torch.autograd.grad(loss, views, allow_unused=True)
        return None if all(g is not None and g.any() for g in found) else "both views should learn: nothing is detached"

    return judge(answer, [one, opposite, beside, weight, scale, constant, gradient])


def check_variance_term(answer: Answer) -> Verdict:
    """Check `answer(embeddings) -> scalar`: max(0, 1 - sqrt(variance + .0001)) of each dimension, mean over dimensions.

    embeddings: (B, d); the variance over the batch is the unbiased one.
    """

    def constant(f: Answer) -> str | None:
        value = number(f(torch.zeros(4, 3)))
        words = "constant embeddings: 1 - sqrt(0 + .0001) = .99"
        return None if near(value, 0.99) else f"{words}, not {value:.4f}"

    def wide(f: Answer) -> str | None:
        value = number(f(5 * CORNERS))
        return None if near(value, 0) else f"a deviation above 1 costs nothing (a hinge), not {value:.4f}"

    def unbiased(f: Answer) -> str | None:
        value = number(f(0.5 * CORNERS))  # variance 1/3
        words = "the four corners at half size have the unbiased variance 1/3 (divide by B - 1): .4226"
        return None if near(value, 0.4226, 1e-3) else f"{words}, not {value:.4f}"

    def each(f: Answer) -> str | None:
        value = number(f(CORNERS * torch.tensor([5.0, 0.0])))
        words = "a wide dimension does not pay for one that does not vary: the hinge of each dimension, then the mean"
        return None if near(value, 0.495) else f"{words}, .495, not {value:.4f}"

    def shift(f: Answer) -> str | None:
        moved = number(f(0.5 * CORNERS + 7))
        return None if near(moved, number(f(0.5 * CORNERS)), 1e-3) else "a common shift should not matter"

    def outwards(f: Answer) -> str | None:
        small = (0.01 * CORNERS).requires_grad_()
        loss = f(small)
        if not isinstance(loss, Tensor) or not loss.requires_grad:
            return "no gradient reaches the embeddings: return a tensor"
        (gradient,) = torch.autograd.grad(loss, small)
        return None if torch.equal(-gradient.sign(), CORNERS.sign()) else "downhill should lead away from the mean"

    return judge(answer, [constant, wide, unbiased, each, shift, outwards])


def _rows(count: int, dim: int, seed: int) -> Tensor:
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed))
