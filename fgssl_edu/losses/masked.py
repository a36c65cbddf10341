"""Masked images: how far a guess at hidden patches is from them (MAE, arXiv 2111.06377; SimMIM, 2111.09886)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fgssl_edu.distributed import full_precision

EPSILON = 1e-6  # added to a patch's variance (MAE's code)
FEW_PIXELS = 1e-5  # added to the count of hidden pixels (SimMIM's code)


def patchify(images: Tensor, patch: int) -> Tensor:
    """(B, C, H, W) -> (B, n, P): patches row by row, each as (row, column, channel), P = patch * patch * C."""
    batch, channels, high, wide = images.shape
    if high % patch or wide % patch:
        raise ValueError(f"pictures of {high} x {wide} px do not divide into patches of {patch} px")
    cut = images.reshape(batch, channels, high // patch, patch, wide // patch, patch)
    return cut.permute(0, 2, 4, 3, 5, 1).reshape(batch, -1, patch * patch * channels)


def unpatchify(patches: Tensor, patch: int) -> Tensor:
    """Back from (B, n, P) to square pictures (B, C, H, H): the inverse of `patchify`."""
    batch, count, values = patches.shape
    side, channels = math.isqrt(count), values // patch**2
    cut = patches.reshape(batch, side, side, patch, patch, channels)
    return cut.permute(0, 5, 1, 3, 2, 4).reshape(batch, channels, side * patch, side * patch)


def patch_statistics(patches: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each patch over its P values, (B, n, 1) each; unbiased variance, as in MAE's code."""
    variance, mean = torch.var_mean(patches, dim=2, keepdim=True, correction=1)
    return mean, (variance + EPSILON).sqrt()


def normalize_patches(patches: Tensor) -> Tensor:
    """Each patch with mean 0 and deviation 1 over all its P values: what is left is its pattern and its hue.

    Channels are not told apart: a patch of one colour keeps a pattern of three values; one of one grey becomes zeros.
    """
    mean, deviation = patch_statistics(patches)
    return (patches - mean) / deviation


def mae_loss(images: Tensor, prediction: Tensor, mask: Tensor, patch: int, normalize: bool = True) -> Tensor:
    """Mean squared error over the hidden patches alone (MAE, section 3).

    Args:
        images: (B, C, H, W), any range.
        prediction: (B, n, P), of `patchify(images)`, or of its normalised form.
        mask: (B, n) bool, True where hidden; elsewhere no gradient arrives.
        patch: side in pixels.
        normalize: compare with patches of mean 0 and deviation 1.

    Returns:
        Scalar. Landmarks for a prediction of 0: (P - 1) / P with `normalize`, 1 for pictures of ones without.
    """
    with full_precision():
        target = patchify(images if images.dtype == torch.float64 else images.float(), patch)  # (B, n, P)
        target = normalize_patches(target) if normalize else target
        error = (prediction.to(target.dtype) - target).square().mean(dim=2)  # (B, n)
        return (error * mask).sum() / mask.sum()


def simmim_loss(images: Tensor, prediction: Tensor, mask: Tensor, patch: int) -> Tensor:
    """Mean absolute error over the hidden pixels alone (SimMIM, section 3.4).

    Args:
        images: (B, C, H, W); SimMIM gives channels mean 0 and deviation 1 over ImageNet.
        prediction: (B, C, H, W).
        mask: (B, n) bool, True where hidden; elsewhere no gradient arrives.
        patch: side in pixels.

    Returns:
        Scalar; 1 - 1e-5 / pixels for zeros against ones.
    """
    with full_precision():
        batch, channels, high, wide = images.shape
        hidden = mask.view(batch, high // patch, wide // patch)
        hidden = hidden.repeat_interleave(patch, dim=1).repeat_interleave(patch, dim=2)[:, None]  # (B, 1, H, W)
        target = images if images.dtype == torch.float64 else images.float()
        error = (prediction.to(target.dtype) - target).abs() * hidden
        return error.sum() / (hidden.sum() + FEW_PIXELS) / channels
