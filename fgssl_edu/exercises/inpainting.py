"""Exercises of the lesson `inpainting`: the error in a hole, and the band along its edge."""

from __future__ import annotations

import torch
from torch import Tensor

from fgssl_edu.exercises.verdict import TOLERANCE, Answer, Verdict, judge, near, number


def check_hole_error(answer: Answer) -> Verdict:
    """Check `answer(filled, pictures, hole) -> scalar`: the mean squared error in each hole, then over pictures.

    filled, pictures (B, 3, H, W); hole (B, H, W) bool, True where a picture was filled in.
    """
    generator = torch.Generator().manual_seed(15)
    truth = torch.rand(2, 3, 4, 4, generator=generator)
    hole = torch.zeros(2, 4, 4, dtype=torch.bool)
    hole[0, 0, 0], hole[1] = True, True  # one pixel, and the whole picture

    def perfect(f: Answer) -> str | None:
        filled = torch.where(hole[:, None], truth, 1 - truth)
        value = number(f(filled, truth, hole))
        return (
            None if near(value, 0) else f"a hole that is filled as it was costs 0, whatever is outside; not {value:.4f}"
        )

    def size(f: Answer) -> str | None:
        one = torch.ones(1, 4, 4, dtype=torch.bool)
        value = number(f(truth[:1] + 0.5, truth[:1], one))
        hint = ": a mean over pixels and colours, no sum" if value > 1 else ""
        return None if near(value, 0.25) else f"all values .5 off cost .25, not {value:.4f}{hint}"

    def area(f: Answer) -> str | None:
        value = number(f(truth[:1] + 0.5, truth[:1], hole[:1]))
        words = "one wrong pixel in a hole of one pixel costs .25: divide by the hole's area, not by the picture's"
        return None if near(value, 0.25) else f"{words} (found {value:.4f})"

    def each(f: Answer) -> str | None:
        filled = truth.clone()
        filled[0] += 0.5  # the small hole is wrong, the large one is not
        value = number(f(filled, truth, hole))
        words = "each picture counts alike, however large its hole: .25 and 0 make .125"
        return None if near(value, 0.125) else f"{words}, not {value:.4f}"

    def gradient(f: Answer) -> str | None:
        filled = (truth + 0.1).requires_grad_()
        found = f(filled, truth, hole)
        if not (isinstance(found, Tensor) and found.requires_grad):
            return "no gradient reaches the fill: return a tensor, with nothing detached on its way"
        (flow,) = torch.autograd.grad(found, filled)
        outside = flow[0, :, ~hole[0]].abs().max().item()
        return None if outside == 0 else "a gradient reaches pixels outside of the hole: they were never asked for"

    return judge(answer, [perfect, size, area, each, gradient])


def check_band(answer: Answer) -> Verdict:
    """Check `answer(hole, pixels) -> (B, H, W)`: weights 1 in the hole, 10 in the band along its edge, 0 elsewhere.

    hole (B, H, W) bool; the band is what of the hole lies within `pixels` of a pixel that is not in it, up, down,
    left, right or diagonally. Where a hole meets the border of the picture is no edge.
    """
    hole = torch.zeros(1, 6, 6, dtype=torch.bool)
    hole[:, 1:5, 2:] = True  # touches the right border
    expected = torch.zeros(6, 6)
    expected[1:5, 2:] = 10.0
    expected[2:4, 3:] = 1.0

    def shape(f: Answer) -> str | None:
        found = f(hole, 1)
        ok = isinstance(found, Tensor) and found.shape == (1, 6, 6)
        return None if ok else "should return one weight a pixel, (B, H, W)"

    def outside(f: Answer) -> str | None:
        found = _tensor(f(hole, 1))
        return None if not found[~hole].any() else "outside of the hole no error counts: weight 0"

    def none(f: Answer) -> str | None:
        same = torch.equal(_tensor(f(hole, 0)).float(), hole.float())
        return None if same else "without a band (0 pixels) all of the hole has weight 1"

    def inside(f: Answer) -> str | None:
        found = _tensor(f(hole, 1))[0].float()
        if found[1, 3] != 10 or found[2, 2] != 10:
            return "a pixel of the hole beside one that is seen has weight 10"
        if found[2:4, 3:5].ne(1).any():
            return "a pixel of the hole with no seen pixel beside it has weight 1"
        if found[2:4, 5].ne(1).any():
            return "the border of the picture is no edge of the hole: there the band ends"
        return None if torch.allclose(found, expected, atol=TOLERANCE) else "the whole rim of the hole has weight 10"

    def wide(f: Answer) -> str | None:
        large = torch.zeros(1, 9, 9, dtype=torch.bool)
        large[:, 1:8, 1:8] = True
        left = int((_tensor(f(large, 2)) == 1).sum())
        return None if left == 9 else f"a hole of 7 px with a band of 2 px has 3 x 3 px in its middle, not {left}"

    def each(f: Answer) -> str | None:
        both = torch.cat([hole, ~hole])
        same = torch.equal(_tensor(f(both, 1))[:1], _tensor(f(hole, 1)))
        return None if same else "each picture has a hole of its own"

    return judge(answer, [shape, outside, none, inside, wide, each])


def _tensor(found: object) -> Tensor:
    if not isinstance(found, Tensor):
        raise ValueError(f"should return a tensor, returned {type(found).__name__}")
    return found.detach()
