"""What several processes must do together: who am I, gather rows, and the one island of full precision.

Every function works in a single process too, where gathering changes nothing: a method is written once. Launching
processes, moving to devices and averaging parameter gradients is the training loop's work.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
import torch.distributed as dist
from torch import Tensor

AUTOCAST_DEVICES = ("cpu", "cuda", "xpu", "mps")


def rank() -> int:
    """Number of this process, 0 where there is only one."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def world_size() -> int:
    """Count of processes that train together, 1 where there is only one."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def _all_gather(rows: Tensor) -> Tensor:
    """(rows, ...) of every rank -> (world * rows, ...) in rank order; all ranks must bring equally many rows."""
    parts = [torch.empty_like(rows) for _ in range(world_size())]
    dist.all_gather(parts, rows)
    return torch.cat(parts)


def gather(rows: Tensor) -> Tensor:
    """Join the rows of all ranks WITHOUT gradient: what is written to a queue or bank must be equal on every rank.

    Args:
        rows: (rows, ...), equally many on every rank.

    Returns:
        (world * rows, ...) in rank order, detached; in one process the rows themselves, detached.
    """
    rows = rows.detach()
    return rows if world_size() == 1 else _all_gather(rows.contiguous())


class _GatherWithGradient(torch.autograd.Function):
    """All-gather, whose adjoint sums over ranks what each rank's loss says about my rows."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, rows: Tensor) -> Tensor:
        return _all_gather(rows.contiguous())

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous().clone()  # autograd may still need its own
        dist.all_reduce(total)
        return total.chunk(world_size())[rank()]


def gather_with_gradient(rows: Tensor) -> Tensor:
    """Join the rows of all ranks so that a loss over all of them trains every rank's encoder.

    Every rank computes the loss of the joined batch. The backward sums the ranks' gradients, so that their average over
    ranks, which DistributedDataParallel takes, is exactly the gradient of one process on the joined batch (a plain
    all-gather drops the terms in which my rows are other rows' negatives).

    Args:
        rows: (rows, ...), equally many on every rank.

    Returns:
        (world * rows, ...) in rank order; in one process the rows themselves.
    """
    if world_size() == 1:
        return rows
    joined: Tensor = _GatherWithGradient.apply(rows)
    return joined


@contextmanager
def full_precision() -> Iterator[None]:
    """Switch autocast off inside, on every device where it is on: for logits, Grad-CAM and covariances.

    It does not convert what is already in half precision; the caller writes `.float()`.
    """
    with ExitStack() as stack:
        for device in AUTOCAST_DEVICES:
            if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        yield


def precise(x: Tensor) -> Tensor:
    """Float32 at least: sums over a batch overflow in half precision. Float64 stays, for tests."""
    return x if x.dtype == torch.float64 else x.float()
