"""Chromatic aberration: a lens bends red less than blue, so that colour fringes tell how far from the middle a tile is.

Doersch et al. (arXiv 1505.05192, section 3.1) found networks that solved context prediction by it alone. Rendered
pictures have none; here it is planted, measured, and taken away.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fgssl_edu.views.color import as_float

FRINGE = (-1.0, 2.0, -1.0)  # green against red and blue: what both fringes have in common
SLIGHT = 1e-6  # keeps the shift of a flat tile finite


def aberrate(images: Tensor, red: float, blue: float) -> Tensor:
    """Magnify red and blue about the middle of the picture, green stays.

    Args:
        images: (B, 3, H, W).
        red, blue: share, -.1 to .1; .01 moves a place 30 px from the middle by .3 px outwards.
    """
    images = as_float(images)
    zoom = 1 / (1 + images.new_tensor([red, 0.0, blue]))  # where a pixel of the result is taken from
    theta = torch.zeros(3, 2, 3, dtype=images.dtype, device=images.device)
    theta[:, 0, 0] = theta[:, 1, 1] = zoom
    channels = images.transpose(0, 1)  # (3, B, H, W): one sampling grid for each channel
    grid = F.affine_grid(theta, list(channels.shape), align_corners=False)
    sampled = F.grid_sample(channels, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return sampled.transpose(0, 1)


def channel_shifts(tiles: Tensor) -> Tensor:
    """By how many pixels red and blue are shifted against green in each tile (Lucas and Kanade's least squares).

    Args:
        tiles: (n, 3, h, w); each channel is brought to mean 0 and deviation 1 first.

    Returns:
        (n, 4): red down, red right, blue down, blue right; 0 where the channels are equal.
    """
    std, mean = torch.std_mean(tiles.float(), dim=(2, 3), correction=0, keepdim=True)
    red, green, blue = ((tiles - mean) / std.clamp(min=SLIGHT)).unbind(dim=1)  # (n, h, w)
    down, right = torch.gradient(green, dim=(1, 2))
    slopes = torch.stack([down, right], dim=-1).flatten(1, 2)  # (n, hw, 2)
    normal = slopes.mT @ slopes + SLIGHT * torch.eye(2, device=tiles.device)
    apart = torch.stack([green - red, green - blue], dim=-1).flatten(1, 2)  # red(x) = green(x - shift)
    return torch.linalg.solve(normal, slopes.mT @ apart).mT.flatten(1)  # (n, 2, 2) colour, axis


def projection() -> Tensor:
    """The 3 x 3 matrix that takes what green has against red and blue out of a colour (rank 2; greys stay).

    It closes the leak only where red and blue are shifted together; where they go apart, dropping channels does.
    """
    fringe = torch.tensor(FRINGE)
    return torch.eye(3) - fringe[:, None] * fringe / fringe.square().sum()
