"""VICReg: embeddings agree, vary, and do not repeat themselves (Bardes, Ponce and LeCun, arXiv 2105.04906).

Collapse is forbidden by name: to a point by the variance term, to few dimensions by the covariance term. Nothing is
normalised, nothing detached, and the two branches need not be alike.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from fgssl_edu.data.image_set import Batch
from fgssl_edu.distributed import gather_with_gradient
from fgssl_edu.losses import vicreg
from fgssl_edu.losses.redundancy import STD_EPSILON
from fgssl_edu.methods.base import HEAD_SEED, Presets, participation
from fgssl_edu.methods.siamese.parts import TwoViews, check_weights, check_widths, mlp
from fgssl_edu.nets.encoders import Encoder, seeded
from fgssl_edu.nets.norm import has_batch_norm
from fgssl_edu.views.presets import ViewPreset

SOURCE = "arXiv 2105.04906, section 4; released code"


class VICReg(TwoViews):
    """Invariance between views, variance of every dimension, no covariance between dimensions."""

    presets: ClassVar[Presets] = {
        "v1": {
            "views": ("byol_a", SOURCE),
            "other_views": ("byol_b", SOURCE),
            "size": (224, SOURCE),
            "hidden": (8192, SOURCE),
            "out": (8192, SOURCE),
            "invariance": (25.0, SOURCE),
            "variance": (25.0, SOURCE),
            "covariance": (1.0, SOURCE),
        },
    }

    def __init__(
        self,
        encoder: Encoder,
        *,
        views: str | ViewPreset = "mild",
        other_views: str | ViewPreset | None = None,
        size: int = 32,
        hidden: int | None = None,
        out: int | None = None,
        invariance: float = 25.0,
        variance: float = 25.0,
        covariance: float = 1.0,
        seed: int = 0,
    ) -> None:
        """Prepare projector and views.

        Args:
            encoder: trained from where it is; where it has no BatchNorm, the projector has LayerNorm.
            views: preset of the first view or its name.
            other_views: of the second; None: as the first.
            size: side of a view in pixels.
            hidden: width of the projector inside; None: the encoder's D (8192 beside a ResNet-50's 2048).
            out: d of the embeddings; None: D.
            invariance: weight of the views' distance; 0 leaves nothing that ties them.
            variance: weight of the hinge on each dimension's deviation; 0 lets the embeddings shrink to a point.
            covariance: weight of covariances; 0 lets all dimensions say the same.
            seed: of views and projector.
        """
        super().__init__(encoder, views, other_views, size, seed)
        hidden, out = encoder.dim if hidden is None else hidden, encoder.dim if out is None else out
        check_widths(hidden=hidden, out=out)
        check_weights(invariance=invariance, variance=variance, covariance=covariance)
        self.invariance, self.variance, self.covariance = invariance, variance, covariance
        with seeded(HEAD_SEED + seed):
            self.projector = mlp((encoder.dim, hidden, hidden, out), has_batch_norm(encoder))
        self.chance = variance * (1 - STD_EPSILON**0.5)  # constant embeddings: 24.75 by default

    def extra_repr(self) -> str:
        weights = f"invariance={self.invariance}, variance={self.variance}, covariance={self.covariance}"
        return f"{super().extra_repr()}, {weights}"

    def forward(self, batch: Batch, views: tuple[Tensor, ...]) -> dict[str, Tensor]:
        first, second = (gather_with_gradient(self.projector(self.encoder(view))) for view in views)  # (N, d) of all
        loss = vicreg(first, second, self.invariance, self.variance, self.covariance)
        shown = first.detach()
        deviation = shown.float().std(dim=0).mean()  # not of directions: without variance term the length shrinks
        return {"loss": loss, "embeddings": shown, "embedding_rank": participation(shown), "deviation": deviation}
