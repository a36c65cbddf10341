"""Barlow Twins: the views' embeddings correlate in each dimension, and in no two (Zbontar et al., arXiv 2103.03230).

No negatives, no slow copy, no stop-gradient: a collapsed embedding does not correlate with anything, and many equal
dimensions are paid for as redundancy.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from fgssl_edu.data.image_set import Batch
from fgssl_edu.distributed import gather_with_gradient
from fgssl_edu.losses import barlow_twins
from fgssl_edu.methods.base import HEAD_SEED, Presets, participation
from fgssl_edu.methods.siamese.parts import TwoViews, check_weights, check_widths, mlp
from fgssl_edu.nets.encoders import Encoder, seeded
from fgssl_edu.nets.norm import has_batch_norm
from fgssl_edu.views.presets import ViewPreset

SOURCE = "arXiv 2103.03230, section 2.2; released code"


class BarlowTwins(TwoViews):
    """The cross-correlation of the two views' embeddings is to be the identity."""

    presets: ClassVar[Presets] = {
        "v1": {
            "views": ("byol_a", SOURCE),
            "other_views": ("byol_b", SOURCE),
            "size": (224, SOURCE),
            "hidden": (8192, SOURCE),
            "out": (8192, SOURCE),
            "redundancy": (0.0051, SOURCE),
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
        invariance: float = 1.0,
        redundancy: float = 0.0051,
        seed: int = 0,
    ) -> None:
        """Prepare projector and views.

        Args:
            encoder: trained from where it is; where it has no BatchNorm, the projector has LayerNorm.
            views: preset of the first view or its name.
            other_views: of the second; None: as the first.
            size: side of a view in pixels.
            hidden: width of the projector inside; None: the encoder's D (8192 beside a ResNet-50's 2048).
            out: d of the embeddings; None: D. A batch of fewer images than d cannot reach 0.
            invariance: weight of the diagonal; 0 leaves nothing that ties the views.
            redundancy: lambda, weight beside the diagonal; 0 lets all dimensions say the same.
            seed: of views and projector.
        """
        super().__init__(encoder, views, other_views, size, seed)
        hidden, out = encoder.dim if hidden is None else hidden, encoder.dim if out is None else out
        check_widths(hidden=hidden, out=out)
        check_weights(invariance=invariance, redundancy=redundancy)
        self.invariance, self.redundancy = invariance, redundancy
        with seeded(HEAD_SEED + seed):
            self.projector = mlp((encoder.dim, hidden, hidden, out), has_batch_norm(encoder))
        self.chance = float(invariance * out)  # constant or unrelated embeddings: no dimension correlates

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, invariance={self.invariance}, redundancy={self.redundancy}"

    def forward(self, batch: Batch, views: tuple[Tensor, ...]) -> dict[str, Tensor]:
        first, second = (gather_with_gradient(self.projector(self.encoder(view))) for view in views)  # (N, d) of all
        loss = barlow_twins(first, second, self.invariance, self.redundancy)
        shown = first.detach()
        return {"loss": loss, "embeddings": shown, "embedding_rank": participation(shown)}
