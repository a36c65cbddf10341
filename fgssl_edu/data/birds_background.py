"""What stands behind a parametric bird: a textured backdrop of one of six families, blobs out of focus, and a perch.

Textures are lattices of hashed numbers, interpolated to the picture: the same at every resolution.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from fgssl_edu.data.birds_canvas import Frame, each, lay, turn, wave
from fgssl_edu.data.birds_factors import SHAPE, Factors, spread
from fgssl_edu.draws import uniform

PALETTES = (  # dark, light and low colour of sky, foliage, grass, water, sand, dusk
    ((0.55, 0.75, 0.92), (0.93, 0.96, 0.98), (0.78, 0.88, 0.95)),
    ((0.13, 0.27, 0.12), (0.52, 0.68, 0.30), (0.30, 0.45, 0.20)),
    ((0.35, 0.45, 0.15), (0.80, 0.80, 0.42), (0.55, 0.62, 0.25)),
    ((0.16, 0.36, 0.50), (0.62, 0.80, 0.86), (0.30, 0.52, 0.62)),
    ((0.45, 0.33, 0.23), (0.84, 0.74, 0.58), (0.65, 0.53, 0.40)),
    ((0.36, 0.25, 0.42), (0.97, 0.72, 0.50), (0.70, 0.45, 0.48)),
)
PLAIN = ((0.60, 0.76, 0.90), (0.88, 0.93, 0.97), (0.80, 0.88, 0.94))  # the backdrop at strength 0
TEXTURES = (  # how much of clouds, patches, speckles and stripes, in the same order
    (0.9, 0.5, 0.08, 0.0),
    (0.5, 0.8, 0.55, 0.0),
    (0.3, 0.3, 0.25, 0.75),
    (0.25, 0.35, 0.10, 0.8),
    (0.3, 0.6, 0.6, 0.25),
    (0.9, 0.2, 0.06, 0.1),
)
WATER = 3  # the family whose stripes lie flat
CLOUDS, PATCHES, SPECKLES = 5, 12, 32  # lattice points a side
GRAIN, GRAIN_SIDE = 0.008, 64  # standard deviation of the sensor noise in [0, 1]; its lattice
UNIT = 3**0.5  # a uniform draw in [-1, 1) times this has standard deviation 1
PALETTE_SPREAD, CONTRAST, PLAIN_FADE = 0.07, 0.42, 0.3
BLOBS, BLOB_SHARE, BLOB_RADIUS = 3, 0.65, (0.08, 0.30)  # half picture widths
PERCH_SHARE, PERCH_HEIGHT, PERCH_RADIUS = 0.75, 0.60, (0.035, 0.065)  # canonical units
BARK = (0.36, 0.25, 0.16)
ODD, ODD_TOO = 0x2C1B3C6D, 0x297A2D39  # multipliers that spread bits (lowbias32, Wellons, nullprogram.com)


def between(draw: Tensor, low: float, high: float) -> Tensor:
    """A draw in [0, 1) to [low, high)."""
    return low + (high - low) * draw


def lattice(key: Tensor, purpose: str, side: int) -> Tensor:
    """Hashed numbers in [-1, 1) on a square lattice, (B, side, side).

    Each row and each column has a key, and each point mixes two: a fresh hash of every point would cost more than the
    bird.
    """
    keys = (uniform(0, 0, key, purpose, 2 * side) * 2**24).to(torch.int32)
    rows, columns = keys[:, :side, None] << 7, keys[:, None, side:]
    mixed = (rows ^ columns).mul_(ODD)
    mixed = (mixed ^ (mixed >> 15)).mul_(ODD_TOO)
    return (mixed >> 8).to(torch.float32).mul_(2.0**-23)


def resize(field: Tensor, side: int, mode: str = "bicubic") -> Tensor:
    """(B, n, n) to (B, side, side), each picture by itself."""
    return F.interpolate(field[:, None], (side, side), mode=mode, align_corners=False)[:, 0]


def grain(factors: Factors, size: int) -> Tensor:
    """Sensor noise (B, S, S), standard deviation GRAIN at 64 px and above."""
    noise = lattice(factors.grain_key, "birds/grain", GRAIN_SIDE).mul_(GRAIN * UNIT)
    return noise if size == GRAIN_SIDE else resize(noise, size, "bilinear")


def paint_background(factors: Factors, frame: Frame) -> Tensor:
    """The picture without its bird, (B, 3, S, S) float, about [0, 1]."""
    palette = _palette(factors)
    picture = _backdrop(factors, palette, frame)
    if bool((factors.clutter > 0).any()):
        _add_blobs(picture, factors, palette, frame)
        _add_perch(picture, factors, frame)
    return picture


def _palette(factors: Factors) -> Tensor:
    """Dark, light and low colour, (B, 3, 3); at strength 0 the same for all."""
    device = factors.scale.device
    strength = factors.background[:, None, None]
    family = torch.tensor(PALETTES, device=device)[factors.background_family]
    family = family + PALETTE_SPREAD * spread(0, factors.background_key, "palette", 9).view(-1, 3, 3)
    plain = torch.tensor(PLAIN, device=device)
    return (plain + strength * (family - plain)).clamp_(0, 1)


def _backdrop(factors: Factors, palette: Tensor, frame: Frame) -> Tensor:
    """Texture from dark to light, fading into the low colour towards the bottom."""
    shade = _texture(factors, frame)
    draw = uniform(0, 0, factors.background_key, "fade", 1)[:, 0]
    fade = PLAIN_FADE + factors.background * (between(draw, 0.1, 0.55) - PLAIN_FADE)
    low = each(fade) * ((frame.axis + 1) / 2)[None, :, None]  # (B, S, 1) share of the low colour in each row
    shade = shade * (1 - low)
    picture = shade.new_empty(len(shade), 3, frame.size, frame.size)
    for channel in range(3):  # one at a time: they stay in the cache
        dark, light, bottom = (each(color[:, channel]) for color in palette.unbind(1))
        torch.mul(shade, light - dark, out=picture[:, channel])
        picture[:, channel] += dark + low * (bottom - dark)
    return picture


def _texture(factors: Factors, frame: Frame) -> Tensor:
    """(B, S, S) in [0, 1]: clouds, patches and speckles, and stripes that the clouds bend."""
    key, device = factors.background_key, factors.scale.device
    weights = torch.tensor(TEXTURES, device=device)[factors.background_family]
    weights = weights * (CONTRAST * factors.background)[:, None]
    cloud, patch, speckle, stripe = (each(w) for w in weights.unbind(1))
    clouds = resize(lattice(key, "clouds", CLOUDS).mul_(UNIT), SPECKLES)
    patches = resize(lattice(key, "patches", PATCHES).mul_(UNIT), SPECKLES)
    speckles = lattice(key, "speckles", SPECKLES).mul_(UNIT)
    texture = resize(cloud * clouds + patch * patches + speckle * speckles, frame.size)
    angle, frequency, phase = uniform(0, 0, key, "stripes", 3).unbind(1)
    flat = factors.background_family == WATER
    cos, sin = turn(torch.where(flat, between(angle, 1.45, 1.7), between(angle, -0.35, 0.35)))
    frequency = between(frequency, 1.4, 3.5)  # waves in half a picture width
    across, down = frame.axis[None, None, :] * each(frequency * cos), frame.axis[None, :, None] * each(frequency * sin)
    stripes = wave(across + (down + each(phase)) + resize(clouds * 0.25, frame.size, "bilinear"))
    return stripes.mul_(stripe).add_(texture).add_(0.5).clamp_(0, 1)


def _add_blobs(picture: Tensor, factors: Factors, palette: Tensor, frame: Frame) -> None:
    """Ellipses out of focus in the colours around; they are as strong as the background is."""
    batch, rows = torch.arange(len(factors), device=picture.device), frame.axis[None, :, None]
    for draw in uniform(0, 0, factors.background_key, "blobs", 11 * BLOBS).split(11, dim=1):
        shown, opacity, radius, aspect, angle, x, y, which = draw[:, :8].unbind(1)
        opacity = between(opacity, 0.35, 0.95) * factors.background * (shown < BLOB_SHARE * factors.clutter)
        length = between(radius, *BLOB_RADIUS)
        width = length * between(aspect, 0.35, 1)
        cos, sin = turn(angle * math.pi)
        right, down = frame.axis[None, None, :] - each(2 * x - 1), rows - each(2 * y - 1)  # (B, 1, S), (B, S, 1)
        along, across = 1 / (length * length), 1 / (width * width)
        square = (right * each(2 * cos * sin * (along - across))) * down  # quadratic form, 1 on the edge
        square = square + right * right * each(cos * cos * along + sin * sin * across)
        square = square + down * down * each(sin * sin * along + cos * cos * across)
        alpha = (0.5 + (1 - square) * each(width * (frame.size / 4))).clamp_(0, 1).mul_(each(opacity))
        around = palette[batch, (which * 3).to(torch.int64)]
        lay(picture, alpha, around + 0.35 * (draw[:, 8:] - around))


def _add_perch(picture: Tensor, factors: Factors, frame: Frame) -> None:
    """A tilted branch at the bird's feet, lit from above."""
    draw = uniform(0, 0, factors.background_key, "perch", 4)
    left, right = between(draw[:, :2], -0.12, 0.12).unbind(1)
    radius = between(draw[:, 2], *PERCH_RADIUS)
    whole = frame.window()
    across, down = whole.local(0.0, perch_height(factors) + (left + right) / 2)
    depth = down - across * each((right - left) / 3.2)
    alpha = whole.cover(depth.abs() - each(radius)).mul_(each(draw[:, 3] < PERCH_SHARE * factors.clutter))
    bark = torch.tensor(BARK, device=picture.device) + 0.05 * spread(0, factors.background_key, "bark", 3)
    lay(picture, alpha, bark.clamp_(0.02, 1), shade=1 - 0.25 * (depth / each(radius)).clamp_(-1, 1))


def perch_height(factors: Factors) -> Tensor:
    """Canonical height of the perch under the bird's middle, (B,)."""
    return PERCH_HEIGHT + factors.shape[:, list(SHAPE).index("perch")]
