"""The embedded data set: parametric birds, rendered instead of downloaded, with everything about them known.

A species is its genus (colour, build) and eight local attributes; pose, light, background, clutter and individual
variation are nuisances under control. `render` is pure, so the same bird with another beak, or before another
background, is one call.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import torch
from torch import Tensor

from fgssl_edu.data.birds_background import paint_background
from fgssl_edu.data.birds_canvas import Frame
from fgssl_edu.data.birds_factors import BACKGROUNDS, Factors, Knobs, sample
from fgssl_edu.data.birds_render import MAX_SIZE, MIN_SIZE, Rendered, develop, render, without_birds
from fgssl_edu.data.birds_world import ATTRIBUTE_PART, ATTRIBUTES, PART_NAMES, World
from fgssl_edu.data.image_set import ImageSet
from fgssl_edu.draws import uniform

__all__ = [
    "ATTRIBUTES",
    "ATTRIBUTE_PART",
    "BACKGROUNDS",
    "PART_NAMES",
    "Factors",
    "Knobs",
    "Rendered",
    "World",
    "backgrounds",
    "balanced_labels",
    "bird_set",
    "render",
    "sample",
    "without_birds",
]
SPLITS = {"train": 0, "test": 1 << 32}  # added to the seed: no seed below 2^32 shares a bird with the other split
CHUNK = 64  # birds a thread draws at a time
MAX_THREADS = 8


def balanced_labels(count: int, species: int, seed: int) -> Tensor:
    """Species of the birds 0..count-1 of a set, (count,) int64.

    Every run of `species` birds holds each species once in random order, so bird i keeps its species in a longer set.
    """
    runs = torch.arange(-(-count // species))
    return uniform(seed, 0, runs, "birds/label", species).argsort(dim=1, stable=True).flatten()[:count]


def backgrounds(count: int, size: int = 64, seed: int = 0, knobs: Knobs | None = None) -> Tensor:
    """Backgrounds with no bird in front, of every family and in every light, (count, 3, size, size) uint8."""
    _check(count, size)
    index = torch.arange(count)
    knobs = replace(knobs or Knobs(), correlation=0.0)  # there is no bird for them to give away
    factors = sample(World.make(), torch.zeros_like(index), index, seed, knobs)
    chunks = [factors.subset(chunk) for chunk in index.split(CHUNK)]
    return torch.cat([develop(paint_background(chunk, Frame(chunk, size)), chunk) for chunk in chunks])


def bird_set(
    count: int,
    size: int = 64,
    seed: int = 0,
    world: World | None = None,
    knobs: Knobs | None = None,
    split: str = "train",
) -> ImageSet:
    """Render a labelled set of birds.

    Args:
        count: number of birds; species are balanced, and bird i is the same in a longer set.
        size: side in px, 32 to 448.
        seed: of the set.
        world: species table; None is the standard 24 species in 6 genera.
        knobs: nuisances; None is all of them, no shortcut.
        split: "train" or "test"; the two never share a bird.

    Raises:
        ValueError: a count below 1, a size out of range, an unknown split.
    """
    _check(count, size)
    if split not in SPLITS:
        raise ValueError(f"split={split!r}: choose one of {', '.join(SPLITS)}")
    world = world or World.make()
    key = seed + SPLITS[split]
    labels = balanced_labels(count, len(world), key)
    factors = sample(world, labels, torch.arange(count), key, knobs)
    rendered = _render_threaded(factors, size)
    return ImageSet(
        images=rendered.images,
        labels=labels,
        classes=world.names,
        coarse=factors.genus,
        coarse_classes=world.genus_names,
        parts=rendered.parts,
        part_names=PART_NAMES,
        foreground=rendered.foreground,
        discriminative=world.discriminative[labels],
        factors=factors,
        name="birds",
        provenance=f"parametric birds, {split}, seed {seed}, rendered at {size} px by fgssl_edu",
        licence="MIT, as the package that renders them",
    )


def _render_threaded(factors: Factors, size: int) -> Rendered:
    """Render chunks on a few Python threads, one torch thread each: on small maps quicker than the other way round."""
    threads = torch.get_num_threads()
    chunks = torch.arange(len(factors)).split(CHUNK)
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(min(MAX_THREADS, os.cpu_count() or 1)) as pool:
            done = list(pool.map(lambda chunk: render(factors.subset(chunk), size), chunks))
    finally:
        torch.set_num_threads(threads)
    return Rendered(*(torch.cat([getattr(r, name) for r in done]) for name in ("images", "parts", "foreground")))


def _check(count: int, size: int) -> None:
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ValueError(f"count={count!r}: a set has at least one bird")
    if isinstance(size, bool) or not isinstance(size, int) or not MIN_SIZE <= size <= MAX_SIZE:
        raise ValueError(f"size={size!r}: birds are drawn from {MIN_SIZE} to {MAX_SIZE} px a side")
