"""Split-brain autoencoder: half a network tells colour from lightness, the other half lightness from colour.

Zhang, Isola and Efros (arXiv 1611.09842). Each half hides from the other what that one must tell, so neither can copy;
together they have seen the whole picture, which colorization's features have not.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import Optimizer

from fgssl_edu.data.image_set import Batch, Images
from fgssl_edu.distributed import full_precision, gather
from fgssl_edu.losses import soft_cross_entropy
from fgssl_edu.methods.base import HEAD_SEED, Method, Presets, augmentation
from fgssl_edu.methods.pretext.palette import BATCH, Palette, PlaceHead, cell_colors, places
from fgssl_edu.nets.encoders import Encoder, seeded
from fgssl_edu.nets.inputs import SplitBrainEncoder
from fgssl_edu.nets.norm import has_batch_norm
from fgssl_edu.recipe import Recipe
from fgssl_edu.views.color import as_float
from fgssl_edu.views.presets import ViewPreset

PAPER = "arXiv 1611.09842 (reported, unverified)"


class SplitBrain(Method):
    """The sum of two cross-entropies; no gradient of one reaches the other's half."""

    level_shares: Tensor
    encoder: SplitBrainEncoder

    presets: ClassVar[Presets] = {
        "paper": {"spacing": (10.0, PAPER), "levels": (100, PAPER), "sigma": (5.0, "richzhang/colorization")},
    }

    def __init__(
        self,
        encoder: Encoder,
        *,
        views: str | ViewPreset = "mae",
        size: int = 32,
        levels: int = 20,
        spacing: float = 20.0,
        soft_bins: int = 5,
        sigma: float | None = None,
        drop_grey: bool = True,
        hidden: int = 128,
        seed: int = 0,
    ) -> None:
        """Cut the encoder into halves, find the bins, prepare views and heads.

        Args:
            encoder: sees RGB; its halves are copies, see `nets.inputs`, and both together are scored.
            views: preset or its name; crops and flips alone, for a jittered colour would be a wrong answer.
            size: side of a view in pixels, a multiple of 4; both questions are asked at size / 4 places each way.
            levels: classes of lightness, equally wide.
            spacing: units of ab between bins of colour; 20 gives 77 of them.
            soft_bins: nearest bins that share a colour.
            sigma: of a soft code, units of ab; None: half the spacing.
            drop_grey: leave pictures without any colour out of the question for colours.
            hidden: width of the heads.
            seed: of views and heads.
        """
        super().__init__()
        if isinstance(levels, bool) or not isinstance(levels, int) or levels < 2:
            raise ValueError(f"levels={levels!r}: at least 2 classes of lightness; the paper has 100")
        self.encoder, self.seed, self.side, self.levels = SplitBrainEncoder(encoder), seed, places(size), levels
        self.augment = augmentation(views, size)
        self.palette = Palette(spacing, soft_bins, sigma, rebalance=False, mix=0.5, drop_grey=drop_grey)
        self.register_buffer("level_shares", torch.full((levels,), 1 / levels))
        batch_norm = has_batch_norm(encoder)
        with seeded(HEAD_SEED + seed):
            self.to_colour = PlaceHead(encoder.dim // 2, hidden, len(self.palette.centers), batch_norm)
            self.to_lightness = PlaceHead(encoder.dim // 2, hidden, levels, batch_norm)

    def extra_repr(self) -> str:
        return f"seed={self.seed}, levels={self.levels}, views={self.augment.preset}, size={self.augment.size}"

    @torch.no_grad()
    def start(self, images: Images, resumed: bool) -> None:
        """Count colours and lightnesses of the training pictures."""
        if resumed:
            return
        self.palette.count(images, self.side)
        counts = torch.zeros(self.levels, dtype=torch.long, device=self.level_shares.device)
        for batch in images.batches(BATCH):
            level = self.level(cell_colors(as_float(batch.images), self.side))
            counts += level.flatten().bincount(minlength=self.levels)
        counts = gather(counts[None]).sum(dim=0)
        self.level_shares.copy_(counts.double() / counts.sum())

    def optimizers(self, recipe: Recipe) -> list[Optimizer]:
        known = self.level_shares[self.level_shares > 0]
        self.chance = float(self.palette.blind[0] - (known * known.log()).sum())
        return super().optimizers(recipe)

    def level(self, lab: Tensor) -> Tensor:
        """Class of lightness of (B, 3, h, w), (B, h, w) int64."""
        return (lab[:, 0] / 100 * self.levels).long().clamp(0, self.levels - 1)

    def views(self, batch: Batch, step: int) -> tuple[Tensor, ...]:
        """One view of each image, (B, 3, size, size)."""
        return (self.augment(batch.images, self.seed, step, batch.index, "view0"),)

    def forward(self, batch: Batch, views: tuple[Tensor, ...]) -> dict[str, Tensor]:
        (images,) = views
        lab = cell_colors(images, self.side)  # (B, 3, h, w): both truths
        ab, level = lab[:, 1:], self.level(lab)
        of_lightness, of_colour = self.encoder.half_maps(images)  # (B, D/2, h', w') each
        colours = self.to_colour(of_lightness, self.side)  # (B, Q, h, w)
        levels = self.to_lightness(of_colour, self.side)  # (B, levels, h, w)
        truth = self.palette.nearest(ab)
        weights = self.palette.place_weights(ab, truth)
        first = soft_cross_entropy(colours, self.palette.soft_code(ab), weights)
        with full_precision():
            second = F.cross_entropy(levels.float(), level)
        right = (colours.argmax(dim=1) == truth).float().mean()
        right_level = (levels.argmax(dim=1) == level).float().mean()
        return {
            "loss": first + second,
            "embeddings": self.encoder.pool(torch.cat([of_lightness, of_colour], dim=1)).detach(),
            "accuracy": (right + right_level) / 2,
            "accuracy_colour": right,
            "accuracy_lightness": right_level,
        }
