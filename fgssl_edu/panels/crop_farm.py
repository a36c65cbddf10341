"""The crop farm: one photograph, its crops, and what each step of the way does to them.

Twenty-four crops beside the photograph that they are from; one of them step by step; how many have black corners; and
the first filters of networks, if any are given.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from fgssl_edu.data.single_image import MARGIN as ROOM
from fgssl_edu.data.single_image import Farm, Photograph, Plan, open_photograph, plan, steps
from fgssl_edu.explain.filters import chromatic, filter_pictures, first_filters, oriented
from fgssl_edu.nets.encoders import Encoder
from fgssl_edu.panels.canvas import (
    AMBER,
    BLUE,
    GREEN,
    MARGIN,
    QUIET,
    RULE,
    SMALL,
    TITLE,
    Canvas,
    Color,
    font,
    tile,
    to_array,
)
from fgssl_edu.panels.controls import NextDraw, choice, slider, switch
from fgssl_edu.panels.panel import Panel

SHOWN, COLUMNS = 24, 6  # crops, and of them in a row
SIDE, GAP = 80, 4  # pixels of a crop, and between two
WIDE, HIGH = 460, 332  # the most that a photograph takes
STEP, FILTER = 104, 24  # pixels of a step's picture, and of a filter
STRIP = 480  # pixels of a network's row of filters
IN_STRIP = STRIP // (FILTER + 4)
COUNTED = 2000  # crops that are drawn and not made, for the numbers
AREAS = [("1/500", 1 / 500), ("1/100", 1 / 100), ("1/20", 1 / 20), ("1/4", 1 / 4), ("9/10", 0.9)]
SWITCHES = {
    "patch": "patch",
    "zoom": "random part",
    "rotate": "rotation",
    "shear": "shear",
    "jitter": "colours",
    "flip": "upside down",
}
STEPS = {"part": "part", "turned": "turned", "centre": "centre", "colours": "colours"}


@dataclass(frozen=True)
class Numbers:
    """Of many crops of a farm: shares 0..1, and how much a crop is magnified (below 1: reduced)."""

    black: float  # crops with a black corner
    shown: float  # of the photograph that the median crop shows
    magnified: float  # side of the median crop over that of what it shows


class CropFarm(Panel):
    """Crops of a photograph under switches.

    Args:
        photographs: what can be chosen, names or paths for `open_photograph`, or photographs.
        encoders: name -> network whose first filters are shown, at most two.
        size: side of a crop in pixels, as in training.
        seed: of the draws; "Draw again" takes the next.

    Raises:
        ValueError: no photograph, or one that cannot be read.
    """

    def __init__(
        self,
        photographs: Sequence[str | Photograph] = ("china", "flower"),
        encoders: Mapping[str, Encoder] | None = None,
        size: int = 64,
        seed: int = 0,
    ) -> None:
        if not photographs:
            raise ValueError("photographs is empty: give at least one name or path")
        opened = [p if isinstance(p, Photograph) else open_photograph(p) for p in photographs]
        self.photographs, self.size, self.seed = {p.name: p for p in opened}, size, seed
        self.filters = {name: first_filters(encoder) for name, encoder in list((encoders or {}).items())[:2]}
        first = {
            "photograph": choice("Photograph", list(self.photographs)),
            "least_area": choice("Smallest part", AREAS),
            "crop": slider(f"Crop (1 to {SHOWN})", 1, 1, SHOWN, 1),
            "draw": NextDraw("Draw again", "other random numbers for every crop"),
        }
        second = {name: switch(words, name != "flip") for name, words in SWITCHES.items()}
        states: list[dict[str, object]] = [
            {"crop": 5},
            {"shear": False, "rotate": False},
            {"zoom": False},
            {"least_area": 0.9, "jitter": False},
        ]
        super().__init__(self._compose, [first, second], states=states, title="The crop farm")

    def _compose(self, photograph: str, least_area: float, crop: int, draw: int, **switches: Any) -> NDArray:
        source, farm = self.photographs[photograph], Farm(least_area=least_area, **switches)
        drawn = plan(source, torch.arange(SHOWN), self.seed + draw, farm)
        stages = dict(steps(source, drawn, self.size))
        canvas = Canvas(HIGH + 216 if not self.filters else HIGH + 304)
        canvas.write(f"The photograph and its {SHOWN} crops", MARGIN, 6, TITLE, bold=True, room=WIDE + 10)
        canvas.put(self._map(source, drawn, crop - 1), MARGIN, 40)
        left = WIDE + 2 * MARGIN + 6
        canvas.write("The crops", left, 6, TITLE, bold=True)
        for i, pixels in enumerate(stages["colours"]):
            x, y = left + i % COLUMNS * (SIDE + GAP), 40 + i // COLUMNS * (SIDE + GAP)
            chosen = i == crop - 1
            canvas.put(tile(pixels, SIDE), x, y, frame=BLUE if chosen else RULE, thick=GAP if chosen else 1)
        self._journey(canvas, stages, crop - 1, 40 + HIGH + 14)
        self._table(canvas, numbers(source, farm, self.seed + draw, self.size), left, 40 + HIGH + 14)
        if self.filters:
            self._filters(canvas, 40 + HIGH + 184)
        return canvas.array()

    def _map(self, source: Photograph, drawn: Plan, chosen: int) -> Image.Image:
        """The photograph with the outlines of all crops, and patch, part and crop of the chosen one."""
        scale = min(WIDE / source.picture.width, HIGH / source.picture.height)
        size = (round(source.picture.width * scale), round(source.picture.height * scale))
        picture = source.picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
        pen, outlines = ImageDraw.Draw(picture), scale * drawn.outlines()
        for corners in outlines:
            _closed(pen, corners, (255, 255, 255), 1)
        for colour, box in ((AMBER, drawn.patch[chosen, [0, 1, 2, 2]]), (GREEN, drawn.box[chosen])):
            left, top, width, height = (scale * box.double()).tolist()
            corners = [[left, top], [left + width, top], [left + width, top + height], [left, top + height]]
            _closed(pen, torch.tensor(corners), colour, 3)
        _closed(pen, outlines[chosen], BLUE, 4)
        return picture

    def _journey(self, canvas: Canvas, stages: Mapping[str, Tensor], chosen: int, top: int) -> None:
        canvas.write(f"Crop {chosen + 1}, step by step", MARGIN, top, bold=True)
        for i, (name, words) in enumerate(STEPS.items()):
            x = MARGIN + i * (STEP + 16)
            canvas.put(tile(stages[name][chosen], STEP), x, top + 28, frame=RULE, thick=1)
            canvas.write(words, x, top + 32 + STEP, SMALL)

    def _table(self, canvas: Canvas, found: Numbers, left: int, top: int) -> None:
        rows = [
            ("with a black corner", f"{100 * found.black:.0f} %"),
            ("share of the photograph in a crop", f"{100 * found.shown:.1f} %"),
            ("magnified (below 1: reduced)", f"× {found.magnified:.1f}"),
        ]
        canvas.write(f"Of {COUNTED:,} crops (medians)", left, top, bold=True)
        for line, (words, number) in enumerate(rows):
            canvas.write(words, left, top + 30 + 27 * line, SMALL)
            canvas.write(number, canvas.picture.width - MARGIN, top + 30 + 27 * line, SMALL, bold=True, anchor="ra")
        lines = [(AMBER, "patch"), (GREEN, "part, with its margin"), (BLUE, "crop")]
        x = left
        for colour, words in lines:
            canvas.pen.line((x, top + 126, x + 22, top + 126), fill=colour, width=4)
            canvas.write(words, x + 28, top + 116, SMALL, QUIET)
            x += 28 + 10 * len(words) + 24

    def _filters(self, canvas: Canvas, top: int) -> None:
        """A strip of first filters a network, with the two numbers that tell them from noise."""
        for i, (name, filters) in enumerate(self.filters.items()):
            x = MARGIN + i * (canvas.picture.width // 2)
            counts = int(oriented(filters).sum()), int(chromatic(filters).sum())
            words = f"{counts[0]} oriented, {counts[1]} colour, of {len(filters)}"
            canvas.write(words, x + STRIP, top, SMALL, anchor="ra")
            room = STRIP - int(font(SMALL).getlength(words)) - MARGIN
            canvas.write(name, x, top, SMALL, bold=True, room=room)
            for j, pixels in enumerate(filter_pictures(filters)[: 2 * IN_STRIP]):
                row, column = divmod(j, IN_STRIP)
                look = Image.fromarray(to_array(pixels)).resize((FILTER, FILTER), Image.Resampling.NEAREST)
                canvas.put(look, x + column * (FILTER + 4), top + 26 + row * (FILTER + 4))


def numbers(source: Photograph, farm: Farm, seed: int, size: int) -> Numbers:
    """What can be said of a farm's crops from their draws alone."""
    drawn = plan(source, torch.arange(COUNTED), seed, farm)
    area = drawn.box[:, 2:].prod(dim=1).double().median().item() / ROOM**2  # px² of the photograph, black corners too
    shown = area / (source.picture.width * source.picture.height)
    return Numbers(float(drawn.black().float().mean()), shown, size / math.sqrt(area))


def _closed(pen: ImageDraw.ImageDraw, corners: Tensor, colour: Color, width: int) -> None:
    """A closed line through (n, 2) places, with a dark one under it: seen on any ground."""
    places = [tuple(place) for place in [*corners.tolist(), *corners[:2].tolist()]]
    pen.line(places, fill=(0, 0, 0), width=width + 2)
    pen.line(places, fill=colour, width=width)
