"""Names beside points, none on another: where to write them, and the marks and axes of a scatter plot, in Pillow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageDraw

from fgssl_edu.figures.style import finite
from fgssl_edu.figures.values import Triple
from fgssl_edu.panels.canvas import PAPER, QUIET, RULE, SMALL, Canvas, Color
from fgssl_edu.panels.plots import Box, frame

Point: TypeAlias = tuple[float, float]
Rectangle: TypeAlias = tuple[float, float, float, float]  # left, top, right, bottom in pixels
REACH = 8  # pixels from a mark's middle to its edge
RINGS = (13, 20, 30, 44, 60, 80, 104, 132, 164, 200, 260, 320)  # pixels from a mark to its name, the nearest first
DIRECTIONS = tuple(math.radians(turn) for turn in (0, 180, 270, 90, 315, 45, 225, 135, 340, 20, 200, 160))
SHAPES = ("circle", "square", "up", "diamond", "down", "plus")  # a second sign beside the colour
SUPER = 4  # marks are drawn this much larger and reduced
DECADES = (1, 2, 5)  # ticks of a logarithmic axis
CROWD = 70  # pixels to the side, and half as many up and down, within which a mark is a neighbour
MANY_TIMES = 6  # largest over least from which on an axis is logarithmic
PALE = 0.45  # of a mark's colour in its intervals
ROOM = 0.07  # of the axis beyond the outermost points


def placed(points: Sequence[Point], sizes: Sequence[Point], box: Box, gap: int = 3) -> list[Rectangle]:
    """Where to write the names of points: near them, inside the box, on no mark and on no other name.

    The first point chooses first, then those with the most neighbours.

    Args:
        points: middles of the marks in pixels.
        sizes: width and height of each name in pixels.
        box: of the plot.
        gap: pixels to leave between names.

    Returns:
        One rectangle a name. Where every place is taken, that which covers least.
    """
    middles = np.array(points, dtype=float).reshape(-1, 2)
    marks = np.concatenate([middles - REACH, middles + REACH], axis=1)
    near = (np.abs(middles[:, None] - middles[None]) < (CROWD, CROWD / 2)).all(axis=2).sum(axis=1)
    taken: dict[int, Rectangle] = {}
    for i in sorted(range(len(points)), key=lambda i: (i > 0, -near[i])):
        tried = _around(points[i], sizes[i])
        wide = tried + np.array([-gap, -gap / 2, gap, gap / 2])
        covered = _covered(wide, np.concatenate([marks, np.array([*taken.values()]).reshape(-1, 4)]))
        apart = (
            np.abs(middles - middles[i]).max(axis=1) > REACH
        )  # a line from one of two on one place crosses the other
        covered += _crossed(tried, middles[i], marks[apart])
        inside = (tried[:, :2] >= box[:2]).all(axis=1) & (tried[:, 2:] <= box[2:]).all(axis=1)
        covered[~inside] += 1e9
        left, top, right, bottom = tried[int(covered.argmin())].tolist()  # of equals the first, so the nearest
        taken[i] = (left, top, right, bottom)
    return [taken[i] for i in range(len(points))]


def leader(point: Point, rectangle: Rectangle) -> Point:
    """Where a line from a mark to its name ends."""
    left, top, right, bottom = rectangle
    return min(max(point[0], left), right), min(max(point[1], top), bottom)


def _crossed(tried: np.ndarray, middle: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """(n,) how many other marks the line from a mark to each rectangle crosses, in pixels of a mark."""
    ends = np.clip(middle, tried[:, :2], tried[:, 2:])  # (n, 2)
    along = middle + np.linspace(0.2, 1, 7)[:, None, None] * (ends - middle)  # (7, n, 2)
    hit = (along[:, :, None] > marks[:, :2]) & (along[:, :, None] < marks[:, 2:])  # (7, n, m, 2)
    crossed: np.ndarray = hit.all(axis=3).any(axis=0).sum(axis=1) * float(REACH)
    return crossed


def _around(point: Point, size: Point) -> np.ndarray:
    """(n, 4) rectangles about a point, ring by ring: each touches its ring with the side that is towards the point."""
    (x, y), (width, height) = point, size
    turns, rings = np.array(DIRECTIONS), np.array(RINGS, dtype=float)[:, None]
    across, down = np.cos(turns), -np.sin(turns)
    middle_x = x + rings * across + np.sign(np.round(across, 6)) * width / 2
    middle_y = y + rings * down + np.where(np.abs(np.round(across, 6)) < 1e-6, np.sign(down), down) * height / 2
    corners = [middle_x - width / 2, middle_y - height / 2, middle_x + width / 2, middle_y + height / 2]
    return np.stack(corners, axis=-1).reshape(-1, 4)


def _covered(tried: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """(n,) pixels of what is taken that each rectangle would cover."""
    low = np.maximum(tried[:, None, :2], taken[None, :, :2])
    high = np.minimum(tried[:, None, 2:], taken[None, :, 2:])
    areas: np.ndarray = np.clip(high - low, 0, None).prod(axis=2).sum(axis=1)
    return areas


_OUTLINES: dict[str, list[Point]] = {  # corners as shares of a mark's side
    "square": [(0.08, 0.08), (0.92, 0.08), (0.92, 0.92), (0.08, 0.92)],
    "up": [(0.5, 0.02), (0.98, 0.94), (0.02, 0.94)],
    "down": [(0.02, 0.06), (0.98, 0.06), (0.5, 0.98)],
    "diamond": [(0.5, 0), (1, 0.5), (0.5, 1), (0, 0.5)],
    "plus": [(0.33, 0), (0.67, 0), (0.67, 0.33), (1, 0.33), (1, 0.67), (0.67, 0.67)]
    + [(0.67, 1), (0.33, 1), (0.33, 0.67), (0, 0.67), (0, 0.33), (0.33, 0.33)],
}


@lru_cache(maxsize=64)
def mark(shape: str, colour: Color, reach: int = REACH, hollow: bool = False) -> Image.Image:
    """A mark as a picture with transparency, `reach` pixels to each side; hollow ones have an edge alone."""
    side = 2 * reach * SUPER
    picture = Image.new("RGBA", (side, side), (*PAPER, 0))
    pen, edge = ImageDraw.Draw(picture), 3 * SUPER
    fill = (*PAPER, 255) if hollow else (*colour, 255)
    if shape == "circle":
        pen.ellipse((1, 1, side - 2, side - 2), fill=fill, outline=(*colour, 255), width=edge)
    else:
        corners = [(x * (side - 1), y * (side - 1)) for x, y in _OUTLINES[shape]]
        pen.polygon(corners, fill=fill, outline=(*colour, 255), width=edge)
    return picture.reduce(SUPER)


class Axis:
    """From numbers to shares 0..1 of an axis, with its ticks; logarithmic where the largest is many times the least.

    Args:
        values: all that is to be seen.
        percent: whether they are shares, written in percent; never logarithmic.
    """

    def __init__(self, values: Sequence[float], percent: bool = False) -> None:
        low, high = min(values), max(values)
        self.log, self.percent = low > 0 and high > MANY_TIMES * low and not percent, percent
        first, last = self._of(low), self._of(high)
        room = ROOM * ((last - first) or abs(last) or 1.0)
        self.low, self.high = first - room, last + room
        if low >= 0 and not self.log:
            self.low = max(self.low, -0.02 * self.high)

    def _of(self, value: float) -> float:
        return math.log10(value) if self.log else value

    def share(self, value: float) -> float:
        """Where a number lies, cut off at the ends; what has no logarithm lies at the beginning of such an axis."""
        if self.log and value <= 0:
            return 0.0
        return min(1.0, max(0.0, (self._of(value) - self.low) / (self.high - self.low)))

    def named(self, words: str) -> str:
        """What an axis is called."""
        return words + (" (%)" if self.percent else "") + (", logarithmic" if self.log else "")

    def ticks(self) -> list[tuple[float, str]]:
        """(share, words), from three to eight of them."""
        if not self.log:
            from matplotlib.ticker import MaxNLocator

            scale = 100.0 if self.percent else 1.0
            found = [float(tick) for tick in MaxNLocator(6).tick_values(scale * self.low, scale * self.high)]
            return [(self.share(t / scale), f"{t:g}") for t in found if self.low <= t / scale <= self.high]
        powers = range(math.floor(self.low), math.ceil(self.high) + 1)
        steps = DECADES if self.high - self.low < 2.2 else (1,)
        values = [step * 10.0**power for power in powers for step in steps]
        return [(self.share(v), f"{v:,.10g}") for v in values if self.low <= math.log10(v) <= self.high]


@dataclass(frozen=True)
class Scatter:
    """The plane of a scatter plot on a canvas: two axes in a box."""

    canvas: Canvas
    box: Box
    across: Axis
    up: Axis

    def right(self, value: float) -> float:
        """The x pixel of a number."""
        return self.box[0] + self.across.share(value) * (self.box[2] - self.box[0])

    def down(self, value: float) -> float:
        """The y pixel of a number."""
        return self.box[3] - self.up.share(value) * (self.box[3] - self.box[1])

    def grid(self, x_words: str, y_words: str) -> None:
        """Grid lines with their numbers, and what the axes are."""
        canvas, box = self.canvas, self.box
        frame(canvas, box, self.up.ticks())
        for share, words in self.across.ticks():
            x = box[0] + share * (box[2] - box[0])
            canvas.pen.line((x, box[1], x, box[3]), fill=RULE, width=1)
            canvas.write(words, x, box[3] + 6, SMALL, QUIET, anchor="ma")
        canvas.write(self.up.named(y_words), box[0] - 66, box[1] - 22, SMALL, bold=True)
        canvas.write(self.across.named(x_words), box[2], box[3] + 28, SMALL, bold=True, anchor="ra")

    def whiskers(self, x: Triple, y: Triple, colour: Color) -> None:
        """The intervals of a point's two numbers, pale, cut off at the plot's edge."""
        red, green, blue = (round(255 - PALE * (255 - part)) for part in colour)
        if finite(x[1]):
            ends = [(self.right(end), self.down(y[0])) for end in x[1:]]
            self.canvas.pen.line((*ends[0], *ends[1]), fill=(red, green, blue), width=2)
        if finite(y[1]):
            ends = [(self.right(x[0]), self.down(end)) for end in y[1:]]
            self.canvas.pen.line((*ends[0], *ends[1]), fill=(red, green, blue), width=2)
