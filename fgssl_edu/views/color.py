"""Colour changes of a batch, each image by its own amount: pure functions of explicit parameters.

Images are (B, 3, H, W), uint8 or float in [0, 1]; results are float in [0, 1]. For the same parameter each agrees,
image by image, with torchvision.transforms.v2.functional on float images.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

LUMA = (0.2989, 0.587, 0.114)  # weights of red, green and blue in grey (ITU-R 601-2, torchvision's digits)
# Share of red, green and blue at a hue in sixths of a turn: |hue - 3| - 1, 2 - |hue - 2| and 2 - |hue - 4|, as rows of
# centre, sign and offset.
HEXAGON = ((3.0, 2.0, 4.0), (1.0, -1.0, -1.0), (-1.0, 2.0, 2.0))
TINY = 1e-20  # under a chroma of 0, where the hue is 0 too
DROPPED = 0.5  # what a dropped channel shows where no noise is given


def as_float(images: Tensor) -> Tensor:
    """uint8 0..255 -> float32 in [0, 1]; float images pass as they are."""
    if images.is_floating_point():
        return images
    if images.dtype != torch.uint8:
        raise ValueError(f"images are {images.dtype}: they must be uint8 in 0..255 or float in [0, 1]")
    return images.float().div_(255)  # not images / 255, which is 20 times slower on a CPU


def per_image(values: Tensor) -> Tensor:
    """(B,) -> (B, 1, 1, 1), to multiply a batch of images with."""
    return values.view(-1, 1, 1, 1)


def where_chosen(images: Tensor, chosen: Tensor, change: Callable[..., Tensor], *values: Tensor) -> Tensor:
    """`change(images, *values)` for the chosen images, the others untouched.

    On a CPU only the chosen ones are computed. On a GPU all are, because to count the chosen ones the host would wait
    for it.

    Args:
        images: (B, 3, H, W) float.
        chosen: (B,) bool.
        change: takes images and (B,) values, returns images of the same shape.
        values: (B,) each.
    """
    if images.device.type != "cpu":
        return torch.where(per_image(chosen), change(images, *values), images)
    rows = chosen.nonzero().squeeze(1)
    if len(rows) == len(images):
        return change(images, *values)
    changed = change(images.index_select(0, rows), *(value.index_select(0, rows) for value in values))
    return images.index_copy(0, rows, changed)


def luma(images: Tensor) -> Tensor:
    """(B, 3, H, W) -> (B, 1, H, W)."""
    red, green, blue = images.split(1, dim=1)
    return (red * LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])


def _blend(images: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    """`other` at factor 0, the images at 1, beyond them above 1, clamped."""
    share = per_image(factor)
    return (images * share).add_(other * (1 - share)).clamp_(0, 1)


def adjust_brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Multiply by factor (B,) >= 0: 0 is black, 1 changes nothing."""
    return (as_float(images) * per_image(factor)).clamp_(0, 1)


def adjust_contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the image's own mean grey; factor (B,) >= 0: 0 is flat grey, 1 changes nothing."""
    images = as_float(images)
    return _blend(images, luma(images).mean(dim=(1, 2, 3), keepdim=True), factor)


def adjust_saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the grey picture; factor (B,) >= 0: 0 is grey, 1 changes nothing."""
    images = as_float(images)
    return _blend(images, luma(images), factor)


def adjust_hue(images: Tensor, factor: Tensor) -> Tensor:
    """Turn the colour circle by factor (B,) in [-.5, .5] of a full turn; value and saturation (of HSV) stay."""
    images = as_float(images)
    red, green, blue = images.unbind(dim=1)  # (B, H, W) each
    tilt, most, least = green - blue, torch.maximum(green, blue), torch.minimum(green, blue)
    value, low = torch.maximum(red, most), torch.minimum(red, least)
    chroma = value - low
    # From red over yellow and green to cyan first green rises, then red falls, then blue rises, each by the chroma: the
    # sum of all three is the hue in sixths of a turn, 0 to 3. The other way round green and blue change places.
    way = (green + blue).sub_(red).add_(value).sub_(low, alpha=2).div_(chroma.clamp(min=TINY))
    sixths = torch.copysign(way, tilt).add_(factor.view(-1, 1, 1) * 6)
    sixths = sixths.sub_((sixths / 6).floor_().mul_(6))  # in [0, 6)
    center, sign, offset = images.new_tensor(HEXAGON).view(3, 3, 1, 1)
    share = (sixths[:, None] - center).abs_().mul_(sign).add_(offset).clamp_(0, 1)  # (B, 3, H, W)
    return torch.addcmul(low[:, None], chroma[:, None], share)


def grayscale(images: Tensor, mask: Tensor) -> Tensor:
    """Grey (three equal channels) where mask (B,) bool is true."""
    return where_chosen(as_float(images), mask, lambda chosen: luma(chosen).expand_as(chosen))


def solarize(images: Tensor, mask: Tensor, threshold: float = 0.5) -> Tensor:
    """Invert pixels at or above the threshold in images where mask (B,) bool is true."""
    return where_chosen(as_float(images), mask, lambda chosen: torch.where(chosen >= threshold, 1 - chosen, chosen))


def color_drop(images: Tensor, keep: Tensor, noise: Tensor | None = None) -> Tensor:
    """Keep one channel of each image; no chromatic aberration can then tell where a patch was (arXiv 1505.05192).

    Args:
        images: (B, 3, H, W).
        keep: (B,) int64 channel, 0 to 2.
        noise: (B, 3, H, W) in [0, 1] for the other channels; None: middle grey.
    """
    images = as_float(images)
    kept = torch.arange(3, device=images.device) == keep[:, None]  # (B, 3)
    other = torch.full_like(images, DROPPED) if noise is None else noise
    return torch.where(kept[:, :, None, None], images, other)
