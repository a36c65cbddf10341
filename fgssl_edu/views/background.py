"""The oracle view: the same bird, cut out by its true mask, before another sky.

No method without masks can do this; it shows how much of what an encoder fails to learn is the background's fault.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fgssl_edu.draws import uniform


class BackgroundSwap(nn.Module):
    """Paste each bird onto a random background; keeps masks and backgrounds on its device, outside of checkpoints."""

    foreground: Tensor
    backgrounds: Tensor

    def __init__(self, foreground: Tensor, backgrounds: Tensor) -> None:
        """Take foreground (N, H, W) uint8 opacity of every image in the set, and backgrounds (M, 3, H, W) uint8."""
        super().__init__()
        if foreground.shape[1:] != backgrounds.shape[2:]:
            masks, skies = tuple(foreground.shape[1:]), tuple(backgrounds.shape[2:])
            raise ValueError(f"masks of {masks} px and backgrounds of {skies} px: render both at the same size")
        self.register_buffer("foreground", foreground, persistent=False)
        self.register_buffer("backgrounds", backgrounds, persistent=False)

    def forward(self, images: Tensor, seed: int, step: int, index: Tensor, purpose: str) -> Tensor:
        """Swap backgrounds.

        Args:
            images: (B, 3, H, W) uint8.
            seed: of the run.
            step: of training.
            index: (B,) position of each image in the set that the masks belong to.
            purpose: which view this is; another purpose draws another background.

        Returns:
            (B, 3, H, W) uint8.
        """
        draw = uniform(seed, step, index, f"{purpose}/background", 1)[:, 0]
        chosen = self.backgrounds[(draw * len(self.backgrounds)).long()]  # (B, 3, H, W)
        opacity = self.foreground[index][:, None].float().div_(255)  # (B, 1, H, W)
        return torch.lerp(chosen.float(), images.float(), opacity).round_().to(torch.uint8)
