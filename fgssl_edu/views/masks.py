"""Which patches of a picture are hidden, (B, n) bool, True where hidden: pure functions of draws.

Patches count row by row in a square grid of `side` x `side` = n. Every kind hides equally many patches of each image,
so that what stays visible is a tensor: random (MAE, arXiv 2111.06377), squares (SimMIM, 2111.09886), blocks (BEiT,
2106.08254), and two without chance, centre and grid.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fgssl_edu.config import suggestion
from fgssl_edu.draws import uniform

MASKS = ("random", "squares", "blocks", "centre", "grid")
BLOCKS = 32  # drawn for each image; those that come after enough patches are hidden hide nothing
SMALLEST_BLOCK = 16 / 196  # of the patches (BEiT: 16 of 14 x 14)
ELONGATION = math.log(1 / 0.3)  # log of the largest ratio of a block's sides (BEiT)
ROUNDING = 1e-9  # 100 x (1 - .9) is 9.999..., and 10 is meant


def hidden_count(patches: int, ratio: float) -> int:
    """Patches that a ratio hides, n - int(n (1 - ratio)) as in MAE's code: 147 of 196 at .75.

    Raises:
        ValueError: nothing would stay visible, or nothing be hidden.
    """
    hidden = patches - int(patches * (1 - ratio) + ROUNDING)
    if not 0 < hidden < patches:
        raise ValueError(
            f"mask_ratio={ratio} hides {hidden} of {patches} patches: at least one must be hidden, one stay visible; "
            "choose a ratio nearer to .75, smaller patches or larger views"
        )
    return hidden


def hidden_squares(cells: int, ratio: float) -> int:
    """Cells that a ratio hides, ceil(ratio cells) as in SimMIM's code; ValueError where that is none or all."""
    count = math.ceil(ratio * cells - ROUNDING)
    if not 0 < count < cells:
        raise ValueError(f"mask_ratio={ratio} hides {count} of {cells} cells: choose smaller cells or another ratio")
    return count


def hide(priority: Tensor, count: int) -> Tensor:
    """(B, n) bool, True at the `count` largest of (B, n); of equal ones the later are hidden."""
    order = priority.argsort(dim=1, stable=True)  # (B, n) visible ones first
    return torch.zeros_like(order, dtype=torch.bool).scatter_(1, order[:, priority.shape[1] - count :], True)


def visible(mask: Tensor) -> Tensor:
    """Positions that stay visible, (B, n) bool -> (B, m) int64, ascending; every image must have m of them."""
    return (~mask).nonzero()[:, 1].view(len(mask), -1)


def square_mask(noise: Tensor, ratio: float, cell: int) -> Tensor:
    """Hide ceil(ratio cells) square cells of `cell` x `cell` patches, those of the largest noise (SimMIM).

    Args:
        noise: one number a cell, (B, cells), cells in a square grid.
        ratio: 30 of 49 cells at .6.
        cell: patches along a cell.
    """
    batch, cells = noise.shape
    side = math.isqrt(cells)
    mask = hide(noise, hidden_squares(cells, ratio)).view(batch, side, side)
    return mask.repeat_interleave(cell, dim=1).repeat_interleave(cell, dim=2).flatten(1)


def block_mask(draws: Tensor, side: int, count: int) -> Tensor:
    """Hide rectangles one after the other until `count` patches are hidden; of the last one as much as is needed.

    BEiT's law: area uniform from 16/196 of the patches, log of the ratio of sides uniform. Deviation: BEiT draws the
    area up to what is still to be hidden and drops a block that hides too much, so that its counts differ; here it is
    drawn up to `count` and the last block is cut.

    Args:
        draws: uniform, (B, blocks, 4): area, ratio, top, left.
        side: patches along the picture.
        count: patches to hide.
    """
    least = min(SMALLEST_BLOCK * side**2, count)
    area = least + draws[..., 0] * (count - least)
    stretch = (ELONGATION * (2 * draws[..., 1] - 1) / 2).exp()  # square root of height over width
    lengths = torch.stack([area.sqrt() * stretch, area.sqrt() / stretch], dim=2).round().clamp(1, side)  # (B, R, 2)
    start = (draws[..., 2:] * (side - lengths + 1)).floor()  # (B, R, 2) top, left
    places = torch.arange(side, device=draws.device)
    inside = (places >= start[..., None]) & (places < (start + lengths)[..., None])  # (B, R, 2, side)
    covered = inside[:, :, 0, :, None] & inside[:, :, 1, None, :]  # (B, R, side, side)
    number = torch.arange(draws.shape[1], 0, -1, device=draws.device)[:, None, None]  # the first block counts most
    return hide((covered * number).amax(dim=1).flatten(1), count)


def centre_mask(side: int, count: int) -> Tensor:
    """Hide the patches nearest to the centre, (1, n): the ring that stays knows little of what is within."""
    place = torch.arange(side) - (side - 1) / 2
    farthest = torch.maximum(place.abs()[:, None], place.abs()[None, :])  # squares, not circles
    nearest = -(farthest + 1e-3 * (place[:, None] ** 2 + place[None, :] ** 2))
    return hide(nearest.flatten()[None], count)


def grid_mask(side: int, count: int) -> Tensor:
    """Keep patches as evenly spread as can be, (1, n): at .5 a chessboard, at .75 one of each 2 x 2.

    They are kept in the order of Bayer's threshold matrix, as printers set dots.
    """
    order = torch.zeros(1, 1, dtype=torch.long)
    while len(order) < side:
        order = torch.cat([torch.cat([4 * order, 4 * order + 2], 1), torch.cat([4 * order + 3, 4 * order + 1], 1)])
    return hide(order[:side, :side].reshape(1, -1), count)


def draw_mask(
    seed: int, step: int, index: Tensor, purpose: str, kind: str, side: int, ratio: float, cell: int = 2
) -> Tensor:
    """A mask for each image, (B, side * side) bool, True where hidden.

    Args:
        seed, step, index, purpose: as for `draws.uniform`; index (B,).
        kind: one of MASKS.
        side: patches along the picture.
        ratio: share that is hidden, see `hidden_count`.
        cell: of squares: patches along a cell.
    """
    check_mask(kind, side, ratio, cell)
    if kind == "squares":
        noise = uniform(seed, step, index, f"{purpose}/mask", (side // cell) ** 2)
        return square_mask(noise, ratio, cell)
    count = hidden_count(side**2, ratio)
    if kind == "random":
        return hide(uniform(seed, step, index, f"{purpose}/mask", side**2), count)
    if kind == "blocks":
        draws = uniform(seed, step, index, f"{purpose}/mask", 4 * BLOCKS).view(-1, BLOCKS, 4)
        return block_mask(draws, side, count)
    mask = centre_mask(side, count) if kind == "centre" else grid_mask(side, count)
    return mask.expand(len(index), -1).to(index.device)


def check_mask(kind: str, side: int, ratio: float, cell: int = 2) -> None:
    """Refuse an unknown kind, a ratio that hides all or nothing, and cells that do not fill the picture."""
    if kind not in MASKS:
        raise ValueError(f"mask={kind!r}{suggestion(kind, list(MASKS))}: choose one of {', '.join(MASKS)}")
    if kind != "squares":
        hidden_count(side**2, ratio)
    elif cell < 1 or side % cell:
        raise ValueError(f"cells of {cell} patches do not fill {side} patches: choose a divisor of {side}")
    else:
        hidden_squares((side // cell) ** 2, ratio)


def mean_distance(mask: Tensor, side: int) -> Tensor:
    """Mean distance of a hidden patch from the nearest visible one, in patches, (B, n) -> (B,); 1 at least."""
    row, column = torch.arange(side**2) // side, torch.arange(side**2) % side
    apart = torch.hypot((row[:, None] - row).float(), (column[:, None] - column).float()).to(mask.device)  # (n, n)
    nearest = apart.expand(len(mask), -1, -1).masked_fill(mask[:, None], torch.inf).amin(dim=2)  # (B, n); 0 if visible
    return nearest.sum(dim=1) / mask.sum(dim=1)
