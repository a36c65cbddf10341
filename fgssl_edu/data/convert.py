"""A data set rewritten for reading while training: as tar shards (see `shards`), one set a split.

Pictures of a split are put in random order, always the same, so that a shard, or the first thousand pictures, is a
sample of all.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from fgssl_edu.data import catalog
from fgssl_edu.data.folder import MANIFEST, SIZES, list_folder, read_manifest
from fgssl_edu.data.image_set import UNLABELLED, ImageSet
from fgssl_edu.data.loader import permutation
from fgssl_edu.data.shard_writing import PER_SHARD, Sample, write_shards
from fgssl_edu.data.shards import Index

SPLITS = ("train", "test")
BIRDS_SIDE = 64  # px, where no size is asked for
TOLD = ("label", "split", "sha256")  # columns of a manifest that a shard tells in another way


def to_shards(
    dataset: str, out: Path, size: int | None = None, per_shard: int = PER_SHARD, on_bad: str = "raise"
) -> dict[str, Index]:
    """Write a data set as shards: `out`/train, and `out`/test where it has test pictures. Whole, or nothing is left.

    Args:
        dataset: a name of the catalogue, or folder:PATH.
        out: folder to make.
        size: px; every picture becomes a square of that side. None keeps photographs in their own size.
        per_shard: pictures a shard.
        on_bad: about photographs that cannot be read: "raise", or "skip".

    Raises:
        ValueError: an unknown data set, a size out of range, pictures that cannot be read, by name.
    """
    if size is not None and not SIZES[0] <= size <= SIZES[1]:
        raise ValueError(f"size={size}: use {SIZES[0]} to {SIZES[1]} pixels")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} is there already and not empty: name a new folder, or delete it first")
    if dataset == "birds":
        size = size or BIRDS_SIDE
        classes, source, samples = _rendered(size)
    else:
        classes, source, samples = _photographs(dataset, on_bad)
    done: dict[str, Index] = {}
    try:
        for split, stream in samples.items():
            named = {**source, "name": f"{source['name']}/{split}"}
            done[split] = write_shards(
                stream, out / split, per_shard, classes=classes, size=size, source=named, on_bad=on_bad
            )
    except BaseException:
        shutil.rmtree(out, ignore_errors=True)
        raise
    return done


Found = tuple[tuple[str, ...], dict[str, str], dict[str, Iterator[Sample]]]  # classes, source, samples of each split


def _rendered(size: int) -> Found:
    splits = catalog.load("birds", image_size=size)
    sets = {"train": splits.train, "test": splits.test}
    train = splits.train
    source = {"name": train.name, "provenance": train.provenance, "licence": train.licence}
    return train.classes, source, {split: _of_set(images) for split, images in sets.items()}


def _of_set(images: ImageSet) -> Iterator[Sample]:
    for i in permutation(len(images), 0, 0).tolist():
        yield Sample(images.images[i], int(images.labels[i]))


def _photographs(dataset: str, on_bad: str) -> Found:
    folder = catalog.folder_of(dataset)
    if not folder.is_dir():
        raise ValueError(f"{folder} does not exist, or is a file; name a folder with photographs")
    listing = list_folder(folder, seed=0)
    if listing.problems and on_bad == "raise":
        raise ValueError(f"{folder}: {'; '.join(listing.problems[:3])}. Mend what is named, or skip it")
    classes = tuple(sorted({label for _, label, _ in listing.rows if label}))
    number = {label: i for i, label in enumerate(classes)} | {"": UNLABELLED}
    known = {row["path"]: row for row in read_manifest(folder)} if (folder / MANIFEST).is_file() else {}

    def of_split(rows: list[tuple[str, str, str]]) -> Iterator[Sample]:
        for i in permutation(len(rows), 0, 0).tolist():
            path, label, _ = rows[i]
            more = {name: text for name, text in known.get(path, {}).items() if text and name not in TOLD}
            yield Sample(folder / path, number[label], {**more, "path": path})

    by_split = {split: [row for row in listing.rows if (row[2] == "test") == (split == "test")] for split in SPLITS}
    provenance, _, licence = catalog.CATALOG.get(dataset, f"photographs in the folder {folder.name}").partition("; ")
    source = {"name": dataset if dataset in catalog.CATALOG else folder.name, "provenance": provenance}
    source |= {"licence": licence} if licence else {}
    return classes, source, {split: of_split(rows) for split, rows in by_split.items() if rows}
