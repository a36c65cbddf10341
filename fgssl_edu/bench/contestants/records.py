"""Panels of records."""

from __future__ import annotations

from pathlib import Path

from fgssl_edu.bench.contestants.contestant import PICTURES_MS, Contestant, states
from fgssl_edu.runs import scoreboard
from fgssl_edu.runs.board import MEMORY, RATE


def board(moves: int) -> Contestant:
    """The shipped lines: every method with its name."""
    shipped = scoreboard.board()
    labels = [member.label for member in scoreboard.MEMBERS.values()]
    ups = ("species/knn", "genus/linear")
    return (
        lambda: scoreboard.panel(shipped, scoreboard.linked(Path(), everywhere=True)),
        {
            "method": states(moves, y=ups, method=labels),
            "axis": states(moves, y=ups, method=labels, x=(RATE, MEMORY)),
        },
        PICTURES_MS,
    )
