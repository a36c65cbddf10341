"""SimSiam: predict the embedding of an image's other view; nothing else, but that no gradient goes through the target.

Chen and He (arXiv 2011.10566): no negatives, no queue, no slow copy. Without the stop-gradient, or without the
predictor, all embeddings become one: the loss reaches its floor of -1 and the features say nothing.
"""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from fgssl_edu.data.image_set import Batch
from fgssl_edu.distributed import full_precision
from fgssl_edu.losses import negative_cosine
from fgssl_edu.methods.base import HEAD_SEED, Method, Presets, augmentation, optimizer, participation
from fgssl_edu.methods.siamese.parts import check_widths, mlp
from fgssl_edu.nets.encoders import Encoder, seeded
from fgssl_edu.nets.norm import has_batch_norm
from fgssl_edu.recipe import Recipe
from fgssl_edu.views.presets import ViewPreset

SOURCE = "arXiv 2011.10566, section 3 and appendix A"


def projector(dim: int, hidden: int, out: int, batch_norm: bool = True) -> nn.Module:
    """(B, dim) -> (B, out): three layers, each with BatchNorm, the last one without scale and shift (section 4.4).

    Without `batch_norm` it is LayerNorm, so that no image depends on its batch; ours, for encoders that have none.
    """
    last = nn.BatchNorm1d(out, affine=False) if batch_norm else nn.LayerNorm(out, elementwise_affine=False)
    return nn.Sequential(*mlp((dim, hidden, hidden, out), batch_norm), last)


def bottleneck(out: int, hidden: int, batch_norm: bool = True) -> nn.Module:
    """(B, out) -> (B, out): two layers, narrow between; no BatchNorm at the end, where it makes training unstable."""
    return mlp((out, hidden, out), batch_norm, bias=True)


class SimSiam(Method):
    """Each view's prediction meets the other view's embedding; the predictor's learning rate stays constant."""

    presets: ClassVar[Presets] = {
        "v1": {
            "views": ("moco_v2", SOURCE),
            "size": (224, SOURCE),
            "hidden": (2048, SOURCE),
            "out": (2048, SOURCE),
            "predictor_hidden": (512, SOURCE),
        },
    }
    chance = 0.0  # unrelated directions; -1 is agreement, and collapse too: watch the embeddings' spread

    def __init__(
        self,
        encoder: Encoder,
        *,
        views: str | ViewPreset = "mild",
        size: int = 32,
        hidden: int | None = None,
        out: int | None = None,
        predictor_hidden: int | None = None,
        stop_gradient: bool = True,
        predictor: bool = True,
        seed: int = 0,
    ) -> None:
        """Prepare projector, predictor and views; sizes that are None have the paper's proportions.

        Args:
            encoder: trained from where it is; where it has no BatchNorm, projector and predictor have LayerNorm.
            views: preset or its name.
            size: side of a view in pixels.
            hidden: width of the projector; None: the encoder's D (2048 for a ResNet-50).
            out: dimensions of the embeddings; None: D.
            predictor_hidden: width of the predictor's bottleneck; None: a quarter of `out` (512).
            stop_gradient: False lets the target follow the prediction: collapse.
            predictor: False compares embeddings themselves: collapse too.
            seed: of views, projector and predictor.
        """
        super().__init__()
        hidden, out = encoder.dim if hidden is None else hidden, encoder.dim if out is None else out
        narrow = max(1, out // 4) if predictor_hidden is None else predictor_hidden
        check_widths(hidden=hidden, out=out, predictor_hidden=narrow)
        self.encoder, self.seed, self.stop_gradient = encoder, seed, stop_gradient
        self.augment = augmentation(views, size)
        batch_norm = has_batch_norm(encoder)
        with seeded(HEAD_SEED + seed):
            self.projector = projector(encoder.dim, hidden, out, batch_norm)
            self.predictor = bottleneck(out, narrow, batch_norm) if predictor else nn.Identity()
        self.latest: Tensor | None = None  # z of view 1 (B, out), of the latest forward

    def extra_repr(self) -> str:
        views = f"views={self.augment.preset}, size={self.augment.size}"
        return f"seed={self.seed}, stop_gradient={self.stop_gradient}, {views}"

    def optimizers(self, recipe: Recipe) -> list[Optimizer]:
        """The recipe's for encoder and projector; the predictor's rate is not decayed: it must keep up with them."""
        own = [optimizer(nn.ModuleList([self.encoder, self.projector]), recipe)]
        if isinstance(self.predictor, nn.Identity):
            return own
        return [*own, optimizer(self.predictor, recipe, schedule="constant")]

    def views(self, batch: Batch, step: int) -> tuple[Tensor, ...]:
        """Two views, each (B, 3, size, size)."""
        return tuple(self.augment(batch.images, self.seed, step, batch.index, f"view{i}") for i in (0, 1))

    def forward(self, batch: Batch, views: tuple[Tensor, ...]) -> dict[str, Tensor]:
        first, second = (self.projector(self.encoder(view)) for view in views)  # z (B, out)
        self.latest = first.detach()
        rank = participation(self.latest)
        return {"loss": self._loss(first, second), "embeddings": self.latest, "embedding_rank": rank}

    def _loss(self, first: Tensor, second: Tensor) -> Tensor:
        """Both directions in halves (eq. 2 to 4)."""
        targets = (first.detach(), second.detach()) if self.stop_gradient else (first, second)
        forth = negative_cosine(self.predictor(first), targets[1])
        return (forth + negative_cosine(self.predictor(second), targets[0])) / 2

    def image_loss(self, features: Tensor) -> Tensor:
        """Loss of given features against view 1 of the latest forward: (B, D) -> (B,) in [-1, 1]."""
        assert self.latest is not None, "image_loss needs a forward before it: there is nothing to compare with"
        prediction = self.predictor(self.projector(features))
        with full_precision():
            return -F.cosine_similarity(prediction.float(), self.latest.float(), dim=1)

    def pair_loss(self, first: Tensor, second: Tensor) -> Tensor:
        """The method's own loss of two pictures of each image, (B, 3, h, w) each, in [-1, 1]; equal ones once."""
        ones = self.projector(self.encoder(first))
        return self._loss(ones, ones if second is first else self.projector(self.encoder(second)))
