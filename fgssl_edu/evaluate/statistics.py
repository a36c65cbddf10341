"""A score with what it takes to believe it: values an image, protocol, interval, and a paired comparison.

Intervals here are between test images (bootstrap, Efron 1979): how far the number would move on other images of the
same kind. They say nothing about another training seed; `records.interval` does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import torch
from torch import Tensor

RESAMPLES = 2000
BLOCK = 200  # resamples held in memory at a time
FREE = frozenset(
    {"encoder", "stem", "feature_dim", "chosen", "blank_maps"}
)  # protocol entries in which comparable scores may differ


@dataclass(frozen=True)
class Score:
    """One number and what stands behind it.

    `value` is the mean of `per_item`, or with a `denominator` the ratio of the two means; a number of the whole set at
    once (a rank, a mutual information) has neither, and no bootstrap interval.
    """

    value: float  # a share 0..1 unless the protocol names a unit
    per_item: Tensor | None = None  # (n,) float, one entry a test image
    protocol: dict[str, object] = field(default_factory=dict)
    denominator: Tensor | None = None  # (n,) float

    @classmethod
    def of(cls, per_item: Tensor, protocol: Mapping[str, object], denominator: Tensor | None = None) -> Self:
        """The score of per-image values: their mean, or the ratio of their mean to the denominator's."""
        items = per_item.detach().double().cpu()
        below = None if denominator is None else denominator.detach().double().cpu()
        value = items.mean() if below is None else items.mean() / below.mean()
        return cls(float(value), items, dict(protocol), below)

    def interval(self, seed: int = 0, level: float = 0.95) -> tuple[float, float]:
        """Bootstrap percentile interval over test images; (NaN, NaN) for a number of the whole set at once."""
        if self.per_item is None:
            return math.nan, math.nan
        return _percentiles(_resampled(self, _draws(len(self.per_item), seed)), level)

    def under(self, **protocol: object) -> Self:
        """The same score with more said about how it was taken."""
        return replace(self, protocol={**self.protocol, **protocol})


def compare(a: Score, b: Score, seed: int = 0, level: float = 0.95) -> tuple[float, float, float]:
    """Difference of two scores on the same test images, with its paired bootstrap interval.

    Args:
        a, b: scores of two encoders under one protocol.
        seed: of the resampling, which is the same for both.
        level: coverage, in (0, 1).

    Returns:
        (a - b, low, high); a difference is seen where the interval leaves out 0.

    Raises:
        ValueError: the two have no values an image, other images, or unlike protocols (each differing entry is named).
    """
    if a.per_item is None or b.per_item is None:
        raise ValueError(
            "a score of the whole set at once has no values an image to pair; compare it between seeds instead"
        )
    names = sorted((a.protocol.keys() | b.protocol.keys()) - FREE)
    unlike = [
        f"{n}: {a.protocol.get(n)!r} and {b.protocol.get(n)!r}" for n in names if a.protocol.get(n) != b.protocol.get(n)
    ]
    if unlike:
        raise ValueError(f"scores of unlike protocols are not compared ({'; '.join(unlike)}); score both the same way")
    if len(a.per_item) != len(b.per_item):
        raise ValueError(
            f"{len(a.per_item)} and {len(b.per_item)} test images cannot be paired; score both on the same images"
        )
    draws = _draws(len(a.per_item), seed)
    return (a.value - b.value, *_percentiles(_resampled(a, draws) - _resampled(b, draws), level))


def _draws(count: int, seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(count, (BLOCK, count), generator=generator) for _ in range(RESAMPLES // BLOCK)]


def _resampled(score: Score, draws: list[Tensor]) -> Tensor:
    """(RESAMPLES,) the score of each resampled test set."""
    assert score.per_item is not None
    above = torch.cat([score.per_item[index].mean(dim=1) for index in draws])
    if score.denominator is None:
        return above
    return above / torch.cat([score.denominator[index].mean(dim=1) for index in draws])


def _percentiles(values: Tensor, level: float) -> tuple[float, float]:
    tail = (1 - level) / 2
    low, high = torch.quantile(values, torch.tensor([tail, 1 - tail], dtype=values.dtype)).tolist()
    return low, high
