"""Features of a whole set in one pass of a frozen encoder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

import torch
from torch import Tensor, nn

from fgssl_edu.nets.encoders import Encoder
from fgssl_edu.views.geometry import resized

BATCH = 256  # images a pass; the result does not depend on it


@contextmanager
def frozen(module: nn.Module) -> Iterator[torch.device]:
    """Evaluation mode for the module inside, every submodule's own mode again after; yields the module's device."""
    modes = [(part, part.training) for part in module.modules()]
    first = next(chain(module.parameters(), module.buffers()), None)
    module.eval()
    try:
        yield torch.device("cpu") if first is None else first.device
    finally:
        for part, training in modes:
            part.training = training


@torch.no_grad()
def extract(encoder: Encoder, images: Tensor, size: int | None = None, batch: int = BATCH) -> Tensor:
    """Pooled features of a set, in evaluation mode: nothing in the encoder changes, no random number is drawn.

    Deviation: the whole stored picture is resized to `size`, another field of view than the papers' Resize 256 and
    CenterCrop 224, which see the middle seven eighths of either side; the suite's protocol says so.

    Args:
        encoder: left in the mode it was in.
        images: (N, 3, H, W) uint8.
        size: side at which the encoder sees them, pixels; None for their own.
        batch: images a pass.

    Returns:
        (N, D) float32 on the CPU.

    Raises:
        ValueError: a feature is not finite.
    """
    with frozen(encoder) as device:
        features = torch.cat(
            [encoder.features(resized(block, size, device)).float().cpu() for block in images.split(batch)]
        )
    if not features.isfinite().all():
        raise ValueError(
            "the encoder's features are not finite: its training diverged; load an earlier checkpoint or lower lr"
        )
    return features
