"""Small plots for panels, drawn with Pillow: axes, smooth curves, points on a map; a few milliseconds each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from fgssl_edu.panels.canvas import GREEN, INK, PAPER, QUIET, RED, RULE, SMALL, Canvas, Color

Box: TypeAlias = tuple[int, int, int, int]  # left, top, right, bottom in pixels
SUPER = 2  # curves and dots are drawn this much larger and reduced: Pillow's lines have steps
EDGE = 0.02  # share of the points on each side of a map that are moved to its border, so that a few do not shrink it


def frame(canvas: Canvas, box: Box, ticks: Sequence[tuple[float, str]]) -> Callable[[float], int]:
    """Draw the axes of a plot with horizontal grid lines at `ticks` (height 0..1, words); returns height -> y."""

    def height(share: float) -> int:
        return round(box[3] - share * (box[3] - box[1]))

    for share, words in ticks:
        canvas.rule(height(share), box[0], box[2])
        canvas.write(words, box[0] - 6, height(share) - 10, SMALL, QUIET, anchor="ra")
    canvas.pen.line((box[0], box[3], box[2], box[3]), fill=QUIET, width=1)
    return height


def curve(canvas: Canvas, box: Box, x: NDArray, y: NDArray, colour: Color, width: int, dots: bool = False) -> None:
    """A line through points given as shares 0..1 of the box, y upwards; what lies outside is cut off."""
    wide, high = box[2] - box[0], box[3] - box[1]
    stencil = Image.new("L", (SUPER * wide, SUPER * high))
    pen = ImageDraw.Draw(stencil)
    points = np.column_stack([x * wide, (1 - y) * high]) * SUPER
    if len(points) > 1:
        pen.line(points.ravel().tolist(), fill=255, width=SUPER * width, joint="curve")
    for left, top in points.tolist() if dots or len(points) == 1 else ():
        reach = SUPER * (width + 1)
        pen.ellipse((left - reach, top - reach, left + reach, top + reach), fill=255)
    canvas.picture.paste(colour, box, stencil.reduce(SUPER))


def dashes(canvas: Canvas, y: int, left: int, right: int, colour: Color) -> None:
    """A dashed horizontal line."""
    for start in range(left, right, 10):
        canvas.pen.line((start, y, start + 5, y), fill=colour, width=2)


def on_map(points: NDArray, of: NDArray, side: int) -> NDArray[np.float64]:
    """Places (n, 2) in pixels of a square map, whose scale is that of the points `of`; y downwards."""
    low, high = np.quantile(of, EDGE, axis=0), np.quantile(of, 1 - EDGE, axis=0)
    middle, reach = (low + high) / 2, max(float((high - low).max()) / 2 * 1.15, 1e-9)
    shares = np.clip((points - middle) / reach, -0.97, 0.97) * (1, -1)
    places: NDArray[np.float64] = (shares + 1) / 2 * side
    return places


def dotted(layers: Sequence[tuple[NDArray, Color, float]], side: int) -> Image.Image:
    """A square map with layers of round dots: (places (n, 2), colour, radius in pixels)."""
    picture = Image.new("RGB", (SUPER * side, SUPER * side), PAPER)
    pen = ImageDraw.Draw(picture)
    for places, colour, radius in layers:
        for x, y in (places * SUPER).tolist():
            reach = SUPER * radius
            pen.ellipse((x - reach, y - reach, x + reach, y + reach), fill=colour)
    picture = picture.reduce(SUPER)
    ImageDraw.Draw(picture).rectangle((0, 0, side - 1, side - 1), outline=RULE)
    return picture


def mark(pen: ImageDraw.ImageDraw, x: float, y: float, right: bool, reach: int = 3) -> None:
    """A pick on a map: a green square if it is relevant, else a red cross; `reach` pixels to each side."""
    if right:
        pen.rectangle((x - reach, y - reach, x + reach, y + reach), fill=GREEN)
    else:
        pen.line((x - reach, y - reach, x + reach, y + reach), fill=RED, width=2)
        pen.line((x - reach, y + reach, x + reach, y - reach), fill=RED, width=2)


def circle(pen: ImageDraw.ImageDraw, x: float, y: float) -> None:
    """A ring around a point of a map."""
    pen.ellipse((x - 8, y - 8, x + 8, y + 8), outline=INK, width=2)
