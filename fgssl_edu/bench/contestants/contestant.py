"""What every panel of the bench has: how it is built, the moves to time, and a bar."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import islice, product
from typing import TypeAlias

from fgssl_edu.panels.panel import Panel

PICTURES_MS, NETWORKS_MS = 100.0, 150.0  # bars of the 95th percentile: where pictures alone change, with a network
EVAL_SIZE = 40  # px, as the lessons have it at scale lecture
Moves: TypeAlias = Iterable[Mapping[str, object]]
Contestant: TypeAlias = tuple[Callable[[], Panel], dict[str, Moves], float]


def states(count: int, **values: Iterable[object]) -> Moves:
    """At most `count` combinations of some controls' values; the last control moves each time."""
    return [dict(zip(values, each, strict=True)) for each in islice(product(*values.values()), count)]
