"""The checks of the lesson `scoreboard` accept right answers and name what a wrong one breaks."""

from __future__ import annotations

import math

from scipy.stats import t

from fgssl_edu.exercises import check_pareto_front, check_seeds_needed


def front(costs, scores, strict=True):
    def beaten(i):
        for j in range(len(costs)):
            no_worse = costs[j] <= costs[i] and scores[j] >= scores[i]
            if j != i and no_worse and (not strict or costs[j] < costs[i] or scores[j] > scores[i]):
                return True
        return False

    return [i for i in range(len(costs)) if not beaten(i)]


def sweep(costs, scores):
    """Cheapest first, the best of equals first: keep whatever beats all before, or equals the last kept."""
    kept = []
    for i in sorted(range(len(costs)), key=lambda i: (costs[i], -scores[i])):
        last = kept[-1] if kept else None
        if last is None or scores[i] > scores[last] or (costs[i], scores[i]) == (costs[last], scores[last]):
            kept.append(i)
    return sorted(kept)


def strictly(costs, scores):
    """Only what is worse in both is beaten."""
    pairs = list(zip(costs, scores, strict=True))
    return [i for i, (c, s) in enumerate(pairs) if not any(a < c and b > s for a, b in pairs)]


def seeds(deviation, difference, quantile=lambda n: t.ppf(0.975, n - 1)):
    count = 2
    while quantile(count) * deviation / math.sqrt(count) > difference:
        count += 1
    return count


RIGHT = [(check_pareto_front, front), (check_pareto_front, sweep), (check_seeds_needed, seeds)]
WRONG = [
    (check_pareto_front, lambda c, s: None, "a list of positions"),
    (check_pareto_front, lambda c, s: [], "never superfluous"),
    (check_pareto_front, lambda c, s: list(range(len(c))), "costs more and scores less"),
    (check_pareto_front, lambda c, s: [max(range(len(s)), key=s.__getitem__)], "each is better in one thing"),
    (check_pareto_front, lambda c, s: front(c, s, strict=False), "two equal methods"),
    (check_pareto_front, strictly, "as cheap as the first"),
    (check_seeds_needed, lambda s, d: 7.0, "a whole number"),
    (check_seeds_needed, lambda s, d: seeds(s, d, lambda n: 1.96), "Student's t"),
    (check_seeds_needed, lambda s, d: seeds(s, d, lambda n: t.ppf(0.975, n)), "degrees of freedom"),
    (check_seeds_needed, lambda s, d: 7 if s == d else 5, "18 seeds"),
    (check_seeds_needed, lambda s, d: seeds(s, d) if d >= 1 else 2, "points or shares"),
    (check_seeds_needed, lambda s, d: max(3, seeds(s, d)), "still needs 2 seeds"),
    (check_seeds_needed, lambda s, d: min(100, seeds(s, d)), "a few more"),
]
