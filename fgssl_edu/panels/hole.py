"""A hole in a picture, of any place and size, and what two context encoders fill it with.

Below each fill is where it is wrong, and how much: beside the error of filling with the mean colour of the visible
part, which needs no network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from fgssl_edu.data.image_set import ImageSet, Splits
from fgssl_edu.methods.pretext.inpainting import Inpainting
from fgssl_edu.nets.modes import frozen
from fgssl_edu.panels.canvas import MARGIN, QUIET, SMALL, TITLE, WIDTH, Canvas, heat_tile, outline, tile
from fgssl_edu.panels.controls import choice, slider
from fgssl_edu.panels.neighbours import species_name
from fgssl_edu.panels.panel import Panel
from fgssl_edu.views import resized
from fgssl_edu.views.holes import holes, square_holes, square_side

SQUARE, BLOCKS, REGION = "one square", "eight small squares", "a region of any shape"
PLACES = {BLOCKS: "blocks", REGION: "region"}  # of a hole that is drawn
SIDE, GAP = 236, 10  # pixels of a tile, and between two
NOTES = MARGIN + 3 * (SIDE + GAP) + 8  # where the numbers begin, pixels from the left
FIRST, SECOND = 36, 326  # where the two rows of tiles begin, pixels from the top
WORST = 0.5  # root of the mean squared error of a pixel that is shown hottest; 1 is black for white
SHARES = (0.02, 0.06, 0.14, 0.25, 0.4, 0.6)


@dataclass(frozen=True)
class State:
    """Where the controls stand; `across` and `down` place a square, 0 left or top to 1."""

    picture: int
    share: float
    shape: str
    across: float
    down: float
    a: str
    b: str


@dataclass(frozen=True)
class Fill:
    """What a method makes of a hole.

    Attributes:
        picture: (3, S, S), the hole filled and the rest as it was.
        wrong: (S, S) root of the mean squared error over colours, 0 outside of the hole.
        error: mean squared error in the hole.
    """

    picture: Tensor
    wrong: Tensor
    error: float


class FilledHole(Panel):
    """Two trained methods, one hole.

    Args:
        methods: trained, by name; the first two are A and B to begin with. Each is left in the mode it was in.
        splits: pictures come from `test`.

    Raises:
        ValueError: fewer than two methods, methods that draw pictures of different sizes, or no pictures.
    """

    def __init__(self, methods: Mapping[str, Inpainting], splits: Splits) -> None:
        sizes = {method.augment.size for method in methods.values()}
        if len(methods) < 2 or len(sizes) > 1:
            raise ValueError(
                f"methods={list(methods)}, of {sorted(sizes)} px: the panel compares two methods that draw pictures of "
                "one size; give at least two, by name"
            )
        if not len(splits.test):
            raise ValueError("there are no test pictures to show")
        self.methods, self.size = dict(methods), sizes.pop()
        self.images: ImageSet = splits.test
        states: list[dict[str, object]] = [
            {"share": 0.06},
            {"share": 0.6},
            {"across": 0.0, "down": 0.0},
            {"shape": REGION},
        ]
        super().__init__(self._compose, self._controls(), states=states, title="What belongs into the hole?")

    def _controls(self) -> list[dict[str, object]]:
        names, last = list(self.methods), len(self.images) - 1
        return [
            {
                "picture": slider(f"Picture (0 to {last})", 0, 0, last, 1),
                "share": choice("Hole", [(f"{share:.0%} of the picture", share) for share in SHARES], 0.25),
                "shape": choice("Shape", [SQUARE, BLOCKS, REGION]),
            },
            {
                "across": slider("Square: left to right", 0.5, 0.0, 1.0, 0.05),
                "down": slider("top to bottom", 0.5, 0.0, 1.0, 0.05),
            },
            {"a": choice("Network A", names, names[0]), "b": choice("Network B", names, names[1])},
        ]

    def _compose(self, **values: Any) -> NDArray:
        state = State(**values)
        pixels, hole = self.pixels(state.picture), self.hole(state)
        canvas = Canvas(SECOND + SIDE + 46)
        mean = float((pixels - _mean_seen(pixels, hole)).square().mean(dim=0)[hole].mean())
        canvas.put(tile(pixels, SIDE), _left(0), FIRST)
        canvas.put(tile(torch.where(hole, 0.5, pixels), SIDE), _left(0), SECOND)
        canvas.write("The picture", _left(0), FIRST - 26, bold=True)
        canvas.write("The hole", _left(0), SECOND - 26, bold=True)
        for column, name in ((1, state.a), (2, state.b)):
            fill = fill_in(self.methods[name], pixels, hole)
            letter = "AB"[column - 1]
            canvas.write(f"Filled by {letter}", _left(column), FIRST - 26, bold=True)
            canvas.write(f"Where {letter} is wrong", _left(column), SECOND - 26, bold=True)
            canvas.put(outline(tile(fill.picture, SIDE), hole.float()), _left(column), FIRST)
            canvas.put(heat_tile(pixels, (fill.wrong / WORST).clamp(max=1), SIDE), _left(column), SECOND)
            canvas.write(f"{letter}: {fill.error:.4f}", NOTES, FIRST + 60 + 30 * column, bold=True)
            canvas.write_lines(f"{letter}: {name}", NOTES, FIRST + 100 + 68 * column, WIDTH - NOTES - MARGIN, SMALL)
        canvas.write("Error in the hole", NOTES, FIRST, TITLE, bold=True)
        canvas.write(f"mean colour: {mean:.4f}", NOTES, FIRST + 60)
        lines = (
            "Bright: far from the truth.",
            "Error: mean of squares over",
            "pixels and colours; the mean",
            "colour is that of what is seen.",
        )
        for line, words in enumerate(lines):
            canvas.write(words, NOTES, SECOND + 24 * line, SMALL, QUIET)
        canvas.write(species_name(self.images, state.picture), MARGIN, SECOND + SIDE + 10, bold=True, room=2 * SIDE)
        return canvas.array()

    def pixels(self, picture: int) -> Tensor:
        """(3, size, size) in [0, 1], as the methods see the whole picture."""
        return resized(self.images.images[[picture]], self.size)[0]

    def hole(self, state: State) -> Tensor:
        """(size, size) bool."""
        if state.shape != SQUARE:
            return holes(PLACES[state.shape], state.share, self.size, 0, 0, torch.tensor([state.picture]))[0]
        side = square_side(self.size, state.share)
        corner = torch.tensor([[[state.down, state.across]]]) * (self.size - side)
        return square_holes(corner.round(), self.size, side)[0]


def fill_in(method: Inpainting, pixels: Tensor, hole: Tensor) -> Fill:
    """What a method fills a hole (S, S) of a picture (3, S, S) with, on the CPU and without graph."""
    with frozen(method) as device, torch.no_grad():
        seen = method.cut(
            pixels[None].to(device), method.hidden(hole[None].to(device))
        )  # with its band, as in training
        drawn = method.decoder(method.encoder.feature_map(seen))[0].cpu()  # (3, S, S)
    squares = (drawn - pixels).square().mean(dim=0) * hole  # (S, S)
    return Fill(torch.where(hole, drawn, pixels), squares.sqrt(), float(squares.sum() / hole.sum()))


def _mean_seen(pixels: Tensor, hole: Tensor) -> Tensor:
    """(3, 1, 1), the mean colour of what is visible."""
    return (pixels * ~hole).sum(dim=(1, 2), keepdim=True) / (~hole).sum()


def _left(column: int) -> int:
    return MARGIN + column * (SIDE + GAP)
