"""Slowly moving copies of a network, as behind MoCo's keys, BYOL's target and DINO's teacher."""

from __future__ import annotations

import copy
import math
from typing import TypeVar

import torch
from torch import nn

Module = TypeVar("Module", bound=nn.Module)


def ema_copy(module: Module) -> Module:
    """A deep copy that no gradient reaches; keep it in step with `ema_update`."""
    target = copy.deepcopy(module)
    return target.requires_grad_(False)


@torch.no_grad()
def ema_update(target: nn.Module, online: nn.Module, momentum: float) -> None:
    """Move the target by `target <- momentum * target + (1 - momentum) * online`, in place.

    Parameters and floating-point buffers are averaged, integer buffers copied. With a constant online network t updates
    give momentum^t a + (1 - momentum^t) b. Deviation: MoCo and DINO leave BatchNorm's running statistics to the
    target's own forwards in training mode, which do not read them; averaged, they are right too for a target that only
    ever runs in eval mode (as in SimCore's BYOL).

    Args:
        target: from `ema_copy(online)`.
        online: the network that is trained.
        momentum: in [0, 1]; 1 keeps the target as it is, 0 copies.
    """
    if not 0 <= momentum <= 1:
        raise ValueError(f"momentum={momentum} of a moving average must be in [0, 1]; papers use 0.99 to 1")
    kept_all = [*target.parameters(), *target.buffers()]
    moving_all = [*online.parameters(), *online.buffers()]
    for kept, moving in zip(kept_all, moving_all, strict=True):
        if kept.is_floating_point():
            kept.lerp_(moving, 1 - momentum)
        else:
            kept.copy_(moving)


def cosine_momentum(start: float, progress: float) -> float:
    """Momentum that rises from `start` to 1 along a half cosine (BYOL, arXiv 2006.07733, section 3.2).

    `progress` is the share of training done, 0 to 1.

    Landmark: .996 at the start is .998 half-way.
    """
    return 1 - (1 - start) * (math.cos(math.pi * progress) + 1) / 2
