"""What figures and tables are made of: a number, perhaps with its interval."""

from __future__ import annotations

import math
from typing import TypeAlias

from fgssl_edu.evaluate.statistics import Score

Triple: TypeAlias = tuple[float, float, float]  # value, low, high; the last two NaN where nobody knows
Value: TypeAlias = Score | float | Triple


# In the names of numbers that are no shares, small as they may be
RATIOS = ("edit", "lift", "ratio", "geometry", "unif", "align", "point")


def are_shares(name: str, values: list[Triple]) -> bool:
    """Whether numbers of this name are shares 0..1, to be shown in percent."""
    return not any(word in name.lower() for word in RATIOS) and all(abs(value) <= 1 for value, _, _ in values)


def triple(value: Value) -> Triple:
    """(value, low, high) of a score (its bootstrap interval), of a bare number (no interval), or of a triple."""
    if isinstance(value, Score):
        return (value.value, *value.interval())
    if isinstance(value, tuple | list):
        middle, low, high = value
        return float(middle), float(low), float(high)
    return float(value), math.nan, math.nan
