"""Grad-CAM by target: what raises a class's logit, what makes two views alike (arXiv 1610.02391, 2407.14676).

Heat is computed by `gradcam.gradcam`; here it is aimed. Salient is not discriminative: compare the two targets.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fgssl_edu.evaluate.attention import class_maps
from fgssl_edu.evaluate.probe import LinearClassifier
from fgssl_edu.gradcam import gradcam
from fgssl_edu.losses import nt_xent
from fgssl_edu.nets.encoders import Encoder
from fgssl_edu.nets.modes import frozen

TARGETS = ("loss", "similarity")


def class_map(
    encoder: Encoder, classifier: LinearClassifier, images: Tensor, target: Tensor | int, size: int | None = None
) -> Tensor:
    """Heat of one class logit of a linear probe on the encoder's features.

    Args:
        encoder: frozen; left in the mode it was in.
        classifier: from `evaluate.probe.fit_linear`.
        images: (N, 3, H, W) uint8.
        target: the class, one for all images or (N,) int64.
        size: side at which the encoder sees the images, pixels.

    Returns:
        (N, h, w) float, at least 0; enlarge and normalise it to show it.
    """
    wanted = target if isinstance(target, Tensor) else images.new_full((len(images),), target).long()
    return class_maps(encoder, classifier, images, wanted, size)


def ssl_map(
    encoder: Encoder,
    first: Tensor,
    second: Tensor,
    *,
    target: str = "loss",
    sign: str = "helps",
    head: nn.Module | None = None,
    temperature: float = 0.2,
    rectify: bool = True,
) -> Tensor:
    """Heat on the first views of what the self-supervised objective rests on.

    Without a head the un-rectified map of an image sums to 0: the objective sees directions only, so that "helps" and
    "hurts" are equal halves.

    Args:
        encoder: frozen; left in the mode it was in.
        first: views that are explained, (N, 3, h, w) float in [0, 1].
        second: the other views of the same images.
        target: "loss" (NT-Xent of the batch) or "similarity" (cosine of an image's two views).
        sign: of a loss, "helps" (what lowers it) or "hurts" (what raises it, as LCR's released code has it); of a
            similarity likewise, "helps" raises it.
        head: projection applied to the features, in evaluation mode; None for the features themselves.
        temperature: of NT-Xent.
        rectify: keep positive evidence only.

    Returns:
        (N, h, w) float on the encoder's device.
    """
    if target not in TARGETS:
        raise ValueError(f"target={target!r}: choose one of {', '.join(TARGETS)}")
    project = nn.Identity() if head is None else head
    with frozen(encoder) as device, frozen(project), torch.enable_grad():
        with torch.no_grad():
            feature_map = encoder.feature_map(first.to(device))  # (N, C, h, w)
            two = F.normalize(project(encoder.features(second.to(device))), dim=1)
        feature_map.requires_grad_()
        one = F.normalize(project(encoder.pool(feature_map)), dim=1)
        # Summed, not averaged: an image's heat does not shrink with the batch it is shown in.
        loss = nt_xent(one, two, temperature) * len(first) if target == "loss" else -(one * two).sum()
        return gradcam(loss, feature_map, sign=sign, rectify=rectify).detach()
