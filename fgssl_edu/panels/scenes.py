"""What the Grad-CAM panel shows of rendered birds: their scenes, their sister species, and other skies above them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fgssl_edu.data.birds import Factors, World, render
from fgssl_edu.data.image_set import Splits
from fgssl_edu.evaluate.edits import HELD_OUT_SEED, NEW_BACKGROUNDS

SKIES, SKY_SEED = NEW_BACKGROUNDS, HELD_OUT_SEED + 1  # the backgrounds of the edit score; seed of the first of them
SKY_FACTORS = ("background_family", "background_key")  # what `Factors.new_background` changes


@dataclass(frozen=True)
class Scene:
    """A picture with what is known about it: pixels (3, H, W), parts and foreground (H, W) or None."""

    pixels: Tensor
    parts: Tensor | None
    foreground: Tensor | None


def species_table(splits: Splits) -> World:
    """The species of rendered sets as they were drawn; one that has no picture here is nobody's sister."""
    known = [images.factors for images in (splits.train, splits.test) if isinstance(images.factors, Factors)]
    species, genus, codes, coat, plump = (
        torch.cat([getattr(factors, name) for factors in known])
        for name in ("species", "genus", "codes", "coat", "plump")
    )
    genera = int(genus.max()) + 1
    return World(
        codes=codes.new_zeros(len(splits.test.classes), codes.shape[1]).index_put((species,), codes),
        genus=genus.new_full((len(splits.test.classes),), -1).index_put((species,), genus),
        names=splits.test.classes,
        genus_names=splits.test.coarse_classes,
        coat=coat.new_zeros(genera, *coat.shape[1:]).index_put((genus,), coat),
        plump=plump.new_zeros(genera).index_put((genus,), plump),
    )


def under_skies(bird: Factors, size: int) -> Tensor:
    """One bird before the backgrounds of the edit score, (SKIES, 3, size, size) uint8.

    Args:
        bird: one row.
        size: side in pixels.
    """
    skies = [bird.new_background(SKY_SEED + i) for i in range(SKIES)]
    families, keys = (torch.cat([getattr(sky, name) for sky in skies]) for name in SKY_FACTORS)
    birds = bird.subset(torch.zeros(SKIES, dtype=torch.int64))
    birds = birds.replace(background_family=families, background_key=keys)
    return render(birds, size).images  # all at once: half the time
