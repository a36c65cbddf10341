"""MAE: encode the quarter of a picture that is visible, let a light decoder guess the rest.

He et al. (arXiv 2111.06377). The encoder never sees a mask token: hidden patches do not enter it at all, which makes a
step cheap and training like use. Deviation: released code trains AdamW with betas (.9, .95), here they are torch's.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from fgssl_edu.data.image_set import Batch
from fgssl_edu.losses.masked import mae_loss, patch_statistics, patchify, unpatchify
from fgssl_edu.methods.base import HEAD_SEED, Method, Presets, augmentation
from fgssl_edu.nets.encoders import Encoder, seeded
from fgssl_edu.nets.positions import sincos_positions
from fgssl_edu.nets.vit import EPSILON, INIT_STD, TransformerBlock, VisionTransformer
from fgssl_edu.views.masks import check_mask, draw_mask, visible
from fgssl_edu.views.presets import ViewPreset

SOURCE = "arXiv 2111.06377, table 8 and released code"


class Decoder(nn.Module):
    """Tokens of the visible patches -> values of all: mask tokens stand where nothing was seen.

    Args:
        dim: of the encoder's tokens.
        width: of its own.
        depth: blocks; 0 is a linear decoder that never looks at a neighbour.
        heads: of its attention.
        side: patches along the picture.
        values: P, numbers of a patch.
    """

    positions: Tensor

    def __init__(self, dim: int, width: int, depth: int, heads: int, side: int, values: int) -> None:
        super().__init__()
        self.enter, self.leave = nn.Linear(dim, width), nn.Linear(width, values)
        self.mask_token = nn.Parameter(torch.empty(1, 1, width))
        self.blocks = nn.Sequential(*(TransformerBlock(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width, eps=EPSILON)
        self.register_buffer("positions", sincos_positions(side, width), persistent=False)
        nn.init.normal_(self.mask_token, std=INIT_STD)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.leave.weight)  # Deviation: the first guess is zeros, so that the loss begins at chance

    def forward(self, tokens: Tensor, keep: Tensor) -> Tensor:
        """Tokens (B, 1 + m, D), CLS first, of the patches at keep (B, m) -> (B, n, P)."""
        cls, seen = self.enter(tokens).split([1, keep.shape[1]], dim=1)
        blank = self.mask_token.to(seen.dtype).expand(len(seen), self.positions.shape[1], -1)  # (B, n, width)
        patches = blank.scatter(1, keep[:, :, None].expand_as(seen), seen) + self.positions  # each at its own place
        x = self.blocks(torch.cat([cls, patches], dim=1))
        return self.leave(self.norm(x))[:, 1:]


class MAE(Method):
    """Guess hidden patches from visible ones; the loss is over hidden patches alone."""

    presets: ClassVar[Presets] = {
        "paper": {
            "views": ("mae", SOURCE),
            "size": (224, SOURCE),
            "mask_ratio": (0.75, SOURCE),
            "mask": ("random", SOURCE),
            "normalize": (True, SOURCE),
            "decoder_dim": (512, SOURCE),
            "decoder_depth": (8, SOURCE),
            "decoder_heads": (16, SOURCE),
        },
    }

    def __init__(
        self,
        encoder: Encoder,
        *,
        views: str | ViewPreset = "mae",
        size: int = 32,
        mask_ratio: float = 0.75,
        mask: str = "random",
        normalize: bool = True,
        decoder_dim: int | None = None,
        decoder_depth: int = 1,
        decoder_heads: int = 2,
        seed: int = 0,
    ) -> None:
        """Prepare decoder, views and masks.

        Args:
            encoder: one that takes patches; trained from where it is, but with sines and cosines as its positions.
            views: preset or its name.
            size: side of a view in pixels.
            mask_ratio: share of the patches that is hidden.
            mask: kind of mask, one of views.masks.MASKS.
            normalize: guess each patch with mean 0 and deviation 1, so not how light it is or how strong its contrast.
            decoder_dim: width of the decoder's tokens; None: a third of the encoder's.
            decoder_depth: its blocks.
            decoder_heads: of its attention.
            seed: of views, masks and decoder.
        """
        super().__init__()
        patch, side = patch_grid(encoder, size)
        check_mask(mask, side, mask_ratio)
        self.encoder, self.seed, self.patch, self.side = encoder, seed, patch, side
        self.mask_ratio, self.mask, self.normalize = mask_ratio, mask, normalize
        self.augment, values = augmentation(views, size), 3 * patch**2
        width = encoder.dim // 3 if decoder_dim is None else decoder_dim
        if width < 4 or width % 4:
            raise ValueError(f"decoder_dim={width}: positions need sine and cosine of row and column, a multiple of 4")
        if width % decoder_heads:
            raise ValueError(f"decoder_heads={decoder_heads} do not divide a decoder of width {width}")
        with seeded(HEAD_SEED + seed):
            self.decoder = Decoder(encoder.dim, width, decoder_depth, decoder_heads, side, values)
        fix_positions(encoder)
        self.chance = (values - 1) / values if normalize else None  # of a guess of zeros: each patch's own mean

    def extra_repr(self) -> str:
        hidden = f"mask={self.mask!r}, mask_ratio={self.mask_ratio}, normalize={self.normalize}"
        return f"seed={self.seed}, {hidden}, views={self.augment.preset}, size={self.augment.size}"

    def views(self, batch: Batch, step: int) -> tuple[Tensor, ...]:
        """A view (B, 3, size, size), and which of its patches are hidden, (B, n) bool."""
        view = self.augment(batch.images, self.seed, step, batch.index, "view0")
        return view, draw_mask(self.seed, step, batch.index, "view0", self.mask, self.side, self.mask_ratio)

    def forward(self, batch: Batch, views: tuple[Tensor, ...]) -> dict[str, Tensor]:
        images, mask = views
        guess = self.guess(images, mask)  # (B, n, P)
        return {"loss": self.loss(images, guess, mask)}

    def loss(self, images: Tensor, guess: Tensor, mask: Tensor) -> Tensor:
        """Of a guess, over hidden patches; a guess of zeros loses `chance`."""
        return mae_loss(standardised(self.encoder, images), guess, mask, self.patch, self.normalize)

    def guess(self, images: Tensor, mask: Tensor) -> Tensor:
        """What is expected at every patch, (B, n, P), in the units of the loss."""
        keep = visible(mask)  # (B, m)
        assert isinstance(self.encoder, VisionTransformer)
        tokens = self.encoder.tokens(images, keep=keep)  # (B, 1 + m, D): hidden patches do not enter
        return self.decoder(tokens, keep)

    @torch.no_grad()
    def picture(self, images: Tensor, guess: Tensor) -> Tensor:
        """A guess (B, n, P) at images as a picture, (B, 3, size, size), not clipped.

        With `normalize` lightness and contrast are not guessed: they are then those of each TRUE patch.
        """
        if self.normalize:
            mean, deviation = patch_statistics(patchify(standardised(self.encoder, images), self.patch))
            guess = guess * deviation + mean
        return unpatchify(guess, self.patch) * self.encoder.std + self.encoder.mean


def patch_grid(encoder: Encoder, size: int) -> tuple[int, int]:
    """Side of a patch in pixels, and patches along a view.

    Raises:
        ValueError: the encoder does not take patches, or they do not fill the view.
    """
    if not isinstance(encoder, VisionTransformer):
        raise ValueError(f"encoder={encoder.name!r} takes whole pictures: a mask needs patches; use encoder='vit_mini'")
    if size % encoder.patch:
        raise ValueError(f"size={size} px is no multiple of the patch of {encoder.patch} px of {encoder.name}")
    return encoder.patch, size // encoder.patch


def fix_positions(encoder: Encoder) -> None:
    """Set an encoder's positions to sines and cosines, zeros for CLS, and train them no more.

    So in MAE's code. In runs of minutes much hangs on it: a hidden patch is nothing but its place, and learned places
    begin small and all alike.
    """
    assert isinstance(encoder, VisionTransformer)
    with torch.no_grad():
        encoder.pos_embed[:, :1] = 0
        encoder.pos_embed[:, 1:] = sincos_positions(encoder.grid, encoder.dim)
    encoder.pos_embed.requires_grad_(False)


def standardised(encoder: Encoder, images: Tensor) -> Tensor:
    """Pictures in [0, 1] with the encoder's mean and deviation of each channel taken out."""
    return (images - encoder.mean) / encoder.std
