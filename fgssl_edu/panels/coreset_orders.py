"""What the coreset panel shows of a selection: the order in which a method takes the pictures of the open set.

A selection with a smaller budget is the beginning of one with a larger budget, so that each method is run once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from fgssl_edu import coreset

SIMCORE, FACILITY, RANDOM, ORACLE = "SimCore", "facility location", "random", "oracle (knows the answer)"
METHODS = (SIMCORE, FACILITY, RANDOM, ORACLE)
GREEDY_K = 100  # centroids of the greedy baseline, or as many as are offered: its cost rises as k falls
PAGE = 24  # pictures that make a round where a method has none


@dataclass(frozen=True)
class Order:
    """Pictures of the open set in the order in which one method takes them, up to the largest budget."""

    indices: NDArray[np.int64]  # (n,) positions in the open set
    rounds: NDArray[np.int64]  # (n,) round of each, ascending from 1
    values: NDArray[np.float64]  # (rounds,) mean cosine of the round's picks, or empty: the method has no rounds
    relevant: NDArray[np.bool_]  # (n,) whether the pick is relevant

    @cached_property
    def ends(self) -> NDArray[np.int64]:
        """Pictures taken when each round is over, (rounds,)."""
        return np.searchsorted(self.rounds, np.arange(1, self.rounds[-1] + 1), side="right")

    @cached_property
    def hits(self) -> NDArray[np.int64]:
        """Relevant ones among the first 1, 2, 3 ... pictures, (n,)."""
        return np.cumsum(self.relevant)

    def precision(self, count: int) -> float:
        """Relevant share of the first `count` pictures."""
        return float(self.hits[count - 1]) / count

    def failing_round(self, tau: float) -> int | None:
        """The first round whose value is below `tau` times the first one's, counted from 1."""
        below = np.flatnonzero(self.values < tau * self.values[:1])  # nothing where there are no rounds
        return int(below[0]) + 1 if len(below) else None

    def count(self, budget: int, tau: float) -> int:
        """Pictures taken within the budget before the stopping rule ends it; the failing round is left out."""
        failing = self.failing_round(tau)
        stop = len(self.indices) if failing is None else int(self.ends[failing - 2])  # round 1 cannot fail
        return min(budget, stop)


class Orders:
    """The orders of all methods and numbers of centroids, and how much of the target a selection covers.

    Args:
        target: features of X, (n, D).
        pool: features of the open set, (N, D).
        relevant: (N,) bool, hidden from every method but the oracle, which there is not where none is relevant.
        ks: numbers of centroids, none above n.
        most: the largest budget, pictures.
        seed: of k-means and of the random choices.
    """

    def __init__(
        self, target: Tensor, pool: Tensor, relevant: Tensor, ks: tuple[int, ...], most: int, seed: int
    ) -> None:
        target, pool = F.normalize(target.float(), dim=1), F.normalize(pool.float(), dim=1)
        self.relevant, self.greedy_k = relevant, max(k for k in ks if k <= max(GREEDY_K, min(ks)))
        self._all: dict[tuple[str, int], Order] = {
            (RANDOM, 0): self._order(coreset.random_selection(len(pool), most, seed)),
        }
        if relevant.any():
            self._all[ORACLE, 0] = self._order(coreset.oracle(relevant, most, seed))
        self._similarity: dict[int, Tensor] = {}
        for k in ks:
            centroids = coreset.centroids(target, k, seed)
            self._similarity[k] = pool @ centroids.T  # (N, k)
            self._all[SIMCORE, k] = self._order(coreset.select_coreset([pool], centroids, budget=most))
            if k == self.greedy_k:
                self._all[FACILITY, 0] = self._order(coreset.facility_location(pool, centroids, most))

    def __getitem__(self, key: tuple[str, int]) -> Order:
        method, k = key
        return self._all[method, k if method == SIMCORE else 0]

    def coverage(self, order: Order, count: int, k: int) -> float:
        """f(S) of the first `count` pictures as a share of f of the whole open set: mean best cosine to a centroid."""
        similarity = self._similarity[k]
        best = similarity[torch.from_numpy(order.indices[:count])].max(dim=0).values
        return float(best.mean() / similarity.max(dim=0).values.mean())

    def _order(self, chosen: coreset.Coreset) -> Order:
        rounds = chosen.rounds if len(chosen.values) else torch.arange(len(chosen)) // PAGE
        relevant = self.relevant[chosen.indices]
        return Order(chosen.indices.numpy(), (rounds + 1).numpy(), chosen.values.numpy(), relevant.numpy())
