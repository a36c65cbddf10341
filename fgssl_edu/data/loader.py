"""Endless shuffled batches of a set, with a position that can be saved and restored."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

DEVICE_SHARE = 0.5  # of the free memory of a GPU: a set that takes less is moved there once


@dataclass(frozen=True, eq=False)
class Batch:
    """What a method sees of a step: pixels and positions, no labels."""

    images: Tensor  # (B, 3, H, W) uint8, on the training device
    index: Tensor  # (B,) int64 position in the set, on the same device


def permutation(count: int, seed: int, epoch: int, purpose: str = "loader") -> Tensor:
    """The order of one epoch, (count,) int64: a pure function of its arguments, without the global random state."""
    text = f"{purpose}|{seed}|{epoch}"
    words = hashlib.blake2b(text.encode(), digest_size=4).digest()  # the CPU generator takes 32 bits
    return torch.randperm(count, generator=torch.Generator().manual_seed(int.from_bytes(words, "little")))


def resident(images: Tensor, device: torch.device) -> Tensor:
    """The images on the device if they leave room there, else where they are (each batch is then copied)."""
    if device.type != "cuda" or images.device == device:
        return images.to(device)
    free, _ = torch.cuda.mem_get_info(device)
    return images.to(device) if images.nbytes < DEVICE_SHARE * free else images


class Walk(Iterator[Batch]):
    """Iterator over `Batch`, without end: an epoch shows each image at most once and drops the incomplete last batch.

    The ranks' rows put one after the other are the batch that one process would see. `epoch` and `position` are those
    of the next batch, so `position == 0` says that an epoch is about to start.
    """

    def __init__(self, count: int, batch: int, seed: int, rank: int = 0, world: int = 1) -> None:
        """Stand before the first epoch.

        Args:
            count: images in the set.
            batch: images a step, summed over ranks.
            seed: of the order.
            rank: of this process, in [0, world).
            world: number of processes.
        """
        assert 0 <= rank < world, (rank, world)
        if batch < 1 or batch > count:
            raise ValueError(f"batch={batch}: the set has {count} images; use a batch of 1 to {count}")
        if batch % world:
            raise ValueError(f"batch={batch} cannot be shared by {world} processes; use a multiple of {world}")
        self.count, self.batch, self.seed, self.rank, self.world = count, batch, seed, rank, world
        self.begin(epoch=0, position=0)

    def begin(self, epoch: int, position: int) -> None:
        """Go to a place; `position` images of the epoch have been shown, on all ranks together."""
        self.epoch, self.position = epoch, position

    def advance(self) -> None:
        """Go past the next batch, and into the next epoch where no whole batch is left."""
        self.position += self.batch
        if self.position > self.last:
            self.begin(self.epoch + 1, position=0)

    @property
    def last(self) -> int:
        """The position of an epoch's last batch."""
        return (self.steps_per_epoch - 1) * self.batch

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in an epoch."""
        return self.count // self.batch

    def close(self) -> None:
        """End what works ahead, if anything does."""

    def state_dict(self) -> dict[str, int]:
        """Where the next batch starts, the same on every rank; the order itself follows from seed and epoch."""
        names = ("epoch", "position", "seed", "count", "batch")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on where `state` was taken; the number of processes may differ, all else that sets the order may not."""
        for name in state:
            if name not in ("epoch", "position") and state[name] != getattr(self, name):
                raise ValueError(
                    f"{name}={getattr(self, name)}, but the saved position was taken with {name}={state[name]}: "
                    f"go on with the same {name}, or start a new run"
                )
        self.begin(state["epoch"], state["position"])


class Loader(Walk):
    """Of a set in memory, shuffled as a whole."""

    def __init__(
        self, images: Tensor, batch: int, seed: int, rank: int = 0, world: int = 1, device: str | torch.device = "cpu"
    ) -> None:
        """Prepare the first epoch of images (N, 3, H, W) uint8; `device` is where batches are wanted, see `Walk`."""
        assert images.dtype == torch.uint8 and images.ndim == 4, (images.dtype, images.shape)
        super().__init__(len(images), batch, seed, rank, world)
        self.device = torch.device(device)
        self.images = resident(images, self.device)

    def begin(self, epoch: int, position: int) -> None:
        super().begin(epoch, position)
        self._order = permutation(self.count, self.seed, epoch)

    def __next__(self) -> Batch:
        share = self.batch // self.world
        start = self.position + self.rank * share
        index = self._order[start : start + share]  # (share,)
        images = self.images[index.to(self.images.device)].to(self.device)
        self.advance()
        return Batch(images, index.to(self.device))
