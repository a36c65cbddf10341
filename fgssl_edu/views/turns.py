"""Pictures turned by any angle: right angles exactly, the others by bilinear interpolation, which leaves its mark.

What turns a picture must not tell by how much. An interpolated picture is smoother than one whose pixels only changed
places, and a network reads that long before it reads a bird.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from fgssl_edu.views.color import as_float


def field_size(size: int, angles: Sequence[float]) -> int:
    """Side of the picture whose middle `size` pixels stay covered at every angle: 32 px need 46 at 45 degrees."""
    widest = max(abs(math.cos(math.radians(angle))) + abs(math.sin(math.radians(angle))) for angle in angles)
    side = math.ceil(size * widest - 1e-6)
    return side + (side - size) % 2  # so that the middle starts at a whole pixel


def turned(images: Tensor, angle: float, size: int, offset: float = 0.0) -> Tensor:
    """The middle of square pictures, turned counter-clockwise.

    Args:
        images: (B, 3, S, S).
        angle: degrees; multiples of 90 are made by flips and transposes, and then no pixel is interpolated.
        size: side of the middle that is kept, at most S, pixels.
        offset: pixels, to the right and down, by which the point that pictures are turned about misses their middle.
            Then all angles but 0 are interpolated, each along other axes, and show black where there is no picture: by
            half a pixel, a line along one border at 90, along two at 180, along another one at 270 degrees.

    Returns:
        (B, 3, size, size) float in [0, 1]; without offset it agrees with torchvision's rotate.
    """
    images = as_float(images)
    if images.shape[2] != images.shape[3] or size > images.shape[3]:
        raise ValueError(
            f"images of {images.shape[2]} x {images.shape[3]} px, size={size}: only squares at least as large as what "
            "is kept can be turned"
        )
    if angle % 90 or (offset and angle % 360):
        images = _interpolated(images, angle, offset)
    else:
        images = images.rot90(round(angle / 90), dims=(2, 3))
    start = (images.shape[3] - size) // 2
    return images[:, :, start : start + size, start : start + size]


def _interpolated(images: Tensor, angle: float, offset: float) -> Tensor:
    """(B, 3, S, S) turned by bilinear interpolation about a point `offset` right of and below the middle."""
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    around = 2 * offset / images.shape[3]  # the offset where a picture reaches from -1 to 1
    # A place p of the result shows the place R (p - c) + c of the picture; y points down
    rows = [[cos, -sin, around * (1 - cos + sin)], [sin, cos, around * (1 - cos - sin)]]
    matrix = torch.tensor(rows, dtype=images.dtype, device=images.device).expand(len(images), 2, 3)
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def lit_from_above(images: Tensor, strength: float) -> Tensor:
    """Brighten the top row of each picture by half of `strength`, darken the bottom row as much; (B, 3, H, W)."""
    images = as_float(images)
    ramp = torch.linspace(strength / 2, -strength / 2, images.shape[2], device=images.device)
    return (images + ramp[:, None]).clamp(0, 1)
