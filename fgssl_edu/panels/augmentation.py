"""Augmentation strength: when do two views still show one bird, and when has the encoder stopped caring?

A view must move less than another picture of the species does, or contrast asks for the impossible; it must move at
all, or contrast asks for nothing (the sweet spot of Tian et al. 2020, arXiv 2005.10243).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from fgssl_edu.data.image_set import ImageSet
from fgssl_edu.evaluate.features import extract
from fgssl_edu.nets.encoders import Encoder
from fgssl_edu.nets.modes import frozen
from fgssl_edu.panels.canvas import BLUE, GREEN, INK, MARGIN, QUIET, RED, SMALL, TITLE, Canvas, tile
from fgssl_edu.panels.controls import NextDraw, choice, slider
from fgssl_edu.panels.neighbours import KIN, epithet, genus_name, relation
from fgssl_edu.panels.panel import Panel
from fgssl_edu.panels.threads import one_thread
from fgssl_edu.views.augment import Augment
from fgssl_edu.views.presets import VIEWS, scaled

PAIRS = 6  # view pairs shown
SPREAD = 26  # further pictures whose view pairs make the distribution
GALLERY = 192  # pictures that neighbours are looked for in
PER_CLASS = 8  # of them a class
ORIGINAL, VIEW = 176, 112  # sides in pixels
STRIP_LEFT, STRIP_RIGHT, BINS = 270, 700, 36


def gallery_index(labels: Tensor, pictures: int = GALLERY, per_class: int = PER_CLASS) -> Tensor:
    """Positions of at most `pictures` pictures, up to `per_class` of a class, so that same-species pairs exist."""
    _, which = labels.unique(return_inverse=True)
    order = torch.argsort(which, stable=True)
    starts = torch.cat([which.new_zeros(1), which.bincount().cumsum(0)[:-1]])
    place = torch.arange(len(labels)) - starts[which[order]]
    chosen = order[place < per_class]  # in blocks of one class
    return chosen[:pictures] if len(chosen) >= min(pictures, len(labels)) else order[:pictures]


@dataclass(frozen=True)
class Pairs:
    """Cosine similarities of the gallery's pictures: within a species, and between two."""

    same: Tensor
    other: Tensor

    @classmethod
    def of(cls, features: Tensor, labels: Tensor) -> Pairs:
        """Every pair once; features unit-norm (N, D)."""
        row, column = torch.triu_indices(len(features), len(features), offset=1)
        cosine = (features @ features.T)[row, column]
        same = (labels[row] == labels[column]) & (labels[row] >= 0)
        return cls(cosine[same], cosine[(labels[row] != labels[column]) & (labels[row] >= 0) & (labels[column] >= 0)])


class AugmentationStrength(Panel):
    """Views of one picture at a chosen strength, how far they move in the encoder, and what they land beside.

    Args:
        encoder: what compares the views.
        images: the set that pictures and neighbours come from.
        preset: name of the views to begin with, a key of `VIEWS`.
        size: side of a view in pixels, as in training.
    """

    def __init__(self, encoder: Encoder, images: ImageSet, preset: str = "mild", size: int = 32) -> None:
        if preset not in VIEWS:
            raise ValueError(f"preset={preset!r} is not known; choose one of {', '.join(VIEWS)}")
        if len(images) < 2:
            raise ValueError(f"{len(images)} pictures: the panel compares pictures and needs at least 2")
        self.encoder, self.size = encoder, size
        self.images = images.subset(gallery_index(images.labels))
        with one_thread():
            self.features = F.normalize(extract(encoder, self.images.images, size), dim=1)
            self.pairs = Pairs.of(self.features, self.images.labels)
            self.low = self._low(preset)
        first = {
            "strength": slider("Strength (0 = none, 1 = the preset)", 1.0, 0.0, 2.0, 0.1),
            "preset": choice("Preset", list(VIEWS), preset),
        }
        last = len(self.images) - 1
        second = {
            "picture": slider(f"Picture (0 to {last})", 0, 0, last, 1),
            "draw": NextDraw("Draw again", "other random numbers for every view"),
        }
        states: list[dict[str, object]] = [
            {"strength": 0.2},
            {"strength": 1.0},
            {"strength": 2.0},
            {"picture": last // 2},
        ]
        super().__init__(self._compose, [first, second], states=states, title="Augmentation strength")

    def _low(self, preset: str) -> float:
        """Left end of the cosine axis, fixed so that only the data move; it holds nearly all pairs and strong views."""
        pairs = torch.cat([self.pairs.other, self._views(0, preset, 2.0, 0)[1]])
        return min(0.95, float(torch.quantile(pairs, 0.02)))

    @torch.no_grad()
    def _views(self, picture: int, preset: str, strength: float, draw: int) -> tuple[Tensor, Tensor, Tensor]:
        """Two views of the picture, PAIRS times, and of SPREAD others.

        Returns:
            shown views (2, PAIRS, 3, size, size), cosine of every pair (PAIRS + SPREAD,), and features of the shown
            first views (PAIRS, D).
        """
        others = (picture + 1 + torch.arange(SPREAD) * 7) % len(self.images)
        chosen = torch.cat([torch.full((PAIRS,), picture), others])
        index = torch.cat([torch.arange(PAIRS), PAIRS + others])
        augment = Augment(scaled(VIEWS[preset], strength), self.size)
        both = [augment(self.images.images[chosen], 0, draw, index, purpose) for purpose in ("panel/a", "panel/b")]
        with frozen(self.encoder) as device:
            features = F.normalize(self.encoder.features(torch.cat(both).to(device)).float().cpu(), dim=1)
        first, second = features.chunk(2)
        shown = torch.stack([view[:PAIRS] for view in both])
        return shown, (first * second).sum(dim=1), first[:PAIRS]

    def _compose(self, strength: float, preset: str, picture: int, draw: int) -> NDArray:
        views, cosine, features = self._views(picture, preset, strength, draw)
        canvas = Canvas(576)
        self._pictures(canvas, picture, views, cosine[:PAIRS])
        canvas.rule(332)
        self._strip(canvas, cosine[PAIRS:], cosine[:PAIRS])
        self._landing(canvas, picture, features)
        return canvas.array()

    def _pictures(self, canvas: Canvas, picture: int, views: Tensor, cosine: Tensor) -> None:
        canvas.write("Picture", MARGIN, MARGIN, TITLE, bold=True)
        canvas.put(tile(self.images.images[picture], ORIGINAL), MARGIN, 44)
        words, top = epithet(self.images, picture), 50 + ORIGINAL
        below = canvas.write_lines(words, MARGIN, top, room=200, size=SMALL, bold=True)
        canvas.write(genus_name(self.images, picture), MARGIN, below, SMALL, QUIET, room=200)
        left = 220
        canvas.write("Six pairs of views", left, MARGIN, TITLE, bold=True)
        words, right = "below: cosine of the two in the encoder", canvas.picture.width - MARGIN
        canvas.write(words, right, MARGIN + 4, SMALL, QUIET, anchor="ra")
        for i in range(PAIRS):
            x = left + i * (VIEW + 18)
            canvas.put(tile(views[0, i], VIEW), x, 44)
            canvas.put(tile(views[1, i], VIEW), x, 48 + VIEW)
            canvas.write(f"{float(cosine[i]):.2f}", x + VIEW // 2, 56 + 2 * VIEW, bold=True, anchor="ma")

    def _strip(self, canvas: Canvas, views: Tensor, shown: Tensor) -> None:
        """Three distributions on one cosine axis: views of a picture, pictures of a species, and of two species."""
        canvas.write("How far do views move?", MARGIN, 342, TITLE, bold=True)
        rows = [
            ("two views of a picture", BLUE, torch.cat([views, shown])),
            ("two of one species", GREEN, self.pairs.same),
            ("two species", RED, self.pairs.other),
        ]
        for i, (words, colour, values) in enumerate(rows):
            base = 424 + i * 56
            canvas.write(words, STRIP_LEFT - 14, base - 30, SMALL, colour, bold=True, anchor="ra")
            self._bars(canvas, values, base, colour)
        for share in (0.0, 0.5, 1.0):
            value = self.low + share * (1 - self.low)
            canvas.write(f"{value:.2f}", self._x(value), 542, SMALL, QUIET, anchor="ma")
        canvas.write("cosine (line: median)", STRIP_LEFT - 40, 542, SMALL, QUIET, anchor="ra")

    def _x(self, cosine: float) -> float:
        return STRIP_LEFT + (STRIP_RIGHT - STRIP_LEFT) * min(1.0, max(0.0, (cosine - self.low) / (1 - self.low)))

    def _bars(self, canvas: Canvas, values: Tensor, base: int, colour: tuple[int, int, int]) -> None:
        canvas.rule(base, STRIP_LEFT, STRIP_RIGHT)
        if not len(values):
            canvas.write("no such pair here", STRIP_LEFT + 8, base - 26, SMALL, QUIET)
            return
        height = torch.histc(values.clamp(self.low, 1), BINS, self.low, 1)
        width = (STRIP_RIGHT - STRIP_LEFT) / BINS
        pale = tuple((2 * c + 3 * 255) // 5 for c in colour)
        for b, share in enumerate((height / height.max()).tolist()):
            if share:
                box = (STRIP_LEFT + b * width, base - max(2, 42 * share), STRIP_LEFT + (b + 1) * width - 1, base - 1)
                canvas.pen.rectangle(box, fill=pale)
        middle = self._x(float(values.median()))
        canvas.pen.line((middle, base - 44, middle, base + 3), fill=colour, width=4)

    def _landing(self, canvas: Canvas, picture: int, features: Tensor) -> None:
        """The nearest picture to the first view, and how often a view lands beside its own picture."""
        found = (features @ self.features.T).argmax(dim=1)  # (PAIRS,)
        j = int(found[0])
        symbol, colour, words = KIN[relation(self.images, picture, j)]
        if j == picture:
            words, colour, symbol = "its own picture", GREEN, "✓"
        left = 735
        canvas.write("The first view lands by", left, 342, TITLE - 2, bold=True, room=265)
        canvas.put(tile(self.images.images[j], 120), left + 5, 380, frame=colour)
        canvas.write(f"{symbol} {words}", left, 512, SMALL, bold=True, room=262)
        own = int((found == picture).sum())
        canvas.write(f"{own} of {PAIRS} by their own picture", left, 540, SMALL, INK, room=262)
