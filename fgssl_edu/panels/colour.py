"""What a colorization network answers: a distribution over colours at every place, and how it becomes a picture.

One answer, many paintings: temperature 1 paints the mean of the distribution (what regression would give), 0 its mode;
and since the weights of rare colours multiply the odds, they can be divided out again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from fgssl_edu.data.image_set import ImageSet
from fgssl_edu.methods.pretext.colorization import ANNEALED, Colorization
from fgssl_edu.methods.pretext.palette import CELL, cell_colors
from fgssl_edu.nets.modes import frozen
from fgssl_edu.panels.canvas import INK, MARGIN, PAPER, QUIET, RULE, SMALL, TITLE, Canvas, tile
from fgssl_edu.panels.controls import choice, slider
from fgssl_edu.panels.neighbours import species_name
from fgssl_edu.panels.panel import Panel
from fgssl_edu.views import resized
from fgssl_edu.views.color_bins import annealed_mean
from fgssl_edu.views.lab import lab_to_rgb, rgb_to_lab

SIDE, GAP, TOP = 206, 12, 40  # pixels of a tile, between two, and above them
PLANE, PLANE_LEFT = 300, 682  # pixels: side of the ab plane, and where it begins
REACH = 110.0  # units of ab from the middle of the plane to its edge
SHOWN_LIGHTNESS = 68.0  # of the bins in the plane
WEIGHED = {"up": "weigh more", "plain": "as common as they are"}


@dataclass(frozen=True)
class Look:
    """One picture as a network colours it, at all its places.

    Attributes:
        chances: logarithms of the probabilities of all bins, (Q, h, w).
        painted: ab, (2, h, w).
        truth: ab, (2, h, w).
        right: share of the places whose likeliest bin is the true one.
    """

    chances: Tensor
    painted: Tensor
    truth: Tensor
    right: float

    @property
    def error(self) -> float:
        """Mean distance of painted from true colours, units of ab."""
        return float((self.painted - self.truth).norm(dim=0).mean())

    @property
    def chroma(self) -> float:
        """Mean distance of the painted colours from grey over that of the true ones."""
        return float(self.painted.norm(dim=0).mean() / self.truth.norm(dim=0).mean().clamp(min=1e-6))


class PaintedColours(Panel):
    """Lightness in, colours out, the truth beside it, and the distribution at one place.

    Args:
        methods: trained colorization networks by name, that answer in classes. Each is left in the mode it was in.
        images: the pictures to colour.
        size: side in pixels at which the networks see them; None for the stored one.

    Raises:
        ValueError: there is no method or no picture, or a method answers by regression.
    """

    def __init__(self, methods: Mapping[str, Colorization], images: ImageSet, size: int | None = None) -> None:
        if not methods or any(method.objective != "classes" for method in methods.values()):
            raise ValueError(f"methods={list(methods)}: give colorization networks of objective='classes', by name")
        if not len(images):
            raise ValueError("there are no pictures to colour")
        self.methods, self.images, self.size = dict(methods), images, size or images.size
        self.places = max(1, self.size // CELL)
        self.answer = lru_cache(maxsize=64)(self._answer)
        middle, last = self.places // 2, len(images) - 1
        rows = [
            {
                "picture": slider(f"Picture (0 to {last})", 0, 0, last, 1),
                "temperature": slider("Temperature (0: mode, 1: mean)", ANNEALED, 0.0, 1.0, 0.02),
            },
            {
                "rare": choice("Rare colours", [(words, name) for name, words in WEIGHED.items()]),
                "row": slider("Row", middle, 0, self.places - 1, 1),
                "column": slider("Column", middle, 0, self.places - 1, 1),
            },
            {"network": choice("Network", list(methods))},
        ]
        states: list[dict[str, object]] = [
            {"temperature": 0.0},
            {"temperature": 1.0},
            {"temperature": 1.0, "rare": "plain"},
            {"picture": last // 2},
        ]
        super().__init__(self._compose, rows, states=states, title="From lightness to colour")

    @torch.no_grad()
    def _answer(self, network: str, picture: int) -> tuple[Tensor, Tensor]:
        """The head's logits (Q, h, w) and the true colours (2, h, w) of a picture, on the CPU."""
        method, pixels = self.methods[network], resized(self.images.images[[picture]], self.size)
        with frozen(method) as device:
            logits = method.head(method.encoder.feature_map(pixels.to(device)), self.places)
        return logits[0].float().cpu(), cell_colors(pixels, self.places)[0, 1:]

    def look(self, network: str, picture: int, temperature: float, rare: str) -> Look:
        """A picture in the colours of a network, with rare colours weighed "up" or "plain"."""
        logits, truth = self.answer(network, picture)
        palette = self.methods[network].palette
        wanted = palette.rarity if rare == "up" else torch.ones_like(palette.rarity)
        odds = (wanted / palette.weights).log().cpu()  # what training has multiplied is divided out
        chances = (logits + odds[:, None, None]).log_softmax(dim=0)
        centers = palette.centers.cpu()
        nearest = (truth[:, None] - centers.T[:, :, None, None]).square().sum(dim=0).argmin(dim=0)  # (h, w)
        right = (chances.argmax(dim=0) == nearest).float().mean()
        return Look(chances, annealed_mean(chances[None], centers, temperature)[0], truth, float(right))

    def _compose(self, **values: Any) -> NDArray:
        look = self.look(values["network"], values["picture"], values["temperature"], values["rare"])
        place = values["row"], values["column"]
        canvas = Canvas(TOP + PLANE + 106)
        pixels = F.interpolate(self.images.images[[values["picture"]]].float() / 255, SIDE, mode="bilinear").clamp(0, 1)
        for number, (words, shown) in enumerate(
            {
                "What it sees": recolored(pixels, torch.zeros(2, 1, 1)),
                "What it paints": recolored(pixels, look.painted),
                "The picture": pixels[0],
            }.items()
        ):
            left = MARGIN + number * (SIDE + GAP)
            canvas.write(words, left, 6, TITLE, bold=True)
            canvas.put(tile(shown, SIDE), left, TOP)
            self._mark(canvas, left, *place)
        self._numbers(canvas, look, values)
        self._plane(canvas, look, self.methods[values["network"]].palette.centers.cpu(), *place)
        return canvas.array()

    def _mark(self, canvas: Canvas, left: int, row: int, column: int) -> None:
        """A frame around the chosen place."""
        cell = SIDE / self.places
        x, y = left + column * cell, TOP + row * cell
        canvas.pen.rectangle((x - 2, y - 2, x + cell + 2, y + cell + 2), outline=INK, width=2)
        canvas.pen.rectangle((x, y, x + cell, y + cell), outline=PAPER, width=2)

    def _numbers(self, canvas: Canvas, look: Look, values: Mapping[str, Any]) -> None:
        top = TOP + SIDE + 16
        canvas.write(species_name(self.images, values["picture"]), MARGIN, top, bold=True, room=3 * SIDE)
        rows = (
            ("places whose likeliest colour is the true one", f"{100 * look.right:.0f} %"),
            ("distance of painted from true colours, units of ab", f"{look.error:.1f}"),
            ("vividness over that of the picture (0: grey)", f"{look.chroma:.2f}"),
        )
        for line, (words, number) in enumerate(rows):
            canvas.write(words, MARGIN, top + 40 + 32 * line)
            canvas.write(number, MARGIN + 3 * SIDE + 2 * GAP, top + 40 + 32 * line, bold=True, anchor="ra")

    def _plane(self, canvas: Canvas, look: Look, centers: Tensor, row: int, column: int) -> None:
        """The distribution at one place: a square a bin, its area the probability, over that of the likeliest."""
        canvas.write("Colours it thinks of, there", PLANE_LEFT, 6, TITLE - 2, bold=True)
        middle_x, middle_y, unit = PLANE_LEFT + PLANE / 2, TOP + PLANE / 2, PLANE / 2 / REACH
        canvas.pen.rectangle((PLANE_LEFT, TOP, PLANE_LEFT + PLANE, TOP + PLANE), outline=RULE)
        for start, end in (((-REACH, 0), (REACH, 0)), ((0, -REACH), (0, REACH))):
            line = [(middle_x + a * unit, middle_y - b * unit) for a, b in (start, end)]
            canvas.pen.line(line, fill=RULE)
        chances = look.chances[:, row, column].exp()
        sides = (chances / chances.max()).sqrt()  # (Q,) of the squares
        spacing = float((centers[1:] - centers[:-1]).abs().amax(dim=1).min())
        colors = (bin_colors(centers) * 255).round().int().tolist()
        for (a, b), side, color in zip(centers.tolist(), sides.tolist(), colors, strict=True):
            half = max(1.0, side * spacing * unit / 2)
            x, y = middle_x + a * unit, middle_y - b * unit
            canvas.pen.rectangle((x - half, y - half, x + half, y + half), fill=tuple(color))
        a, b = look.truth[:, row, column].tolist()
        x, y = middle_x + a * unit, middle_y - b * unit
        canvas.pen.ellipse((x - 8, y - 8, x + 8, y + 8), outline=INK, width=3)
        a, b = look.painted[:, row, column].tolist()
        x, y = middle_x + a * unit, middle_y - b * unit
        for sign in (-1, 1):
            canvas.pen.line((x - 7, y - 7 * sign, x + 7, y + 7 * sign), fill=INK, width=3)
        below = TOP + PLANE + 10
        canvas.write("○ true colour    × painted", PLANE_LEFT, below, bold=True)
        canvas.write(f"largest square: {100 * float(chances.max()):.0f} %", PLANE_LEFT, below + 30)
        canvas.write("across green to red, up blue to yellow", PLANE_LEFT, below + 60, SMALL, QUIET)


def recolored(pixels: Tensor, ab: Tensor) -> Tensor:
    """A picture with its own lightness and other colours, (1, 3, H, W) in [0, 1] and (2, h, w) -> (3, H, W)."""
    lightness = rgb_to_lab(pixels)[:, :1]
    smooth = F.interpolate(ab[None], lightness.shape[2:], mode="bilinear", align_corners=False)
    return lab_to_rgb(torch.cat([lightness, smooth], dim=1))[0]


def bin_colors(centers: Tensor) -> Tensor:
    """(Q, 2) -> (Q, 3) RGB in [0, 1] of the bins at one lightness, as far as a screen can show them."""
    lightness = torch.full((len(centers), 1), SHOWN_LIGHTNESS)
    return lab_to_rgb(torch.cat([lightness, centers], dim=1)[:, :, None, None])[:, :, 0, 0]
