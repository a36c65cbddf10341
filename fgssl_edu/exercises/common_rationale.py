"""Exercises of the lesson `common-rationale`: the map of a branch, and how far it is from its target."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fgssl_edu.exercises.verdict import TOLERANCE, Answer, Verdict, judge


def check_branch_map(answer: Answer) -> Verdict:
    """Check `answer(features, kernels) -> (B, h, w)`: LCR's branch without its norm, each image's map in [0, 1].

    features (B, C, h, w); kernels (K, C): K projections of the features at each place, of which the largest counts.
    """
    generator = torch.Generator().manual_seed(11)
    features, kernels = torch.randn(3, 4, 5, 5, generator=generator), torch.randn(6, 4, generator=generator)
    places = torch.tensor([[1.0, -3.0], [0.5, 0.0]])  # one channel
    two = torch.stack([torch.tensor([[1.0, 0.0], [0.0, 0.6]]), torch.tensor([[0.0, 0.4], [0.0, 0.6]])])  # two channels

    def shape(f: Answer) -> str | None:
        found = f(features, kernels)
        ok = isinstance(found, Tensor) and found.shape == (3, 5, 5)
        return None if ok else "should return one map an image, (B, h, w): the kernels are joined by a maximum"

    def one_kernel(f: Answer) -> str | None:
        found = _tensor(f(places[None, None], torch.ones(1, 1)))[0]
        words = "one kernel that reads channel 0, places 1, -3, .5 and 0: what is negative becomes 0 before the min-max"
        return None if _same(found, places.relu()) else f"{words}, so 1, 0, .5 and 0, not {_listed(found)}"

    def largest(f: Answer) -> str | None:
        found = _tensor(f(two[None], torch.eye(2)))[0]
        words = "a place where two kernels say .6 and .6 counts .6, not their sum or mean: the largest kernel speaks"
        return None if _same(found, torch.tensor([[1.0, 0.4], [0.0, 0.6]])) else f"{words} (found {_listed(found)})"

    def order(f: Answer) -> str | None:
        turned = _tensor(f(features, kernels.flip(0)))
        return None if _same(turned, _tensor(f(features, kernels))) else "the order of the kernels should not matter"

    def batch(f: Answer) -> str | None:
        alone, beside = _tensor(f(features[:1], kernels)), _tensor(f(torch.cat([features[:1], 9 * features]), kernels))
        words = "an image's map changed with the images beside it: take least and largest value of each image by itself"
        return None if _same(alone[0], beside[0]) else words

    def constant(f: Answer) -> str | None:
        found = _tensor(f(torch.ones(1, 1, 2, 2), torch.ones(1, 1)))
        words = "a constant map has no largest place: it should become zeros"
        return None if torch.equal(found, torch.zeros(1, 2, 2)) else f"{words}, not {_listed(found)}"

    return judge(answer, [shape, one_kernel, largest, order, batch, constant])


def check_misfit(answer: Answer) -> Verdict:
    """Check `answer(fitted, target, softness) -> (B,)`: KL of the target's softmax from the fitted map's, in nats.

    Both maps (B, h, w), both softmaxes over all h*w places at temperature `softness`; the target is a constant.
    """
    generator = torch.Generator().manual_seed(12)
    first, second = torch.rand(3, 4, 4, generator=generator), torch.rand(3, 4, 4, generator=generator)
    flat, skewed = torch.zeros(1, 1, 2), torch.tensor([[[math.log(3), 0.0]]])  # softmax: (.5, .5) and (.75, .25)

    def shape(f: Answer) -> str | None:
        found = f(first, second, 0.5)
        ok = isinstance(found, Tensor) and found.shape == (3,)
        return None if ok else "should return one number an image, shape (B,)"

    def equal(f: Answer) -> str | None:
        found = _tensor(f(first, first, 0.5))
        return (
            None if _same(found, torch.zeros(3)) else f"a map that equals its target should cost 0, not {found[0]:.4f}"
        )

    def hand(f: Answer) -> str | None:
        value = float(_tensor(f(flat, skewed, 1.0))[0])
        words = f"target (.75, .25), fitted (.5, .5): .75 ln 1.5 + .25 ln .5 = .1308, not {value:.4f}"
        hint = ": that is the other direction, fitted from target" if abs(value - 0.1438) < TOLERANCE else ""
        return None if abs(value - 0.1308) < TOLERANCE else words + hint

    def all_places(f: Answer) -> str | None:
        rows = torch.tensor([[[1.0, 1.0], [0.0, 0.0]]])
        value = float(_tensor(f(torch.zeros(1, 2, 2), rows, 1.0))[0])
        words = "a target whose upper row is hot says something: one softmax over all places, not one over each row"
        return None if abs(value - 0.1109) < TOLERANCE else f"{words}; against a flat map .1109, not {value:.4f}"

    def softness(f: Answer) -> str | None:
        value = float(_tensor(f(flat, skewed / 2, 0.5))[0])
        words = "both maps are divided by the softness: at .5, half the map should give the same"
        return None if abs(value - 0.1308) < TOLERANCE else f"{words}, .1308, not {value:.4f}"

    def each(f: Answer) -> str | None:
        alone = torch.cat([_tensor(f(first[i : i + 1], second[i : i + 1], 0.5)) for i in range(3)])
        return None if _same(alone, _tensor(f(first, second, 0.5))) else "each image should be compared by itself"

    def constant(f: Answer) -> str | None:
        maps = [first.clone().requires_grad_(), second.clone().requires_grad_()]
        found = f(*maps, 0.5)
        assert isinstance(found, Tensor)
        if not found.requires_grad:
            return "no gradient reaches the fitted map: return a tensor, with nothing detached on its way"
        ours, theirs = torch.autograd.grad(found.sum(), maps, allow_unused=True)
        if ours is None or not ours.any():
            return "no gradient reaches the fitted map: it is the one that learns"
        words = "the target should be a constant: gradient that flows into it teaches the encoder easy targets (detach)"
        return None if theirs is None or not theirs.any() else words

    return judge(answer, [shape, equal, hand, all_places, softness, each, constant])


def _tensor(found: object) -> Tensor:
    if not isinstance(found, Tensor):
        raise ValueError(f"should return a tensor, returned {type(found).__name__}")
    return found.detach()


def _same(found: Tensor, expected: Tensor) -> bool:
    return found.shape == expected.shape and torch.allclose(found, expected, atol=TOLERANCE)


def _listed(found: Tensor) -> str:
    return ", ".join(f"{value:.2f}" for value in found.flatten().tolist())
