"""Nine tiles of a picture, and what keeps a puzzle of them from being solved without looking at what they show.

A puzzle can be solved by shortcuts: edges that go on from tile to tile, brightness that changes over the sky, the
colour fringes of a lens. Each trick against one is a function of given draws, and a switch of `Tiling` (Doersch et al.,
arXiv 1505.05192, section 3; Noroozi and Favaro, arXiv 1603.09246, section 4).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fgssl_edu.draws import uniform
from fgssl_edu.views.aberration import aberrate
from fgssl_edu.views.augment import Augment, draw_channel
from fgssl_edu.views.color import DROPPED, color_drop, grayscale
from fgssl_edu.views.presets import ViewPreset

GRID = 3  # tiles in a row and in a column
TILES = GRID * GRID
FLAT = 1 / 255  # a tile that varies by less than a grey level is not stretched to noise
SMALLEST = 4  # pixels of a tile: below, nothing is left of it after an encoder's strides
LARGEST_LENS = 0.1
NOISE = 0.01  # half width of the noise in a dropped channel: a constant one would be blown up by normalisation


def tile_corners(offsets: Tensor, tile: int, gap: int, jitter: int) -> Tensor:
    """Where the tiles of a 3 x 3 grid begin, with a gap between them and each moved by itself.

    Two neighbours are at least gap - 2 jitter px apart, and gap px where jitter is 0.

    Args:
        offsets: (B, 9, 2) draws in [0, 1).
        tile: side of a tile in pixels; a cell of the grid is tile + gap.
        gap: pixels between tiles that are not moved.
        jitter: most pixels by which a tile moves, each way; at most half the gap, so that none leaves its cell.

    Returns:
        (B, 9, 2) int64 top and left, row by row, in a picture of side 3 (tile + gap).
    """
    if not 0 <= 2 * jitter <= gap:
        raise ValueError(overlap(gap, jitter))
    rows = torch.arange(GRID, device=offsets.device) * (tile + gap)
    cells = torch.cartesian_prod(rows, rows) + gap // 2  # (9, 2)
    return cells + (offsets * (2 * jitter + 1)).floor().long() - jitter


def overlap(gap: int, jitter: int) -> str:
    """What is wrong with so much jitter."""
    return f"jitter={jitter} px each way in a gap of {gap} px: at most half the gap, or tiles overlap"


def cut_tiles(images: Tensor, corners: Tensor, tile: int) -> Tensor:
    """Cut squares out of pictures.

    Args:
        images: (B, 3, H, W).
        corners: (B, n, 2) top and left, or (B, n, 3, 2), one for each channel; beyond the border its pixels repeat.
        tile: side in pixels.

    Returns:
        (B, n, 3, tile, tile).
    """
    reach = torch.arange(tile, device=images.device)
    last = torch.tensor(images.shape[2:], device=images.device)[:, None] - 1
    rows, columns = (corners[..., None] + reach).clamp(min=0).minimum(last).unbind(dim=-2)  # (B, n, [3,] tile) each
    image = torch.arange(len(images), device=images.device)[:, None, None, None]
    if corners.dim() == 4:
        channel = torch.arange(3, device=images.device)[:, None, None]
        return images[image[..., None], channel, rows[..., :, None], columns[..., None, :]]
    pixels = images.permute(0, 2, 3, 1)  # channels last, as the index below leaves them
    return pixels[image, rows[..., :, None], columns[..., None, :]].permute(0, 1, 4, 2, 3)


def normalize_tiles(tiles: Tensor) -> Tensor:
    """Mean 0 and standard deviation 1 for each channel of each tile, (..., 3, h, w): brightness tells no place."""
    std, mean = torch.std_mean(tiles, dim=(-2, -1), correction=0, keepdim=True)
    return (tiles - mean) / std.clamp(min=FLAT)


def drop_colors(tiles: Tensor, keep: Tensor, noise: Tensor, chosen: Tensor) -> Tensor:
    """Keep one channel of the tiles of chosen pictures, less its mean, and fill the others with faint noise.

    Args:
        tiles: (B, n, 3, h, w) in [0, 1].
        keep: (B,) channel, 0 to 2.
        noise: (B, 3, h, w) draws in [0, 1), the same for all tiles of a picture.
        chosen: (B,) bool.

    Returns:
        (B, n, 3, h, w) around .5, the others as they were.
    """
    count = tiles.shape[1]
    centered = (tiles - tiles.mean(dim=(-2, -1), keepdim=True) + DROPPED).flatten(0, 1)
    faint = (DROPPED + NOISE * (2 * noise - 1)).repeat_interleave(count, dim=0)  # (Bn, 3, h, w)
    dropped = color_drop(centered, keep.repeat_interleave(count), faint).view_as(tiles)
    return torch.where(chosen[:, None, None, None, None], dropped, tiles)


@dataclass(frozen=True)
class Tiling:
    """How nine tiles are cut from a picture; every trick against a shortcut has its switch.

    Attributes:
        preset: of the view that is cut up.
        tile: side of a tile, pixels.
        gap: pixels between tiles, 0 lets edges meet.
        jitter: pixels that a tile is moved each way, 0 none.
        per_tile_norm: bring each tile to mean 0 and deviation 1.
        gray: share of the pictures that are made grey.
        color_drop: share of the pictures of whose tiles one channel is kept.
        channel_jitter: pixels that each channel of each tile is moved each way, 0 none: no fringe then tells a place.
        lens: shortcut: red is magnified by this share before the cut, and blue made smaller; 0 none.
    """

    preset: ViewPreset
    tile: int
    gap: int
    jitter: int
    per_tile_norm: bool
    gray: float
    color_drop: float
    channel_jitter: int = 0
    lens: float = 0.0

    def __post_init__(self) -> None:
        for name, least in (("tile", SMALLEST), ("gap", 0), ("jitter", 0), ("channel_jitter", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(f"{name}={value!r}: a whole number of pixels, {least} or more")
        for name in ("gray", "color_drop"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}={getattr(self, name)!r}: a share of the pictures, 0 to 1")
        if not -LARGEST_LENS <= self.lens <= LARGEST_LENS:
            raise ValueError(f"lens={self.lens!r}: a share, at most {LARGEST_LENS} up or down; good lenses have .001")
        if 2 * self.jitter > self.gap:
            raise ValueError(overlap(self.gap, self.jitter))

    @property
    def side(self) -> int:
        """Of the view that the tiles are cut from, pixels."""
        return GRID * (self.tile + self.gap)

    def __call__(self, images: Tensor, seed: int, step: int, index: Tensor) -> Tensor:
        """The tiles of (B, 3, H, W) pictures in their own order, (B, 9, 3, tile, tile): in [0, 1], or normalised."""
        index = index.to(images.device)
        tiles = cut_tiles(self.view(images, seed, step, index), self.corners(seed, step, index), self.tile)
        if self.color_drop:
            noise = uniform(seed, step, index, "tiles/noise", 3 * self.tile**2).view(-1, 3, self.tile, self.tile)
            chosen = uniform(seed, step, index, "tiles/drop", 1)[:, 0] < self.color_drop
            tiles = drop_colors(tiles, draw_channel(seed, step, index, "tiles"), noise, chosen)
        return normalize_tiles(tiles) if self.per_tile_norm else tiles

    def view(self, images: Tensor, seed: int, step: int, index: Tensor) -> Tensor:
        """What is cut up, (B, 3, side, side) in [0, 1]."""
        view = Augment(self.preset, self.side)(images, seed, step, index, "tiles")
        if self.lens:
            view = aberrate(view, self.lens, -self.lens)
        if self.gray:
            view = grayscale(view, uniform(seed, step, index, "tiles/gray", 1)[:, 0] < self.gray)
        return view

    def corners(self, seed: int, step: int, index: Tensor) -> Tensor:
        """Where it is cut, (B, 9, 2) top and left; (B, 9, 3, 2) where channels are moved."""
        offsets = uniform(seed, step, index, "tiles/offsets", 2 * TILES).view(-1, TILES, 2)
        corners = tile_corners(offsets, self.tile, self.gap, self.jitter)
        if not self.channel_jitter:
            return corners
        moves = uniform(seed, step, index, "tiles/channels", 6 * TILES).view(-1, TILES, 3, 2)
        return corners[:, :, None] + (moves * (2 * self.channel_jitter + 1)).floor().long() - self.channel_jitter
