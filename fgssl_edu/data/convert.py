"""A data set rewritten for training that reads from disk: as tar shards (see `shards`), or mapped (see `mapped`).

Each split becomes a set of its own. Its pictures are put in random order, always the same, so that a shard, or the
first thousand pictures, is a sample of all.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from fgssl_edu.data import catalog
from fgssl_edu.data.decode import THREADS, read_square
from fgssl_edu.data.folder import SIZES, list_folder
from fgssl_edu.data.image_set import UNLABELLED, ImageSet
from fgssl_edu.data.loader import permutation
from fgssl_edu.data.manifest import CUT_BOTTOM, MANIFEST, read_manifest
from fgssl_edu.data.mapped import MappedImages, write_map
from fgssl_edu.data.shard_writing import BLOCK, PER_SHARD, Sample, write_shards
from fgssl_edu.data.shards import Index, check_on_bad, read_index, read_shard, refuse_or_tell
from fgssl_edu.paths import whole_folder

SPLITS = ("train", "test")
BIRDS_SIDE = 64  # px, where no size is asked for
TOLD = ("label", "split", "sha256", CUT_BOTTOM)  # columns of a manifest that a shard tells in another way
SHARDS = "shards:"  # begins the name of a data set that is made of shards already


@dataclass(frozen=True)
class Source:
    """What is converted."""

    classes: tuple[str, ...]
    about: dict[str, str]  # name, provenance, licence
    samples: dict[str, Iterator[Sample]]  # of each split that has any

    def named(self, split: str) -> dict[str, str]:
        """What is said of a split."""
        return {**self.about, "name": f"{self.about['name']}/{split}"}


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
    check(size, on_bad)
    size = size or BIRDS_SIDE if dataset == "birds" else size
    found = _source(dataset, size, on_bad)
    with whole_folder(out) as made:
        for split, samples in found.samples.items():
            kept = {"classes": found.classes, "size": size, "source": found.named(split), "on_bad": on_bad}
            write_shards(samples, made / split, per_shard, **kept)  # type: ignore[arg-type]
    return {split: read_index(out / split) for split in found.samples}


def to_map(dataset: str, out: Path, size: int, on_bad: str = "raise") -> dict[str, MappedImages]:
    """Write a data set as mapped sets: `out`/train, and `out`/test where it has test pictures. Whole, or nothing.

    Args:
        dataset: a name of the catalogue, folder:PATH, or shards:PATH, a folder with shards in train and test.
        out: folder to make.
        size: side of the pictures, px.
        on_bad: about photographs that cannot be read: "raise", or "skip".

    Raises:
        ValueError: as `to_shards`.
    """
    check(size, on_bad)
    if dataset.startswith(SHARDS):
        return _shards_to_map(Path(dataset.removeprefix(SHARDS)).expanduser(), out, size, on_bad)
    found = _source(dataset, size, on_bad)
    with whole_folder(out) as made:
        for split, samples in found.samples.items():
            parts = _decoded(samples, size, on_bad)
            write_map(parts, made / split, size=size, classes=found.classes, source=found.named(split))
    return {split: MappedImages(out / split) for split in found.samples}


def _shards_to_map(folder: Path, out: Path, size: int, on_bad: str) -> dict[str, MappedImages]:
    """Of a folder with shards in train and test, or with shards alone: those are train."""
    sets = {split: read_index(folder / split) for split in SPLITS if (folder / split).is_dir()}
    sets = sets or {"train": read_index(folder)}
    with whole_folder(out) as made:
        for split, index in sets.items():
            read = (read_shard(index, shard.name, size, on_bad) for shard in index.shards)
            parts = ((images, labels) for images, _, labels in read)
            write_map(parts, made / split, size=size, classes=index.classes, source=index.source)
    return {split: MappedImages(out / split) for split in sets}


def check(size: int | None, on_bad: str) -> None:
    """Refuse a size that no picture is stored in, and what is neither "raise" nor "skip"."""
    check_on_bad(on_bad)
    if size is not None and not SIZES[0] <= size <= SIZES[1]:
        raise ValueError(f"size={size}: use {SIZES[0]} to {SIZES[1]} pixels")


def _source(dataset: str, size: int | None, on_bad: str) -> Source:
    return _rendered(size or BIRDS_SIDE) if dataset == "birds" else _photographs(dataset, on_bad)


def _rendered(size: int) -> Source:
    splits = catalog.load("birds", image_size=size)
    train = splits.train
    about = {"name": train.name, "provenance": train.provenance, "licence": train.licence}
    return Source(train.classes, about, {"train": _of_set(splits.train), "test": _of_set(splits.test)})


def _of_set(images: ImageSet) -> Iterator[Sample]:
    for i in permutation(len(images), 0, 0).tolist():
        yield Sample(images.images[i], int(images.labels[i]))


def _photographs(dataset: str, on_bad: str) -> Source:
    folder = catalog.folder_of(dataset)
    if not folder.is_dir():
        raise ValueError(f"{folder} does not exist, or is a file; name a folder with photographs")
    listing = list_folder(folder, seed=0)
    for problem in listing.problems:
        refuse_or_tell(f"{folder}: {problem}", on_bad)
    classes = tuple(sorted({label for _, label, _ in listing.rows if label}))
    number = {label: i for i, label in enumerate(classes)} | {"": UNLABELLED}
    known = {row["path"]: row for row in read_manifest(folder)} if (folder / MANIFEST).is_file() else {}

    def of_split(rows: list[tuple[str, str, str]]) -> Iterator[Sample]:
        for i in permutation(len(rows), 0, 0).tolist():
            path, label, _ = rows[i]
            more = {name: text for name, text in known.get(path, {}).items() if text and name not in TOLD}
            yield Sample(folder / path, number[label], {**more, "path": path}, listing.cuts.get(path, 0))

    by_split = {split: [row for row in listing.rows if (row[2] == "test") == (split == "test")] for split in SPLITS}
    unknown = f"photographs in the folder {folder.name}; not known to the program: see what came with them"
    provenance, _, licence = catalog.CATALOG.get(dataset, unknown).partition("; ")
    name = dataset if dataset in catalog.CATALOG else folder.name
    about = {"name": name, "provenance": provenance, "licence": licence}
    return Source(classes, about, {split: of_split(rows) for split, rows in by_split.items() if rows})


def _decoded(samples: Iterator[Sample], size: int, on_bad: str) -> Iterator[tuple[Tensor, Tensor]]:
    """Squares and labels of samples, a block at a time, decoded by threads."""
    with ThreadPoolExecutor(THREADS) as pool:
        while block := list(islice(samples, BLOCK)):
            images, labels = [], []
            for sample, square in zip(block, pool.map(partial(_square, size=size), block), strict=True):
                if isinstance(square, ValueError):
                    refuse_or_tell(f"{sample.about['path']}: {square}", on_bad)
                else:
                    images.append(square)
                    labels.append(sample.label)
            if images:
                yield torch.stack(images), torch.tensor(labels)


def _square(sample: Sample, size: int) -> Tensor | ValueError:
    if isinstance(sample.picture, Tensor):
        return sample.picture
    try:
        return torch.from_numpy(read_square(sample.picture, size, sample.cut_bottom).transpose(2, 0, 1).copy())
    except ValueError as error:
        return error
