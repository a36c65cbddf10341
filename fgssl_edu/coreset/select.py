"""SimCore: in every round each centroid of the target takes the nearest image that no earlier round took.

S. Kim, S. Bae, S. Yun, "Coreset sampling from open-set for fine-grained self-supervised learning", CVPR 2023, arXiv
2303.11101, Algorithm 1. The released code ranks the whole pool for every centroid and keeps the K rankings as queues;
here each centroid keeps the beginning of its ranking, and the pool is read again where that is not enough: the same
picks in the memory of the selection. Notebook: simcore.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypedDict

import torch
from torch import Tensor

from fgssl_edu.coreset.ranking import (
    Features,
    Lists,
    Ranking,
    index_of,
    indices_of,
    is_single_use,
    nearest,
    repeatable,
    similarity_blocks,
    similarity_of,
)

TAU = 0.95  # the paper's share of the first round's value that a round must keep
CAP_PER_TARGET = 50  # the released code's limit under the stopping rule: 50 images for each one of the target
IMAGENET_IMAGES = 1_281_167
BLOCK_ROWS = 65_536
SHORTEST = 64  # entries of a centroid's list at the start, with a budget
UNTIL_STOP = 1024  # the same without one
SPARE = 4  # lists start at this multiple of budget / K; pools with many images between centroids needed up to 3.4


class Stopping(TypedDict):
    """How the stopping rule is read."""

    patience: int
    include_failing_round: bool


PRESETS: dict[str, Stopping] = {
    "paper_alg1": {"patience": 1, "include_failing_round": True},  # the paper's Algorithm 1
    "repo": {"patience": 20, "include_failing_round": False},  # the released code's defaults
}


@dataclass(frozen=True)
class Coreset:
    """Images chosen from a pool, in the order in which they are taken: a smaller budget's choice is the beginning.

    Within a round the nearest comes first, equal ones by index.
    """

    indices: Tensor  # (n,) int64 positions in the pool, each once
    rounds: Tensor  # (n,) int64 from 0, ascending: the round that took each image
    values: Tensor  # (rounds,) float64 mean cosine of a round's K picks, a failing last round's with them
    stopped: bool  # whether the stopping rule ended it
    similarity: Tensor  # (n,) float32 cosine of each image with the nearest centroid that took it, empty without rounds

    def __len__(self) -> int:
        return len(self.indices)


def select_coreset(
    feature_blocks: Features,
    centroids: Tensor,
    budget: int | None = None,
    tau: float | None = None,
    patience: int = 1,
    include_failing_round: bool = False,
    block_rows: int = BLOCK_ROWS,
    list_length: int | None = None,
) -> Coreset:
    """Take the images of a pool that are nearest to a target set, until a budget is spent or rounds stop being close.

    Args:
        feature_blocks: (N, D) in one tensor, in blocks (n, D), or from a function that gives a fresh stream of blocks;
            lengths of rows do not matter.
        centroids: of the target, (K, D), see `centroids`.
        budget: most images, at least 1; above N it means all.
        tau: stop at the first round whose value is below tau times that of round `patience`, in (0, 1]. Or a budget.
        patience: rounds before the rule is asked; the last of them is what later ones are held against.
        include_failing_round: keep the round that fails (Algorithm 1) or not (released code); see PRESETS.
        block_rows: images compared at once; decides memory, not the result.
        list_length: images a centroid's list starts with; decides speed, not the result.
    """
    _check(budget, tau, patience, UNTIL_STOP if list_length is None else list_length)
    if block_rows < 1:
        raise ValueError(f"block_rows={block_rows}: at least one row has to be compared at a time")
    if centroids.ndim != 2 or not bool(centroids.isfinite().all()):
        raise ValueError(f"centroids should be finite and (K, D), not {tuple(centroids.shape)}")
    if list_length is None:
        list_length = start_length(budget, tau, len(centroids), is_single_use(feature_blocks))
    stream = repeatable(feature_blocks)
    return select_by_similarity(
        lambda: similarity_blocks(stream(), centroids, block_rows),
        budget,
        tau,
        patience,
        include_failing_round,
        list_length,
    )


def select_by_similarity(
    blocks: Callable[[], Iterable[Tensor]],
    budget: int | None = None,
    tau: float | None = None,
    patience: int = 1,
    include_failing_round: bool = False,
    list_length: int = UNTIL_STOP,
) -> Coreset:
    """`select_coreset` for similarities of any kind: `blocks()` gives a fresh stream of (K, n) float32."""
    return select_by_lists(
        lambda length: nearest(blocks(), length), budget, tau, patience, include_failing_round, list_length
    )


def select_by_lists(
    read: Callable[[int], Lists],
    budget: int | None,
    tau: float | None,
    patience: int,
    include_failing_round: bool,
    list_length: int,
) -> Coreset:
    """`select_coreset` from the beginnings of the centroids' rankings: `read(length)` gives them of any length."""
    _check(budget, tau, patience, list_length)
    ranking = Ranking(read, list_length)
    limit = ranking.count if budget is None else min(budget, ranking.count)
    chosen: list[list[int]] = []
    values: list[float] = []
    room, stopped = limit, False
    for picks in _rounds(ranking):
        values.append(float(similarity_of(torch.tensor(picks)).double().mean()))
        stopped = tau is not None and len(values) > patience and values[-1] < tau * values[patience - 1]
        if not stopped or include_failing_round:
            chosen.append(_in_order(picks)[:room])
            room -= len(chosen[-1])
        if stopped or not room:
            break
    keys = torch.tensor([key for taken in chosen for key in taken], dtype=torch.int64)
    return Coreset(
        indices_of(keys),
        torch.repeat_interleave(torch.arange(len(chosen)), torch.tensor([len(taken) for taken in chosen])),
        torch.tensor(values, dtype=torch.float64),
        stopped,
        similarity_of(keys),
    )


def epochs_rule(count: int, epochs: int = 100, images: int = IMAGENET_IMAGES, most: int = 5000) -> int:
    """Epochs on a coreset that see as many images as `epochs` of ImageNet, at most `most` (SimCore's released code)."""
    if count < 1:
        raise ValueError(f"count={count}: an empty set cannot be trained on")
    return min(most, epochs * images // count)


def _rounds(ranking: Ranking) -> Iterator[list[int]]:
    """Yield one key for every centroid, its nearest image not taken before this round, until all are taken."""
    walks = [ranking.walk(centroid) for centroid in range(len(ranking.keys))]
    taken, left = bytearray(ranking.end), ranking.count
    while left:
        picks = [next(key for key in walk if not taken[index_of(key)]) for walk in walks]
        yield picks
        for index in {index_of(key) for key in picks}:
            taken[index] = 1
            left -= 1


def _in_order(picks: list[int]) -> list[int]:
    """The keys of a round's images, nearest first; of two centroids that picked the same one, the nearer one's."""
    return sorted({index_of(key): key for key in sorted(picks)}.values(), reverse=True)


def start_length(budget: int | None, tau: float | None, centroids: int, single_use: bool) -> int:
    """Entries to start each centroid's list with; the stream is read again for each doubling."""
    if budget is None:
        return UNTIL_STOP
    if single_use:
        return budget  # never too short: before the last pick a list is walked past `budget` - 1 images at most
    expected = max(SHORTEST, SPARE * -(-budget // max(1, centroids)))
    return expected if tau is None else min(expected, UNTIL_STOP)


def _check(budget: int | None, tau: float | None, patience: int, list_length: int) -> None:
    if budget is None and tau is None:
        raise ValueError("give a budget (images), tau (0.95 in the paper) or both: something has to end the selection")
    if budget is not None and (isinstance(budget, bool) or not isinstance(budget, int) or budget < 1):
        raise ValueError(f"budget={budget!r} should be a number of images, at least 1; for a share take round(p * N)")
    if tau is not None and not 0 < tau <= 1:
        raise ValueError(f"tau={tau!r} should be in (0, 1]: the share of the first round's value to keep")
    if patience < 1:
        raise ValueError(f"patience={patience} should be at least 1: later rounds are held against round `patience`")
    if list_length < 1:
        raise ValueError(f"list_length={list_length} should be at least 1")
