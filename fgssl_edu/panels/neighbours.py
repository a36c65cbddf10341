"""Nearest-neighbour browser: what does an encoder take for alike?

Precision at k says how often; the pictures say which kind of mistake: a sister species (the fine-grained question), or
the same sky.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import ipywidgets as widgets
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from fgssl_edu.data.image_set import ImageSet
from fgssl_edu.panels.canvas import AMBER, GREEN, MARGIN, QUIET, RED, SMALL, TITLE, Canvas, tile
from fgssl_edu.panels.controls import choice, slider
from fgssl_edu.panels.panel import Panel

ALL = "all, one below the other"
MOST = 10  # neighbours shown
QUERIES = 1000  # at most so many pictures give the overall precision
QUERY_SIDE, LEFT = 210, 245  # pixels: the query's tile; where the neighbours begin
KIN = {  # relation -> symbol, colour, words: never colour alone
    "species": ("✓", GREEN, "same species"),
    "genus": ("≈", AMBER, "same genus, another species"),
    "other": ("✗", RED, "another genus"),
    "unknown": ("?", QUIET, "no label"),
}


def relation(images: ImageSet, first: int, second: int) -> str:
    """How two pictures of a set are related: "species", "genus", "other", or "unknown" where a label is missing."""
    if images.labels[first] < 0 or images.labels[second] < 0:
        return "unknown"
    if images.labels[first] == images.labels[second]:
        return "species"
    same_genus = images.coarse is not None and images.coarse[first] == images.coarse[second]
    return "genus" if same_genus else "other"


def species_name(images: ImageSet, picture: int) -> str:
    """The class of a picture in words."""
    label = int(images.labels[picture])
    return images.classes[label] if label >= 0 else "no label"


def epithet(images: ImageSet, picture: int) -> str:
    """The class without its genus, where the name ends with it: short enough for a small tile."""
    name, genus = species_name(images, picture), genus_name(images, picture)
    return name.removesuffix(genus).strip() or name


def genus_name(images: ImageSet, picture: int) -> str:
    """The coarse class of a picture in words; empty where the set has none."""
    if images.coarse is None:
        return ""
    return images.coarse_classes[int(images.coarse[picture])]


def nearest(features: Tensor, query: int, count: int) -> tuple[Tensor, Tensor]:
    """Cosine similarities and positions of the nearest rows but the query itself; features unit-norm (N, D)."""
    similarity = features @ features[query]  # (N,)
    similarity[query] = -2
    best = similarity.topk(min(count, len(features) - 1))
    return best.values, best.indices


def precision(features: Tensor, labels: Tensor, count: int) -> float:
    """Share of the `count` nearest neighbours with the query's label, mean over up to 1000 queries spread over the set.

    Queries without a label (-1) are left out; 1 for features that are the labels, `chance_precision` for noise.
    """
    known = (labels >= 0).nonzero()[:, 0]
    query = known[torch.linspace(0, len(known) - 1, min(QUERIES, len(known))).long()]  # (Q,)
    similarity = features[query] @ features.T  # (Q, N)
    similarity[torch.arange(len(query)), query] = -2
    found = labels[similarity.topk(min(count, len(features) - 1)).indices]  # (Q, count)
    return float((found == labels[query][:, None]).float().mean())


def chance_precision(labels: Tensor) -> float:
    """Precision of neighbours picked blindly: mean share of the other pictures that have the query's label."""
    _, position, size = labels[labels >= 0].unique(return_inverse=True, return_counts=True)
    return float((size[position] - 1).float().mean() / (len(labels) - 1))


class NeighbourBrowser(Panel):
    """A query, its nearest neighbours under one encoder or under all, and precision at k.

    Args:
        features_by_name: encoder's name -> features of every picture, (N, D).
        images: the N pictures with their labels.

    Raises:
        ValueError: a feature table does not fit the pictures.
    """

    def __init__(self, features_by_name: Mapping[str, Tensor], images: ImageSet) -> None:
        _check(features_by_name, images)
        self.images = images
        self.features = {n: F.normalize(f.detach().float().cpu(), dim=1) for n, f in features_by_name.items()}
        self.chance = chance_precision(images.labels)
        self.overall = lru_cache(maxsize=None)(self._overall)
        names = list(self.features)
        another = widgets.Button(description="Another picture", layout=widgets.Layout(width="auto", height="34px"))
        another.on_click(self._another)
        first = {
            "query": slider(f"Query picture (0 to {len(images) - 1})", 0, 0, len(images) - 1, 1),
            "another": another,
        }
        second = {
            "encoder": choice("Encoder", [*names, ALL] if len(names) > 1 else names),
            "k": slider("Neighbours k", min(MOST, len(images) - 1), 1, min(MOST, len(images) - 1), 1),
        }
        states = [{"encoder": name} for name in names][:3] + [{"query": len(images) // 2}]
        super().__init__(self._compose, [first, second], states=states, title="Nearest neighbours")

    def _another(self, _button: widgets.Button) -> None:
        """Walk through the set by the golden section: far from the last picture, and every time the same way."""
        count = len(self.images)
        self.set(query=(int(self.controls["query"].value) + max(1, round(0.618 * count))) % count)

    def _overall(self, encoder: str, k: int) -> float:
        return precision(self.features[encoder], self.images.labels, k)

    def _compose(self, query: int, encoder: str, k: int) -> NDArray:
        names = list(self.features) if encoder == ALL else [encoder]
        side, columns, words = (93, 7, 28) if len(names) > 1 else (135, 5, 72)
        lines = 1 if len(names) > 1 else -(-k // columns)
        block = 36 + lines * (side + words + 12)
        canvas = Canvas(max(len(names) * block, QUERY_SIDE + 110) + 44)
        self._query(canvas, query)
        for i, name in enumerate(names):
            self._block(canvas, name, query, k, top=MARGIN + i * block, side=side, room=(columns, lines, words))
        _legend(canvas, self.images.coarse is not None)
        return canvas.array()

    def _query(self, canvas: Canvas, query: int) -> None:
        canvas.write("Query", MARGIN, MARGIN, TITLE, bold=True)
        canvas.put(tile(self.images.images[query], QUERY_SIDE), MARGIN, 46)
        below = canvas.write_lines(epithet(self.images, query), MARGIN, 52 + QUERY_SIDE, room=LEFT - 20, bold=True)
        canvas.write(genus_name(self.images, query), MARGIN, below, colour=QUIET, room=LEFT - 20)

    def _block(
        self, canvas: Canvas, name: str, query: int, k: int, top: int, side: int, room: tuple[int, int, int]
    ) -> None:
        """One encoder: a line of numbers, then its neighbours."""
        columns, lines, words = room
        similarity, found = nearest(self.features[name], query, k)
        kin = [relation(self.images, query, int(j)) for j in found]
        numbers = (
            f"here {kin.count('species')} of {k} ✓    all queries: precision@{k} = {self.overall(name, k):.2f}"
            f" (chance {self.chance:.2f})"
        )
        canvas.write(numbers, canvas.picture.width - MARGIN, top + 4, SMALL, anchor="ra")
        canvas.write(name, LEFT, top, TITLE, bold=True, room=230)
        for place, (j, cosine, how) in enumerate(zip(found.tolist(), similarity.tolist(), kin, strict=True)):
            if place == columns * lines:
                break
            x = LEFT + 5 + (place % columns) * (side + 14)
            y = top + 38 + (place // columns) * (side + words + 12)
            symbol, colour, _ = KIN[how]
            canvas.put(tile(self.images.images[j], side), x, y, frame=colour)
            canvas.write(f"{symbol} {cosine:.3f}", x, y + side + 6, SMALL, bold=True)
            if words > 30:
                canvas.write(epithet(self.images, j), x, y + side + 27, SMALL, room=side + 8)
                canvas.write(genus_name(self.images, j), x, y + side + 47, SMALL, QUIET, room=side + 8)


def _legend(canvas: Canvas, with_genus: bool) -> None:
    """What frames, symbols and numbers mean."""
    x, y = LEFT, canvas.picture.height - 30
    for how in ("species", "genus", "other") if with_genus else ("species", "other"):
        symbol, colour, words = KIN[how]
        words = words if with_genus or how == "species" else "another species"
        canvas.pen.rectangle((x, y + 2, x + 16, y + 18), fill=colour)
        canvas.write(f"{symbol} {words}", x + 24, y, SMALL)
        x += 70 + 9 * len(words)
    canvas.write("number: cosine", MARGIN, y, SMALL, QUIET)


def _check(features_by_name: Mapping[str, Tensor], images: ImageSet) -> None:
    if not features_by_name:
        raise ValueError("features_by_name is empty: give at least one encoder's features, {'SimCLR': extract(...)}")
    for name, features in features_by_name.items():
        if features.dim() != 2 or len(features) != len(images):
            raise ValueError(
                f"features of {name!r} have shape {tuple(features.shape)}; these pictures need ({len(images)}, D)"
            )
