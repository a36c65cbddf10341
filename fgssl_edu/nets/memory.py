"""Rows that outlive their batch: a ring buffer, for MoCo's queue and for banks of features."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fgssl_edu.draws import normal


class RingBuffer(nn.Module):
    """First in, first out: new rows overwrite the oldest.

    Starts with random unit rows (MoCo's code does), the same for the same seed; all state is in buffers and so in every
    checkpoint. Several ranks must write what `distributed.gather` returns, or their buffers part.

    Attributes:
        values: (size, dim) float32.
        pointer: () int64, where the next row goes.
        filled: () int64, how many rows have been written, at most `size`.
    """

    values: Tensor
    pointer: Tensor
    filled: Tensor

    def __init__(self, size: int, dim: int, seed: int = 0) -> None:
        super().__init__()
        if size < 1:
            raise ValueError(f"size={size} of a queue must be at least 1; at most half the images is sensible")
        self.register_buffer("values", F.normalize(normal(seed, 0, torch.arange(size), "ring_buffer", dim), dim=1))
        self.register_buffer("pointer", torch.zeros((), dtype=torch.long))
        self.register_buffer("filled", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def write(self, rows: Tensor) -> None:
        """Put (n, dim) rows over the oldest ones; it wraps around, and of more than `size` rows the last ones stay."""
        size = len(self.values)
        assert rows.shape[1:] == self.values.shape[1:], (
            f"rows {tuple(rows.shape)} for a buffer of {tuple(self.values.shape)}"
        )
        start, kept = self.pointer + max(0, len(rows) - size), rows.detach()[-size:]
        place = (start + torch.arange(len(kept), device=kept.device)) % size  # tensors throughout: no wait for the GPU
        self.values[place] = kept.to(self.values.dtype)
        self.pointer.copy_((self.pointer + len(rows)) % size)
        self.filled.copy_((self.filled + len(rows)).clamp(max=size))

    def read(self) -> Tensor:
        """A copy of all rows, (size, dim): a later `write` cannot spoil the backward pass of a loss that used it."""
        return self.values.clone()
