"""Normalisation layers, and what BatchNorm gives away.

A batch's statistics let query and key of one batch recognise each other. MoCo shuffles keys over GPUs against it; on
one device `SplitBatchNorm` normalises chunks of the batch apart, as GPUs would (arXiv 1911.05722, section 3.3).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

GROUPS = 32  # at most; GroupNorm's default (arXiv 1803.08494, table 3)
CHANNELS_A_GROUP = 8  # at least, for narrow networks


def norm_layer(kind: str, channels: int) -> nn.Module:
    """A normalisation of (B, channels, h, w).

    Args:
        kind: "batch", or "group": no image depends on another, and several processes compute what one does.
        channels: a multiple of 8 for "group".
    """
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    if kind == "group":
        return nn.GroupNorm(min(GROUPS, max(1, channels // CHANNELS_A_GROUP)), channels)
    raise ValueError(f"norm={kind!r} is unknown: use 'batch' or 'group'")


def has_batch_norm(encoder: nn.Module) -> bool:
    """Whether an encoder's images depend on their batch already, so that its heads may too."""
    return any(isinstance(layer, _BatchNorm) for layer in encoder.modules())


@contextmanager
def frozen_statistics(module: nn.Module) -> Iterator[None]:
    """Inside, forward passes leave all running statistics of BatchNorm as they are; what is computed does not change.

    For pictures of another kind than photographs (decoded, perturbed) in training mode.
    """
    layers = [layer for layer in module.modules() if isinstance(layer, _BatchNorm) and layer.track_running_stats]
    for layer in layers:
        layer.track_running_stats = False  # in training mode the layer then neither reads nor writes its buffers
    try:
        yield
    finally:
        for layer in layers:
            layer.track_running_stats = True


class SplitBatchNorm(_BatchNorm):
    """BatchNorm of `splits` consecutive chunks of the batch, each with its own statistics, as on so many GPUs.

    Takes (B, C) or (B, C, h, w). Running statistics move by the chunks' mean; in eval mode it is plain BatchNorm.
    """

    def __init__(self, channels: int, splits: int, momentum: float = 0.1) -> None:
        super().__init__(channels, momentum=momentum)
        self.splits = splits

    def _check_input_dim(self, input: Tensor) -> None:
        assert input.dim() in (2, 4), f"SplitBatchNorm takes (B, C) or (B, C, h, w), not {tuple(input.shape)}"

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        self._check_input_dim(input)
        if len(input) % self.splits:
            raise ValueError(
                f"a batch of {len(input)} does not part into {self.splits} splits: make one a multiple of the other"
            )
        means, variances, outputs = [], [], []
        for chunk in input.chunk(self.splits):
            mean, variance = self.running_mean.clone(), self.running_var.clone()  # type: ignore[union-attr]
            outputs.append(
                F.batch_norm(chunk, mean, variance, self.weight, self.bias, True, self.momentum or 0.0, self.eps)
            )
            means.append(mean)
            variances.append(variance)
        if self.track_running_stats:
            self.running_mean.copy_(torch.stack(means).mean(dim=0))  # type: ignore[union-attr]
            self.running_var.copy_(torch.stack(variances).mean(dim=0))  # type: ignore[union-attr]
            self.num_batches_tracked.add_(1)  # type: ignore[union-attr]
        return torch.cat(outputs)


def join_batch_norms(module: nn.Module) -> None:
    """Have BatchNorm, in place, look at the batches of all GPUs together; a module with split norms stays as it is."""
    if not any(isinstance(layer, SplitBatchNorm) for layer in module.modules()):
        nn.SyncBatchNorm.convert_sync_batchnorm(module)


def split_batch_norms(module: nn.Module, splits: int) -> nn.Module:
    """Replace, in place, every BatchNorm inside `module` by a SplitBatchNorm with its weights; returns `module`."""
    for name, child in module.named_children():
        if isinstance(child, _BatchNorm) and not isinstance(child, SplitBatchNorm):
            split = SplitBatchNorm(child.num_features, splits, child.momentum or 0.1).to(child.weight.device)
            split.load_state_dict(child.state_dict())
            for mine, its in zip(split.parameters(), child.parameters(), strict=True):
                mine.requires_grad_(its.requires_grad)  # a norm that learns no shift still learns none
            setattr(module, name, split)
        else:
            split_batch_norms(child, splits)
    return module
