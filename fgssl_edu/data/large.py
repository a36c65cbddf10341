"""Sets that are not held in memory, by name: shards:PATH is streamed, mapped:PATH is mapped.

PATH holds train, and test where there are test pictures, as `fgssl data shards` and `fgssl data map` make them; or it
is a set itself. All of train is trained on; what is scored is in memory: the first pictures of each, those with a label
where any has one. Sets made by this package are in random order, so that the first are a sample.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from fgssl_edu.data.image_set import UNLABELLED, ImageSet, Splits
from fgssl_edu.data.mapped import MappedImages
from fgssl_edu.data.shards import read_shard
from fgssl_edu.data.stream import StreamedImages

LARGE = ("shards:", "mapped:")  # begin the names of such sets
SCORED = 10_000  # pictures of each split held in memory, where no number is asked for


def open_large(dataset: str, image_size: int, on_bad: str = "raise") -> dict[str, StreamedImages | MappedImages]:
    """The sets of train and, where there is one, of test.

    Args:
        dataset: shards:PATH or mapped:PATH.
        image_size: side of the pictures wanted, px; a mapped set has its own.
        on_bad: about shards that are missing or damaged: "raise", or "skip".

    Raises:
        ValueError: what is not there or damaged, and a mapped set of another side, with what to do.
    """
    kind, _, path = dataset.partition(":")
    folder = Path(path).expanduser()
    parts = {split: folder / split for split in ("train", "test") if (folder / split).is_dir()}
    parts = parts if "train" in parts else {"train": folder}
    if kind == "shards":
        return {split: StreamedImages(part, image_size, on_bad=on_bad) for split, part in parts.items()}
    found = {split: MappedImages(part) for split, part in parts.items()}
    side = found["train"].shape[2]
    if side != image_size:
        what_to_do = f"set image_size={side}, or map it again with --size {image_size}"
        raise ValueError(f"dataset={dataset!r} was mapped at {side} px: {what_to_do}")
    return dict(found)


def load_large(
    dataset: str,
    image_size: int,
    train_images: int | None = None,
    test_images: int | None = None,
    on_bad: str = "raise",
) -> Splits:
    """What is scored, in memory, and what is trained on, which is not: see `open_large`.

    Args:
        train_images, test_images: at most so many are held in memory; None is 10,000.
    """
    sets = open_large(dataset, image_size, on_bad)
    train = _first(sets["train"], train_images or SCORED)
    test = _first(sets["test"], test_images or SCORED) if "test" in sets else train.subset(torch.empty(0).long())
    skipped = [f"skipped: {name}" for images in sets.values() for name in getattr(images, "skipped", ())]
    return Splits(train=train, test=test, notes=tuple(skipped), stream=sets["train"])


def _first(images: StreamedImages | MappedImages, count: int) -> ImageSet:
    """The first pictures, in memory; those without a label are left out where some have one."""
    if isinstance(images, MappedImages):
        known = images.labels != UNLABELLED
        chosen = torch.nonzero(known | ~known.any())[:count, 0]
        return _image_set(images.take(chosen), images.labels[chosen], images.classes, images.source)
    index, parts = images.index, []
    labelled = bool((index.places["label"] != UNLABELLED).any())
    for shard in images.shards:
        pictures, _, labels = read_shard(index, shard.name, images.shape[2], images.on_bad)
        kept = labels != UNLABELLED if labelled else torch.ones_like(labels, dtype=torch.bool)
        parts.append((pictures[kept], labels[kept]))
        if sum(len(labels) for _, labels in parts) >= count:
            break
    pictures, labels = (torch.cat(part)[:count] for part in zip(*parts, strict=True))
    return _image_set(pictures, labels, index.classes, index.source)


def _image_set(pictures: Tensor, labels: Tensor, classes: tuple[str, ...], source: Mapping[str, str]) -> ImageSet:
    return ImageSet(pictures, labels, classes, source["name"], source["provenance"], source["licence"])
