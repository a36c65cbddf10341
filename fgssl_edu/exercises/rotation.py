"""Exercises of the lesson `rotation`: turns with their labels, and a question asked four times."""

from __future__ import annotations

import torch
from torch import Tensor

from fgssl_edu.exercises.verdict import Answer, Verdict, judge


def check_turns(answer: Answer) -> Verdict:
    """Check `answer(images) -> (turned, labels)`: every picture at 0, 90, 180, 270 degrees, counter-clockwise.

    images (B, C, S, S); turned (4B, C, S, S), turn r of image i in row 4i + r; labels (4B,) int64.
    """
    generator = torch.Generator().manual_seed(13)
    images = torch.rand(3, 2, 4, 4, generator=generator)
    four = torch.tensor([[[[0.0, 1.0], [2.0, 3.0]]]])  # one picture of four pixels

    def shape(f: Answer) -> str | None:
        turned, labels = _pair(f(images))
        if turned.shape != (12, 2, 4, 4) or labels.shape != (12,):
            return f"three pictures give 12 turned ones and 12 labels, not {len(turned)} and {tuple(labels.shape)}"
        return "labels are whole numbers (int64): cross-entropy needs classes" if labels.dtype != torch.long else None

    def first(f: Answer) -> str | None:
        turned, labels = _pair(f(four))
        upright = turned[labels == 0]
        return None if torch.equal(upright, four) else "label 0 is the picture as it was"

    def quarter(f: Answer) -> str | None:
        turned, labels = _pair(f(four))
        found = turned[labels == 1][0, 0].flatten().tolist()
        words = "label 1 is a quarter turn counter-clockwise: [[0, 1], [2, 3]] becomes [[1, 3], [0, 2]]"
        hint = "; yours went clockwise" if found == [2, 0, 3, 1] else f", not {[round(x) for x in found]}"
        return None if found == [1, 3, 0, 2] else words + hint

    def rest(f: Answer) -> str | None:
        turned, labels = _pair(f(four))
        for label, expected in ((2, [3, 2, 1, 0]), (3, [2, 0, 3, 1])):
            if turned[labels == label][0, 0].flatten().tolist() != expected:
                return f"label {label} is {90 * label} degrees counter-clockwise: a mirror is no turn"
        return None

    def order(f: Answer) -> str | None:
        turned, labels = _pair(f(images))
        if labels.tolist() != [0, 1, 2, 3] * 3:
            return "the four turns of a picture stand together: labels are 0 1 2 3 0 1 2 3 ..., not 0 0 0 1 1 1 ..."
        mine = all(torch.equal(turned[4 * i + 2], images[i].flip(1, 2)) for i in range(3))
        return None if mine else "row 4i + r should be turn r of image i"

    def exact(f: Answer) -> str | None:
        turned, _ = _pair(f(images))
        same = torch.equal(
            turned.flatten(1).sort(dim=1).values, images.flatten(1).sort(dim=1).values.repeat_interleave(4, 0)
        )
        return None if same else "a quarter turn only moves pixels: no value may be new (no interpolation)"

    return judge(answer, [shape, first, quarter, rest, order, exact])


def check_upright(answer: Answer) -> Verdict:
    """Check `answer(logits) -> (B,)` int64: by how many quarters each picture had been turned before we got it.

    logits (B, 4, 4): row r holds the four logits of the picture after we have turned it by r quarters more. All four
    rows vote: the log-probabilities that agree on one answer are added.
    """
    generator = torch.Generator().manual_seed(14)
    logits = torch.randn(5, 4, 4, generator=generator)

    def shape(f: Answer) -> str | None:
        found = f(logits)
        ok = isinstance(found, Tensor) and found.shape == (5,) and found.dtype == torch.long
        return None if ok else "should return one whole number a picture, shape (B,), int64"

    def sure(f: Answer) -> str | None:
        for before in range(4):
            rows = torch.zeros(1, 4, 4)
            for more in range(4):
                rows[0, more, (before + more) % 4] = 9.0  # the network is right every time
            found = int(_tensor(f(rows))[0])
            if found != before:
                words = f"a network that is right every time sees {before} + r quarters after r more (modulo 4)"
                return f"{words}: the answer is {before}, not {found}"
        return None

    def together(f: Answer) -> str | None:
        rows = torch.zeros(1, 4, 4)
        rows[0, 0, 3] = 1.0  # the first look says 3, the three others speak for 1, each for itself more softly
        for more in (1, 2, 3):
            rows[0, more, (1 + more) % 4] = 0.8
        found = int(_tensor(f(rows))[0])
        return None if found == 1 else f"three looks outvote one that is a little surer: 1, not {found}"

    def calibrated(f: Answer) -> str | None:
        moved = logits + torch.tensor([5.0, -3.0, 0.0, 40.0])[None, :, None]
        same = torch.equal(_tensor(f(moved)), _tensor(f(logits)))
        return None if same else "a constant added to all four logits of one look should change nothing"

    def veto(f: Answer) -> str | None:
        rows = torch.zeros(1, 4, 4)
        rows[0, 0] = torch.tensor([4.0, -30.0, 0.0, 0.0])  # sure that it is not 1
        for more in (1, 2, 3):
            rows[0, more, (1 + more) % 4] = 2.0
        found = int(_tensor(f(rows))[0])
        return None if found == 0 else f"add log-probabilities, not probabilities: one look rules {found} out"

    def turning(f: Answer) -> str | None:
        once_more = logits.roll(-1, dims=1)  # the same picture, handed to us a quarter further on
        found, before = _tensor(f(once_more)), _tensor(f(logits))
        return None if torch.equal(found, (before + 1) % 4) else "a picture that comes a quarter further on: one more"

    return judge(answer, [shape, sure, together, calibrated, veto, turning])


def _pair(found: object) -> tuple[Tensor, Tensor]:
    if not (isinstance(found, tuple | list) and len(found) == 2 and all(isinstance(each, Tensor) for each in found)):
        raise ValueError("should return two tensors: the turned pictures and their labels")
    return found[0], found[1]


def _tensor(found: object) -> Tensor:
    if not isinstance(found, Tensor):
        raise ValueError(f"should return a tensor, returned {type(found).__name__}")
    return found
