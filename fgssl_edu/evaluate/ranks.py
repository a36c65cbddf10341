"""Do two numbers put the same things in the same order? Kendall's tau, with what it takes to believe it.

Kendall (1938); ties as in his tau-b. Of all pairs of methods, the share that both numbers order alike less the share
that they order oppositely: 1 the same order, 0 none of the other's, -1 the reverse.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 2000


def kendall_tau(first: ArrayLike, second: ArrayLike) -> float:
    """Kendall's tau-b of two lists of the same length; NaN where one of them orders nothing (all equal, or one item).

    Raises:
        ValueError: lists of unlike lengths.
    """
    one, other = (np.asarray(values, dtype=np.float64) for values in (first, second))
    if one.ndim != 1 or one.shape != other.shape:
        raise ValueError(f"{one.shape} and {other.shape} cannot be paired; give two lists of the same length")
    return float(_taus(one[None], other[None])[0])


def kendall_interval(
    first: ArrayLike, second: ArrayLike, seed: int = 0, level: float = 0.95
) -> tuple[float, float, float]:
    """Kendall's tau with its bootstrap percentile interval (Efron 1979): what other methods of the kind would give.

    Args:
        first, second: two numbers of each method.
        seed: of the drawing of methods, with replacement; a method's pair with itself is a tie, and does not count.
        level: coverage, in (0, 1).

    Returns:
        (tau, low, high); low and high are NaN for fewer than three methods.

    Raises:
        ValueError: lists of unlike lengths.
    """
    tau = kendall_tau(first, second)
    one, other = (np.asarray(values, dtype=np.float64) for values in (first, second))
    if len(one) < 3:
        return tau, math.nan, math.nan
    chosen = np.random.default_rng(seed).integers(len(one), size=(RESAMPLES, len(one)))
    low, high = np.nanquantile(_taus(one[chosen], other[chosen]), [(1 - level) / 2, (1 + level) / 2])
    return tau, float(low), float(high)


def _taus(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """(R,) tau-b of each row of two (R, n) arrays."""
    signs = [np.sign(side[:, :, None] - side[:, None, :]) for side in (first, second)]  # (R, n, n)
    alike = (signs[0] * signs[1]).sum(axis=(1, 2))
    untied = np.sqrt(np.abs(signs[0]).sum(axis=(1, 2)) * np.abs(signs[1]).sum(axis=(1, 2)))
    return np.divide(alike, untied, out=np.full(len(alike), np.nan), where=untied > 0)
