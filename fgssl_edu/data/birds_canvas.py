"""Drawing many birds at once, anti-aliased, from signed distances (negative inside a shape).

Each bird is drawn in canonical units looking right; its pose is an affine map from the picture. A part is drawn only in
a box of pixels that holds it in every picture of the batch. Over pixels there are only operations that IEEE arithmetic
rounds in one way (no sine, power, matrix product), so a pixel does not depend on the batch around it.
First-order distances (level over slope) and smooth union: Quilez, iquilezles.org/articles/distance and /smin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import overload

import torch
from torch import Tensor

from fgssl_edu.data.birds_factors import Factors

RGB = slice(0, 3)
COVERAGE = 3  # channel of a layer: how much of the pixel is painted
Scalar = float | Tensor  # a number, or one for each bird as (B, 1, 1)


@overload
def each(values: Tensor) -> Tensor: ...
@overload
def each(values: Scalar) -> Scalar: ...
def each(values: Scalar) -> Scalar:
    """(B,) as (B, 1, 1): one number for each bird, against maps of pixels; a number for all stays."""
    return values[:, None, None] if isinstance(values, Tensor) else values


def turn(angle: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine, (B,) float32; through float64, where the last bit of the library does not show."""
    return angle.double().cos().float(), angle.double().sin().float()


def wave(phase: Tensor) -> Tensor:
    """A sine-like wave of period 1 in [-1, 1] made of parabolas."""
    half = phase - torch.floor(phase) - 0.5
    return half * (half.abs() - 0.5) * 16


def ellipse(x: Tensor, y: Tensor, width: Scalar, height: Scalar) -> Tensor:
    """About the distance to an ellipse of half axes (width, height) at the origin, exact to first order at the edge."""
    across, down = 1 / (width * width), 1 / (height * height)
    x_squared, y_squared = x * x, y * y
    level = (x_squared * across).add_(y_squared * down)  # 1 on the edge
    slope = x_squared.mul_(across * across).add_(y_squared.mul_(down * down)).sqrt_()
    return level.sub_(1).div_(slope.mul_(2).clamp_(min=1e-4))


def circle(x: Tensor, y: Tensor, radius: Scalar) -> Tensor:
    """Distance to a circle at the origin."""
    return torch.sqrt(x * x + y * y).sub_(radius)


def segment(x: Tensor, y: Tensor, to_x: Scalar, to_y: Scalar, radius: Scalar) -> Tensor:
    """Distance to a round-ended line from the origin to a point."""
    along = ((x * to_x + y * to_y) / (to_x * to_x + to_y * to_y)).clamp_(0, 1)
    return circle(x - along * to_x, y - along * to_y, radius)


def smooth_union(first: Tensor, second: Tensor, blend: float) -> Tensor:
    """Union of two shapes whose joint is rounded over the length `blend`."""
    near = (blend - (first - second).abs()).clamp_(min=0)
    return torch.minimum(first, second) - near * near * (0.25 / blend)


def blade(
    along: Tensor,
    across: Tensor,
    length: Scalar,
    root: Scalar,
    tip: Scalar,
    notch: Scalar = 0.0,
    rounding: Scalar = 0.0,
) -> Tensor:
    """About the distance to a feather blade.

    Args:
        along, across: coordinates from the root along the axis, and sideways.
        length: of the blade; root, tip: half widths there.
        notch: depth of a fork in the end; rounding: how much the corners of the end are cut back.
    """
    side = across.abs()
    width = root + (tip - root) * (along / length).clamp_(0, 1)
    outward = side / (tip + 1e-3)
    end = along - length + notch * (1 - outward).clamp_(0, 1)
    end += rounding * (outward * outward).clamp_(max=1.44)
    return torch.maximum(torch.maximum(side - width, end), -along - 0.02)


def lay(layer: Tensor, alpha: Tensor, color: Tensor, shade: Tensor | None = None) -> None:
    """Lay a colour over a picture in place: exactly the colour where `alpha` is 1, whatever was there.

    Args:
        layer: (B, 3 or more, h, w); the first three channels are RGB, the others stay.
        alpha: coverage (B, h, w); color: RGB (B, 3); shade: factor on the colour, (B, h, w).
    """
    keep, light = 1 - alpha, alpha if shade is None else alpha * shade
    for channel, value in zip(layer.unbind(1), color.unbind(1), strict=False):  # one at a time: they stay in the cache
        channel.mul_(keep).add_(light * each(value))


class Frame:
    """Where each bird stands in its picture."""

    def __init__(self, factors: Factors, size: int) -> None:
        self.size = size
        device = factors.scale.device
        self.axis = (torch.arange(size, device=device, dtype=torch.float32) + 0.5) * (2 / size) - 1  # pixel centres
        self.scale, (self.shift_x, self.shift_y) = factors.scale, factors.shift.unbind(1)
        self.cos, self.sin = turn(factors.angle)
        self.per_pixel = each(self.scale * (size / 2))  # pixels in a canonical unit
        self.right = (self.axis[None, None, :] - each(self.shift_x)) / each(self.scale)  # (B, 1, S), before the turn
        self.down = (self.axis[None, :, None] - each(self.shift_y)) / each(self.scale)  # (B, S, 1)

    def window(self, *discs: tuple[Scalar, Scalar, Scalar]) -> Window:
        """The smallest box that holds some discs in every picture of the batch; no disc: the whole picture.

        Args:
            discs: canonical centre x, y and radius, numbers or (B,).
        """
        if not discs:
            return Window(self, slice(None), slice(None))
        corners = torch.stack([self._corners(*disc) for disc in discs])  # (discs, 4, B)
        low, high = corners[:, :2].amin((0, 2)), corners[:, 2:].amax((0, 2))
        left, top, right, bottom = ((torch.cat([low, high]) + 1) * (self.size / 2)).clamp(0, self.size).tolist()
        return Window(self, slice(int(top), math.ceil(bottom)), slice(int(left), math.ceil(right)))

    def _corners(self, x: Scalar, y: Scalar, radius: Scalar) -> Tensor:
        """Left, top, right and bottom of a disc in the picture, (4, B), with a pixel to spare."""
        reach = self.scale * radius + 2 / self.size
        right = self.cos * self.scale * x - self.sin * self.scale * y + self.shift_x
        down = self.sin * self.scale * x + self.cos * self.scale * y + self.shift_y
        return torch.stack([right - reach, down - reach, right + reach, down + reach])


@dataclass
class Window:
    """A box of pixels, the same in each picture: h rows and w columns."""

    frame: Frame
    rows: slice
    columns: slice

    def local(self, x: Scalar = 0.0, y: Scalar = 0.0, angle: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Canonical coordinates of the pixels, from an origin (x, y) along an axis at `angle`, each (B, h, w)."""
        cos, sin = self.frame.cos, self.frame.sin
        if angle is not None:
            axis_cos, axis_sin = turn(angle)
            x, y = axis_cos * x + axis_sin * y, axis_cos * y - axis_sin * x
            cos, sin = axis_cos * cos - axis_sin * sin, axis_sin * cos + axis_cos * sin
        cos, sin = each(cos), each(sin)
        across, down = self.frame.right[:, :, self.columns], self.frame.down[:, self.rows]  # (B, 1, w), (B, h, 1)
        return across * cos + (down * sin - each(x)), (down * cos - each(y)) - across * sin

    def cover(self, distance: Tensor) -> Tensor:
        """Share of each pixel that lies inside the edge at distance 0, in [0, 1]."""
        return (0.5 - distance * self.frame.per_pixel).clamp_(0, 1)

    def cover_line(self, offset: Tensor, half_width: float) -> Tensor:
        """Share of each pixel that a straight band covers, right for bands thinner than a pixel too."""
        scale = self.frame.per_pixel
        return torch.minimum((0.5 + (half_width - offset.abs()) * scale).clamp_(0, 1), 2 * half_width * scale)


@dataclass
class Patch(Window):
    """A window on a canvas: what is painted here is painted there."""

    layer: Tensor  # (B, 4, h, w), a view of the canvas
    parts: Tensor  # (B, h, w), a view

    def paint(self, alpha: Tensor, color: Tensor, part: int | None = None, shade: Tensor | None = None) -> None:
        """Lay a colour over what is there.

        Args:
            alpha: coverage (B, h, w).
            color: RGB (B, 3) in [0, 1].
            part: label for pixels more than half covered; None keeps their label.
            shade: factor on the colour, (B, h, w).
        """
        lay(self.layer, alpha, color, shade)
        self.layer[:, COVERAGE].mul_(1 - alpha).add_(alpha)
        if part is not None:
            self.parts.masked_fill_(alpha > 0.5, part)

    def tone(self, factor: Tensor) -> None:
        """Darken or lighten what is painted, (B, h, w)."""
        self.layer[:, RGB] *= factor[:, None]


@dataclass
class Canvas:
    """The layer that birds are painted on: colour times coverage, coverage, and part labels."""

    frame: Frame
    layer: Tensor  # (B, 4, S, S) float
    parts: Tensor  # (B, S, S) uint8

    @staticmethod
    def blank(frame: Frame) -> Canvas:
        """Nothing painted yet."""
        batch, size, device = len(frame.scale), frame.size, frame.axis.device
        layer = torch.zeros(batch, 4, size, size, device=device)
        return Canvas(frame, layer, torch.zeros(batch, size, size, dtype=torch.uint8, device=device))

    def patch(self, *discs: tuple[Scalar, Scalar, Scalar]) -> Patch:
        """The part of the canvas that holds some discs (see `Frame.window`)."""
        window = self.frame.window(*discs)
        rows, columns = window.rows, window.columns
        return Patch(self.frame, rows, columns, self.layer[:, :, rows, columns], self.parts[:, rows, columns])
