"""Exercises of the lesson `simcore`: one round of the selection, and the value that the selection is said to maximise.

Both work on similarities (N, K): a row for each picture of the open set, a column for each centroid of the target.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fgssl_edu.exercises.verdict import Answer, Verdict, judge, near, number

TOY = torch.tensor([[0.9, 0.8], [0.7, 0.85], [0.6, 0.3], [0.5, 0.6], [0.1, 0.2]])  # rows u0..u4, two centroids
TRIALS = 20  # random sets on which monotonicity and submodularity are tried


def check_round(answer: Answer) -> Verdict:
    """Check `answer(similarity, taken) -> (picks, value)`: one round of SimCore (arXiv 2303.11101, Algorithm 1).

    similarity (N, K) of pictures with centroids, taken (N,) bool; picks (n,) int64, value: mean over the centroids.
    """
    shared = TOY.clone()
    shared[1, 1] = 0.75  # now u0 is nearest to both centroids

    def picks(f: Answer) -> str | None:
        found = _round(f, TOY, [])[0]
        words = "each centroid should take the picture nearest to it: u0 and u1 in the first round of the toy"
        return None if found == [0, 1] else f"{words}, not {_names(found)}"

    def value(f: Answer) -> str | None:
        found = _round(f, TOY, [])[1]
        words = "the value of a round is the mean over the centroids of the picked similarities: (.9 + .85) / 2 = .875"
        return None if near(found, 0.875) else f"{words}, not {found:.4f}"

    def later(f: Answer) -> str | None:
        found, mean = _round(f, TOY, [0, 1])
        words = "with u0 and u1 taken, the second round should pick u2 and u3 with value .6"
        return None if found == [2, 3] and near(mean, 0.6) else f"{words}, not {_names(found)} with {mean:.4f}"

    def merged(f: Answer) -> str | None:
        found = _round(f, shared, [])[0]
        if len(set(found)) < len(found):
            return f"a picture that two centroids want should come once, not as {_names(found)}"
        words = "where u0 is nearest to both centroids, the first round should be u0 alone"
        return None if found == [0] else f"{words}, not {_names(found)}"

    def twice(f: Answer) -> str | None:
        mean = _round(f, shared, [])[1]
        words = "a shared pick counts for each centroid that wants it: (.9 + .8) / 2 = .85"
        return None if near(mean, 0.85) else f"{words}, not {mean:.4f}"

    def negative(f: Answer) -> str | None:
        found = _round(f, TOY - 2, [0, 1])[0]
        words = "similarities may be negative: a picture that is taken must lose against every one that is not"
        return None if found == [2, 3] else words

    def clean(f: Answer) -> str | None:
        similarity, taken = TOY.clone(), torch.tensor([1, 0, 0, 0, 0], dtype=torch.bool)
        f(similarity, taken)
        untouched = torch.equal(similarity, TOY) and taken.tolist() == [True, False, False, False, False]
        return None if untouched else "do not write into what you are given: the next round needs it as it was"

    return judge(answer, [picks, value, later, merged, twice, negative, clean])


def _round(answer: Answer, similarity: Tensor, taken: list[int]) -> tuple[list[int], float]:
    """What a student's round gives: sorted picks and value; ValueError where it is something else."""
    mask = torch.zeros(len(similarity), dtype=torch.bool)
    mask[taken] = True
    found = answer(similarity.clone(), mask)
    if not isinstance(found, tuple | list) or len(found) != 2:
        raise ValueError("should return two things: the picked positions and the value of the round")
    picks = found[0].tolist() if isinstance(found[0], Tensor) else list(found[0])
    if not isinstance(picks, list):
        raise ValueError("the picked positions should be a sequence, even where there is only one")
    return sorted(int(pick) for pick in picks), number(found[1])


def _names(picks: list[int]) -> str:
    return ", ".join(f"u{pick}" for pick in picks) or "nothing"


def check_facility_value(answer: Answer) -> Verdict:
    """Check `answer(similarity, chosen) -> f(S)`: sum over the target of the largest similarity to a chosen picture.

    similarity (N, K) of pictures with centroids, chosen (n,) int64, n from 1. The value is monotone and submodular.
    """
    generator = torch.Generator().manual_seed(9)
    similarity = torch.rand(12, 5, generator=generator)
    orders = [torch.randperm(12, generator=generator) for _ in range(TRIALS)]

    def value(f: Answer, *chosen: int, of: Tensor = TOY) -> float:
        return number(f(of, torch.tensor(chosen)))

    def alone(f: Answer) -> str | None:
        found = value(f, 0)
        return None if near(found, 1.7) else f"u0 alone should be worth .9 + .8 = 1.7, not {found:.4f}"

    def pair(f: Answer) -> str | None:
        found = value(f, 0, 1)
        words = "u0 and u1 should be worth .9 + .85 = 1.75: each centroid counts its best chosen picture only"
        return None if near(found, 1.75) else f"{words}; not {found:.4f}"

    def bystanders(f: Answer) -> str | None:
        found = value(f, 4)
        words = "only chosen pictures count: u4 alone should be worth .3"
        return None if near(found, 0.3) else f"{words}, not {found:.4f}"

    def monotone(f: Answer) -> str | None:
        for order in orders:
            values = [number(f(similarity, order[:n])) for n in range(1, 13)]
            if any(after < before - 1e-5 for before, after in zip(values, values[1:], strict=False)):
                return "not monotone: one more picture may never lower the value"
        return None

    def submodular(f: Answer) -> str | None:
        for order in orders:
            small, large, new = order[:2], order[:6], order[6:7]
            gain = [number(f(similarity, torch.cat([s, new]))) - number(f(similarity, s)) for s in (small, large)]
            if gain[1] > gain[0] + 1e-5:
                return "not submodular: a new picture may not add more to a larger set than to a part of it"
        return None

    def negative(f: Answer) -> str | None:
        found = value(f, 4, of=TOY - 1)
        words = "similarities may be negative: do not start the maximum from 0"
        return None if near(found, 0.3 - 2) else words

    def full(f: Answer) -> str | None:
        ok = near(value(f, 0, 1), value(f, 0, 1, 2, 3, 4))
        return None if ok else "u0 and u1, the first round, should be worth as much as all five together"

    return judge(answer, [alone, pair, bystanders, monotone, submodular, negative, full])
