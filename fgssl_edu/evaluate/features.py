"""Features of a whole set in one pass of a frozen encoder."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fgssl_edu.nets.encoders import Encoder
from fgssl_edu.nets.modes import frozen
from fgssl_edu.nets.vit import VisionTransformer
from fgssl_edu.views.geometry import resized

BATCH = 256  # images a pass; the result does not depend on it


@torch.no_grad()
def extract(encoder: Encoder, images: Tensor, size: int | None = None, batch: int = BATCH, cls: bool = False) -> Tensor:
    """Pooled features of a set, in evaluation mode: nothing in the encoder changes, no random number is drawn.

    Deviation: the whole stored picture is resized to `size`, another field of view than the papers' Resize 256 and
    CenterCrop 224, which see the middle seven eighths of either side; the suite's protocol says so.

    Args:
        encoder: left in the mode it was in.
        images: (N, 3, H, W) uint8.
        size: side at which the encoder sees them, pixels; None for their own.
        batch: images a pass.
        cls: read a transformer's CLS token in place of its patches' mean.

    Returns:
        (N, D) float32 on the CPU.

    Raises:
        ValueError: a feature is not finite, or the CLS token is asked of an encoder that has none.
    """
    read = _reader(encoder, cls)
    with frozen(encoder) as device:
        features = torch.cat([read(resized(block, size, device)).float().cpu() for block in images.split(batch)])
    if not features.isfinite().all():
        raise ValueError(
            "the encoder's features are not finite: its training diverged; load an earlier checkpoint or lower lr"
        )
    return features


def _reader(encoder: Encoder, cls: bool) -> Callable[[Tensor], Tensor]:
    if not cls:
        return encoder.features
    if isinstance(encoder, VisionTransformer):
        return encoder.cls
    raise ValueError(f"cls=True: {encoder.name} has no CLS token, a transformer has (vit_mini)")
