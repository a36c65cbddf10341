"""What a run reports: the rows of its history, and how far it is, as a bar or a few lines."""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, float]
MOST_LINES = 20  # a run, where nobody watches


@dataclass
class History:
    """What a run reported."""

    rows: list[Row] = field(default_factory=list)  # "step" (1 = the first), "loss" in nats, "lr", "img_s", scalars
    chance: float | None = None  # loss of a network that knows nothing
    seconds: float = 0.0  # of wall time in the loop, summed over resumed parts
    images: int = 0  # shown in these seconds
    resumed_from: int | None = None  # steps that were done already, None for a run from the start

    @property
    def images_per_second(self) -> float:
        """Average speed of the whole run, monitors and checkpoints included."""
        return self.images / self.seconds if self.seconds else 0.0

    def column(self, name: str) -> tuple[list[int], list[float]]:
        """The steps that have a value of this name, and the values."""
        rows = [row for row in self.rows if name in row]
        return [int(row["step"]) for row in rows], [row[name] for row in rows]


def seconds(duration: float) -> str:
    """A duration for a reader: "0.4 s", "41 s", "3 min 20 s", "7 h 05 min"."""
    if duration < 10:
        return f"{duration:.1f} s"
    if duration < 120:
        return f"{duration:.0f} s"
    if duration < 7200:
        return f"{int(duration // 60)} min {int(duration % 60)} s"
    return f"{int(duration // 3600)} h {int(duration % 3600 // 60):02d} min"


def watched() -> bool:
    """Whether a person sees the output as it comes: a terminal, or a notebook that somebody has open."""
    shell: Any = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if getattr(shell, "kernel", None) is None:
        return sys.stderr.isatty()
    request = shell.get_parent()  # papermill and nbclient run cells without anybody who could be asked for input
    return bool(request.get("content", {}).get("allow_stdin", False))


class Progress:
    """A bar, a few lines, or nothing."""

    def __init__(self, kind: str | bool, steps: int, first: int) -> None:
        """Choose.

        Args:
            kind: "bar", "lines", False, or "auto" and True for what fits.
            steps: of the whole run.
            first: steps that were done before.
        """
        if kind not in ("auto", "bar", "lines", True, False):
            raise ValueError(f"progress={kind!r} should be 'auto', 'bar', 'lines' or False")
        self.kind = ("bar" if watched() else "lines") if kind in ("auto", True) else kind
        self.steps, self.first, self.line = steps, first, 0
        self.begun, self.bar = time.perf_counter(), None

    def __enter__(self) -> Progress:
        if self.kind == "bar":
            from tqdm.auto import tqdm

            self.bar = tqdm(total=self.steps, initial=self.first, unit="step", dynamic_ncols=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def __call__(self, done: int, row: Row, chance: float | None) -> None:
        """Show loss, speed and time left after `done` steps."""
        known = "" if chance is None else f" (chance {chance:.3f})"
        text = f"loss {row['loss']:.3f}{known}, {row['img_s']:.0f} img/s"
        line = done // math.ceil(self.steps / MOST_LINES)
        if self.bar is not None:
            self.bar.set_postfix_str(text, refresh=False)
            self.bar.update(done - self.bar.n)
        elif self.kind == "lines" and (line > self.line or done == self.steps):
            left = (time.perf_counter() - self.begun) / (done - self.first) * (self.steps - done)
            print(f"step {done}/{self.steps}: {text}, {left:.0f} s left", flush=True)
            self.line = line
