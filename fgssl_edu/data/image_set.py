"""Images in memory: the set that evaluation may see, the batch and the pixels that a method may see.

Pixels are stored once, as uint8; whoever needs floats makes them for one batch. Labels live in `ImageSet` alone: a
method gets `Batch` and `Images`, which have none, so that self-supervision cannot cheat by accident.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from fgssl_edu import draws
from fgssl_edu.data.loader import Batch, Loader, Walk
from fgssl_edu.distributed import rank, world_size

UNLABELLED = -1
SAMPLED = 64  # images whose pixels tell one set from another
ROUNDING = 1e-6  # images: 0.1 * 30 is a hair more than 3 in floating point, and must not become 4


def class_ranks(labels: Tensor, seed: int, purpose: str) -> tuple[Tensor, Tensor]:
    """Shuffle each class by itself: the random place of every image within its class, and the size of its class.

    Args:
        labels: class of each image, (N,) int64; the unlabelled ones (-1) count as one more class.
        seed: of the shuffle.
        purpose: another purpose gives an independent shuffle.

    Returns:
        place (N,) int64 in [0, size) and size (N,) int64.
    """
    draw = draws.uniform(seed, 0, torch.arange(len(labels)), purpose, 1)[:, 0]
    shuffled = torch.argsort(draw, stable=True)
    by_class = shuffled[torch.argsort(labels[shuffled], stable=True)]  # classes in blocks, random within a block
    _, which, counts = torch.unique(labels, return_inverse=True, return_counts=True)
    starts = torch.cumsum(counts, 0) - counts
    place = torch.empty_like(labels)
    place[by_class] = torch.arange(len(labels)) - starts[which[by_class]]
    return place, counts[which]


def stratified_share(labels: Tensor, share: float, seed: int) -> Tensor:
    """Choose `ceil(share * size)` labelled images of every class; a smaller share is a subset of a larger one.

    Args:
        labels: class of each image, (N,) int64; images with label -1 are never chosen.
        share: of the labelled images, in (0, 1].
        seed: of the draw; the same seed gives the same images.

    Returns:
        Chosen positions in ascending order, (n,) int64.
    """
    if isinstance(share, bool) or not 0 < share <= 1:
        raise ValueError(f"share={share!r}: a share of the labels lies in (0, 1]; 0.2 means 20 %")
    place, size = class_ranks(labels, seed, "label_fraction")
    wanted = torch.ceil(size.double() * share - ROUNDING).clamp(min=1)
    return torch.nonzero((place < wanted) & (labels != UNLABELLED))[:, 0]


class Images:
    """The pixels of a whole set for what happens outside the step (banks, clustering); no labels, no masks."""

    digest: str | None = None  # of the content, where that is known without reading it

    def __init__(self, images: Tensor, device: str | torch.device = "cpu") -> None:
        assert images.dtype == torch.uint8 and images.ndim == 4 and images.shape[1] == 3, (images.dtype, images.shape)
        self.images, self.device = images, torch.device(device)
        self.shape: tuple[int, ...] = tuple(images.shape)

    @property
    def count(self) -> int:
        """Images in the set."""
        return self.shape[0]

    def __len__(self) -> int:
        return self.count

    def on(self, device: torch.device) -> Images:
        """The same set, its batches on a device."""
        found = copy(self)
        found.device = device
        return found

    def batches(self, size: int) -> Iterator[Batch]:
        """This process's share in index order, unaugmented, on the device; with one process, every image once.

        Of several processes, process r has the images r, r + world, r + 2 world ...; together they have each once.

        Args:
            size: images a batch; the last batch may be smaller.
        """
        for index in torch.arange(rank(), self.count, world_size()).split(size):
            yield Batch(self.take(index), index.to(self.device))

    def take(self, index: Tensor) -> Tensor:
        """The images at `index` (n,) int64, as (n, 3, H, W) uint8 on the device; ValueError where a set is streamed."""
        return self.images[index.to(self.images.device)].to(self.device)

    def first(self, count: int) -> Tensor:
        """The first images, all if there are fewer, (n, 3, H, W) uint8 on the device: the same on every process."""
        return self.images[:count].to(self.device)

    def loader(self, batch: int, seed: int, rank: int = 0, world: int = 1) -> Walk:
        """Endless shuffled batches on the device; see `Loader`."""
        return Loader(self.images, batch, seed, rank, world, self.device)

    def identity(self) -> list[int | str]:
        """Shape, and what tells this content from another of that shape."""
        sample = self.images[:: max(1, self.count // SAMPLED)]
        return [*self.shape, self.digest or int(sample.sum(dtype=torch.int64))]


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images with everything that is known about them; what is not known is None (or empty), never zeros."""

    images: Tensor  # (N, 3, H, W) uint8, square
    labels: Tensor  # (N,) int64, -1 = unlabelled
    classes: tuple[str, ...]
    name: str
    provenance: str
    licence: str
    coarse: Tensor | None = None  # (N,) int64 genus
    coarse_classes: tuple[str, ...] = ()
    parts: Tensor | None = None  # (N, H, W) uint8 part index, 0 = background
    part_names: tuple[str, ...] = ()
    foreground: Tensor | None = None  # (N, H, W) uint8, 0..255
    discriminative: Tensor | None = None  # (N, len(part_names)) bool: the part tells this species from a sibling
    factors: object | None = None  # birds.Factors: what each picture was drawn from
    paths: tuple[str, ...] = ()  # (N,) or empty: where each picture came from, relative to its folder

    def __post_init__(self) -> None:
        assert self.images.dtype == torch.uint8 and self.images.ndim == 4 and self.images.shape[1] == 3, (
            self.images.shape
        )
        assert self.labels.dtype == torch.int64 and self.labels.shape == (len(self.images),), self.labels.shape
        assert not len(self) or -1 <= int(self.labels.min()) <= int(self.labels.max()) < len(self.classes)
        for name in ("coarse", "parts", "foreground", "discriminative"):
            value = getattr(self, name)
            assert value is None or len(value) == len(self), f"{name}: {len(value)} rows for {len(self)} images"
        assert len(self.paths) in (0, len(self)), len(self.paths)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def size(self) -> int:
        """Side of the stored pictures in pixels."""
        return self.images.shape[-1]

    def subset(self, index: Tensor) -> ImageSet:
        """The images at `index` (n,) int64, in that order, with everything that is known about them."""
        changes: dict[str, object] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Tensor):
                changes[field.name] = value[index]
        if self.factors is not None:
            changes["factors"] = self.factors.subset(index)  # type: ignore[attr-defined]
        if self.paths:
            changes["paths"] = tuple(self.paths[i] for i in index.tolist())
        return replace(self, **changes)  # type: ignore[arg-type]

    def label_fraction(self, share: float, seed: int) -> ImageSet:
        """The images whose labels are known when only a share was paid for; see `stratified_share`."""
        return self.subset(stratified_share(self.labels, share, seed))

    def labelled(self) -> ImageSet:
        """The images that have a label."""
        return self if bool((self.labels != UNLABELLED).all()) else self.label_fraction(1.0, seed=0)

    def views(self) -> Images:
        """The pixels alone, for a method."""
        return Images(self.images)


@dataclass(frozen=True, eq=False)
class Splits:
    """What is trained on and what is tested on; `test` has length 0 where a source has no test images."""

    train: ImageSet
    test: ImageSet
    notes: tuple[str, ...] = ()  # what was skipped or ignored while loading, one line each, by name
    stream: Images | None = None  # of a set that is not held in memory: all there is to train on; `train` is a sample
