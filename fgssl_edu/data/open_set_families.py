"""Living things that are no birds, for an open set: fish, butterflies, flowers, trees, mushrooms and fruit.

They are painted as the birds are, in the same canonical units, poses and light, and stand on the same perch. Each is
hashed from the key of its picture's sensor noise, so that it is a function of its factors alone.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fgssl_edu.data.birds_canvas import (
    Canvas,
    Patch,
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
from fgssl_edu.data.birds_factors import Factors
from fgssl_edu.draws import uniform

GROUND = 0.60  # canonical height of the perch, on which things stand
WHITE, DARK, STEM_GREEN = (0.97, 0.96, 0.92), (0.09, 0.08, 0.09), (0.24, 0.45, 0.16)
BARK, CREAM = (0.38, 0.26, 0.16), (0.93, 0.88, 0.76)
PETALS = 8  # drawn at most
FRUITS = (  # two discs that melt together: half apart, radius, height of the second, its radius; where the stalk is
    (0.15, 0.32, 0.0, 0.32, -0.28),
    (0.0, 0.36, 0.32, 0.16, -0.48),
    (0.0, 0.36, 0.0, 0.36, -0.38),
)
Range = tuple[float, float]


class Lot:
    """A batch of things of one family: the canvas they are painted on, and their own random numbers and colours."""

    def __init__(self, canvas: Canvas, factors: Factors, family: str) -> None:
        self.canvas, self.factors, self.family = canvas, factors, family
        self.key = factors.grain_key

    def patch(self, *discs: tuple[Scalar, Scalar, Scalar]) -> Patch:
        """The part of the canvas that holds some discs; see `Frame.window`."""
        return self.canvas.patch(*discs)

    def draw(self, purpose: str, *ranges: Range) -> tuple[Tensor, ...]:
        """One uniform draw in each range, (B,) each."""
        draws = uniform(0, 0, self.key, f"open/{self.family}/{purpose}", len(ranges)).unbind(1)
        return tuple(low + (high - low) * draw for (low, high), draw in zip(ranges, draws, strict=True))

    def choice(self, purpose: str, count: int) -> Tensor:
        """A number from 0 to count - 1, (B,) int64."""
        return self.draw(purpose, (0, count))[0].to(torch.int64)

    def color(
        self, purpose: str, hue: Range = (0, 1), saturation: Range = (0.3, 0.9), value: Range = (0.45, 0.95)
    ) -> Tensor:
        """RGB (B, 3) of a hue (turns), saturation and value within ranges."""
        turns, strength, light = self.draw(purpose, hue, saturation, value)
        place = (torch.tensor([5.0, 3.0, 1.0], device=turns.device) + 6 * turns[:, None]) % 6  # (B, 3)
        return light[:, None] * (1 - strength[:, None] * torch.minimum(place, 4 - place).clamp(0, 1))

    def plain(self, color: tuple[float, float, float]) -> Tensor:
        """One colour for all, a little lighter or darker, (B, 3)."""
        (light,) = self.draw(f"plain {color}", (0.9, 1.1))
        return (torch.tensor(color, device=light.device) * light[:, None]).clamp(0.02, 1)


def turned(x: Tensor, y: Tensor, angle: Scalar) -> tuple[Tensor, Tensor]:
    """Coordinates along and across an axis at an angle (rad, clockwise)."""
    cos, sin = turn(angle) if isinstance(angle, Tensor) else (math.cos(angle), math.sin(angle))
    cos, sin = each(cos), each(sin)
    return x * cos + y * sin, y * cos - x * sin


def box(x: Tensor, y: Tensor, width: Scalar, height: Scalar) -> Tensor:
    """About the distance to a rectangle of half sides (width, height) at the origin."""
    return torch.maximum(x.abs() - width, y.abs() - height)


def spire(x: Tensor, y: Tensor, top: Scalar, bottom: Scalar, width: Scalar) -> Tensor:
    """About the distance to an upright triangle with its tip at (0, top) and half the base `width` at `bottom`."""
    slope = width / (bottom - top)
    side = (x.abs() - (y - top) * slope) * (1 / (1 + slope * slope) ** 0.5)
    return torch.maximum(side, y - bottom)


def paint_fish(lot: Lot) -> None:
    """A spindle with a forked tail, fins, stripes or spots, and an eye."""
    length, height, tail, freq, phase, kind = lot.draw(
        "build", (0.5, 0.62), (0.2, 0.31), (0.2, 0.3), (3, 5), (0, 1), (0, 1)
    )
    patch = lot.patch((-0.1, 0.0, 0.95))
    x, y = patch.local(0.05, 0.0)
    shade = 0.86 + 0.14 * wave(y * 9)
    back = blade(-x - each(length) + 0.1, y, 0.33, 0.03, each(tail), 0.16)
    dorsal = ellipse(*turned(x + 0.05, y + each(height), 0.15), 0.27, 0.13)
    belly = ellipse(*turned(x + 0.02, y - each(height), 0.5), 0.15, 0.08)
    patch.paint(patch.cover(torch.minimum(torch.minimum(dorsal, belly), back)), lot.color("fin"), shade=shade)
    radius = (length * length + height * height) / (2 * height)
    body = torch.maximum(
        circle(x, y - each(radius - height), each(radius)), circle(x, y + each(radius - height), each(radius))
    )
    alpha = patch.cover(body)
    patch.paint(alpha, lot.color("skin", saturation=(0.35, 0.85)))
    marks = torch.where(
        each(kind < 0.55), wave(x * each(freq) + each(phase)), wave(x * 4 + each(phase)) * wave(y * 4.5)
    )
    marks = (marks * 3 - 0.4).clamp_(0, 1) * (x < 0.2) * (x > -0.42) * (y < each(height * 0.55))
    patch.paint(alpha * marks * 0.9, lot.color("marks"))
    patch.paint(alpha * (y * 5 - 0.35).clamp_(0, 0.65), lot.plain(WHITE))
    patch.tone(1 - 0.3 * alpha * (1 + (body * 14).clamp_(-1, 0)))
    gill = circle(x - 0.08, y, 0.2).abs() - 0.012
    patch.paint(
        patch.cover(torch.maximum(gill, torch.maximum(0.16 - x, y.abs() - 0.13))) * alpha * 0.6, lot.plain(DARK)
    )
    paint_eye(lot, patch, x - each(length * 0.66), y + 0.05)


def paint_eye(lot: Lot, patch: Patch, right: Tensor, down: Tensor) -> None:
    """A white disc with a dark one in it."""
    patch.paint(patch.cover(circle(right, down, 0.07)), lot.plain(WHITE))
    patch.paint(patch.cover(circle(right, down, 0.04)), lot.plain(DARK))


def paint_butterfly(lot: Lot) -> None:
    """Two pairs of wings with a rim and spots, seen from above."""
    upper, lower, lean, rim = lot.draw("build", (0.30, 0.38), (0.2, 0.28), (0.6, 0.95), (0.045, 0.08))
    patch = lot.patch((0.0, -0.02, 0.85))
    x, y = patch.local(0.0, -0.02)
    side = x.abs()
    front = ellipse(*turned(side - 0.37, y + 0.2, -lean), each(upper + 0.06), each(upper * 0.68))
    back = ellipse(*turned(side - 0.27, y - 0.27, lean), each(lower + 0.03), each(lower * 0.8))
    wings = torch.minimum(front, back)
    patch.paint(patch.cover(wings), lot.color("rim", value=(0.12, 0.5)))
    inner = patch.cover(wings + each(rim))
    veins = 0.93 + 0.09 * wave((side * 0.7 - y * 0.5) * 7)
    patch.paint(inner, lot.color("wing", saturation=(0.45, 0.95), value=(0.6, 0.98)), shade=veins)
    spots = torch.minimum(circle(side - 0.46, y + 0.28, 0.085), circle(side - 0.30, y - 0.32, 0.075))
    patch.paint(patch.cover(spots), lot.color("spot", value=(0.75, 1.0)))
    patch.paint(patch.cover(spots + 0.05), lot.plain(DARK))
    feelers = segment(side - 0.02, y + 0.33, 0.15, -0.27, 0.014)
    trunk = torch.minimum(ellipse(x, y - 0.05, 0.05, 0.38), circle(x, y + 0.34, 0.065))
    patch.paint(patch.cover(torch.minimum(trunk, feelers)), lot.plain(DARK))


def paint_flower(lot: Lot) -> None:
    """Five to eight petals around a disc, on a stem with two leaves."""
    petal, width, heart, start, lean = lot.draw(
        "build", (0.22, 0.28), (0.095, 0.15), (0.10, 0.15), (0, 1), (-0.15, 0.15)
    )
    patch = lot.patch((0.0, 0.1, 0.85))
    x, y = patch.local(0.0, -0.2)
    stem = segment(x, y, each(lean), GROUND + 0.3, 0.028)
    leaves = torch.minimum(
        ellipse(*turned(x - 0.17 - each(lean * 0.6), y - 0.5, -0.6), 0.17, 0.06),
        ellipse(*turned(x + 0.15 - each(lean * 0.7), y - 0.62, 0.6), 0.16, 0.055),
    )
    patch.paint(patch.cover(torch.minimum(stem, leaves)), lot.plain(STEM_GREEN))
    top = lot.patch((0.0, -0.2, 0.6))
    x, y = top.local(0.0, -0.2)
    count = 5 + lot.choice("petals", PETALS - 4).clamp(max=PETALS - 5)
    reach = heart + petal * 0.75
    width = width * (6 / count) ** 0.5
    outline = torch.full_like(x, 9.0)
    for i in range(PETALS):
        angle = (i % count + start) * (2 * math.pi) / count
        along, across = turned(x, y, angle)
        outline = torch.minimum(outline, ellipse(along - each(reach), across, each(petal), each(width)))
    shade = 1 - 0.35 * (1 + outline * 11).clamp_(0, 1)
    top.paint(top.cover(outline), lot.color("petal", saturation=(0.25, 0.95), value=(0.7, 1.0)), shade=shade)
    disc = circle(x, y, each(heart))
    top.paint(top.cover(disc), lot.color("heart", hue=(0.06, 0.17), saturation=(0.6, 0.95), value=(0.45, 0.98)))
    top.tone(1 - 0.25 * top.cover(disc.abs() - 0.02))


def paint_tree(lot: Lot) -> None:
    """A trunk under a round crown of leaves, or a conifer of three storeys."""
    width, height, conifer, shift = lot.draw("build", (0.28, 0.38), (0.62, 0.75), (0, 1), (-0.06, 0.06))
    patch = lot.patch((0.0, 0.0, 0.85))
    x, y = patch.local()
    trunk = blade(GROUND + 0.06 - y, x, 0.62, 0.09, 0.05)
    patch.paint(patch.cover(trunk), lot.plain(BARK), shade=0.9 + 0.12 * wave(x * 16))
    round_crown = ellipse(x, y + 0.28, each(width), 0.26)
    for across, down, radius in ((-0.22, 0.1, 0.2), (0.24, 0.14, 0.19), (0.02, 0.42, 0.22)):
        round_crown = torch.minimum(round_crown, circle(x - across - each(shift), y + down, radius))
    storeys = spire(x, y, -each(height), -0.22, each(width * 0.75))
    storeys = torch.minimum(storeys, spire(x, y, -0.5, 0.06, each(width * 1.05)))
    storeys = torch.minimum(storeys, spire(x, y, -0.28, 0.36, each(width * 1.3)))
    crown = torch.where(each(conifer < 0.5), storeys, round_crown)
    leaves = wave(x * 5.5 + 0.3 * wave(y * 4)) * wave(y * 6 + 0.3 * wave(x * 5))
    shade = 0.93 + 0.16 * leaves - 0.22 * (1 + crown * 10).clamp_(0, 1) - 0.3 * (y + 0.25).clamp_(-0.4, 0.6)
    autumn = lot.color("autumn", hue=(0.02, 0.16), saturation=(0.6, 0.9), value=(0.6, 0.9))
    summer = lot.color("summer", hue=(0.22, 0.42), saturation=(0.45, 0.85), value=(0.35, 0.7))
    patch.paint(
        patch.cover(crown), torch.where((lot.draw("season", (0, 1))[0] < 0.35)[:, None], autumn, summer), shade=shade
    )


def paint_mushroom(lot: Lot) -> None:
    """A spotted cap on a pale stem with a ring."""
    width, height, stem, rim = lot.draw("build", (0.42, 0.56), (0.34, 0.5), (0.085, 0.14), (0.02, 0.08))
    patch = lot.patch((0.0, 0.05, 0.8))
    x, y = patch.local()
    foot = blade(GROUND + 0.05 - y, x, 0.75, each(stem * 1.5), each(stem))
    patch.paint(patch.cover(foot), lot.plain(CREAM), shade=1 - 0.9 * x.clamp(-0.2, 0.25))
    ring = box(x, y - 0.16, each(stem * 1.45), 0.028)
    patch.paint(patch.cover(ring), lot.plain(WHITE))
    dome = ellipse(x, y - 0.04, each(width), each(height + 0.06))
    under = ellipse(x, y - 0.02, each(width * 0.96), each(rim + 0.04))
    patch.paint(patch.cover(under), lot.plain((0.72, 0.62, 0.5)))
    cap = patch.cover(torch.maximum(dome, y - 0.05 + 0.2 * x * x))
    patch.paint(
        cap, lot.color("cap", saturation=(0.5, 0.95), value=(0.5, 0.95)), shade=1 - 0.3 * (1 + dome * 9).clamp_(0, 1)
    )
    spots = ellipse(x + each(width * 0.55), y + 0.08, 0.06, 0.08)
    for across, down, radius in ((-0.15, 0.26, 0.08), (0.25, 0.2, 0.085), (0.05, 0.05, 0.06), (0.62, 0.06, 0.055)):
        spots = torch.minimum(spots, circle(x - each(width * across), y + down, radius))
    patch.paint(patch.cover(spots) * cap, lot.plain(WHITE))


def paint_fruit(lot: Lot) -> None:
    """An apple, a pear or an orange, with a stalk, a leaf and a highlight."""
    kind = lot.choice("kind", len(FRUITS))
    apart, radius, neck, thin, top = torch.tensor(FRUITS, device=kind.device)[kind].unbind(1)
    size, lean = lot.draw("build", (0.95, 1.1), (-0.12, 0.12))
    patch = lot.patch((0.0, 0.05, 0.8))
    x, y = patch.local(0.0, 0.14)
    x, y = x / each(size), y / each(size)
    stalk = segment(x, y - each(top), each(lean), -0.2, 0.028)
    patch.paint(patch.cover(stalk), lot.plain(BARK))
    leaf = ellipse(*turned(x - 0.15 - each(lean), y - each(top) + 0.12, -0.4), 0.17, 0.075)
    patch.paint(patch.cover(leaf), lot.plain(STEM_GREEN))
    below = circle(x - each(apart), y - each(neck) * 0.3, each(radius))
    above = circle(x + each(apart), y + each(neck), each(thin))
    outline = smooth_union(below, above, 0.3)
    skin = lot.color("skin", hue=(-0.03, 0.27), saturation=(0.65, 0.95), value=(0.7, 0.98))
    shade = 1 - 0.4 * (1 + outline * 5.5).clamp_(0, 1) - 0.25 * y.clamp(-0.3, 0.4)
    patch.paint(patch.cover(outline), skin, shade=shade)
    glow = (1 - ((x + 0.16) * (x + 0.16) + (y + 0.12) * (y + 0.12)) * 55).clamp_(0, 1)
    patch.paint(glow * 0.75, lot.plain(WHITE))
