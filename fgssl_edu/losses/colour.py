"""Colours that are predicted: cross-entropy with soft classes, and regression (Zhang et al., arXiv 1603.08511)."""

from __future__ import annotations

from torch import Tensor

from fgssl_edu.distributed import full_precision


def soft_cross_entropy(logits: Tensor, code: Tensor, weights: Tensor | None = None) -> Tensor:
    """Cross-entropy of a predicted distribution with a soft class at every place (eq. 2 without its sum over places).

    The released layer multiplies the gradient by the weights and logs the unweighted loss; weighting the loss gives the
    same gradient.

    Args:
        logits: (B, Q, h, w); gradients flow here.
        code: Z, (B, Q, h, w), sums to 1 over Q.
        weights: v, (B, h, w), of each place; None: 1.

    Returns:
        Scalar mean over all B h w places in nats. Landmarks: log Q for logits that are all equal and weights of mean 1;
        the entropy of the code, not 0, where the prediction equals it.
    """
    with full_precision():
        places = -(code * logits.float().log_softmax(dim=1)).sum(dim=1)  # (B, h, w)
        return places.mean() if weights is None else (weights * places).mean()


def color_distance(predicted: Tensor, ab: Tensor, weights: Tensor | None = None) -> Tensor:
    """Half the squared distance between predicted and true colours, the mean over places (eq. 1).

    Args:
        predicted: (B, 2, h, w) in units of ab; gradients flow here.
        ab: (B, 2, h, w).
        weights: (B, h, w), of each place; None: 1.

    Returns:
        Scalar in squared units of ab. Its least value is at the mean of all colours that a place might have: greyish.
    """
    with full_precision():
        places = (predicted.float() - ab).square().sum(dim=1) / 2  # (B, h, w)
        return places.mean() if weights is None else (weights * places).mean()
