"""A decoder: from a pooled feature vector back to a picture, to see what a feature holds and what a change of it does.

Wang et al. (arXiv 2407.14676) train one beside a contrastive network and do not print its layers; these are ours.
Fitted by squared error, it draws what the feature does not hold as the mean of what it might be: blurred, not invented.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fgssl_edu.nets.encoder import IMAGENET_MEAN, IMAGENET_STD
from fgssl_edu.nets.encoders import seeded

# Channels at each resolution, coarse to fine, by how often the first map (4 to 7 px a side) is doubled.
WIDTHS = {
    2: (96, 64),
    3: (96, 64, 48),  # 40 px: .39 M parameters, under 1 MB in half precision
    4: (128, 96, 64, 48),
    5: (512, 256, 128, 64, 32),  # 224 px
}
FIRST_SIDE = (4, 7)  # px


class Decoder(nn.Module):
    """A linear layer to a small map, then doublings with a 3x3 convolution each; the last one is a pixel shuffle.

    Attributes:
        size: side of the pictures in pixels.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, dim: int, size: int, seed: int | None = None) -> None:
        """Prepare a decoder that answers every feature with mid grey.

        Args:
            dim: D of the features.
            size: side of the pictures in pixels: 4 to 7 times 4, 8, 16 or 32, as 32, 40, 64 or 224.
            seed: of the weights; the global generator is left untouched.

        Raises:
            ValueError: the size is none of these.
        """
        super().__init__()
        fits = [d for d in WIDTHS if size % 2**d == 0 and FIRST_SIDE[0] <= size // 2**d <= FIRST_SIDE[1]]
        if not fits:
            raise ValueError(f"size={size}: a decoder draws 4 to 7 times 4, 8, 16 or 32 px, as 32, 40, 64 or 224")
        widths, self.size = WIDTHS[fits[0]], size
        self.shape = (widths[0], size // 2 ** fits[0], size // 2 ** fits[0])
        with seeded(seed):
            first = widths[0] * self.shape[1] ** 2
            self.entry = nn.Sequential(nn.Linear(dim, first, bias=False), nn.BatchNorm1d(first), nn.ReLU(inplace=True))
            layers: list[nn.Module] = []
            for entering, leaving in zip(widths[:-1], widths[1:], strict=True):
                layers += [nn.Upsample(scale_factor=2), nn.Conv2d(entering, leaving, 3, padding=1, bias=False)]
                layers += [nn.BatchNorm2d(leaving), nn.ReLU(inplace=True)]
            last = nn.Conv2d(widths[-1], 3 * 4, 3, padding=1)
            self.body = nn.Sequential(*layers, last, nn.PixelShuffle(2))
        nn.init.zeros_(last.weight)  # no picture before the first step
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]  # it has one
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1))

    def forward(self, features: Tensor) -> Tensor:
        """(B, D) -> (B, 3, size, size) RGB about [0, 1], not clamped: a squared error must see what is beyond."""
        maps = self.entry(features).view(-1, *self.shape)  # (B, C, 4..7, 4..7)
        pixels = self.body(maps.contiguous(memory_format=torch.channels_last))  # (B, 3, size, size), normalised
        return pixels * self.std + self.mean
