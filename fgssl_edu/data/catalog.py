"""Data sets by name: rendered birds, what `fgssl data get` has fetched, or any folder of photographs."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path

import torch

from fgssl_edu.data import birds, sources
from fgssl_edu.data.folder import load_folder
from fgssl_edu.data.image_set import ImageSet, Splits, class_ranks
from fgssl_edu.data.large import LARGE, load_large
from fgssl_edu.data.manifest import MANIFEST
from fgssl_edu.paths import data_dir

CATALOG: dict[str, str] = {
    "birds": "Parametric birds, rendered by this program with parts, masks and latent factors; licence: MIT",
    **{name: f"{source.title} ({source.citation}); {source.terms}" for name, source in sources.offered().items()},
    "folder:PATH": "Your own photographs: manifest.csv (path,label,split), train/ and test/ with class folders, or "
    "class folders alone; their terms are yours to know",
    "shards:PATH": "A set as `fgssl data shards` writes it, streamed; its terms are in its shards.json",
    "mapped:PATH": "A set as `fgssl data map` writes it, mapped into memory; its terms are in its map.json",
}
SPECIES = 24
TRAIN_BIRDS, TEST_BIRDS = 3000, 960  # 125 and 40 a species


def load(
    dataset: str,
    *,
    image_size: int = 64,
    train_images: int | None = None,
    test_images: int | None = None,
    seed: int = 0,
    on_bad: str = "raise",
    **birds_knobs: float,
) -> Splits:
    """Load a data set by name.

    Args:
        dataset: a name in `CATALOG`, or folder:PATH, shards:PATH, mapped:PATH.
        image_size: side of the stored square pictures in pixels.
        train_images: how many; None takes all photographs, or 3,000 birds. Fewer: the same share of each class. Of a
            set that is not held in memory, how many are; see `large.load_large`.
        test_images: the same for test; 960 birds.
        seed: of the birds that are drawn, and of any choice among photographs.
        on_bad: what to do about photographs that cannot be read; see `folder.load_folder`.
        birds_knobs: `species`, and the fields of `birds.Knobs`. `correlation` holds in training only.

    Raises:
        ValueError: an unknown name or knob, or data that are not there, with what to do.
    """
    for name, count in (("train_images", train_images), ("test_images", test_images)):
        if count is not None and count < 1:
            raise ValueError(f"{name}={count}: at least 1, or None for all")
    if dataset == "birds":
        known = ("species", *(field.name for field in fields(birds.Knobs)))
        _refuse_unknown(birds_knobs, known)
        return _birds(
            image_size, train_images or TRAIN_BIRDS, test_images or TEST_BIRDS, seed, tuple(sorted(birds_knobs.items()))
        )
    if birds_knobs:
        raise ValueError(f"{', '.join(birds_knobs)}: knobs of rendered birds; dataset={dataset!r} has photographs")
    if dataset.startswith(LARGE):
        return load_large(dataset, image_size, train_images, test_images, on_bad)
    splits = _photographs(dataset, image_size, on_bad, seed)
    return replace(splits, train=_fewer(splits.train, train_images, seed), test=_fewer(splits.test, test_images, seed))


def folder_of(dataset: str) -> Path:
    """Where the photographs of a data set are; ValueError for an unknown name, and for a set that was not fetched."""
    kind, _, path = dataset.partition(":")
    if kind == "folder" and path:
        return Path(path).expanduser()
    if dataset not in CATALOG or dataset.endswith(":PATH"):
        close = difflib.get_close_matches(dataset, CATALOG, n=1, cutoff=0.5)
        meant = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"dataset={dataset!r}: use one of {', '.join(CATALOG)} (PATH names your folder).{meant}")
    folder = data_dir() / dataset
    if not (folder / MANIFEST).is_file():
        raise ValueError(f"dataset={dataset!r} is not in {folder}: run `fgssl data get {dataset}` first")
    return folder


def _photographs(dataset: str, image_size: int, on_bad: str, seed: int) -> Splits:
    splits = load_folder(folder_of(dataset), image_size, on_bad, seed)
    if dataset not in CATALOG:
        return splits
    provenance, _, licence = CATALOG[dataset].partition("; ")

    def named(images: ImageSet) -> ImageSet:
        return replace(images, name=dataset, provenance=provenance, licence=licence)

    return replace(splits, train=named(splits.train), test=named(splits.test))


def _refuse_unknown(given: Mapping[str, object], known: tuple[str, ...]) -> None:
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            meant = f" Did you mean {close[0]}?" if close else ""
            raise ValueError(f"{name}: no knob of the rendered birds; they are {', '.join(known)}.{meant}")


@functools.lru_cache(maxsize=4)
def _birds(
    image_size: int, train_images: int, test_images: int, seed: int, given: tuple[tuple[str, float], ...]
) -> Splits:
    """Render once in a process for the same arguments: the sets are shared, so nobody may write into them."""
    changed = dict(given)
    world = birds.World.make(species=int(changed.pop("species", SPECIES)))
    knobs = birds.Knobs(**changed)
    train = birds.bird_set(train_images, size=image_size, seed=seed, world=world, knobs=knobs, split="train")
    plain = replace(knobs, correlation=0.0)
    test = birds.bird_set(test_images, size=image_size, seed=seed, world=world, knobs=plain, split="test")
    return Splits(train=train, test=test)


def _fewer(images: ImageSet, count: int | None, seed: int) -> ImageSet:
    """`count` images with every class in the same share (to one image), in their old order."""
    if count is None or count >= len(images):
        return images
    place, size = class_ranks(images.labels, seed, "fewer_images")
    chosen = torch.argsort((place + 0.5) / size, stable=True)[:count]
    return images.subset(chosen.sort().values)
