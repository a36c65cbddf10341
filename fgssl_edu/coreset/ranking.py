"""Every centroid's nearest images of a pool that is seen block by block, in an order without ties.

A centroid ranks the pool by cosine, and equal cosines by index. Both fit into one integer: the bits of a float32, made
to sort like it, above the index counted down. So the best M of a stream are the M largest integers, whatever the block
size, and a centroid's shorter list is the beginning of its longer one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from fgssl_edu.distributed import full_precision

Features = Tensor | Iterable[Tensor] | Callable[[], Iterable[Tensor]]

INDEX_BITS = 32
LAST = (1 << INDEX_BITS) - 1  # the largest index that a key can hold
LOWEST = -(1 << 63)  # below every key
SMALLEST_NORM = 1e-12  # a row of zeros gets cosine 0
CHUNK = 256  # entries of a list that are turned into Python integers at a time


def pack(similarity: Tensor, index: Tensor) -> Tensor:
    """Keys, int64: larger for the higher similarity, and where it is equal for the lower index (at most LAST)."""
    bits = (similarity.float() + 0.0).view(torch.int32)  # + 0.0: -0.0 and 0.0 are one similarity
    ordered = bits ^ ((bits >> 31) & 0x7FFFFFFF)  # negative floats sort backwards by their bits
    return (ordered.long() << INDEX_BITS) | (LAST - index)


def similarity_of(keys: Tensor) -> Tensor:
    """The float32 similarity in each key."""
    ordered = (keys >> INDEX_BITS).int()
    return (ordered ^ ((ordered >> 31) & 0x7FFFFFFF)).view(torch.float32)


def index_of(key: int) -> int:
    """The index in a key."""
    return LAST - (key & LAST)


def indices_of(keys: Tensor) -> Tensor:
    """The index in each key, int64."""
    return LAST - (keys & LAST)


def repeatable(blocks: Features) -> Callable[[], Iterable[Tensor]]:
    """A function that starts the stream afresh; what can be read only once raises ValueError at the second call."""
    if isinstance(blocks, Tensor):
        return lambda: [blocks]
    if callable(blocks):
        return blocks
    if not is_single_use(blocks):
        return lambda: blocks
    left = [blocks]

    def once() -> Iterable[Tensor]:
        if not left:
            raise ValueError(
                "feature_blocks can be read only once, and a longer list per centroid is needed: give a function that "
                "returns a fresh iterator (lambda: blocks()), a list of blocks, or a budget without tau"
            )
        return left.pop()

    return once


def is_single_use(blocks: Features) -> bool:
    """Whether the stream is an iterator, which is gone once it has been read."""
    return isinstance(blocks, Iterator)


def regrouped(blocks: Iterable[Tensor], rows: int) -> Iterator[Tensor]:
    """The same rows in blocks of at most `rows`: small ones joined, large ones split."""
    waiting: list[Tensor] = []
    for block in blocks:
        for piece in block.split(rows):
            if waiting and sum(map(len, waiting)) + len(piece) > rows:
                yield torch.cat(waiting)
                waiting = []
            waiting.append(piece)
    if waiting:
        yield waiting[0] if len(waiting) == 1 else torch.cat(waiting)


def similarity_blocks(feature_blocks: Iterable[Tensor], centroids: Tensor, block_rows: int) -> Iterator[Tensor]:
    """Cosines of every centroid with the rows of each block.

    The product comes first and is divided by the norms after it, so that features on an integer grid give the same
    bits in every block (a norm is rarely a binary fraction).

    Args:
        feature_blocks: (n, D) of any float or integer type, rows of any length.
        centroids: (K, D); moved to each block's device.
        block_rows: rows multiplied at once.

    Returns:
        Yields (K, n) float32 in [-1, 1] up to rounding, n at most `block_rows`.

    Raises:
        ValueError: widths differ, or a feature is not finite.
    """
    start = 0
    for block in regrouped(feature_blocks, block_rows):
        yield _cosines(block, centroids, start)
        start += len(block)


@torch.no_grad()
def _cosines(block: Tensor, centroids: Tensor, start: int) -> Tensor:
    if block.ndim != 2 or block.shape[1] != centroids.shape[1]:
        raise ValueError(f"a block of features is {tuple(block.shape)}; centroids ask for (n, {centroids.shape[1]})")
    rows, targets = block.float(), centroids.to(block.device).float()
    norms = torch.linalg.vector_norm(rows, dim=1)
    if not bool(norms.isfinite().all()):
        worst = start + int((~norms.isfinite()).nonzero()[0])
        raise ValueError(f"the feature of image {worst} is not finite; look at the encoder that gave it")
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")  # TF32 would make ties of images that are none
    try:
        with full_precision():
            product = targets @ rows.T  # (K, n)
    finally:
        torch.set_float32_matmul_precision(precision)
    product /= torch.linalg.vector_norm(targets, dim=1, keepdim=True).clamp(min=SMALLEST_NORM)
    product /= norms.clamp(min=SMALLEST_NORM)
    return product


class Lists(NamedTuple):
    """The beginning of every centroid's ranking of a pool."""

    keys: Tensor  # (K, m) int64, descending
    images: int  # in the pool
    end: int  # above the largest index; more than `images` where some positions of the pool have no image


class Ranking:
    """The nearest `length` images of each centroid, longer when asked for; exact, equal similarities by index.

    Attributes:
        keys, count, end: as in `Lists`; count is its `images`.
    """

    def __init__(self, read: Callable[[int], Lists], length: int) -> None:
        """Ask `read` for lists of this length; it is asked again for each doubling of them."""
        self.read = read
        self.keys, self.count, self.end = read(length)

    def walk(self, centroid: int) -> Iterator[int]:
        """The keys of a centroid's images, nearest first, to the end of the pool."""
        position = 0
        while position < self.count:
            if position == self.keys.shape[1]:
                self._grow()
            chunk = self.keys[centroid, position : position + CHUNK].tolist()
            yield from chunk
            position += len(chunk)

    def _grow(self) -> None:
        keys, count, _ = self.read(min(2 * self.keys.shape[1], self.count))
        if count != self.count:
            raise ValueError(f"the open set gave {self.count} images at first and {count} later")
        self.keys = keys


def nearest(blocks: Iterable[Tensor], length: int) -> Lists:
    """The nearest `length` images of each centroid, or all, from a stream of (K, n) similarities that is read once."""
    kept, seen = None, 0
    for similarity in blocks:
        start = 0
        while start < similarity.shape[1]:
            # No more at once than were seen before: of those, the lists so far let some `length` through.
            part = similarity[:, start : start + max(2 * length, seen)]
            kept = _merged(kept, part, seen, length)
            start, seen = start + part.shape[1], seen + part.shape[1]
    return checked(kept, seen, seen)


def checked(keys: Tensor | None, images: int, end: int) -> Lists:
    """Lists of a pool; ValueError where it is empty, or larger than keys can number."""
    if keys is None or not keys.numel():
        raise ValueError("the open set or the set of centroids is empty: there is nothing to select from")
    if end > LAST:
        raise ValueError(f"{end} images are more than a key can number ({LAST}); select from parts of the set")
    return Lists(keys, images, end)


def _merged(kept: Tensor | None, similarity: Tensor, seen: int, length: int) -> Tensor:
    """The best `length` keys of each centroid among those kept and those of a new block, descending."""
    if kept is None or kept.shape[1] < length:
        index = torch.arange(seen, seen + similarity.shape[1], device=similarity.device)
        fresh = pack(similarity, index)
        joined = fresh if kept is None else torch.cat([kept, fresh], dim=1)
    else:
        # Later images have higher indices, so that one as near as the last one kept comes after it: `>`, not `>=`.
        row, column = (similarity > similarity_of(kept[:, -1:])).nonzero(as_tuple=True)
        if not len(row):
            return kept
        counts = torch.bincount(row, minlength=len(kept))
        place = torch.arange(len(row), device=row.device) - (counts.cumsum(0) - counts)[row]
        fresh = kept.new_full((len(kept), int(counts.max())), LOWEST)
        fresh[row, place] = pack(similarity[row, column], seen + column)
        joined = torch.cat([kept, fresh], dim=1)
    return joined.topk(min(length, joined.shape[1]), dim=1).values
