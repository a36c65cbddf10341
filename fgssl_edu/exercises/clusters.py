"""Exercises of the lesson `clusters`: sharing samples out to prototypes, and predicting one view's share from another.

The properties are those of `losses.sinkhorn_knopp` and `losses.swav_loss`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fgssl_edu.exercises.verdict import TOLERANCE, Answer, Verdict, judge, near, number, unit

ENOUGH = 500  # iterations after which these small matrices no longer move


def check_sinkhorn_knopp(answer: Answer) -> Verdict:
    """Check `answer(scores, epsilon, iterations) -> codes (B, K)`: columns to equal sums, then rows to one, again.

    scores (B, K): samples in rows, prototypes in columns.
    """
    scores = unit(12, 6, seed=21) @ unit(4, 6, seed=22).T  # (12, 4) cosines
    pair = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.8, 0.2], [0.7, 0.3]])

    def shape(f: Answer) -> str | None:
        found = f(scores, 0.05, 3)
        ok = isinstance(found, Tensor) and found.shape == scores.shape
        return None if ok else "should return one row a sample and one column a prototype, (B, K), as the scores have"

    def rows(f: Answer) -> str | None:
        sums = _codes(f(scores, 0.05, 3)).sum(dim=1)
        wrong = (sums - 1).abs().max()
        words = "each sample's row should sum to 1 after any number of iterations: rows are scaled last"
        return None if wrong < TOLERANCE else f"{words} (a row sums to {sums[(sums - 1).abs().argmax()]:.3f})"

    def columns(f: Answer) -> str | None:
        held = _codes(f(scores, 0.05, ENOUGH)).sum(dim=0)
        words = f"after {ENOUGH} iterations each of the 4 prototypes should hold 12 / 4 = 3 samples"
        return None if torch.allclose(held, torch.full((4,), 3.0), atol=0.01) else f"{words}, not {_listed(held)}"

    def hand(f: Answer) -> str | None:
        found = _codes(f(pair, 0.5, ENOUGH))[:, 0]
        words = "two prototypes, gaps 1, .8, .6, .4, epsilon .5: the first should get sigmoid((gap - .7) / .5)"
        expected = torch.tensor([0.6457, 0.5498, 0.4502, 0.3543])
        return None if torch.allclose(found, expected, atol=1e-3) else f"{words}: {_listed(expected)}; {_listed(found)}"

    def order(f: Answer) -> str | None:
        shifted = scores + torch.tensor([3.0, 0.0, 0.0, 0.0])
        same = torch.allclose(_codes(f(shifted, 0.5, 1)), _codes(f(scores, 0.5, 1)), atol=1e-3)
        words = "a prototype that all samples like more should gain nothing, from the first iteration on"
        return None if same else f"{words}: scale the columns first, and take no sample's own maximum away before"

    def once(f: Answer) -> str | None:
        first, third = _codes(f(scores, 0.05, 1)), _codes(f(scores, 0.05, 3))
        return None if not torch.allclose(first, third, atol=1e-3) else "one and three iterations should differ"

    def overflow(f: Answer) -> str | None:
        found = _codes(f(scores, 0.01, 3))
        words = "exp(1 / .01) is more than float32 holds: take the largest score away first, or stay in logarithms"
        return None if bool(found.isfinite().all()) else words

    return judge(answer, [shape, rows, columns, hand, order, once, overflow])


def check_swapped_prediction(answer: Answer) -> Verdict:
    """Check `answer(first, second, first_codes, second_codes, temperature) -> loss` of two views.

    first, second (B, K): cosines with the prototypes; codes (B, K), rows summing to 1. The mean of two cross-entropies:
    each view's softmax at the temperature against the OTHER view's code, a constant.
    """
    first, second = (unit(5, 6, seed=s) @ unit(4, 6, seed=9).T for s in (31, 32))  # (5, 4)
    codes = [(scores / 0.05).softmax(dim=1) for scores in (first, second)]
    sure, other = torch.eye(4), torch.eye(4).roll(1, dims=0)

    def shape(f: Answer) -> str | None:
        number(f(first, second, *codes, 0.1))
        return None

    def uniform(f: Answer) -> str | None:
        value = number(f(torch.zeros(5, 4), torch.zeros(5, 4), *codes, 0.1))
        words = f"scores that say nothing should cost ln 4 = {math.log(4):.4f}, a mean over samples and directions"
        return None if near(value, math.log(4)) else f"{words}, not {value:.4f}"

    def swapped(f: Answer) -> str | None:
        right = number(f(sure, other, other, sure, 0.01))
        words = "each view should predict the code of the OTHER view: here the loss is 0 if it does"
        return None if near(right, 0.0) else f"{words}, not {right:.2f}"

    def temperature(f: Answer) -> str | None:
        value = number(f(sure, sure, sure, sure, 0.5))
        expected = math.log(1 + 3 * math.exp(-2))
        words = f"cosines 1 and 0 at temperature .5 with sure codes: ln(1 + 3 exp(-2)) = {expected:.4f}"
        return None if near(value, expected) else f"{words}, not {value:.4f}: scores are divided by the temperature"

    def symmetric(f: Answer) -> str | None:
        there = number(f(first, second, *codes, 0.1))
        back = number(f(second, first, codes[1], codes[0], 0.1))
        return None if near(there, back) else "exchanging the two views should change nothing: both directions count"

    def constant(f: Answer) -> str | None:
        leaves = [part.clone().requires_grad_() for part in (first, second, *codes)]
        found = f(*leaves, 0.1)
        if not isinstance(found, Tensor) or not found.requires_grad:
            return "no gradient reaches the scores: return a tensor, with nothing detached on its way"
        slopes = torch.autograd.grad(found, leaves, allow_unused=True)
        if any(slope is None or not slope.any() for slope in slopes[:2]):
            return "both views' scores should get a gradient: both predict"
        flows = any(slope is not None and bool(slope.any()) for slope in slopes[2:])
        words = "the codes should be constants: a gradient into the target teaches it to be easy to predict (detach)"
        return words if flows else None

    return judge(answer, [shape, uniform, temperature, swapped, symmetric, constant])


def _codes(found: object) -> Tensor:
    if not isinstance(found, Tensor):
        raise ValueError(f"should return a tensor, returned {type(found).__name__}")
    return found.detach().float()


def _listed(found: Tensor) -> str:
    return ", ".join(f"{value:.2f}" for value in found.flatten().tolist())
