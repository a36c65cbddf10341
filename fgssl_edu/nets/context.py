"""What a context encoder has beside its encoder: bridge, decoder, critic (arXiv 1604.07379, section 3.1)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from fgssl_edu.nets.encoder import IMAGENET_MEAN, IMAGENET_STD
from fgssl_edu.nets.norm import norm_layer

WIDTHS = (32, 24, 24, 16, 16)  # channels of a decoder after each doubling; the last doubling ends in colours
CRITIC_WIDTHS = (16, 32, 64)
SLOPE = 0.2  # of the critic's LeakyReLU where it is negative (released code)


class ChannelWise(nn.Module):
    """A fully connected layer for each channel by itself: every place hears of every other, (B, C, h, w) to the same.

    C h^4 weights where a full layer would have C^2 h^4. A 1x1 convolution must follow: channels are not mixed here.
    """

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        places = side * side
        bound = 1 / math.sqrt(places)
        self.weight = nn.Parameter(torch.empty(channels, places, places).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(channels, places))

    def forward(self, maps: Tensor) -> Tensor:
        mixed = torch.einsum("bci,cio->bco", maps.flatten(2), self.weight) + self.bias
        return mixed.view(maps.shape)


class MapDecoder(nn.Module):
    """From the last map, (B, C, h, h), to a picture, (B, 3, size, size): the bridge, then doublings.

    Deviation: the paper's decoder has transposed convolutions; these are enlargements with a 3x3 convolution, which
    draw no checkerboards.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int, side: int, size: int, norm: str = "batch") -> None:
        super().__init__()
        doublings = round(math.log2(size / side))
        if side * 2**doublings != size or not 1 <= doublings <= len(WIDTHS):
            raise ValueError(
                f"size={size} px: the encoder's last map is {side} px wide, and the decoder doubles it 1 to "
                f"{len(WIDTHS)} times; use a size of {side} times 2, 4, 8, 16 or 32"
            )
        self.bridge = nn.Sequential(
            ChannelWise(channels, side),
            nn.Conv2d(channels, WIDTHS[0], 1, bias=False),
            norm_layer(norm, WIDTHS[0]),
            nn.ReLU(inplace=True),
        )
        layers: list[nn.Module] = []
        widths = (WIDTHS[0], *WIDTHS[: doublings - 1])
        for entering, leaving in zip(widths[:-1], widths[1:], strict=True):
            layers += [nn.Upsample(scale_factor=2), nn.Conv2d(entering, leaving, 3, padding=1, bias=False)]
            layers += [norm_layer(norm, leaving), nn.ReLU(inplace=True)]
        self.body = nn.Sequential(*layers, nn.Conv2d(widths[-1], 3 * 4, 3, padding=1), nn.PixelShuffle(2))
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1))

    def forward(self, maps: Tensor) -> Tensor:
        """RGB about [0, 1], not clamped: a squared error must see what is beyond."""
        entering = self.bridge(maps).contiguous(memory_format=torch.channels_last)
        pixels: Tensor = self.body(entering) * self.std + self.mean
        return pixels


class Critic(nn.Module):
    """Whether pictures (B, 3, S, S) are real: logits (B,).

    Deviation: the released critic has BatchNorm; GroupNorm judges each picture by itself, and keeps no statistics that
    two calls a step would move twice.
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for entering, leaving in zip((3, *CRITIC_WIDTHS[:-1]), CRITIC_WIDTHS, strict=True):
            layers += [nn.Conv2d(entering, leaving, 4, stride=2, padding=1)]
            layers += [norm_layer("group", leaving)] if entering != 3 else []
            layers += [nn.LeakyReLU(SLOPE, inplace=True)]
        self.body = nn.Sequential(*layers)
        self.last = nn.Linear(CRITIC_WIDTHS[-1], 1)

    def forward(self, pictures: Tensor) -> Tensor:
        maps = self.body((2 * pictures - 1).contiguous(memory_format=torch.channels_last))
        logits: Tensor = self.last(maps.mean(dim=(2, 3)))[:, 0]
        return logits
