"""Concept browser: what does a prototype stand for? Its nearest pictures, and how pure it is by labels it never saw."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from numpy.typing import NDArray
from torch import Tensor

from fgssl_edu.data.image_set import ImageSet
from fgssl_edu.evaluate.concepts import Purity, purity
from fgssl_edu.panels.canvas import AMBER, BLUE, GREEN, MARGIN, QUIET, RED, SMALL, TITLE, Canvas, Color, tile
from fgssl_edu.panels.controls import choice, slider
from fgssl_edu.panels.neighbours import epithet, genus_name
from fgssl_edu.panels.panel import Panel

COLUMNS, LINES, SIDE = 7, 2, 122  # tiles a line, lines, pixels of a tile
TOP, BLOCK = 118, SIDE + 60  # where the tiles begin; from one line to the next
STRIP = 96  # pixels of the strip of all prototypes
ORDERS = {"largest": "most pictures", "species": "purest by species", "genus": "purest by genus"}
LEAST = 4  # pictures of a prototype that may count as pure: one picture always is


class ConceptBrowser(Panel):
    """One prototype: the pictures that belong to it, nearest first, and its purity beside all the others'.

    A picture belongs to the prototype that it is nearest to.

    Args:
        scores_by_name: method's name -> (N, K) cosines of every picture with every prototype.
        images: the N pictures, with labels for the frames and the purity.

    Raises:
        ValueError: scores that do not fit the pictures.
    """

    def __init__(self, scores_by_name: Mapping[str, Tensor], images: ImageSet) -> None:
        _check(scores_by_name, images)
        self.images = images
        self.scores = {name: scores.detach().float().cpu() for name, scores in scores_by_name.items()}
        self.owner = {name: scores.argmax(dim=1) for name, scores in self.scores.items()}
        self.kinds = {"species": images.labels} | ({} if images.coarse is None else {"genus": images.coarse})
        self.purities = {
            name: {kind: purity(owner, labels, self.scores[name].shape[1]) for kind, labels in self.kinds.items()}
            for name, owner in self.owner.items()
        }
        self.alive = {name: int((found["species"].sizes > 0).sum()) for name, found in self.purities.items()}
        most, names = max(self.alive.values()), list(self.scores)
        orders = [(words, kind) for kind, words in ORDERS.items() if kind in ("largest", *self.kinds)]
        controls: list[dict[str, object]] = [
            {"method": choice("Prototypes of", names), "order": choice("In order of", orders)},
            {"place": slider(f"Place in this order (1 to {most})", 1, 1, most, 1)},
        ]
        states: list[dict[str, object]] = [{"method": name} for name in names[:2]]
        states += [{"order": "species"}, {"place": most}]
        super().__init__(self._compose, controls, states=states, title="What does a prototype stand for?")

    def ordered(self, method: str, order: str) -> Tensor:
        """The prototypes that have pictures, (A,), the first in the order first."""
        sizes = self.purities[method]["species"].sizes
        key = sizes.float() / (sizes.sum() + 1)  # below 1: it parts those that are equally pure
        if order != "largest":
            key = key + torch.where(sizes < LEAST, 0.0, 10.0 * self.purities[method][order].shares)
        return key.argsort(descending=True, stable=True)[: self.alive[method]]

    def members(self, method: str, prototype: int) -> Tensor:
        """The pictures of a prototype, nearest first."""
        own = (self.owner[method] == prototype).nonzero()[:, 0]
        return own[self.scores[method][own, prototype].argsort(descending=True, stable=True)]

    def _compose(self, method: str, order: str, place: int) -> NDArray:
        ranked = self.ordered(method, order)
        place = min(place, len(ranked))  # another method may have more prototypes with pictures
        prototype = int(ranked[place - 1])
        canvas = Canvas(TOP + LINES * BLOCK + STRIP + 50)
        canvas.write(f"place {place} of {len(ranked)}", canvas.picture.width - MARGIN, 8, SMALL, QUIET, anchor="ra")
        self._headline(canvas, method, prototype)
        self._tiles(canvas, method, prototype)
        self._strip(canvas, method, ranked, place, top=TOP + LINES * BLOCK + 8)
        return canvas.array()

    def _headline(self, canvas: Canvas, method: str, prototype: int) -> None:
        """How many pictures, and how pure, beside the mean over all prototypes and what shuffled labels would give."""
        found = self.purities[method]
        count = int(found["species"].sizes[prototype])
        canvas.write(f"Prototype {prototype}: {count} picture{'s' if count != 1 else ''}", MARGIN, 6, TITLE, bold=True)
        for line, (kind, each) in enumerate(found.items()):
            y = 36 + 28 * line
            words = f"{kind}: {100 * float(each.shares[prototype]):.0f} % {self._majority(kind, each, prototype)}"
            canvas.write(words, MARGIN, y, room=560)
            rest = f"all prototypes {100 * each.overall:.0f} % (shuffled labels {100 * each.chance:.0f} %)"
            canvas.write(rest, canvas.picture.width - MARGIN, y, SMALL, QUIET, anchor="ra")

    def _majority(self, kind: str, found: Purity, prototype: int) -> str:
        names = self.images.classes if kind == "species" else self.images.coarse_classes
        label = int(found.majority[prototype])
        return names[label] if label >= 0 else ""

    def _tiles(self, canvas: Canvas, method: str, prototype: int) -> None:
        """Its nearest pictures; a frame and a sign say whether they are of its commonest species or genus."""
        for place, picture in enumerate(self.members(method, prototype)[: COLUMNS * LINES].tolist()):
            x = MARGIN + 5 + (place % COLUMNS) * (SIDE + 15)
            y = TOP + (place // COLUMNS) * BLOCK
            sign, colour = self._kin(method, prototype, picture)
            canvas.put(tile(self.images.images[picture], SIDE), x, y, frame=colour)
            canvas.write(epithet(self.images, picture), x - 4, y + SIDE + 7, SMALL, room=SIDE + 14)
            words = f"{sign} {genus_name(self.images, picture)}"
            canvas.write(words, x - 4, y + SIDE + 27, SMALL, QUIET, room=SIDE + 14)

    def _kin(self, method: str, prototype: int, picture: int) -> tuple[str, Color]:
        if int(self.images.labels[picture]) < 0:
            return "?", QUIET
        found = self.purities[method]
        if int(self.images.labels[picture]) == int(found["species"].majority[prototype]):
            return "✓", GREEN
        coarse = self.images.coarse
        if coarse is not None and int(coarse[picture]) == int(found["genus"].majority[prototype]):
            return "≈", AMBER
        return "✗", RED

    def _strip(self, canvas: Canvas, method: str, ranked: Tensor, place: int, top: int) -> None:
        """Every prototype as a bar, as high as it has pictures, filled as far as its commonest species goes."""
        found = self.purities[method]["species"]
        sizes, shares = found.sizes[ranked].tolist(), found.shares[ranked].tolist()
        left, wide = MARGIN, canvas.picture.width - 2 * MARGIN
        pitch = min(24.0, wide / len(sizes))
        bottom, high = top + STRIP, max(sizes)
        for i, (size, share) in enumerate(zip(sizes, shares, strict=True)):
            x, end = round(left + i * pitch), round(left + (i + 1) * pitch) - (2 if pitch > 5 else 1)
            tall = round((STRIP - 14) * size / high)
            canvas.pen.rectangle((x, bottom - tall, end, bottom), fill=(205, 205, 205))
            canvas.pen.rectangle((x, bottom - round(tall * share), end, bottom), fill=BLUE)
            if i == place - 1:
                middle = (x + end) // 2
                canvas.pen.polygon([(middle - 7, top - 4), (middle + 7, top - 4), (middle, top + 6)], fill=RED)
        words = f"a bar a prototype: grey its pictures (at most {high}), blue those of its commonest species"
        canvas.write(f"{words}; {found.sizes.eq(0).sum()} have none", MARGIN, bottom + 12, SMALL, QUIET)


def _check(scores_by_name: Mapping[str, Tensor], images: ImageSet) -> None:
    if not scores_by_name:
        raise ValueError("scores_by_name is empty: give at least one method's, {'SwAV': prototype_scores(...)}")
    for name, scores in scores_by_name.items():
        if scores.dim() != 2 or len(scores) != len(images) or not scores.shape[1]:
            raise ValueError(
                f"scores of {name!r} have shape {tuple(scores.shape)}; these pictures need ({len(images)}, K)"
            )
