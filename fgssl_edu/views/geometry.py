"""Geometric changes of a batch, each image by its own amount: pure functions of explicit parameters.

Images are (B, 3, H, W), uint8 or float in [0, 1]; results are float in [0, 1]. For the same parameter each agrees,
image by image, with torchvision.transforms.v2.functional on float images.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fgssl_edu.views.color import as_float, per_image


def _inside(start: Tensor, length: Tensor, size: int) -> Tensor:
    """(B, size) bool: pixels from start (B,) on, length (B,) of them."""
    centers = torch.arange(size, device=start.device) + 0.5
    return (centers > start[:, None]) & (centers < (start + length)[:, None])


def _resampling(start: Tensor, length: Tensor, size: int, full: int, mirror: Tensor | None = None) -> Tensor:
    """(B, size, full): row i holds the weights of the pixels that make output pixel i of one axis.

    A triangle around the output pixel's centre, one input pixel wide to each side, or one output pixel where that is
    wider (which prevents aliasing), cut at the crop's edge and normalised: bilinear interpolation with antialias=True.
    """
    scale = (length / size)[:, None]  # input pixels an output pixel
    middle = torch.arange(size, device=start.device) + 0.5
    if mirror is not None:
        middle = torch.where(mirror[:, None], middle.flip(0), middle)
    centers = start[:, None] + middle * scale  # (B, size)
    pixel = torch.arange(full, device=start.device) + 0.5
    weights = (pixel - centers[:, :, None]).abs_()  # (B, size, full), for now the distance
    weights = weights.div_(-scale.clamp(min=1)[:, None]).add_(1).clamp_(min=0)
    weights = weights.mul_(_inside(start, length, full)[:, None].to(weights.dtype))
    return weights.div_(weights.sum(dim=2, keepdim=True))


def crop_resize(images: Tensor, box: Tensor, size: int, flip: Tensor | None = None) -> Tensor:
    """Cut a box out of each image and resize it to a square (bilinear, antialiased), as two small matrix products.

    Args:
        images: (B, 3, H, W).
        box: (B, 4) top, left, height, width in whole pixels, inside the image.
        size: side of the result in pixels.
        flip: (B,) bool, mirror left-right after resizing; None mirrors none.

    Returns:
        (B, 3, size, size) float; equals torchvision's resized_crop(..., antialias=True), then horizontal_flip.
    """
    images = as_float(images)
    batch, channels, high, wide = images.shape
    start, length = box.to(images.dtype).T.reshape(2, 2 * batch)  # tops and lefts, heights and widths
    mirror = None if flip is None else torch.cat([torch.zeros_like(flip), flip])
    weights = _resampling(start, length, size, max(high, wide), mirror)  # both axes at once: (2B, size, max(H, W))
    rows, columns = weights[:batch, :, :high], weights[batch:, :, :wide]
    narrow = images.reshape(batch, channels * high, wide) @ columns.mT  # (B, 3H, size)
    return rows[:, None] @ narrow.view(batch, channels, high, size)  # (B, 3, size, size)


def resized(images: Tensor, size: int | None, device: torch.device | str = "cpu") -> Tensor:
    """Whole pictures as an encoder takes them.

    Args:
        images: (B, 3, H, W) uint8.
        size: side in pixels (antialiased bilinear), or None to keep the images' own.
        device: of the result.

    Returns:
        (B, 3, size, size) float in [0, 1], channels last (twice as quick to convolve on a CPU).
    """
    pixels = images.to(device, torch.float32, memory_format=torch.channels_last) / 255
    if size is None or tuple(pixels.shape[-2:]) == (size, size):
        return pixels
    small = F.interpolate(pixels, (size, size), mode="bilinear", antialias=True, align_corners=False)
    return small.clamp(0, 1).contiguous(memory_format=torch.channels_last)


def flip(images: Tensor, mask: Tensor) -> Tensor:
    """Mirror left-right where mask (B,) bool is true."""
    images = as_float(images)
    return torch.where(per_image(mask), images.flip(3), images)


def quarter_turn(images: Tensor, turns: Tensor) -> Tensor:
    """Rotate square images counter-clockwise by turns (B,) int64 quarters, exactly: no pixel is interpolated."""
    images = as_float(images)
    if images.shape[2] != images.shape[3]:
        raise ValueError(
            f"images of {images.shape[2]} x {images.shape[3]} px: only squares keep their shape when turned"
        )
    turned = torch.stack([images.rot90(quarters, dims=(2, 3)) for quarters in range(4)])  # (4, B, 3, H, W)
    return turned[turns % 4, torch.arange(len(images), device=images.device)]


def cutout(images: Tensor, box: Tensor) -> Tensor:
    """Blacken a box of each image; box (B, 4): top, left, height, width in whole pixels (arXiv 1708.04552)."""
    images = as_float(images)
    top, left, height, width = box.unbind(dim=1)
    hole = _inside(top, height, images.shape[2])[:, :, None] & _inside(left, width, images.shape[3])[:, None, :]
    return images.masked_fill(hole[:, None], 0.0)
