"""Exercises of the lesson `dino`: the teacher's targets, and patches as colours."""

from __future__ import annotations

import torch
from torch import Tensor

from fgssl_edu.exercises.verdict import TOLERANCE, Answer, Verdict, judge


def check_teacher_targets(answer: Answer) -> Verdict:
    """Check `answer(logits, centre, temperature) -> (B, K)`: what DINO's student is to predict.

    logits (B, K) raw; centre (K,), the mean of what the teacher said lately; rows of the result sum to 1.
    """
    generator = torch.Generator().manual_seed(21)
    logits, centre = torch.randn(4, 6, generator=generator), torch.randn(6, generator=generator)
    pair = torch.tensor([[1.0, 1.2]])

    def rows(f: Answer) -> str | None:
        found = _tensor(f(logits, centre, 0.5))
        ok = found.shape == (4, 6) and torch.allclose(found.sum(dim=1), torch.ones(4), atol=TOLERANCE)
        return None if ok else "should return one distribution an image, (B, K), each row summing to 1"

    def sharp(f: Answer) -> str | None:
        value = float(_tensor(f(pair, torch.zeros(2), 0.1))[0, 1])
        words = "logits 1 and 1.2 at temperature .1, without centre: the second is likely by 1 / (1 + e^-2) = .8808"
        hint = " (divide by the temperature)" if abs(value - 0.5498) < TOLERANCE else ""
        return None if abs(value - 0.8808) < TOLERANCE else f"{words}, not {value:.4f}{hint}"

    def centred(f: Answer) -> str | None:
        value = float(_tensor(f(pair, torch.tensor([0.0, 0.3]), 0.1))[0, 1])
        words = "a prototype that always gets .3 more than the others loses this lead: 1 and 1.2 less 0 and .3 is .2689"
        return (
            None if abs(value - 0.2689) < TOLERANCE else f"{words}, not {value:.4f}: subtract the centre, then sharpen"
        )

    def shift(f: Answer) -> str | None:
        moved = _tensor(f(logits + 3 * centre, 4 * centre, 0.5))
        words = "what is added to all logits and to the centre alike should change nothing"
        return None if torch.allclose(moved, _tensor(f(logits, centre, 0.5)), atol=TOLERANCE) else words

    def alone(f: Answer) -> str | None:
        first = _tensor(f(logits[:1], centre, 0.5))
        words = "a target should not depend on the images beside it: the centre is given, the batch has no say"
        return None if torch.allclose(first[0], _tensor(f(logits, centre, 0.5))[0], atol=TOLERANCE) else words

    def constant(f: Answer) -> str | None:
        found = f(logits.clone().requires_grad_(), centre, 0.5)
        ok = isinstance(found, Tensor) and not found.requires_grad
        return (
            None if ok else "the teacher learns nothing from the loss: no gradient should flow into its logits (detach)"
        )

    return judge(answer, [rows, sharp, centred, shift, alone, constant])


def check_token_colours(answer: Answer) -> Verdict:
    """Check `answer(tokens) -> (n, 3)` in [0, 1]: patch tokens (n, D) along their three main directions, as RGB.

    Each colour from its least to its largest value; the sign of a direction is free.
    """
    generator = torch.Generator().manual_seed(22)
    turn = torch.linalg.qr(torch.randn(5, 5, generator=generator)).Q
    spread = torch.randn(40, 5, generator=generator) * torch.tensor([8.0, 4.0, 2.0, 0.1, 0.1])
    tokens = spread @ turn + 3 * turn[3]

    def shape(f: Answer) -> str | None:
        found = _tensor(f(tokens))
        return None if found.shape == (40, 3) else "should return three numbers a token, (n, 3)"

    def colours(f: Answer) -> str | None:
        found = _tensor(f(tokens))
        ends = torch.stack([found.amin(dim=0), found.amax(dim=0)])
        ok = torch.allclose(ends, torch.tensor([[0.0], [1.0]]).expand(2, 3), atol=TOLERANCE)
        return None if ok else "each colour should go from exactly 0 to exactly 1 over the tokens"

    def moved(f: Answer) -> str | None:
        words = "tokens that are all moved by the same vector should have the same colours: subtract their mean first"
        return None if _alike(_tensor(f(tokens + 50)), _tensor(f(tokens))) else words

    def largest(f: Answer) -> str | None:
        found = _tensor(f(tokens))
        for place, name in enumerate(("red", "green", "blue")):
            match = _correlation(found[:, place], spread[:, place])
            if match < 0.9:
                words = "is not the direction in which tokens vary" + (" most" if place == 0 else " next most")
                return f"{name} {words} (correlation with it {match:.2f})"
        return None

    def turned(f: Answer) -> str | None:
        words = "colours should not depend on the axes of the features: a rotation of all tokens changed them"
        return None if _alike(_tensor(f(tokens @ turn)), _tensor(f(tokens))) else words

    return judge(answer, [shape, colours, moved, largest, turned])


def _tensor(found: object) -> Tensor:
    if not isinstance(found, Tensor):
        raise ValueError(f"should return a tensor, returned {type(found).__name__}")
    return found.detach()


def _correlation(found: Tensor, expected: Tensor) -> float:
    """Without sign, 0..1."""
    return abs(float(torch.corrcoef(torch.stack([found, expected]))[0, 1]))


def _alike(found: Tensor, expected: Tensor) -> bool:
    """Equal colours, each up to its direction's sign."""
    same = torch.minimum((found - expected).abs().amax(dim=0), (1 - found - expected).abs().amax(dim=0))
    return bool((same < 1e-2).all())
