"""Grad-CAM as pure functions of (scalar, features): where, or in which dimensions, do features carry it?

Works for any scalar (a class logit, a self-supervised loss, a positive logit) and for a map or a vector of features;
methods and `explain/` both use it. It takes one forward pass of the caller's and one `torch.autograd.grad`: no hooks,
nothing left on the network. Papers: Grad-CAM (arXiv 1610.02391, eq. 1-2); the product form is LCR's (2303.01669), the
vector form that of 2407.14676.

The sign decides what is seen. Growing a feature where `-dL/dF` is positive lowers a loss L: it `helps`. LCR's released
code keeps the other half, what `hurts`. For a bias-free head and a normalised output the unrectified map sums to
exactly 0 over an image, so that the two are halves of equal weight.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fgssl_edu.distributed import full_precision

SIGNS = {"helps": -1.0, "hurts": 1.0, "score": 1.0}  # the first two speak of a loss; a score is what one wants high


def _gradient(scalar: Tensor, features: Tensor, sign: str, create_graph: bool) -> Tensor:
    """Signed d scalar / d features; the graph stays, so that a loss can still be trained after it was explained."""
    if sign not in SIGNS:
        raise ValueError(
            f"sign={sign!r} is none of {sorted(SIGNS)}: 'helps' and 'hurts' for a loss, 'score' for a logit"
        )
    lost = (
        "the scalar does not depend on these features: compute them with gradients enabled, "
        "and pass the very tensor that the scalar was computed from"
    )
    if not (features.requires_grad and scalar.requires_grad):
        raise ValueError(lost)
    (gradient,) = torch.autograd.grad(
        scalar.sum(), features, retain_graph=True, create_graph=create_graph, allow_unused=True
    )
    if gradient is None:
        raise ValueError(lost)
    return SIGNS[sign] * gradient


def _at_least_float32(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()


def gradcam(
    scalar: Tensor,
    feature_map: Tensor,
    sign: str = "helps",
    pooled: bool = True,
    rectify: bool = True,
    create_graph: bool = False,
) -> Tensor:
    """Heat map over the positions of a feature map.

    Args:
        scalar: (), or (B,) and summed: as image b's value depends on its own features alone, this is the per-image
            gradient.
        feature_map: (B, C, h, w) that the scalar was computed from.
        sign: "helps" or "hurts" a loss, "score" for a value one wants high (class logit, positive logit).
        pooled: True weighs channels by their mean gradient (Grad-CAM); False multiplies element by element and sums
            channels (LCR).
        rectify: keep what is positive.
        create_graph: make the map itself differentiable.

    Returns:
        (B, h, w), in units of the scalar a unit of feature; >= 0 if rectified. `normalize_map` brings it to [0, 1].
    """
    gradient = _at_least_float32(_gradient(scalar, feature_map, sign, create_graph))
    features = _at_least_float32(feature_map if create_graph else feature_map.detach())
    with full_precision():
        weights = gradient.mean(dim=(2, 3), keepdim=True) if pooled else gradient  # (B, C, 1, 1) or (B, C, h, w)
        maps = (weights * features).sum(dim=1)  # (B, h, w)
    return maps.relu() if rectify else maps


def gradcam_vector(
    scalar: Tensor, features: Tensor, sign: str = "helps", times_feature: bool = True, rectify: bool = True
) -> Tensor:
    """Which dimensions of a pooled feature vector carry the scalar (arXiv 2407.14676, eq. 3).

    Args:
        scalar: () or (B,), as in `gradcam`.
        features: (B, D) that the scalar was computed from.
        sign: as in `gradcam`.
        times_feature: True gives feature times gradient (Grad-CAM's form), False the gradient alone.
        rectify: keep what is positive.

    Returns:
        (B, D), detached. Landmark: features (3, 4), key (1, 0), one negative (0, 1), temperature 1, helps: (.3695, 0).
    """
    gradient = _at_least_float32(_gradient(scalar, features, sign, create_graph=False))
    scores = gradient * _at_least_float32(features.detach()) if times_feature else gradient
    return scores.relu() if rectify else scores


def normalize_map(maps: Tensor) -> Tensor:
    """Min-max of each image (or vector) to [0, 1], (B, ...); a constant one, which says nothing, becomes zeros."""
    flat = maps.flatten(1)
    low, high = flat.aminmax(dim=1, keepdim=True)
    span = high - low
    scaled = (flat - low) / span.where(span > 0, 1.0)  # a constant map is low everywhere: 0
    return scaled.view_as(maps)
