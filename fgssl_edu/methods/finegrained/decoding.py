"""Fit a decoder to a frozen encoder: pictures from features, by squared error (arXiv 2407.14676, appendix B.2)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from fgssl_edu.data.image_set import Images
from fgssl_edu.draws import uniform
from fgssl_edu.nets.decoders import Decoder
from fgssl_edu.nets.encoders import Encoder
from fgssl_edu.nets.modes import frozen
from fgssl_edu.views.geometry import resized

PIXEL_VARIANCE = 0.225**2  # of natural pictures in [0, 1] (mean of ImageNet's three): loss 1 is the mean picture's
WARMUP = 50  # steps
BLOCK = 256  # images whose features are computed at a time


def reconstruction_loss(pictures: Tensor, images: Tensor) -> Tensor:
    """Mean squared error over pixels, scalar, in variances of natural pictures; both (B, 3, H, W) in [0, 1]."""
    return F.mse_loss(pictures, images) / PIXEL_VARIANCE


@torch.no_grad()
def frozen_features(encoder: Encoder, images: Images, size: int) -> Tensor:
    """Features of all whole pictures at `size` px, (N, D), by the encoder's running statistics; its mode is kept.

    Every process computes all of them, since each fits the same decoder.
    """
    with frozen(encoder) as device:
        parts = (images.take(index) for index in torch.arange(images.count).split(BLOCK))
        return torch.cat([encoder.features(resized(part, size, device)) for part in parts])


def fit_decoder(
    decoder: Decoder, encoder: Encoder, images: Images, steps: int, batch: int = 128, lr: float = 2e-3, seed: int = 0
) -> list[float]:
    """Train a decoder in place on the features of whole, unaugmented pictures; the encoder does not change.

    Adam with a cosine schedule. The paper's 200 epochs at batch 128 are 200 N / 128 steps.

    Args:
        decoder: on the device of `images`.
        encoder: on the same device.
        images: the training pictures; every process fits the same decoder to all of them.
        steps: optimiser updates.
        batch: pictures an update.
        lr: peak learning rate.
        seed: of the order.

    Returns:
        The loss of each step, in variances of natural pictures: 1 for the mean picture.
    """
    features = frozen_features(encoder, images, decoder.size)
    optimizer = torch.optim.AdamW(decoder.parameters(), lr=lr, weight_decay=1e-4)
    losses = []
    for step in range(steps):
        rate = min(1.0, (step + 1) / WARMUP) * (1 + math.cos(math.pi * step / steps)) / 2
        for group in optimizer.param_groups:
            group["lr"] = lr * rate
        draw = uniform(seed, step, torch.arange(batch), "decoder/batch", 1)[:, 0]
        index = (draw * images.count).long()  # (B,)
        pictures = decoder(features[index.to(features.device)])
        loss = reconstruction_loss(pictures, resized(images.take(index), decoder.size, images.device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return torch.stack(losses).tolist() if losses else []
