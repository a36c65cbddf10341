"""Endless shuffled batches of a set in memory, with a position that can be saved and restored."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import torch
from torch import Tensor

from fgssl_edu.data.image_set import Batch

DEVICE_SHARE = 0.5  # of the free memory of a GPU: a set that takes less is moved there once


def permutation(count: int, seed: int, epoch: int) -> Tensor:
    """The order of one epoch, (count,) int64: a pure function of its arguments, without the global random state."""
    words = hashlib.blake2b(
        f"loader|{seed}|{epoch}".encode(), digest_size=4
    ).digest()  # the CPU generator takes 32 bits
    return torch.randperm(count, generator=torch.Generator().manual_seed(int.from_bytes(words, "little")))


def resident(images: Tensor, device: torch.device) -> Tensor:
    """The images on the device if they leave room there, else where they are (each batch is then copied)."""
    if device.type != "cuda" or images.device == device:
        return images.to(device)
    free, _ = torch.cuda.mem_get_info(device)
    return images.to(device) if images.nbytes < DEVICE_SHARE * free else images


class Loader:
    """Iterator over `Batch`, without end: an epoch shows each image at most once and drops the incomplete last batch.

    The ranks' rows put one after the other are the batch that one process would see. `epoch` and `position` are those
    of the next batch, so `position == 0` says that an epoch is about to start.
    """

    def __init__(
        self, images: Tensor, batch: int, seed: int, rank: int = 0, world: int = 1, device: str | torch.device = "cpu"
    ) -> None:
        """Prepare the first epoch.

        Args:
            images: (N, 3, H, W) uint8.
            batch: images a step, summed over ranks.
            seed: of the order.
            rank: of this process, in [0, world).
            world: number of processes.
            device: where batches are wanted.
        """
        assert images.dtype == torch.uint8 and images.ndim == 4 and 0 <= rank < world, (
            images.dtype,
            images.shape,
            rank,
        )
        if batch < 1 or batch > len(images):
            raise ValueError(f"batch={batch}: the set has {len(images)} images; use a batch of 1 to {len(images)}")
        if batch % world:
            raise ValueError(f"batch={batch} cannot be shared by {world} processes; use a multiple of {world}")
        self.device = torch.device(device)
        self.images, self.count = resident(images, self.device), len(images)
        self.batch, self.seed, self.rank, self.world = batch, seed, rank, world
        self._begin(epoch=0, position=0)

    def _begin(self, epoch: int, position: int) -> None:
        self.epoch, self.position = epoch, position  # position: images that this epoch has shown, on all ranks
        self._order = permutation(self.count, self.seed, epoch)

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in an epoch."""
        return self.count // self.batch

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        share = self.batch // self.world
        start = self.position + self.rank * share
        index = self._order[start : start + share]  # (share,)
        images = self.images[index.to(self.images.device)].to(self.device)
        self.position += self.batch
        if self.count - self.position < self.batch:
            self._begin(self.epoch + 1, position=0)
        return Batch(images, index.to(self.device))

    def state_dict(self) -> dict[str, int]:
        """Where the next batch starts, the same on every rank; the order itself follows from seed and epoch."""
        return {
            "epoch": self.epoch,
            "position": self.position,
            "seed": self.seed,
            "count": self.count,
            "batch": self.batch,
        }

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on where `state` was taken; the number of processes may differ, the set, seed and batch may not."""
        for name in ("count", "seed", "batch"):
            if state[name] != getattr(self, name):
                raise ValueError(
                    f"{name}={getattr(self, name)}, but the saved position was taken with {name}={state[name]}: "
                    f"go on with the same {name}, or start a new run"
                )
        self._begin(state["epoch"], state["position"])
