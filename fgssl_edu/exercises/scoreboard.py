"""Exercises of the lesson `scoreboard`: what is worth its price, and how many seeds a difference needs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fgssl_edu.exercises.verdict import Answer, Verdict, judge


def check_pareto_front(answer: Answer) -> Verdict:
    """Check `answer(costs, scores) -> indices`: the methods that no other makes superfluous, in rising order.

    A method is superfluous if another costs no more and scores no less, and is better in at least one of the two.
    """

    def chosen(f: Answer, costs: Sequence[float], scores: Sequence[float]) -> list[int]:
        found = f(list(costs), list(scores))
        if not isinstance(found, list | tuple) or not all(isinstance(i, int) for i in found):
            raise ValueError(f"should return a list of positions, returned {found!r}")
        return list(found)

    def alone(f: Answer) -> str | None:
        found = chosen(f, [3.0], [0.2])
        return None if found == [0] else f"one method alone is never superfluous: [0], not {found}"

    def cheap(f: Answer) -> str | None:
        found = chosen(f, [1.0, 2.0], [0.5, 0.3])
        words = "costs 1, 2 and scores .5, .3: the second costs more and scores less, so [0]"
        return None if found == [0] else f"{words}, not {found}"

    def both(f: Answer) -> str | None:
        found = chosen(f, [2.0, 1.0], [0.5, 0.3])
        return (
            None
            if found == [0, 1]
            else f"costs 2, 1 and scores .5, .3: each is better in one thing: [0, 1], not {found}"
        )

    def equal(f: Answer) -> str | None:
        found = chosen(f, [1.0, 1.0], [0.4, 0.4])
        words = "two equal methods: neither is better in anything, so both stay: [0, 1]"
        return None if found == [0, 1] else f"{words}, not {found}"

    def tied(f: Answer) -> str | None:
        found = chosen(f, [1.0, 1.0, 2.0], [0.4, 0.6, 0.6])
        words = "costs 1, 1, 2 and scores .4, .6, .6: the second is as cheap as the first and as good as the third: [1]"
        return None if found == [1] else f"{words}, not {found}"

    def many(f: Answer) -> str | None:
        costs, scores = [5.0, 1.0, 3.0, 4.0, 2.0], [0.9, 0.2, 0.5, 0.5, 0.1]
        found = chosen(f, costs, scores)
        return None if found == [0, 1, 2] else f"costs {costs}, scores {scores}: [0, 1, 2], not {found}"

    return judge(answer, [alone, cheap, both, equal, tied, many])


def check_seeds_needed(answer: Answer) -> Verdict:
    """Check `answer(deviation, difference) -> seeds`: how many pairs of runs a paired difference needs.

    deviation: sample standard deviation of the differences by seed; difference: what is to be seen. The least n from 2
    for which half the 95 % interval, t(n - 1) s / sqrt(n), is at most the difference.
    """

    def needed(f: Answer, deviation: float, difference: float) -> int:
        found = f(deviation, difference)
        if isinstance(found, bool) or not isinstance(found, int):
            raise ValueError(f"should return a whole number, returned {found!r}")
        return found

    def one(f: Answer) -> str | None:
        found = needed(f, 1.0, 1.0)
        hints = {4: ": 1.96 is for a known deviation, few runs need Student's t", 6: ": t has n - 1 degrees of freedom"}
        words = "a deviation as large as the difference needs 7 seeds (2.447 / sqrt 7 is .92, 2.571 / sqrt 6 is 1.05)"
        return None if found == 7 else f"{words}, not {found}{hints.get(found, '')}"

    def half(f: Answer) -> str | None:
        found = needed(f, 2.0, 1.0)
        return None if found == 18 else f"twice the deviation: 18 seeds, not {found}"

    def unit(f: Answer) -> str | None:
        same = needed(f, 3.0, 4.0) == needed(f, 0.03, 0.04)
        return None if same else "points or shares must not matter: only the ratio of the two counts"

    def least(f: Answer) -> str | None:
        found = needed(f, 0.01, 1.0)
        return (
            None if found == 2 else f"a tiny deviation still needs 2 seeds: of one nobody knows the spread; not {found}"
        )

    def large(f: Answer) -> str | None:
        found, normal = needed(f, 10.0, 1.0), math.ceil((1.96 * 10) ** 2)
        ok = normal <= found <= normal + 6
        return (
            None if ok else f"ten times the deviation: nearly (1.96 s / d)^2 = {normal} seeds, a few more; not {found}"
        )

    return judge(answer, [one, half, unit, least, large])
