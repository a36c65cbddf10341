"""CIE Lab, where lightness and colour are apart: L from black (0) to white (100), a green to red, b blue to yellow.

sRGB is made linear (IEC 61966-2-1), taken to XYZ under D65, then to L*a*b* (CIE 15). Equal steps look about equally
large, which is why colorization (arXiv 1603.08511) measures errors there.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fgssl_edu.distributed import full_precision

# Linear sRGB -> XYZ under D65; divided by its row sums, which are D65's white, so that white is exactly (1, 1, 1)
TO_XYZ = (
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)
KNEE, SLOPE, OFFSET, POWER = 0.04045, 12.92, 0.055, 2.4  # of sRGB's curve: a line below the knee, a power above
DELTA = 6 / 29  # of Lab's: a line below DELTA^3, a cube root above


def rgb_to_lab(images: Tensor) -> Tensor:
    """sRGB to Lab.

    Args:
        images: (B, 3, H, W) float in [0, 1].

    Returns:
        (B, 3, H, W): L in [0, 100], a in about [-86, 98], b in about [-108, 94]. White is (100, 0, 0), red
        (53.2, 80.1, 67.2); grey has a = b = 0.
    """
    with full_precision():
        images = images if images.dtype == torch.float64 else images.float()
        above = ((images.clamp(min=KNEE) + OFFSET) / (1 + OFFSET)) ** POWER
        linear = torch.where(images <= KNEE, images / SLOPE, above)
        xyz = _mixed(linear, _whitened(images))
        root = torch.where(xyz > DELTA**3, xyz.clamp(min=DELTA**3) ** (1 / 3), xyz / (3 * DELTA**2) + 4 / 29)
        x, y, z = root.unbind(dim=1)
        return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)


def lab_to_rgb(lab: Tensor) -> Tensor:
    """Lab to sRGB, (B, 3, H, W) float in [0, 1]; what no screen can show is clipped."""
    with full_precision():
        lab = lab if lab.dtype == torch.float64 else lab.float()
        lightness, a, b = lab.unbind(dim=1)
        y = (lightness + 16) / 116
        root = torch.stack([y + a / 500, y, y - b / 200], dim=1)
        xyz = torch.where(root > DELTA, root**3, 3 * DELTA**2 * (root - 4 / 29))
        linear = _mixed(xyz, torch.linalg.inv(_whitened(lab))).clamp(0, 1)
        above = (1 + OFFSET) * linear.clamp(min=KNEE / SLOPE) ** (1 / POWER) - OFFSET
        return torch.where(linear <= KNEE / SLOPE, linear * SLOPE, above)


def _mixed(pixels: Tensor, matrix: Tensor) -> Tensor:
    """A (3, 3) matrix applied to the channels of (B, 3, H, W)."""
    return torch.einsum("ij,bjhw->bihw", matrix, pixels)


def _whitened(like: Tensor) -> Tensor:
    matrix = like.new_tensor(TO_XYZ)
    return matrix / matrix.sum(dim=1, keepdim=True)
