"""Houses, cars, boats, letters, patterned tiles and stones for an open set, and the painting of any of its families."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from fgssl_edu.data.birds_background import lattice, paint_background, resize
from fgssl_edu.data.birds_canvas import RGB, Canvas, Frame, blade, circle, each, ellipse, segment, wave
from fgssl_edu.data.birds_factors import Factors
from fgssl_edu.data.birds_render import BLOCK_PIXELS, develop, mirror, render
from fgssl_edu.data.open_set_families import (
    BARK,
    DARK,
    GROUND,
    WHITE,
    Lot,
    box,
    paint_butterfly,
    paint_fish,
    paint_flower,
    paint_fruit,
    paint_mushroom,
    paint_tree,
    spire,
)

GLASS, LAMP, TYRE, HUB = (0.72, 0.85, 0.93), (0.98, 0.9, 0.5), (0.13, 0.13, 0.14), (0.75, 0.76, 0.78)
MAX_THREADS = 8
STROKE, RIM = 0.095, 0.055  # half width of a letter's stroke; of the edge around it
LETTERS = {  # strokes (x, y, x, y) on a grid from (-1, -1), top left, to (1, 1)
    "A": ((-0.9, 1, 0, -1), (0, -1, 0.9, 1), (-0.5, 0.3, 0.5, 0.3)),
    "E": ((-0.7, -1, -0.7, 1), (-0.7, -1, 0.8, -1), (-0.7, 0, 0.5, 0), (-0.7, 1, 0.8, 1)),
    "F": ((-0.6, -1, -0.6, 1), (-0.6, -1, 0.8, -1), (-0.6, 0, 0.5, 0)),
    "H": ((-0.8, -1, -0.8, 1), (0.8, -1, 0.8, 1), (-0.8, 0, 0.8, 0)),
    "K": ((-0.7, -1, -0.7, 1), (-0.7, 0.1, 0.7, -1), (-0.3, -0.2, 0.8, 1)),
    "L": ((-0.6, -1, -0.6, 1), (-0.6, 1, 0.8, 1)),
    "M": ((-0.9, 1, -0.8, -1), (-0.8, -1, 0, 0.4), (0, 0.4, 0.8, -1), (0.8, -1, 0.9, 1)),
    "N": ((-0.8, 1, -0.8, -1), (-0.8, -1, 0.8, 1), (0.8, 1, 0.8, -1)),
    "T": ((0, -1, 0, 1), (-0.9, -1, 0.9, -1)),
    "V": ((-0.9, -1, 0, 1), (0, 1, 0.9, -1)),
    "X": ((-0.8, -1, 0.8, 1), (-0.8, 1, 0.8, -1)),
    "Y": ((-0.8, -1, 0, 0), (0, 0, 0.8, -1), (0, 0, 0, 1)),
    "Z": ((-0.8, -1, 0.8, -1), (0.8, -1, -0.8, 1), (-0.8, 1, 0.8, 1)),
}
STROKES = 4  # of a letter, at most
WEAVES = (  # how much of waves across, down, their product, and of rings: stripes, chequers, dots, rings, a lattice
    (1.0, 0.0, 0.0, 0.0),
    (0.0, 0.0, 1.4, 0.0),
    (0.7, 0.7, 0.0, 0.0),
    (0.0, 0.0, 0.0, 1.0),
    (0.5, 0.5, 0.8, 0.0),
)
VEINS = 32  # lattice points a side


def paint_house(lot: Lot) -> None:
    """Walls under a gable roof, with a door, two windows and a chimney."""
    width, height, roof, door, chimney = lot.draw(
        "build", (0.36, 0.48), (0.23, 0.3), (0.34, 0.5), (-0.2, 0.2), (0.16, 0.26)
    )
    patch = lot.patch((0.0, 0.0, 0.87))
    x, y = patch.local(0.0, 0.33)
    stack = box(x - each(chimney), y + each(height + 0.26), 0.055, 0.17)
    patch.paint(patch.cover(stack), lot.plain((0.55, 0.3, 0.24)))
    walls = box(x, y, each(width), each(height))
    courses = 0.94 + 0.06 * wave(y * 9)
    patch.paint(patch.cover(walls), lot.color("wall", saturation=(0.1, 0.7), value=(0.6, 0.97)), shade=courses)
    gable = spire(x, y, -each(height + roof), -each(height) + 0.03, each(width + 0.12))
    tiles = 0.9 + 0.1 * wave(y * 13)
    patch.paint(patch.cover(gable), lot.color("roof", saturation=(0.4, 0.9), value=(0.3, 0.75)), shade=tiles)
    entry = box(x - each(door * 0.5), y - each(height) + 0.155, 0.08, 0.155)
    patch.paint(patch.cover(entry), lot.color("door", value=(0.25, 0.6)))
    left, right = x - each(door * 0.5) + 0.245, x - each(door * 0.5) - 0.245
    for pane in (left, right):
        window = box(pane, y + 0.04, 0.085, 0.085)
        inside = patch.cover(walls + 0.03)
        patch.paint(patch.cover(window - 0.02) * inside, lot.plain(WHITE))
        patch.paint(patch.cover(window) * inside, lot.plain(LAMP))
        cross = torch.minimum(pane.abs(), (y + 0.04).abs()) - 0.012
        patch.paint(patch.cover(torch.maximum(cross, window)) * inside, lot.plain(DARK))


def paint_car(lot: Lot) -> None:
    """A car or a van from the side: body, cabin with windows, wheels, a lamp at each end."""
    length, height, cabin, shift, rake, wheel = lot.draw(
        "build", (0.58, 0.7), (0.13, 0.17), (0.26, 0.42), (-0.14, 0.02), (0.06, 0.14), (0.12, 0.15)
    )
    patch = lot.patch((0.0, 0.2, 0.86))
    x, y = patch.local(0.0, 0.3)
    paint = lot.color("paint", saturation=(0.3, 0.95), value=(0.45, 0.97))
    over, tall = x - each(shift), each(height + 0.3)
    top = torch.maximum(over.abs() - each(cabin + rake) - (y + each(height)) * each(rake / 0.3), -y - tall)
    top = torch.maximum(top, y)
    right, down = x.abs() - each(length - 0.1), y.abs() - each(height - 0.1)
    body = circle(right.clamp(min=0), down.clamp(min=0), 0.1)  # corners are round
    both = torch.minimum(top, body)
    patch.paint(patch.cover(both), paint, shade=1 - 0.45 * y.clamp(-0.1, 0.2))
    glass = torch.maximum(top + 0.055, y + each(height) + 0.005)
    pane = patch.cover(torch.maximum(glass, 0.03 - (over + 0.04).abs()))
    patch.paint(pane, lot.plain(GLASS), shade=1 + 0.5 * (over - y * 0.5).clamp(-0.3, 0.3))
    stripe = box(x, y + each(height * 0.2), each(length * 0.97), 0.022)
    patch.paint(patch.cover(stripe) * patch.cover(body), paint * 0.6)
    patch.paint(patch.cover(ellipse(x - each(length) + 0.05, y + 0.03, 0.05, 0.045)), lot.plain(LAMP))
    patch.paint(patch.cover(ellipse(x + each(length) - 0.03, y + 0.03, 0.03, 0.05)), lot.plain((0.75, 0.12, 0.1)))
    hub = circle(x.abs() - each(length * 0.58), y - each(height) - 0.01, each(wheel))
    patch.paint(patch.cover(hub), lot.plain(TYRE))
    patch.paint(patch.cover(hub + each(wheel * 0.5)), lot.plain(HUB))


def paint_boat(lot: Lot) -> None:
    """A sailing boat: hull with a stripe, mast, two sails and a pennant."""
    length, mast, boom, jib = lot.draw("build", (0.5, 0.62), (0.62, 0.78), (0.36, 0.5), (0.24, 0.36))
    patch = lot.patch((0.0, 0.0, 0.9))
    x, y = patch.local(0.0, 0.3)
    pole = box(x, y + each(mast / 2), 0.018, each(mast / 2 + 0.03))
    patch.paint(patch.cover(pole), lot.plain(BARK))
    left = torch.maximum(spire(x, y, -each(mast), -0.06, each(boom)), x + 0.035)
    right = torch.maximum(spire(x, y, -each(mast * 0.85), -0.06, each(jib)), 0.035 - x)
    main = lot.color("sail", saturation=(0.0, 0.8), value=(0.8, 1.0))
    seams = 0.95 + 0.06 * wave(y * 6)
    patch.paint(patch.cover(left), main, shade=seams)
    patch.paint(patch.cover(right), lot.color("jib", saturation=(0.0, 0.8), value=(0.8, 1.0)), shade=seams)
    pennant = torch.maximum(blade(x, y + each(mast) + 0.02, 0.17, 0.05, 0.01), -x)
    patch.paint(patch.cover(pennant), lot.color("pennant", saturation=(0.6, 0.95)))
    hull = torch.maximum(x.abs() - each(length) + (y + 0.02).clamp(min=0) * 0.75, (y - 0.115).abs() - 0.135)
    alpha = patch.cover(hull)
    patch.paint(alpha, lot.color("hull", value=(0.25, 0.75)), shade=1 - 0.9 * (y - 0.1).clamp(-0.1, 0.2))
    patch.paint(alpha * patch.cover((y - 0.05).abs() - 0.022), lot.plain(WHITE))


def paint_letter(lot: Lot) -> None:
    """A capital of straight strokes with an edge around it."""
    table = [(strokes + strokes[-1:] * STROKES)[:STROKES] for strokes in LETTERS.values()]
    chosen = lot.choice("letter", len(LETTERS))
    strokes = torch.tensor(table, device=chosen.device)[chosen]  # (B, STROKES, 4)
    width, height, weight = lot.draw("build", (0.32, 0.44), (0.42, 0.52), (0.9, 1.3))
    patch = lot.patch((0.0, 0.02, 0.9))
    x, y = patch.local(0.0, 0.02)
    outline = torch.full_like(x, 9.0)
    for stroke in strokes.unbind(1):
        from_x, from_y, to_x, to_y = stroke.unbind(1)
        right, down = each((to_x - from_x) * width), each((to_y - from_y) * height)
        line = segment(x - each(from_x * width), y - each(from_y * height), right, down, each(STROKE * weight))
        outline = torch.minimum(outline, line)
    edge = torch.where((lot.draw("edge", (0, 1))[0] < 0.5)[:, None], lot.plain(WHITE), lot.plain(DARK))
    patch.paint(patch.cover(outline - RIM), edge)
    patch.paint(patch.cover(outline), lot.color("ink", saturation=(0.5, 0.95), value=(0.45, 0.95)))


def paint_pattern(lot: Lot) -> None:
    """A tile, round or square or on its corner, with stripes, chequers, dots, rings or a lattice, and a rim."""
    size, frequency, phase, shape = lot.draw("build", (0.48, 0.6), (1.6, 2.8), (0, 1), (0, 3))
    patch = lot.patch((0.0, 0.0, 0.95))
    x, y = patch.local()
    right, down = x.abs(), y.abs()
    square = torch.maximum(right, down) - each(size * 0.88)
    corner = (right + down) * 0.7071 - each(size * 0.8)
    outline = torch.where(each(shape < 1), square, torch.where(each(shape < 2), corner, circle(x, y, each(size))))
    patch.paint(patch.cover(outline), lot.color("rim", value=(0.15, 0.5)))
    inner = patch.cover(outline + 0.045)
    patch.paint(inner, lot.color("ground", saturation=(0.05, 0.7), value=(0.7, 1.0)))
    weave = lot.choice("weave", len(WEAVES))
    across, below, both, rings = torch.tensor(WEAVES, device=weave.device)[weave].unbind(1)
    u, v = wave(x * each(frequency) + each(phase)), wave(y * each(frequency) + each(phase))
    ring = wave(torch.sqrt(x * x + y * y) * each(frequency) + each(phase))
    level = each(across) * u + each(below) * v + each(both) * u * v + each(rings) * ring
    level = level - each(0.35 * (weave == 2))
    ink = (0.5 + level * (patch.frame.per_pixel / each(8 * frequency))).clamp(0, 1)
    patch.paint(inner * ink, lot.color("ink", saturation=(0.4, 0.95), value=(0.25, 0.8)))


def paint_stone(lot: Lot) -> None:
    """A pebble or two of grained rock with veins."""
    width, height, other, grain, vein = lot.draw("build", (0.45, 0.6), (0.3, 0.42), (0.0, 1.0), (0.08, 0.3), (0.0, 0.9))
    patch = lot.patch((0.0, 0.15, 0.9))
    x, y = patch.local(0.0, 0.2)
    size = patch.frame.size
    coarse = resize(lattice(lot.key, "open/stone", 7), size, "bilinear")[:, patch.rows, patch.columns]
    fine = resize(lattice(lot.key, "open/grain", VEINS), size, "bilinear")[:, patch.rows, patch.columns]
    rock = ellipse(x + 0.12 * y, y, each(width), each(height)) + 0.05 * coarse
    rock = torch.maximum(rock, y - GROUND + 0.22)
    small = ellipse(x - 0.42, y - 0.22, 0.22, 0.17) + 9 * each((other < 0.5).float())
    outline = torch.minimum(rock, small)
    bands = wave(y * 1.6 + x * 0.5 + coarse * 0.7)
    shade = 0.98 + each(grain) * fine + 0.1 * coarse - 0.3 * (1 + outline * 8).clamp(0, 1) - 0.45 * y.clamp(-0.3, 0.35)
    alpha = patch.cover(outline)
    patch.paint(alpha, lot.color("rock", saturation=(0.03, 0.4), value=(0.4, 0.85)), shade=shade)
    veins = (bands.abs() * -5 + 1).clamp(0, 1) * each(vein)
    patch.paint(alpha * veins, lot.plain((0.88, 0.86, 0.82)))


def paint_nothing(lot: Lot) -> None:
    """A background with its perch, and nothing else."""


PAINTERS: dict[str, Callable[[Lot], None]] = {
    "fish": paint_fish,
    "butterflies": paint_butterfly,
    "flowers": paint_flower,
    "trees": paint_tree,
    "mushrooms": paint_mushroom,
    "fruit": paint_fruit,
    "houses": paint_house,
    "cars": paint_car,
    "boats": paint_boat,
    "letters": paint_letter,
    "patterns": paint_pattern,
    "stones": paint_stone,
    "scenes": paint_nothing,
}


@torch.no_grad()
def render_things(factors: Factors, family: str, size: int = 64) -> Tensor:
    """Draw things of one family; pure, as `birds.render`, and all at once: give it blocks.

    Args:
        factors: of B pictures. Pose, light and background count, and the key of the noise: the thing is hashed from it.
        family: a name in `PAINTERS`.
        size: side in px.

    Returns:
        (B, 3, size, size) uint8.
    """
    frame = Frame(factors, size)
    canvas = Canvas.blank(frame)
    PAINTERS[family](Lot(canvas, factors, family))
    whole = canvas.patch()
    towards_light, _ = whole.local(angle=factors.light_angle - factors.angle)
    whole.tone(1 + each(factors.shading) * towards_light.clamp_(-0.8, 0.8))
    picture = paint_background(factors, frame)
    picture.mul_((1 - canvas.layer[:, RGB.stop])[:, None]).add_(canvas.layer[:, RGB])
    return mirror(develop(picture, factors), factors.mirrored)


def render_groups(factors: Factors, group: Tensor, groups: Sequence[str], size: int) -> Tensor:
    """Draw things and birds in blocks on a few Python threads, one torch thread each.

    Args:
        factors: of N pictures.
        group: (N,) int64, index into `groups`.
        groups: names; those in `PAINTERS` are things, the others birds.
        size: side in px.

    Returns:
        (N, 3, size, size) uint8.
    """
    images = torch.empty(len(group), 3, size, size, dtype=torch.uint8)
    block = max(1, BLOCK_PIXELS["cpu"] // size**2)
    members = [torch.nonzero(group == which)[:, 0] for which in range(len(groups))]
    jobs = [(which, index) for which, member in enumerate(members) for index in member.split(block) if len(index)]

    def draw(job: tuple[int, Tensor]) -> None:
        which, index = job
        chunk, name = factors.subset(index), groups[which]
        images[index] = render_things(chunk, name, size) if name in PAINTERS else render(chunk, size).images

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(min(MAX_THREADS, os.cpu_count() or 1)) as pool:
            list(pool.map(draw, jobs))
    finally:
        torch.set_num_threads(threads)
    return images
