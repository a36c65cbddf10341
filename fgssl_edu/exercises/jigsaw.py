"""Exercises of the lesson `jigsaw`: which order to add to a set, and tiles whose brightness tells nothing."""

from __future__ import annotations

import torch
from torch import Tensor

from fgssl_edu.exercises.verdict import TOLERANCE, Answer, Verdict, judge, number


def check_farthest_order(answer: Answer) -> Verdict:
    """Check `answer(chosen, candidates) -> int`: the row of candidates that a set of orders should be given next.

    chosen (k, n), candidates (m, n): orders of n tiles. The row whose smallest Hamming distance to those chosen is
    largest; of equal ones the largest sum of distances; of those the first.
    """

    def asked(f: Answer, chosen: list[list[int]], candidates: list[list[int]]) -> int:
        return round(number(f(torch.tensor(chosen), torch.tensor(candidates))))

    def alone(f: Answer) -> str | None:
        found = asked(f, [[0, 1, 2, 3]], [[0, 1, 3, 2], [1, 0, 3, 2], [0, 2, 3, 1]])
        words = "beside 0123, distances are 2, 4 and 3: the farthest is row 1"
        return None if found == 1 else f"{words}, not {found}; count the places in which two orders differ"

    def tiles_not_sizes(f: Answer) -> str | None:
        found = asked(f, [[0, 1, 2, 3]], [[3, 1, 2, 0], [1, 2, 0, 3]])
        words = "tiles are names: 3120 differs from 0123 in 2 places and 1203 in 3, however large the differences are"
        return None if found == 1 else words

    def least(f: Answer) -> str | None:
        chosen = [[0, 1, 2, 3, 4], [1, 0, 3, 2, 4], [2, 3, 0, 4, 1]]
        found = asked(f, chosen, [[0, 1, 2, 4, 3], [3, 2, 4, 1, 0], [2, 4, 1, 0, 3]])
        return None if found == 1 else f"the smallest distance to all chosen orders counts: row 1 has 5, not {found}"

    def not_mean(f: Answer) -> str | None:
        chosen = [[0, 1, 2, 3, 4], [1, 2, 3, 4, 0], [2, 3, 4, 0, 1]]
        found = asked(f, chosen, [[0, 1, 2, 4, 3], [0, 2, 4, 3, 1]])  # distances 2, 4, 5 and 3, 4, 3
        words = "a large mean may hide one order that is almost the same: look at the smallest distance first"
        return None if found == 1 else words

    def ties(f: Answer) -> str | None:
        chosen = [[0, 1, 2, 3], [0, 2, 1, 3]]
        found = asked(f, chosen, [[1, 0, 2, 3], [3, 1, 2, 0], [3, 2, 1, 0]])  # distances 2, 3, then 2, 4 twice
        words = "of rows with the same smallest distance the one with the larger sum, and of equal ones the first"
        return None if found == 1 else words

    def many(f: Answer) -> str | None:
        generator = torch.Generator().manual_seed(3)
        for _ in range(20):
            rows = torch.rand(14, 6, generator=generator).argsort(dim=1).tolist()
            if asked(f, rows[:4], rows[4:]) != _by_hand(rows[:4], rows[4:]):
                return "on random orders of six tiles it chose another row: smallest distance, then sum, then first"
        return None

    return judge(answer, [alone, tiles_not_sizes, least, not_mean, ties, many])


def _by_hand(chosen: list[list[int]], candidates: list[list[int]]) -> int:
    """The rule, one pair of orders at a time."""
    away = [[sum(a != b for a, b in zip(row, other, strict=True)) for other in chosen] for row in candidates]
    return max(range(len(candidates)), key=lambda i: (min(away[i]), sum(away[i]), -i))


def check_tile_norm(answer: Answer) -> Verdict:
    """Check `answer(tiles) -> tiles`: (n, 3, h, w), each channel of each tile at mean 0 and standard deviation 1.

    A channel that is the same everywhere becomes zeros.
    """
    generator = torch.Generator().manual_seed(4)
    tiles = torch.rand(4, 3, 6, 6, generator=generator)

    def shape(f: Answer) -> str | None:
        found = f(tiles)
        ok = isinstance(found, Tensor) and found.shape == tiles.shape
        return None if ok else "should return as many tiles of the same shape, (n, 3, h, w)"

    def mean(f: Answer) -> str | None:
        worst = float(_tensor(f(tiles)).mean(dim=(2, 3)).abs().max())
        return None if worst < TOLERANCE else f"each channel of each tile should have mean 0; one has {worst:.3f}"

    def deviation(f: Answer) -> str | None:
        found = _tensor(f(tiles)).std(dim=(2, 3), correction=0)
        worst = float((found - 1).abs().max())
        words = "each channel of each tile should have deviation 1, over all its pixels"
        return None if worst < 2e-2 else f"{words}; one is {worst:.3f} off"

    def alone(f: Answer) -> str | None:
        same = torch.allclose(_tensor(f(tiles))[:1], _tensor(f(tiles[:1])), atol=TOLERANCE)
        return None if same else "a tile changed with the tiles beside it: each by itself, or the others tell its place"

    def light(f: Answer) -> str | None:
        dim = torch.tensor([0.5, 0.8, 0.3]).view(1, 3, 1, 1) * tiles + 0.1
        same = torch.allclose(_tensor(f(tiles)), _tensor(f(dim)), atol=1e-2)
        return None if same else "a darker tile with a colour cast should come out the same: each channel by itself"

    def flat(f: Answer) -> str | None:
        found = _tensor(f(torch.full((1, 3, 4, 4), 0.7)))
        words = "a tile of plain sky has deviation 0: divide by no less than a small number, so that it becomes zeros"
        return (
            None if found.isfinite().all() and float(found.abs().max()) < 0.2 else words
        )  # rounding over a small number

    return judge(answer, [shape, mean, deviation, alone, light, flat])


def _tensor(found: object) -> Tensor:
    if not isinstance(found, Tensor):
        raise ValueError(f"should return a tensor, returned {type(found).__name__}")
    return found.detach()
