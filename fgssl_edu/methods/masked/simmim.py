"""SimMIM: put a mask token in place of hidden squares, and read their pixels off with one linear layer.

Xie et al. (arXiv 2111.09886). The encoder sees all places, hidden ones as mask tokens: no decoder is needed, and any
encoder that keeps places would do, at the price of a full forward pass. Deviation: the paper's transformer has learned
biases of relative position; here it has MAE's fixed positions, so that the two differ in nothing else.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from fgssl_edu.data.image_set import Batch
from fgssl_edu.losses.masked import simmim_loss, unpatchify
from fgssl_edu.methods.base import HEAD_SEED, Method, Presets, augmentation
from fgssl_edu.methods.masked.mae import fix_positions, patch_grid, standardised
from fgssl_edu.nets.encoders import Encoder, seeded
from fgssl_edu.nets.vit import VisionTransformer
from fgssl_edu.views.masks import check_mask, draw_mask
from fgssl_edu.views.presets import ViewPreset

SOURCE = "arXiv 2111.09886, section 4 and released code"


class SimMIM(Method):
    """Guess hidden pixels by their absolute error."""

    presets: ClassVar[Presets] = {
        "paper": {
            "views": ("simmim", SOURCE),
            "size": (224, SOURCE),
            "mask_ratio": (0.6, SOURCE),
            "mask": ("squares", SOURCE),
            "cell": (2, f"{SOURCE}: squares of 32 px, patches of 16"),
        },
    }

    def __init__(
        self,
        encoder: Encoder,
        *,
        views: str | ViewPreset = "simmim",
        size: int = 32,
        mask_ratio: float = 0.6,
        mask: str = "squares",
        cell: int = 2,
        seed: int = 0,
    ) -> None:
        """Prepare head, views and masks; the encoder's mask token is trained from now on.

        Args:
            encoder: one that takes patches; trained from where it is, but with sines and cosines as its positions.
            views: preset or its name.
            size: side of a view in pixels.
            mask_ratio: share of the squares that is hidden.
            mask: kind of mask, one of views.masks.MASKS.
            cell: patches along a square.
            seed: of views, masks and head.
        """
        super().__init__()
        self.patch, self.side = patch_grid(encoder, size)
        check_mask(mask, self.side, mask_ratio, cell)
        self.encoder, self.seed = encoder, seed
        self.mask_ratio, self.mask, self.cell = mask_ratio, mask, cell
        self.augment = augmentation(views, size)
        with seeded(HEAD_SEED + seed):
            self.head = nn.Linear(encoder.dim, 3 * self.patch**2)
        nn.init.zeros_(self.head.weight)  # Deviation: the first guess is a grey picture
        nn.init.zeros_(self.head.bias)
        fix_positions(encoder)
        assert isinstance(encoder, VisionTransformer)
        encoder.mask_token.requires_grad_(True)

    def extra_repr(self) -> str:
        hidden = f"mask={self.mask!r}, mask_ratio={self.mask_ratio}, cell={self.cell}"
        return f"seed={self.seed}, {hidden}, views={self.augment.preset}, size={self.augment.size}"

    def views(self, batch: Batch, step: int) -> tuple[Tensor, ...]:
        """A view (B, 3, size, size), and which of its patches are hidden, (B, n) bool."""
        view = self.augment(batch.images, self.seed, step, batch.index, "view0")
        mask = draw_mask(self.seed, step, batch.index, "view0", self.mask, self.side, self.mask_ratio, self.cell)
        return view, mask

    def forward(self, batch: Batch, views: tuple[Tensor, ...]) -> dict[str, Tensor]:
        images, mask = views
        guess = self.guess(images, mask)  # (B, 3, size, size)
        return {"loss": self.loss(images, guess, mask)}

    def loss(self, images: Tensor, guess: Tensor, mask: Tensor) -> Tensor:
        """Of a guess, over hidden pixels."""
        return simmim_loss(standardised(self.encoder, images), guess, mask, self.patch)

    def guess(self, images: Tensor, mask: Tensor) -> Tensor:
        """What is expected at every pixel, (B, 3, size, size), in the units of the loss."""
        assert isinstance(self.encoder, VisionTransformer)
        tokens = self.encoder.tokens(images, mask=mask)[:, 1:]  # (B, n, D) without CLS
        return unpatchify(self.head(tokens), self.patch)

    @torch.no_grad()
    def picture(self, images: Tensor, guess: Tensor) -> Tensor:
        """A guess as a picture, (B, 3, size, size), not clipped; nothing of the images is used."""
        return guess * self.encoder.std + self.encoder.mean
