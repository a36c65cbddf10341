"""Colorization: from the lightness of a picture, tell its colours (Zhang, Isola and Efros, arXiv 1603.08511).

A network that knows a bird by its shape can tell its colour; one that tells the colour has perhaps learned to know the
bird. What it sees is the lightness alone, and that is what is scored: colour itself is no feature of it.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor
from torch.optim import Optimizer

from fgssl_edu.data.image_set import Batch, Images
from fgssl_edu.losses import color_distance, soft_cross_entropy
from fgssl_edu.methods.base import HEAD_SEED, Method, Presets, augmentation
from fgssl_edu.methods.pretext.palette import Palette, PlaceHead, cell_colors, places
from fgssl_edu.nets.encoders import Encoder, seeded
from fgssl_edu.nets.inputs import seeing
from fgssl_edu.nets.norm import has_batch_norm
from fgssl_edu.recipe import Recipe
from fgssl_edu.views.color_bins import annealed_mean
from fgssl_edu.views.presets import ViewPreset

PAPER, CODE = "arXiv 1603.08511, section 2 (reported, unverified)", "richzhang/colorization"
OBJECTIVES = ("classes", "regression")
ANNEALED = 0.38  # temperature at which distributions are painted (section 2.3)
REACH = 50.0  # units of ab that an output of 1 stands for, in regression


class Colorization(Method):
    """Classes of colour at every place, rare ones weighted up; or regression, which paints in grey-brown."""

    presets: ClassVar[Presets] = {
        "paper": {"spacing": (10.0, CODE), "soft_bins": (5, PAPER), "sigma": (5.0, CODE), "mix": (0.5, CODE)},
        "code": {"spacing": (10.0, CODE), "soft_bins": (10, CODE), "sigma": (5.0, CODE), "mix": (0.5, CODE)},
    }

    def __init__(
        self,
        encoder: Encoder,
        *,
        views: str | ViewPreset = "mae",
        size: int = 32,
        objective: str = "classes",
        rebalance: bool = True,
        mix: float = 0.5,
        spacing: float = 20.0,
        soft_bins: int = 5,
        sigma: float | None = None,
        drop_grey: bool = True,
        hidden: int = 128,
        seed: int = 0,
    ) -> None:
        """Blind the encoder to colour, find the bins, prepare views and head.

        Args:
            encoder: sees RGB; a copy of it that sees lightness alone is trained, and scored.
            views: preset or its name; crops and flips alone, for a jittered colour would be a wrong answer.
            size: side of a view in pixels, a multiple of 4; colours are asked at size / 4 places each way.
            objective: "classes", or "regression": the least squared distance (the paper's baseline L2).
            rebalance: whether rare colours weigh more; without it what is common is painted everywhere.
            mix: share of the uniform distribution in the weights, see `rarity_weights`.
            spacing: units of ab between bins; 20 gives 77 of them.
            soft_bins: nearest bins that share a colour.
            sigma: of a soft code and of the smoothed shares, units of ab; None: half the spacing.
            drop_grey: leave pictures without any colour out of the loss, as the released code does.
            hidden: width of the head.
            seed: of views and head.
        """
        super().__init__()
        if objective not in OBJECTIVES:
            raise ValueError(f"objective={objective!r} is unknown: use one of {', '.join(OBJECTIVES)}")
        self.encoder, self.seed, self.side = seeing(encoder, "lightness"), seed, places(size)
        self.objective, self.augment = objective, augmentation(views, size)
        self.palette = Palette(spacing, soft_bins, sigma, rebalance, mix, drop_grey)
        out = len(self.palette.centers) if objective == "classes" else 2
        batch_norm = has_batch_norm(encoder)
        with seeded(HEAD_SEED + seed):
            self.head = PlaceHead(encoder.dim, hidden, out, batch_norm)

    def extra_repr(self) -> str:
        views = f"views={self.augment.preset}, size={self.augment.size}"
        return f"seed={self.seed}, objective={self.objective}, {views}"

    def start(self, images: Images, resumed: bool) -> None:
        """Count the colours of the training pictures."""
        if not resumed:
            self.palette.count(images, self.side)

    def optimizers(self, recipe: Recipe) -> list[Optimizer]:
        self.chance = float(self.palette.blind[OBJECTIVES.index(self.objective)])
        return super().optimizers(recipe)

    def views(self, batch: Batch, step: int) -> tuple[Tensor, ...]:
        """One view of each image, (B, 3, size, size)."""
        return (self.augment(batch.images, self.seed, step, batch.index, "view0"),)

    def forward(self, batch: Batch, views: tuple[Tensor, ...]) -> dict[str, Tensor]:
        (images,) = views
        ab = cell_colors(images, self.side)[:, 1:]  # (B, 2, h, w): the truth
        maps = self.encoder.feature_map(images)  # (B, D, h', w'): of lightness alone
        answer = self.head(maps, self.side)  # (B, Q, h, w), or (B, 2, h, w)
        truth = self.palette.nearest(ab)  # (B, h, w)
        weights = self.palette.place_weights(ab, truth)  # v (B, h, w)
        if self.objective == "classes":
            loss = soft_cross_entropy(answer, self.palette.soft_code(ab), weights)
        else:
            loss = color_distance(REACH * answer, ab, weights)
        embeddings = self.encoder.pool(maps).detach()
        return {"loss": loss, "embeddings": embeddings, **self.report(answer.detach(), ab, truth)}

    def paint(self, answer: Tensor, temperature: float = ANNEALED) -> Tensor:
        """What the head answers as colours, (B, Q or 2, h, w) -> ab (B, 2, h, w); regression has no temperature."""
        if self.objective == "regression":
            return REACH * answer.float()
        return annealed_mean(answer, self.palette.centers, temperature)

    def report(self, answer: Tensor, ab: Tensor, truth: Tensor) -> dict[str, Tensor]:
        """How good an answer is, scalars.

        Args:
            answer: of the head.
            ab: true colours, (B, 2, h, w).
            truth: their nearest bins, (B, h, w).

        Returns:
            "accuracy": share of places whose likeliest bin is the nearest one; "accuracy_rare": the same with rare
            bins weighted up; "error": mean distance of the painted colour, units of ab; "chroma": how vivid it is, the
            mean distance from grey over the true one (0 grey, 1 right).
        """
        painted, rarity = self.paint(answer), self.palette.rarity[truth]
        chosen = answer.argmax(dim=1) if self.objective == "classes" else self.palette.nearest(painted)
        hits = (chosen == truth).float()
        return {
            "accuracy": hits.mean(),
            "accuracy_rare": (hits * rarity).sum() / rarity.sum(),
            "error": (painted - ab).norm(dim=1).mean(),
            "chroma": painted.norm(dim=1).mean() / ab.norm(dim=1).mean().clamp(min=1e-6),
        }
