"""Random views of a whole batch at once, on the batch's device, a different draw for each image.

First the numbers are drawn, from the counter-based hash of `draws.py`, then a deterministic chain of the tested
functions of color.py, geometry.py and filters.py applies them. A panel can show the drawn numbers, change one and apply
them again.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fgssl_edu.distributed import full_precision
from fgssl_edu.draws import normal, uniform
from fgssl_edu.views.color import (
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
    grayscale,
    solarize,
    where_chosen,
)
from fgssl_edu.views.filters import gaussian_blur
from fgssl_edu.views.geometry import crop_resize
from fgssl_edu.views.presets import ViewPreset

TRIES = 10  # at a box that fits, as in torchvision's RandomResizedCrop
BLUR_SHARE = 0.1  # width of the blur's window over that of the picture (SimCLR)
CACHE_PIXELS = 2**17  # of source pictures that a CPU works on at a time: what lies in its cache is not fetched again
# What each uniform number of an image is for, and how many; new purposes go to the end, so that no old draw moves.
DRAWS = {"area": TRIES, "ratio": TRIES, "top": 1, "left": 1, "flip": 1, "jitter": 1, "brightness": 1, "contrast": 1}
DRAWS |= {"saturation": 1, "hue": 1, "gray": 1, "blur": 1, "sigma": 1, "solarize": 1}


def crop_boxes(draws: dict[str, Tensor], preset: ViewPreset, height: int, width: int) -> Tensor:
    """Boxes of random area and shape, (B, 4) top, left, height, width in whole pixels.

    The law of torchvision's RandomResizedCrop: area uniform, ratio uniform in its logarithm, the first of ten tries
    that fits. Deviation: if none fits the whole picture is taken, also where its own ratio is out of range.
    """
    area = height * width * _between(draws["area"], preset.crop)  # (B, TRIES)
    ratio = _between(draws["ratio"], (math.log(preset.ratio[0]), math.log(preset.ratio[1]))).exp()
    wide, high = (area * ratio).sqrt().round(), (area / ratio).sqrt().round()
    fits = (wide <= width) & (high <= height) & (wide > 0) & (high > 0)
    first = fits.to(torch.uint8).argmax(dim=1, keepdim=True)  # of equal ones the first
    fits = fits.gather(1, first)
    wide, high = wide.gather(1, first).where(fits, width), high.gather(1, first).where(fits, height)
    top = (draws["top"] * (height - high + 1)).floor()
    left = (draws["left"] * (width - wide + 1)).floor()
    return torch.cat([top, left, high, wide], dim=1)


def draw_quarter_turns(seed: int, step: int, index: Tensor, purpose: str) -> Tensor:
    """Turns for `quarter_turn`, (B,) int64, 0 to 3 with equal chance (RotNet, arXiv 1803.07728)."""
    return (4 * uniform(seed, step, index, f"{purpose}/turn", 1)[:, 0]).long()


def draw_channel(seed: int, step: int, index: Tensor, purpose: str) -> Tensor:
    """The channel that `color_drop` keeps, (B,) int64, 0 to 2 with equal chance."""
    return (3 * uniform(seed, step, index, f"{purpose}/channel", 1)[:, 0]).long()


def draw_cutout(seed: int, step: int, index: Tensor, purpose: str, side: int, size: int) -> Tensor:
    """Boxes for `cutout`, (B, 4) float: squares of `side` px centred anywhere in a square picture of `size` px.

    A part of a box may lie outside of the picture, as in the paper's code (arXiv 1708.04552).
    """
    corner = (size * uniform(seed, step, index, f"{purpose}/cutout", 2)).floor() - side // 2  # (B, 2) top, left
    return torch.cat([corner, torch.full_like(corner, side)], dim=1)


def draw_noise(seed: int, step: int, index: Tensor, purpose: str, shape: tuple[int, ...]) -> Tensor:
    """Standard normal noise for `gaussian_noise`, (B, *shape) float."""
    return normal(seed, step, index, f"{purpose}/noise", math.prod(shape)).view(-1, *shape)


def _between(draw: Tensor, limits: tuple[float, float]) -> Tensor:
    return limits[0] + draw * (limits[1] - limits[0])


class Augment:
    """Views of one preset and size.

    `augment(images, seed, step, index, purpose)` gives (B, 3, size, size) float in [0, 1]; the same five arguments give
    the same views in any batch, order, process or device. Two views of an image differ by `purpose` ("view0", "view1").
    """

    def __init__(self, preset: ViewPreset, size: int) -> None:
        if size < 1:
            raise ValueError(f"size={size} px: a view needs at least one")
        self.preset, self.size = preset, size
        self.kernel = max(3, 2 * round(BLUR_SHARE * size / 2) + 1)  # odd, pixels

    def __call__(self, images: Tensor, seed: int, step: int, index: Tensor, purpose: str) -> Tensor:
        return self.apply(images, self.parameters(images, seed, step, index, purpose))

    def parameters(self, images: Tensor, seed: int, step: int, index: Tensor, purpose: str) -> dict[str, Tensor]:
        """Draw what `apply` needs, on the images' device; the arguments are those of a call.

        Returns:
            "box" (B, 4), "flip" (B,) bool, and, for stages that the preset has, "brightness", "contrast", "saturation"
            (factors, 1 where not jittered), "hue" (turns, 0 where not), "gray", "blur", "solarize" (bool), "sigma"
            (pixels); (B,) each.
        """
        preset = self.preset
        numbers = uniform(seed, step, index.to(images.device), f"{purpose}/augment", sum(DRAWS.values()))
        draws = dict(zip(DRAWS, numbers.split(list(DRAWS.values()), dim=1), strict=True))
        drawn = {"box": crop_boxes(draws, preset, *images.shape[2:])}
        draws = {name: draw[:, 0] for name, draw in draws.items()}
        drawn["flip"] = draws["flip"] < preset.flip
        if preset.jitter:
            drawn |= self._jitter_parameters(draws)
        for name in ("gray", "blur", "solarize"):
            if getattr(preset, name):
                drawn[name] = draws[name] < getattr(preset, name)
        if preset.blur:
            drawn["sigma"] = _between(draws["sigma"], preset.sigma)
        return drawn

    def _jitter_parameters(self, draws: dict[str, Tensor]) -> dict[str, Tensor]:
        chosen, drawn = draws["jitter"] < self.preset.jitter, {}
        for name in ("brightness", "contrast", "saturation"):
            strength = getattr(self.preset, name)
            if strength:
                drawn[name] = _between(draws[name], (max(0.0, 1 - strength), 1 + strength)).where(chosen, 1.0)
        if self.preset.hue:
            drawn["hue"] = _between(draws["hue"], (-self.preset.hue, self.preset.hue)).where(chosen, 0.0)
        return drawn

    def apply(self, images: Tensor, parameters: dict[str, Tensor]) -> Tensor:
        """Make the views that the parameters describe, (B, 3, size, size) float; a stage without them is left out."""
        if images.device.type != "cpu":
            return self._apply(images, parameters)
        block = max(1, CACHE_PIXELS // (images.shape[2] * images.shape[3]))
        parts = {name: values.split(block) for name, values in parameters.items()}
        blocks = [dict(zip(parts, values, strict=True)) for values in zip(*parts.values(), strict=True)]
        return torch.cat([self._apply(part, drawn) for part, drawn in zip(images.split(block), blocks, strict=True)])

    def _apply(self, images: Tensor, parameters: dict[str, Tensor]) -> Tensor:
        with full_precision():
            images = crop_resize(images, parameters["box"], self.size, parameters.get("flip"))
            stages = (self._gray, self._jitter) if self.preset.jitter_after_gray else (self._jitter, self._gray)
            for stage in stages:
                images = stage(images, parameters)
            if "blur" in parameters:
                images = where_chosen(images, parameters["blur"], self._blur, parameters["sigma"])
            if "solarize" in parameters:
                images = solarize(images, parameters["solarize"])
        return images

    def _blur(self, images: Tensor, sigma: Tensor) -> Tensor:
        return gaussian_blur(images, sigma, self.kernel)

    def _jitter(self, images: Tensor, parameters: dict[str, Tensor]) -> Tensor:
        if "brightness" in parameters:
            images = adjust_brightness(images, parameters["brightness"])
        if "contrast" in parameters:
            images = adjust_contrast(images, parameters["contrast"])
        if "saturation" in parameters:
            images = adjust_saturation(images, parameters["saturation"])
        if "hue" in parameters:
            images = adjust_hue(images, parameters["hue"])  # of all: to pick the jittered ones costs more than it saves
        return images

    def _gray(self, images: Tensor, parameters: dict[str, Tensor]) -> Tensor:
        return grayscale(images, parameters["gray"]) if "gray" in parameters else images
