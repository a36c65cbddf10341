"""Holes for inpainting, (B, S, S) bool, True where a picture is to be filled in: pure functions of draws.

One square in the middle or anywhere, several small squares, or a region of any shape (context encoders, arXiv
1604.07379, section 3.3). Unlike the masks of patches in masks.py they know no grid.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from fgssl_edu.config import suggestion
from fgssl_edu.draws import uniform

PLACES = ("centre", "random", "blocks", "region")
BLOCKS = 8  # squares of "blocks", which may overlap; the paper gives no number
CELLS = 8  # of the noise a region is cut from, along a side: 128 px times .06 in pathak22/context-encoder


def square_side(size: int, share: float) -> int:
    """Side of a square of `share` of the area of a picture of `size` px: 16 of 32 px at .25."""
    return max(1, round(size * math.sqrt(share)))


def square_holes(corners: Tensor, size: int, side: int) -> Tensor:
    """Squares of `side` px with their upper left corners at (B, n, 2), in pixels; their union, (B, size, size)."""
    pixel = torch.arange(size, device=corners.device)
    inside = (pixel >= corners[..., None]) & (pixel < corners[..., None] + side)  # (B, n, 2, size)
    return (inside[:, :, 0, :, None] & inside[:, :, 1, None, :]).any(dim=1)


def region_holes(noise: Tensor, size: int, share: float) -> Tensor:
    """The lowest `share` of a smooth random field, (B, size, size).

    Deviation: the released code cuts one field at .25 and draws windows until 20 to 30 % of one are hidden, the same
    for all images of a batch; here each image has a field of its own and exactly its share.

    Args:
        noise: uniform, (B, CELLS * CELLS), enlarged bicubically.
    """
    field = F.interpolate(noise.view(-1, 1, CELLS, CELLS), (size, size), mode="bicubic", align_corners=False)
    order = field.flatten(1).argsort(dim=1, stable=True)[:, : round(share * size**2)]
    hidden = torch.zeros(len(noise), size**2, dtype=torch.bool, device=noise.device)
    return hidden.scatter_(1, order, True).view(-1, size, size)


def holes(place: str, share: float, size: int, seed: int, step: int, index: Tensor) -> Tensor:
    """The hole of each image of a batch.

    Args:
        place: "centre", one square in the middle; "random", one anywhere; "blocks", 8 small squares anywhere, which
            overlap and so hide less than `share`; "region", of any shape.
        share: of the picture's area, above 0 and below 1.
        size: of the picture, pixels.
        seed, step, index: of the draws.

    Returns:
        (B, size, size) bool, on the device of `index`.
    """
    check_hole(place, share)
    if place == "region":
        return region_holes(uniform(seed, step, index, "hole/region", CELLS**2), size, share)
    count = BLOCKS if place == "blocks" else 1
    side = square_side(size, share / count)
    draw = uniform(seed, step, index, "hole/corner", 2 * count).view(-1, count, 2)
    if place == "centre":
        draw = torch.full_like(draw, 0.5)
    return square_holes((draw * (size - side + 1)).floor(), size, side)


def shrunk(hole: Tensor, pixels: int) -> Tensor:
    """A hole less the band of `pixels` along its edge; what lies outside of the picture is no edge."""
    seen = F.max_pool2d((~hole).float()[:, None], 2 * pixels + 1, stride=1, padding=pixels)[:, 0]
    return seen < 0.5


def check_hole(place: str, share: float) -> None:
    """Refuse a kind of hole that there is none of, and a share that leaves nothing to see or nothing to fill."""
    if place not in PLACES:
        raise ValueError(f"place={place!r} is unknown{suggestion(place, list(PLACES))}: use one of {', '.join(PLACES)}")
    if not 0 < share < 1:
        raise ValueError(
            f"hole={share}: the share of a picture that is cut out lies between 0 and 1; the paper has .25"
        )
