"""Curves that grow while a method trains: one picture in the notebook, redrawn now and then, left at the end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from torch import nn

from fgssl_edu.figures.curves import watched

OVERHEAD = 0.05  # share of the time that drawing may take
GROWTH = 0.25  # share of the time so far between two pictures: about 9 in the first minute, 20 in an hour
FINER = 5  # points of the loss between two looks of the measuring monitor, at least


class LiveCurves:
    """Monitor that shows loss, spread, effective rank and kNN while training, in a notebook only; else it is quiet.

    Hand it to `pretrain` after the monitor that measures: it shows what stands in the rows it is called with. The loss
    costs nothing, so it gets points between two looks of the other.

    Args:
        every: steps between two looks of the measuring monitor.
    """

    of_rows = True  # it looks at nothing else, and so may be called where the training is not

    def __init__(self, every: int = 10) -> None:
        if every < 1:
            raise ValueError(f"every={every}: steps between two looks, at least 1")
        self.every = finer(every)
        self.rows: list[dict[str, float]] = []
        self.chance: float | None = None
        self.shell = notebook_shell()
        self.display: Any = None
        self.started = self.drawn = time.monotonic()
        self.cost = 0.0  # seconds of the last drawing

    def __call__(self, method: nn.Module, row: Mapping[str, float], step: int) -> dict[str, float]:
        """Take the row in, and draw if it is time to; adds nothing to the row."""
        if self.shell is None:
            return {}
        if not self.rows:
            self.chance = getattr(method, "chance", None)
            self.started = time.monotonic()
            self.shell.events.register("post_run_cell", self._finish)  # the last picture shows the last step
        self.rows.append({**row, "step": float(step)})
        now = time.monotonic()
        if self.display is None or now - self.drawn >= max(self.cost / OVERHEAD, GROWTH * (now - self.started)):
            self._draw()
        return {}

    def _draw(self) -> None:
        from IPython.display import Image, display

        before = time.monotonic()
        picture = Image(data=watched(self.rows, self.chance).png(), format="png")
        if self.display is None:
            self.display = display(picture, display_id=True)
        else:
            self.display.update(picture)
        self.drawn = time.monotonic()
        self.cost = self.drawn - before

    def _finish(self, *_: object) -> None:
        self.shell.events.unregister("post_run_cell", self._finish)
        self._draw()


def finer(every: int) -> int:
    """The largest divisor of `every` with FINER or more points in it, so that no look of the other is missed."""
    return max((step for step in range(1, every // FINER + 1) if every % step == 0), default=1)


def notebook_shell() -> Any:
    """The running IPython kernel, or None in a script, a test or a terminal."""
    try:
        from IPython import get_ipython
    except ImportError:
        return None
    shell = get_ipython()
    return shell if shell is not None and hasattr(shell, "kernel") else None
