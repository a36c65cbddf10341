"""From factors to pictures: the parts of a parametric bird, painted back to front, then light and sensor.

Canonical units: the standard bird looks right, its body is about one unit long with its middle near (0, 0), y points
down.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from fgssl_edu.data.birds_background import grain, paint_background, perch_height
from fgssl_edu.data.birds_canvas import (
    RGB,
    Canvas,
    Frame,
    Scalar,
    blade,
    circle,
    each,
    ellipse,
    segment,
    smooth_union,
    turn,
    wave,
)
from fgssl_edu.data.birds_factors import SHAPE, TINTS, Factors
from fgssl_edu.data.birds_world import ATTRIBUTES, PART_NAMES

MIN_SIZE, MAX_SIZE = 32, 448  # px
BLOCK_PIXELS = {"cpu": 32 * 64 * 64, "cuda": 1024 * 64 * 64}  # drawn at once: a CPU keeps such maps in its cache
BODY, TAIL, CROWN, THROAT, WING_BAR, BEAK, EYE_RING = range(1, len(PART_NAMES))
HEAD_RADIUS = 0.205
TAILS = (  # length, half width at root and tip, notch, rounding: square, forked, long, fan
    (0.40, 0.085, 0.12, 0.0, 0.02),
    (0.52, 0.075, 0.20, 0.26, 0.0),
    (0.74, 0.075, 0.022, 0.0, 0.0),
    (0.40, 0.07, 0.27, 0.0, 0.16),
)
BEAKS = (  # length, half width at the root, least half width, droop, fullness: stout, thin, hooked, flat
    (0.22, 0.115, 0.0, 0.0, 0.0),
    (0.44, 0.045, 0.010, 0.25, 0.0),
    (0.27, 0.10, 0.0, 1.5, 0.8),
    (0.36, 0.055, 0.055, 0.2, 0.0),
)
BEAK_COLORS = ((0.95, 0.55, 0.10), (0.13, 0.12, 0.14), (0.97, 0.83, 0.25), (0.80, 0.16, 0.14))
CROWN_COLORS = ((0.0, 0.0, 0.0), (0.82, 0.12, 0.12), (0.98, 0.80, 0.15), (0.10, 0.10, 0.12))  # 0 has none
THROAT_COLORS = ((0.0, 0.0, 0.0), (0.85, 0.25, 0.15), (0.12, 0.11, 0.13))  # 0 has none
RING_COLORS = ((0.0, 0.0, 0.0), (0.98, 0.98, 0.96), (0.98, 0.62, 0.12))  # 0 has none
LEG_COLOR, PUPIL_COLOR = (0.25, 0.20, 0.18), (0.06, 0.05, 0.06)
GLINT_COLOR, BAR_COLOR = (1.0, 1.0, 1.0), (0.97, 0.95, 0.88)


@dataclass(frozen=True)
class Rendered:
    """Pictures with their true masks."""

    images: Tensor  # (B, 3, S, S) uint8
    parts: Tensor  # (B, S, S) uint8, index into PART_NAMES
    foreground: Tensor  # (B, S, S) uint8: how much of each pixel the bird covers, 0..255


class Bird:
    """A batch of birds with their attributes resolved to numbers: (B,) lengths and (B, 3) colours."""

    def __init__(self, factors: Factors) -> None:
        self.factors = factors
        self.value = dict(zip(ATTRIBUTES, factors.codes.unbind(1), strict=True))
        self.shape = dict(zip(SHAPE, factors.shape.unbind(1), strict=True))
        self.plump = factors.plump + self.shape["plump"]
        self.head = (0.33 + self.shape["head_x"], -0.25 + self.shape["head_y"])
        self.tilt = -0.38 + self.shape["tilt"]
        mantle, belly, wing = factors.coat.unbind(1)
        self.mantle, self.belly = self.tint("mantle", mantle), self.tint("belly", belly)
        self.wing = self.tint("wing", wing)
        self.crown = self.tint("crown", self.table("crown", CROWN_COLORS))

    def table(self, attribute: str, rows: tuple[tuple[float, ...], ...]) -> Tensor:
        """Each bird's row of an attribute's table, (B, n)."""
        return torch.tensor(rows, device=self.plump.device)[self.value[attribute]]

    def tint(self, name: str, color: Tensor) -> Tensor:
        """A colour of the species as this individual has it, (B, 3)."""
        return (color + self.factors.tint[:, list(TINTS).index(name)]).clamp(0.02, 1)

    def plain(self, color: tuple[float, float, float]) -> Tensor:
        """A colour that all birds share, (B, 3)."""
        return torch.tensor(color, device=self.plump.device).expand(len(self.plump), 3)

    def has(self, attribute: str, more_than: int = 0) -> Tensor:
        """1 where the value of an attribute is above a number, else 0; (B, 1, 1) float."""
        return each((self.value[attribute] > more_than).float())


def render(factors: Factors, size: int = 64) -> Rendered:
    """Draw birds; pure: the same factors give the same bird, bit by bit on a CPU whatever the batch around it.

    Args:
        factors: of B birds; drawn on their device.
        size: side of the pictures in px, 32 to 448; another size shows the same bird sharper or coarser.

    Raises:
        ValueError: another size.
    """
    if isinstance(size, bool) or not isinstance(size, int) or not MIN_SIZE <= size <= MAX_SIZE:
        raise ValueError(f"size={size!r}: birds are drawn from {MIN_SIZE} to {MAX_SIZE} px a side")
    block = max(1, BLOCK_PIXELS.get(factors.scale.device.type, BLOCK_PIXELS["cpu"]) // size**2)
    with torch.no_grad():
        blocks = [_render_block(factors.subset(index), size) for index in torch.arange(len(factors)).split(block)]
    return Rendered(**{f.name: torch.cat([getattr(b, f.name) for b in blocks]) for f in fields(Rendered)})


def _render_block(factors: Factors, size: int) -> Rendered:
    frame = Frame(factors, size)
    canvas = _paint_bird(factors, frame)
    picture = paint_background(factors, frame)
    coverage = canvas.layer[:, RGB.stop]
    picture.mul_((1 - coverage)[:, None]).add_(canvas.layer[:, RGB])
    images = develop(picture, factors)
    foreground = (coverage * 255 + 0.5).to(torch.uint8)
    return Rendered(*(mirror(maps, factors.mirrored) for maps in (images, canvas.parts, foreground)))


def without_birds(factors: Factors, size: int = 64) -> Tensor:
    """What `render` draws of the same factors, but for the birds themselves, (B, 3, size, size) uint8."""
    with torch.no_grad():
        return mirror(develop(paint_background(factors, Frame(factors, size)), factors), factors.mirrored)


def develop(picture: Tensor, factors: Factors) -> Tensor:
    """Light, contrast and sensor noise: (B, 3, S, S) float to uint8."""
    bend = factors.contrast[:, None]
    slope, curve = 255 * factors.gain * (1 + bend), -255 * factors.gain * bend  # gain * x * (1 + bend - bend * x)
    noise = grain(factors, picture.shape[-1]) * 255 + 0.5
    images = torch.empty_like(picture, dtype=torch.uint8)
    for channel in range(3):  # one at a time: they stay in the cache
        linear = picture[:, channel]
        exposed = (linear * each(curve[:, channel])).add_(each(slope[:, channel])).mul_(linear)
        images[:, channel] = exposed.add_(noise).clamp_(0, 255.5)
    return images


def mirror(maps: Tensor, mirrored: Tensor) -> Tensor:
    """Flip the chosen pictures of a batch left to right."""
    maps[mirrored] = maps[mirrored].flip(-1)
    return maps


def along_axis(x: Scalar, y: Scalar, angle: Tensor, distance: Scalar, radius: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    """The disc around the point at a distance along an axis, for `Canvas.patch`."""
    cos, sin = turn(angle)
    return x + distance * cos, y + distance * sin, radius


def _paint_bird(factors: Factors, frame: Frame) -> Canvas:
    canvas, bird = Canvas.blank(frame), Bird(factors)
    for paint in (_paint_legs, _paint_tail, _paint_crest, _paint_body, _paint_wing, _paint_beak, _paint_eye):
        paint(canvas, bird)
    whole = canvas.patch()
    towards_light, _ = whole.local(angle=factors.light_angle - factors.angle)
    whole.tone(1 + each(factors.shading) * towards_light.clamp_(-0.8, 0.8))
    return canvas


def _paint_legs(canvas: Canvas, bird: Bird) -> None:
    patch = canvas.patch((-0.02, 0.47, 0.24))
    foot = each(perch_height(bird.factors) - 0.32)
    left, right = (segment(*patch.local(x, 0.30), 0.03, foot, 0.018) for x in (-0.10, 0.04))
    patch.paint(patch.cover(torch.minimum(left, right)), bird.plain(LEG_COLOR), BODY)


def _paint_tail(canvas: Canvas, bird: Bird) -> None:
    angle = math.pi - 0.67 + bird.shape["tail"]
    length, root, tip, notch, rounding = bird.table("tail", TAILS).unbind(1)
    half = length / 2
    patch = canvas.patch(along_axis(-0.40, 0.22, angle, half, torch.sqrt(half * half + tip * tip) + 0.05))
    along, across = patch.local(-0.40, 0.22, angle)
    alpha = patch.cover(blade(along, across, each(length), each(root), each(tip), each(notch), each(rounding)))
    patch.paint(alpha, bird.wing * 0.92, TAIL, shade=0.92 + 0.08 * wave(across * 11))


def _paint_crest(canvas: Canvas, bird: Bird) -> None:
    angle = -2.35 - bird.shape["crest"]
    x, y = bird.head[0] - 0.05, bird.head[1] - 0.09
    patch = canvas.patch(along_axis(x, y, angle, 0.13, 0.19))
    along, across = patch.local(x, y, angle)
    alpha = patch.cover(blade(along, across + 0.5 * along * along, 0.27, 0.085, 0.008)) * bird.has("crest")
    crowned = (bird.value["crown"] > 0)[:, None]
    patch.paint(alpha, torch.where(crowned, bird.crown, bird.mantle * 0.85), CROWN)


def _paint_body(canvas: Canvas, bird: Bird) -> None:
    height = 0.30 * bird.plump
    patch = canvas.patch((-0.06, 0.09, height.clamp(min=0.45) + 0.05), (*bird.head, HEAD_RADIUS + 0.05))
    trunk = ellipse(*patch.local(-0.06, 0.09, bird.tilt), 0.45, each(height))
    x, y = patch.local(*bird.head)
    head = circle(x, y, HEAD_RADIUS)
    outline = smooth_union(trunk, head, 0.20)
    body = patch.cover(outline)
    patch.paint(body, bird.mantle, BODY)
    belly = ellipse(*patch.local(0.06, 0.26, bird.tilt), 0.44, each(height * 0.8))
    patch.paint(body * (0.5 - belly * 10).clamp_(0, 1), bird.belly)  # a soft edge, a tenth of a unit wide
    throat = patch.cover(ellipse(x - 0.05, y - 0.205, 0.15, 0.135)) * body * bird.has("throat")
    patch.paint(throat, bird.tint("throat", bird.table("throat", THROAT_COLORS)), THROAT)
    crown = patch.cover(torch.maximum(head - 0.004, y + 0.065 - 0.28 * x)) * bird.has("crown")
    patch.paint(crown, bird.crown, CROWN)
    patch.tone(1 - 0.22 * body * (1 + (outline * (1 / 0.07)).clamp_(-1, 0)))  # darker towards the edge: round


def _paint_wing(canvas: Canvas, bird: Bird) -> None:
    angle = bird.tilt - 0.10 + bird.shape["wing"]
    patch = canvas.patch(along_axis(-0.13, 0.075, angle, -0.08, 0.43))
    along, across = patch.local(-0.13, 0.075, angle)
    feathers = blade(-along, across + 0.02, 0.48, each(0.15 * bird.plump), 0.015)
    outline = smooth_union(ellipse(along - 0.05, across, 0.27, each(0.175 * bird.plump)), feathers, 0.06)
    alpha = patch.cover(outline)
    stripes = wave((across + 0.12 * along) * 7.6) * (0.5 - along * 12).clamp_(0, 1)  # on the flight feathers only
    edge = 1 + (outline * (1 / 0.06)).clamp_(-1, 0)
    patch.paint(alpha, bird.wing, BODY, shade=(1 - 0.15 * edge) * (0.94 + 0.07 * stripes))
    bow = along - 0.9 * across * across
    second = (bow + 0.07).abs() + 9 * (1 - bird.has("wing_bar", more_than=1))  # far away if there is but one
    bars = torch.maximum(torch.minimum((bow - 0.10).abs(), second) - 0.032, across.abs() - 0.15)
    patch.paint(patch.cover(bars) * alpha * bird.has("wing_bar"), bird.plain(BAR_COLOR), WING_BAR)


def _paint_beak(canvas: Canvas, bird: Bird) -> None:
    x, y = bird.head[0] + 0.175, bird.head[1] + 0.03
    patch = canvas.patch(along_axis(x, y, bird.shape["beak"], 0.2, 0.28))
    length, root, least, droop, fullness = (each(column) for column in bird.table("beak_shape", BEAKS).unbind(1))
    along, across = patch.local(x, y, bird.shape["beak"])
    across = across - droop * along.clamp(min=0) * along
    taper = 1 - (along / length).clamp_(0, 1)
    width = torch.maximum(root * (taper + fullness * (torch.sqrt(taper) - taper)), least)
    outline = torch.maximum(torch.maximum(across.abs() - width, along - length), -along - 0.03)
    gape = 1 - 0.35 * patch.cover_line(across, 0.012)  # the dark line between the mandibles
    patch.paint(patch.cover(outline), bird.tint("beak", bird.table("beak_color", BEAK_COLORS)), BEAK, shade=gape)


def _paint_eye(canvas: Canvas, bird: Bird) -> None:
    x, y = bird.head[0] + 0.055, bird.head[1] - 0.025
    patch = canvas.patch((x, y, 0.11))
    right, down = patch.local(x, y)
    ring = patch.cover(circle(right, down, 0.098)) * bird.has("eye_ring")
    patch.paint(ring, bird.table("eye_ring", RING_COLORS), EYE_RING)
    patch.paint(patch.cover(circle(right, down, 0.056)), bird.plain(PUPIL_COLOR), EYE_RING)
    patch.paint(patch.cover(circle(right - 0.018, down + 0.02, 0.018)), bird.plain(GLINT_COLOR), EYE_RING)
