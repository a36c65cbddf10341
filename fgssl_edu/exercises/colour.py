"""Exercises of the lesson `colour`: a colour as shares of bins, and the colour that a distribution is painted with."""

from __future__ import annotations

import torch
from torch import Tensor

from fgssl_edu.exercises.verdict import TOLERANCE, Answer, Verdict, judge

CORNERS = torch.tensor(
    [[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0], [-10.0, 0.0], [0.0, -10.0]]
)  # bins 10 apart


def check_soft_code(answer: Answer) -> Verdict:
    """Check `answer(ab, centers, count, sigma) -> (n, Q)`: a colour as shares of its nearest bins.

    ab (n, 2), centers (Q, 2); exp(-d^2 / 2 sigma^2) for the `count` nearest, 0 for the others, sums to 1.
    """
    colours = torch.tensor([[3.0, 4.0], [8.0, 1.0], [-9.0, 0.5]])

    def shape(f: Answer) -> str | None:
        found = _tensor(f(colours, CORNERS, 3, 5.0))
        return None if found.shape == (3, 6) else f"three colours, six bins: (3, 6), not {tuple(found.shape)}"

    def sums(f: Answer) -> str | None:
        found = _tensor(f(colours, CORNERS, 3, 5.0)).sum(dim=1)
        return None if _same(found, torch.ones(3)) else f"shares should sum to 1, not {_listed(found)}"

    def few(f: Answer) -> str | None:
        kept = (_tensor(f(colours, CORNERS, 3, 5.0)) > 0).sum(dim=1).tolist()
        return None if kept == [3, 3, 3] else f"with count 3, three bins should have a share, not {kept}"

    def nearest(f: Answer) -> str | None:
        found = _tensor(f(colours, CORNERS, 1, 5.0)).argmax(dim=1).tolist()
        return None if found == [0, 1, 4] else f"with count 1 the nearest bin has it all: bins 0, 1, 4, not {found}"

    def hand(f: Answer) -> str | None:
        found = _tensor(f(colours[:1], CORNERS, 4, 5.0))[0, :4]
        expected = torch.softmax(-torch.tensor([25.0, 65.0, 45.0, 85.0]) / 50, dim=0)
        if _same(found, expected):
            return None
        words = f"squared distances 25, 65, 45, 85 and sigma 5 give {_listed(expected)}, not {_listed(found)}"
        if _same(found, torch.softmax(-torch.tensor([25.0, 65.0, 45.0, 85.0]) / 25, dim=0)):
            return f"{words}: the exponent is -d^2 / (2 sigma^2)"
        if _same(found, torch.softmax(-torch.tensor([25.0, 65.0, 45.0, 85.0]).sqrt() / 50, dim=0)):
            return f"{words}: square the distances"
        return words

    def width(f: Answer) -> str | None:
        narrow, wide = (float(_tensor(f(colours[:1], CORNERS, 4, sigma))[0, 0]) for sigma in (1.0, 100.0))
        words = "a narrow sigma gives it all to the nearest, a wide one equal shares"
        return None if narrow > 1 - TOLERANCE and abs(wide - 0.25) < 0.01 else words

    return judge(answer, [shape, sums, few, nearest, hand, width])


def check_annealed_mean(answer: Answer) -> Verdict:
    """Check `answer(probabilities, centers, temperature) -> (n, 2)`: the mean of the sharpened distribution.

    probabilities (n, Q), rows sum to 1; centers (Q, 2); z^(1/T) over its sum takes the place of z.
    """
    z = torch.tensor([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3]])
    axes = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])  # so that the answer is the first two probabilities

    def shape(f: Answer) -> str | None:
        found = _tensor(f(z, axes, 0.5))
        return None if found.shape == (2, 2) else f"one a and one b for each row: (2, 2), not {tuple(found.shape)}"

    def mean(f: Answer) -> str | None:
        found = _tensor(f(z, axes, 1.0))
        words = "temperature 1 changes nothing: the plain mean of the centres"
        return None if _same(found, z[:, :2]) else f"{words}, (.6, .3), not ({_listed(found[0])})"

    def hand(f: Answer) -> str | None:
        found = _tensor(f(z[:1], axes, 0.38))[0]
        if _same(found, torch.tensor([0.85446, 0.13788])):
            return None
        words = f"(.6, .3, .1) at .38 is (.854, .138, .008), not ({_listed(found)}, ...)"
        wrong = (z[0] / 0.38).softmax(dim=0)[:2]
        return f"{words}: sharpen probabilities, or their logarithms" if _same(found, wrong) else words

    def mode(f: Answer) -> str | None:
        found = _tensor(f(z, axes, 0.02))
        words = "near temperature 0 only the likeliest bin is left"
        return None if _same(found, torch.tensor([[1.0, 0.0], [0.0, 1.0]])) else f"{words}: (1, 0), not {found[0]}"

    def zero(f: Answer) -> str | None:
        found = _tensor(f(torch.tensor([[0.0, 1.0, 0.0]]), axes, 0.38))
        words = "a bin of probability 0 should stay at 0"
        return None if _same(found, torch.tensor([[0.0, 1.0]])) else f"{words}; yours gave ({_listed(found[0])})"

    def rows(f: Answer) -> str | None:
        both, alone = _tensor(f(z, axes, 0.38)), _tensor(f(z[1:], axes, 0.38))
        return None if _same(both[1:], alone) else "each row should be normalised by itself"

    return judge(answer, [shape, mean, hand, mode, zero, rows])


def _tensor(found: object) -> Tensor:
    if not isinstance(found, Tensor):
        raise ValueError(f"should return a tensor, returned {type(found).__name__}")
    return found.detach()


def _same(found: Tensor, expected: Tensor) -> bool:
    return found.shape == expected.shape and torch.allclose(found, expected, atol=TOLERANCE)


def _listed(found: Tensor) -> str:
    return ", ".join(f"{value:.3f}" for value in found.flatten().tolist())
