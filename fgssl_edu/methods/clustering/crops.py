"""From an image to the embeddings of its crops: what SwAV (arXiv 2006.09882) and DeepCluster-v2 have in common."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fgssl_edu.methods.base import augmentation
from fgssl_edu.nets.encoders import Encoder
from fgssl_edu.nets.norm import has_batch_norm
from fgssl_edu.views.multicrop import MultiCrop
from fgssl_edu.views.presets import ViewPreset


def multi_crop(
    views: str | ViewPreset, size: int, count: int, small_size: int | None, small_area: tuple[float, float]
) -> MultiCrop:
    """Two large views and `count` small ones with the same colours.

    Args:
        views: preset of the large views or its name.
        size: their side in pixels.
        count: of small views; 0 switches multi-crop off.
        small_size: side of a small view in pixels; None: five eighths of `size`.
        small_area: share of the picture that a small view shows, least and most, in (0, 1].
    """
    large = augmentation(views, size).preset
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise ValueError(f"local_views={count!r}: how many small views an image has, 0 or more; SwAV has 6")
    if not 0 < small_area[0] <= small_area[1] <= 1:
        raise ValueError(f"local_area={small_area}: least and most share of a picture, in (0, 1]; SwAV has .05, .14")
    small_side = augmentation(large, round(0.625 * size) if small_size is None else small_size).size
    return MultiCrop((large, large), size, replace(large, crop=(small_area[0], small_area[1])), small_side, count)


def projector(encoder: Encoder, hidden: int | None, out: int) -> nn.Module:
    """(B, D) -> (B, out), two layers with BatchNorm between (released code of SwAV); hidden None: D.

    Beside an encoder without BatchNorm it is LayerNorm, so that no image depends on its batch; ours.
    """
    hidden = encoder.dim if hidden is None else hidden
    for name, value, least in (("hidden", hidden, 1), ("out", out, 2)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{name}={value!r}: a width is a whole number, at least {least}; SwAV has 2048 and 128")
    batch_norm = has_batch_norm(encoder)
    norm = nn.BatchNorm1d(hidden) if batch_norm else nn.LayerNorm(hidden)
    return nn.Sequential(nn.Linear(encoder.dim, hidden), norm, nn.ReLU(inplace=True), nn.Linear(hidden, out))


def unit_embeddings(encoder: Encoder, head: nn.Module, views: Sequence[Tensor]) -> list[Tensor]:
    """Unit embeddings of each view, (B, d) float32 each; views of one size go through the encoder together."""
    groups = [torch.cat(list(same)) for _, same in groupby(views, key=lambda view: view.shape[-1])]
    features = torch.cat([encoder(group) for group in groups])  # (V * B, D)
    return list(F.normalize(head(features).float(), dim=1).split(len(views[0])))


def code_statistics(codes: Tensor) -> dict[str, Tensor]:
    """What a collapse shows in: how many prototypes a batch uses, and how undecided its codes are.

    Args:
        codes: (N, K) of the batch of all processes, rows summing to 1; or (N, heads, K): the mean over heads counts.

    Returns:
        "usage", exp(entropy of the mean code) / K: 1 / K where all share one prototype, 1 where all are used alike.
        "target_entropy", mean entropy of a code over log K: 0 for hard codes, 1 for codes that say nothing.
    """
    count, codes = codes.shape[-1], codes.float()
    together = torch.special.entr(codes.mean(dim=0)).sum(dim=-1)
    each = torch.special.entr(codes).sum(dim=-1)
    return {"usage": (together.exp() / count).mean(), "target_entropy": each.mean() / max(math.log(count), 1e-12)}
