"""One look for every figure: large type, few lines, colours for colour-blind readers too (Okabe and Ito 2008).

A figure is 1000 px wide and its smallest type 13 pt, so that it reads from the back row of a lecture hall.
"""

from __future__ import annotations

import functools
import io
import math
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH = 10.0  # inches, 1000 px at DPI
DPI = 100
TEXT, SMALL, TITLE = 15, 13, 17  # pt
INK, QUIET, RULE = "#222222", "#5f5f5f", "#d7d7d7"
PALETTE = (
    "#0072B2",
    "#C84600",
    "#008060",
    "#A4568C",
    "#8A6A00",
    "#3E8FC0",
)  # with white behind, each has contrast 3:1 or more
MARKERS = ("o", "s", "^", "D", "v", "P")  # a second sign beside the colour

RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": TEXT,
    "axes.titlesize": TITLE,
    "axes.labelsize": TEXT,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": QUIET,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "lines.linewidth": 2.5,
    "lines.markersize": 8,
    "image.interpolation": "nearest",
}
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class LessonFigure(Figure):
    """A matplotlib figure that a notebook shows by itself, without pyplot."""

    def png(self) -> bytes:
        """The figure as a PNG file."""
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()

    def _repr_png_(self) -> bytes:
        return self.png()


def styled(draw: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Give everything that a function draws this style, and leave the user's own settings alone."""

    @functools.wraps(draw)
    def drawing(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        with matplotlib.rc_context(RC):
            return draw(*args, **kwargs)

    return drawing


def new_figure(height: float, width: float = WIDTH) -> LessonFigure:
    """An empty figure, sizes in inches of 100 px."""
    return LessonFigure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")


def spread(positions: Sequence[float], gap: float) -> list[float]:
    """Move labels apart along a line: at least `gap` between neighbours, in the same order, each near its own place."""
    order = sorted(range(len(positions)), key=lambda i: positions[i])
    groups: list[list[float]] = []  # [middle, members]: labels that touch move as one
    for i in order:
        groups.append([positions[i], 1.0])
        while len(groups) > 1 and groups[-1][0] - groups[-2][0] < gap * (groups[-1][1] + groups[-2][1]) / 2:
            (high, many), (low, few) = groups.pop(), groups.pop()
            groups.append([(high * many + low * few) / (many + few), many + few])
    places = [middle + gap * (k - (count - 1) / 2) for middle, count in groups for k in range(int(count))]
    moved = [0.0] * len(positions)
    for i, place in zip(order, places, strict=True):
        moved[i] = place
    return moved


def label_ends(axes: Axes, ends: Sequence[tuple[float, float, str, str]], text_height: float) -> None:
    """Write a name at the end of each line, instead of a legend.

    Args:
        axes: whose y-limits are settled.
        ends: (x, y, text, colour) of each line's last point.
        text_height: of a line of type as a share of the axes' height.
    """
    transform = axes.transData + axes.transAxes.inverted()
    shares = [float(transform.transform((x, y))[1]) for x, y, _, _ in ends]
    right = max(x for x, _, _, _ in ends)
    for (_, _, text, colour), share in zip(ends, spread(shares, text_height), strict=True):
        axes.annotate(
            text,
            (right, share),
            xycoords=("data", "axes fraction"),
            xytext=(10, 0),
            textcoords="offset points",
            color=colour,
            va="center",
            fontsize=TEXT,
            annotation_clip=False,
        )


def chance_line(axes: Axes, value: float) -> None:
    """A dotted line at what one gets for knowing nothing; `label_ends` names it."""
    axes.axhline(value, color=QUIET, linestyle=(0, (1, 2)), linewidth=2)


def finite(value: float) -> bool:
    """Whether a bound can be drawn: a single run has no interval."""
    return not math.isnan(value)
