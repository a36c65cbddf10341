"""What a transformer's tokens look at, and what its patches are alike in: two encoders on one picture.

A row an encoder: the attention of one token in the last block, the fewest patches that hold a share of it, and all
patches coloured by their first three components. Scored on the true bird where there is one; nothing here is trained on
it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from fgssl_edu.data.image_set import ImageSet, Splits
from fgssl_edu.evaluate.attention import foreground_energy
from fgssl_edu.explain.attention import (
    first_component_mask,
    heaviest,
    looked_at,
    mask_iou,
    patch_colours,
    patch_maps,
    self_attention,
)
from fgssl_edu.gradcam import normalize_map
from fgssl_edu.nets.encoders import Encoder
from fgssl_edu.nets.vit import VisionTransformer
from fgssl_edu.panels.canvas import MARGIN, TEXT, Canvas, heat_tile, outline, tile
from fgssl_edu.panels.controls import choice, slider
from fgssl_edu.panels.neighbours import species_name
from fgssl_edu.panels.panel import Panel

GALLERY = 15  # pictures beside the one shown whose patches share its components: colours then mean the same in all
SIDE, GAP = 172, 12  # pixels of a tile, and between two
FIRST, SECOND = 62, 286  # where the rows of A and B begin, pixels from the top
TABLE_LEFT = MARGIN + 4 * (SIDE + GAP)
DARK = 0.25  # of the brightness of what is not among the heaviest patches
QUERY = (255, 255, 255)  # frame of the patch that looks


@dataclass(frozen=True)
class Look:
    """One encoder on one picture.

    Attributes:
        heads: (heads, h, w) at least 0, what the token looks at.
        shown: (h, w) of the chosen head, or of their mean.
        kept: (h, w) bool, the fewest patches that hold the mass.
        colours: (3, h, w) in [0, 1], black off `taken`.
        taken: (h, w) bool, on the object's side of the first component.
    """

    heads: Tensor
    shown: Tensor
    kept: Tensor
    colours: Tensor
    taken: Tensor


class AttentionHeads(Panel):
    """Attention and patch components of two transformers.

    Args:
        encoders: by name, of one patch size; the first two are A and B to begin with. Each is left in the mode it was.
        splits: pictures come from `test`.
        size: side in pixels at which encoders see pictures; None for the stored one. A multiple of the patch.

    Raises:
        ValueError: fewer than two encoders, one that is no transformer, unlike patches, or no pictures.
    """

    def __init__(self, encoders: Mapping[str, Encoder], splits: Splits, size: int | None = None) -> None:
        strangers = [name for name, encoder in encoders.items() if not isinstance(encoder, VisionTransformer)]
        patches = {encoder.patch for encoder in encoders.values() if isinstance(encoder, VisionTransformer)}
        if len(encoders) < 2 or strangers or len(patches) != 1 or not len(splits.test):
            raise ValueError(
                f"encoders={list(encoders)}: two transformers at least, of one patch size, and test pictures; no "
                f"transformer: {', '.join(strangers) or 'none'}; patches: {sorted(patches)} px; "
                f"pictures: {len(splits.test)}"
            )
        self.encoders: dict[str, VisionTransformer] = dict(encoders)  # type: ignore[arg-type]
        self.images: ImageSet = splits.test
        self.size = size or splits.test.size - splits.test.size % patches.pop()
        first = next(iter(self.encoders.values()))
        self.grid = first.grid_of(torch.empty(1, 3, self.size, self.size))
        self.gallery = lru_cache(maxsize=8)(self._gallery)
        middle: dict[str, object] = {"row": self.grid[0] // 2, "column": self.grid[1] // 2}
        states: list[dict[str, object]] = [{}, {"head": 1}, {"mass": 0.9}, middle]
        super().__init__(self._compose, self._controls(), states=states, title="Who looks where, and what is alike?")

    def _controls(self) -> list[dict[str, object]]:
        names, last = list(self.encoders), len(self.images) - 1
        fewest = min(encoder.heads for encoder in self.encoders.values())
        heads = [("mean of all", 0), *((f"head {i}", i) for i in range(1, fewest + 1))]
        return [
            {
                "picture": slider(f"Picture (0 to {last})", 0, 0, last, 1),
                "a": choice("Encoder A", names, names[0]),
                "b": choice("Encoder B", names, names[1]),
            },
            {"head": choice("Head", heads), "mass": slider("Mass kept", 0.6, 0.05, 1.0, 0.05)},
            {
                "row": slider("Who looks: row (0: CLS)", 0, 0, self.grid[0], 1),
                "column": slider("column", 1, 1, self.grid[1], 1),
            },
        ]

    def _gallery(self, name: str) -> Tensor:
        """(GALLERY, D, h, w): patches of pictures that are the same whatever is shown."""
        return patch_maps(self.encoders[name], self.images.images[-GALLERY:], self.size)

    def look(self, name: str, picture: int, head: int, mass: float, query: int | None) -> Look:
        """What one encoder shows of a picture; head 0 is the mean of all, query None is CLS."""
        pixels, encoder = self.images.images[[picture]], self.encoders[name]
        heads = looked_at(self_attention(encoder, pixels, self.size), self.grid, query)[0]
        shown = heads.mean(dim=0) if head == 0 else heads[head - 1]
        maps = torch.cat([patch_maps(encoder, pixels, self.size), self.gallery(name)])
        taken = first_component_mask(maps)
        return Look(heads, shown, heaviest(shown, mass), patch_colours(maps, taken)[0], taken[0])

    def _compose(
        self, picture: int, a: str, b: str, head: int, mass: float, row: int, column: int
    ) -> NDArray[np.uint8]:
        query = None if row == 0 else (row - 1) * self.grid[1] + column - 1
        looks = [self.look(name, picture, head, mass, query) for name in (a, b)]
        canvas = Canvas(SECOND + SIDE + 50)
        who = "CLS looks at" if query is None else "Patch looks at"
        for place, words in enumerate(("Picture", who, f"{mass:.0%} of it", "Patches alike")):
            canvas.write(words, _left(place), 8, TEXT, bold=True, room=SIDE + GAP)
        pixels = self.images.images[picture]
        canvas.put(self._framed(self._outlined(tile(pixels, SIDE), picture), query), _left(0), FIRST)
        canvas.write("A, head by head", _left(0), SECOND - 26, bold=True)
        canvas.put(heads_tile(pixels, looks[0].heads), _left(0), SECOND)
        for look, name, letter, top in zip(looks, (a, b), "AB", (FIRST, SECOND), strict=True):
            canvas.write(f"{letter}: {name}", _left(1), top - 26, bold=True, room=3 * SIDE)
            canvas.put(self._framed(heat_tile(pixels, normalize_map(look.shown[None])[0], SIDE), query), _left(1), top)
            canvas.put(self._outlined(kept_tile(pixels, look.kept), picture), _left(2), top)
            colours = Image.fromarray((look.colours.permute(1, 2, 0).numpy() * 255).astype(np.uint8))
            canvas.put(self._outlined(colours.resize((SIDE, SIDE), Image.Resampling.NEAREST), picture), _left(3), top)
        canvas.write(species_name(self.images, picture), MARGIN, SECOND + SIDE + 12, bold=True, room=3 * SIDE)
        self._table(canvas, looks, picture)
        return canvas.array()

    def _table(self, canvas: Canvas, looks: list[Look], picture: int) -> None:
        """How much of each map is on the true bird, and how well the first component finds it."""
        rows = [("patches kept", [str(int(look.kept.sum())) for look in looks])]
        if self.images.foreground is None:
            canvas.table(TABLE_LEFT, FIRST, "Attention", rows, f"of {math.prod(self.grid)}")
            return
        truth = self.images.foreground[[picture]]
        scores = [foreground_energy(look.shown[None], truth) for look in looks]
        area = float((truth / 255).mean())
        rows += [
            ("on the bird", [f"{100 * score.value:.0f} %" for score in scores]),
            ("over its area", [f"× {score.value / area:.1f}" for score in scores]),
            ("alike: overlap", [f"{float(mask_iou(look.taken[None], truth)):.2f}" for look in looks]),
        ]
        canvas.table(TABLE_LEFT, FIRST, "The bird", rows, "overlap: colours with", "the outlined bird, IoU")

    def _outlined(self, picture: Image.Image, number: int) -> Image.Image:
        """With the true bird's border, where it is known."""
        return picture if self.images.foreground is None else outline(picture, self.images.foreground[number] > 127)

    def _framed(self, picture: Image.Image, query: int | None) -> Image.Image:
        """With a frame around the patch that looks; CLS has no place."""
        if query is None:
            return picture
        row, column = divmod(query, self.grid[1])
        high, wide = SIDE / self.grid[0], SIDE / self.grid[1]
        box = (column * wide, row * high, (column + 1) * wide, (row + 1) * high)
        framed = picture.copy()
        for grow, colour in ((2, (0, 0, 0)), (1, QUERY), (0, QUERY)):
            corners = (box[0] - grow, box[1] - grow, box[2] + grow, box[3] + grow)
            ImageDraw.Draw(framed).rectangle(corners, outline=colour)
        return framed


def heads_tile(pixels: Tensor, heads: Tensor) -> Image.Image:
    """Every head's map in a square of SIDE pixels, in lines; (heads, h, w), each from its least to its largest."""
    columns = math.ceil(math.sqrt(len(heads)))
    side = (SIDE - (columns - 1) * 4) // columns
    sheet = Canvas(SIDE, SIDE)
    for i, heat in enumerate(normalize_map(heads)):
        line, column = divmod(i, columns)
        sheet.put(heat_tile(pixels, heat, side), column * (side + 4), line * (side + 4))
    return sheet.picture


def kept_tile(pixels: Tensor, kept: Tensor) -> Image.Image:
    """The picture with what is not kept darkened, patch by patch; kept (h, w) bool."""
    mask = F.interpolate(kept[None, None].float(), (SIDE, SIDE), mode="nearest-exact")[0, 0].numpy()
    light = DARK + (1 - DARK) * mask[:, :, None]
    return Image.fromarray((np.asarray(tile(pixels, SIDE)) * light).astype(np.uint8))


def _left(column: int) -> int:
    return MARGIN + column * (SIDE + GAP)
