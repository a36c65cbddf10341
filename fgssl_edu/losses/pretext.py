"""Inpainting (Pathak et al., arXiv 1604.07379, eq. 1 to 3): the error inside the hole, and both sides of a critic."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from fgssl_edu.distributed import full_precision


def hole_error(filled: Tensor, pictures: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean squared error of each picture, then the mean over pictures (eq. 1).

    Deviation: the released code divides by the number of pixels, whatever their weights, on pixels from -1 to 1; with
    a band of weight 10 around a quarter of the picture its value is 12 times this one.

    Args:
        filled: (B, 3, H, W) about [0, 1].
        pictures: the truth, (B, 3, H, W) in [0, 1].
        weight: (B, H, W) at least 0; 0 where no error counts. Gradients flow into `filled` only where it is above 0.

    Returns:
        Scalar; the variance of the pixels if all are filled with their mean, 0 if the hole is filled as it was.
    """
    with full_precision():
        squares = (filled.float() - pictures.float()).square().mean(dim=1)  # (B, H, W)
        weight = weight.float()
        return ((weight * squares).sum(dim=(1, 2)) / weight.sum(dim=(1, 2)).clamp(min=1e-12)).mean()


def critic_loss(real: Tensor, made: Tensor) -> Tensor:
    """What a critic minimises: the cross-entropy of telling real from made (eq. 2, its sign changed).

    Args:
        real: logits of being real, (B,), of true pictures.
        made: of made ones, (B,), detached from what made them.

    Returns:
        Scalar in nats; 2 log 2 for a critic that cannot tell.
    """
    with full_precision():
        return F.softplus(-real.float()).mean() + F.softplus(made.float()).mean()


def fooling_loss(made: Tensor) -> Tensor:
    """What the maker of pictures minimises: minus the log of being taken for real, from the critic's logits (B,).

    Deviation: eq. 2 has log(1 - D), whose gradient vanishes where the critic is sure; the released code has this.
    """
    with full_precision():
        return F.softplus(-made.float()).mean()
