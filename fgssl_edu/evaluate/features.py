"""Features of a whole set in one pass of a frozen encoder."""

from __future__ import annotations

import torch
from torch import Tensor

from fgssl_edu.nets.encoders import Encoder
from fgssl_edu.nets.modes import frozen
from fgssl_edu.views.geometry import resized

BATCH = 256  # images a pass; the result does not depend on it


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
