"""The selection from a pool that lies in shards: each gives only its own nearest images, and the choice is the same.

Whoever reads a shard returns, for every centroid, the keys (`ranking`) of the m images of that shard that come first in
the centroid's ranking. Why the merged lists select what one list of the whole pool selects, ties included:

1. Keys have no ties: the index in the whole pool is part of a key. So "the first L of the pool" is one set of images,
   whatever the cut into shards, and the largest L of any collection of keys that holds it are it.
2. An image among the first L of the pool is among the first L of its shard. With m = L from each shard, or all of a
   smaller one, the largest L of all keys are the first L of the pool.
3. m = L is rarely needed. An image that a shard did not send comes after the last one that it sent. If that last one is
   not among the first L of what is merged, then nothing missing of this shard is, and its m was enough. If it is, the
   shard is asked again for twice as many: of a shuffled pool hardly ever, of a pool sorted by class the shards with
   the target's class. So lists are never too short unnoticed.
4. How large L has to be: before the last of B picks at most B - 1 images are taken, so that no centroid looks past the
   first B of its ranking. L = B always suffices, and K (R - 1) + 1 for R rounds of K centroids. Far less nearly always
   does, so selection starts with a few times B / K; a centroid that has come to the end of its list asks for lists of
   twice the length (`Ranking.walk`), down to the whole pool if need be.

A round's value, which the stopping rule compares, is made of the picks' similarities, and these are in the keys.
Memory: K m keys and one shard's similarities where the shard is read, K L keys where lists are merged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from fgssl_edu.coreset.ranking import LOWEST, Lists, checked, indices_of, pack, similarity_blocks
from fgssl_edu.coreset.select import SHORTEST, SPARE, Coreset, select_by_lists, start_length

ROWS = 4096  # of a shard that are compared at once


class ShardList(NamedTuple):
    """What a shard gives."""

    keys: Tensor  # (K, m) int64, descending; of at least as many images as were asked for, or of all
    images: int  # in the shard, of those that could be read


Ask = Callable[[Mapping[int, int]], Iterable[tuple[int, ShardList]]]  # {shard: m}; answers come in any order


def shard_list(features: Tensor, index: Tensor, centroids: Tensor, length: int) -> ShardList:
    """The nearest images of one shard, for every centroid.

    Args:
        features: of the shard's images, (n, D).
        index: their positions in the whole pool, (n,) int64, ascending.
        centroids: (K, D).
        length: m; of a smaller shard all images are given.
    """
    kept = torch.empty(len(centroids), 0, dtype=torch.int64)
    start = 0
    for similarity in similarity_blocks([features], centroids, ROWS):  # (K, rows)
        fresh = pack(similarity.cpu(), index[start : start + similarity.shape[1]])
        kept = _largest(torch.cat([kept, fresh], dim=1), length)
        start += similarity.shape[1]
    return ShardList(kept, len(features))


def select_from_shards(
    sizes: Sequence[int],
    ask: Ask,
    centroids: int,
    budget: int | None = None,
    tau: float | None = None,
    patience: int = 1,
    include_failing_round: bool = False,
    list_length: int | None = None,
) -> Coreset:
    """`select_coreset` from a pool in shards.

    Args:
        sizes: images in each shard; the first shard has the positions 0 .. sizes[0] - 1, and so on.
        ask: gives the lists of some shards, of the lengths asked for; called again with longer ones where need be.
        centroids: K.
        budget, tau, patience, include_failing_round, list_length: as for `select_coreset`.
    """
    if list_length is None:
        list_length = start_length(budget, tau, centroids, single_use=False)
    return select_by_lists(Merged(sizes, ask), budget, tau, patience, include_failing_round, list_length)


class Merged:
    """The lists of a whole pool from those of its shards, exact at any length."""

    def __init__(self, sizes: Sequence[int], ask: Ask) -> None:
        self.ask = ask
        self.ends = torch.tensor(list(sizes), dtype=torch.int64).cumsum(0).tolist()
        self.starts = [0, *self.ends[:-1]]
        self.lengths: dict[int, int] = {}  # m, as far as a shard was ever asked

    def __call__(self, length: int) -> Lists:
        """The first `length` of every centroid's ranking of the pool, or all."""
        wanted = {shard: self._expected(shard, length) for shard in range(len(self.ends)) if self._size(shard)}
        kept: Tensor | None = None
        counts: dict[int, int] = {}
        lasts: dict[int, Tensor] = {}  # of the shards that have more than they sent: their last keys, (K,)
        while wanted:
            for shard, (keys, images) in self.ask(wanted):
                counts[shard], self.lengths[shard] = images, max(wanted[shard], keys.shape[1])
                lasts.pop(shard, None)
                if keys.shape[1] < images:
                    lasts[shard] = keys[:, -1]
                kept = _largest(keys if kept is None else torch.cat([self._without(shard, kept), keys], dim=1), length)
            wanted = self._too_short(kept, length, lasts)
        return checked(kept, sum(counts.values()), self.ends[-1] if self.ends else 0)

    def _size(self, shard: int) -> int:
        return int(self.ends[shard] - self.starts[shard])

    def _expected(self, shard: int, length: int) -> int:
        """A shard's share of the first `length` images if the pool is shuffled, with room."""
        share = -(-SPARE * length * self._size(shard) // self.ends[-1])
        return int(min(self._size(shard), max(SHORTEST, share, self.lengths.get(shard, 0))))

    def _too_short(self, kept: Tensor | None, length: int, lasts: Mapping[int, Tensor]) -> dict[int, int]:
        """The shards of which something that was not sent may be among the first `length`, with what to ask them."""
        floor = torch.tensor(LOWEST) if kept is None or kept.shape[1] < length else kept[:, -1]
        return {
            shard: min(self._size(shard), 2 * self.lengths[shard])
            for shard, last in lasts.items()
            if bool((last > floor).any())
        }

    def _without(self, shard: int, kept: Tensor) -> Tensor:
        """The keys, those of a shard put to LOWEST, after all others: it has sent a longer list of them."""
        index = indices_of(kept)
        return kept.masked_fill((index >= self.starts[shard]) & (index < self.ends[shard]), LOWEST)


def _largest(keys: Tensor, length: int) -> Tensor:
    return keys.topk(min(length, keys.shape[1]), dim=1).values
