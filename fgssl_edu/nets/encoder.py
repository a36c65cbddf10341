"""What an encoder is: images to features, behind one interface.

Everything below an encoder speaks RGB in [0, 1]; an encoder normalises for itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # RGB in [0, 1]
IMAGENET_STD = (0.229, 0.224, 0.225)


class Encoder(nn.Module):
    """A stem and stages of convolutions; takes RGB float in [0, 1], (B, 3, H, W), of any size.

    Attributes:
        dim: D of the features.
        name: as `build_encoder` takes it.
        stem: its first layers in words, for a score's protocol.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, name: str, stem: str, entry: nn.Module, blocks: Sequence[nn.Module], dim: int) -> None:
        super().__init__()
        self.name, self.stem, self.dim = name, stem, dim
        self.entry, self.blocks = entry, nn.ModuleList(blocks)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1))

    def _normalize(self, images: Tensor) -> Tensor:
        if not images.is_floating_point():
            raise ValueError(
                f"an encoder takes float images in [0, 1], not {images.dtype}: pass them through views.as_float first"
            )
        normalized = (images - self.mean) / self.std
        return normalized.contiguous(memory_format=torch.channels_last)  # 1.3 to 1.6 times the speed on a CPU

    def stages(self, images: Tensor) -> list[Tensor]:
        """The map after each stage, fine to coarse, each (B, C, h, w)."""
        maps, x = [], self.entry(self._normalize(images))
        for block in self.blocks:
            x = block(x)
            maps.append(x)
        return maps

    def feature_map(self, images: Tensor) -> Tensor:
        """The last map, (B, D, h, w)."""
        return self.stages(images)[-1]

    def pool(self, feature_map: Tensor) -> Tensor:
        """(B, D, h, w) -> (B, D), the mean over positions: `pool(feature_map(x))` is `features(x)`."""
        return feature_map.mean(dim=(2, 3))

    def features(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, D), before any head."""
        return self.pool(self.feature_map(images))

    def forward(self, images: Tensor) -> Tensor:
        return self.features(images)
