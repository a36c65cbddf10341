"""Blur, noise and edges of a batch, each image by its own amount: pure functions of explicit parameters.

Images are (B, 3, H, W), uint8 or float in [0, 1]; results are float in [0, 1]. For the same parameter blur and noise
agree, image by image, with torchvision.transforms.v2.functional on float images.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fgssl_edu.views.color import as_float, luma, per_image


def _blur_axis(images: Tensor, weights: Tensor, dim: int) -> Tensor:
    """Sum of shifted copies along one axis; weights (reach + 1, B, 1, 1, 1) of distance 0, 1, ..., edges mirrored."""
    reach, size = len(weights) - 1, images.shape[dim]
    padded = F.pad(images, (reach, reach, 0, 0) if dim == 3 else (0, 0, reach, reach), mode="reflect")
    blurred = images * weights[0]
    for distance in range(1, reach + 1):
        before, after = padded.narrow(dim, reach - distance, size), padded.narrow(dim, reach + distance, size)
        blurred = blurred.addcmul_(before + after, weights[distance])
    return blurred


def gaussian_blur(images: Tensor, sigma: Tensor, kernel: int) -> Tensor:
    """Blur by a Gaussian, one axis after the other.

    Args:
        images: (B, 3, H, W).
        sigma: (B,) in pixels, above 0.
        kernel: odd width of the window in pixels, at most 2 min(H, W) - 1.
    """
    images = as_float(images)
    if kernel % 2 != 1 or kernel >= 2 * min(images.shape[2:]):
        raise ValueError(f"kernel={kernel} must be odd and less than twice the picture's {tuple(images.shape[2:])}")
    distance = torch.arange(kernel, device=images.device, dtype=images.dtype) - kernel // 2
    weights = torch.softmax(-0.5 * (distance[:, None] / sigma.to(images.dtype)) ** 2, dim=0)  # (kernel, B), sums to 1
    weights = weights[kernel // 2 :, :, None, None, None]
    return _blur_axis(_blur_axis(images, weights, dim=3), weights, dim=2)


def gaussian_noise(images: Tensor, std: Tensor, noise: Tensor) -> Tensor:
    """Add noise (B, 3, H, W), standard normal, times std (B,), clamped to [0, 1]."""
    return (as_float(images) + per_image(std) * noise).clamp_(0, 1)


def sobel(images: Tensor) -> Tensor:
    """Strength of the grey picture's edges, three equal channels: 0 where flat, 1 at a step from black to white."""
    grey = F.pad(luma(as_float(images)), (1, 1, 1, 1), mode="replicate")
    across = grey.new_tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 4
    slopes = F.conv2d(grey, torch.stack([across, across.T])[:, None])  # (B, 2, H, W)
    return slopes.square().sum(dim=1, keepdim=True).sqrt_().clamp_(max=1).expand(-1, 3, -1, -1)
