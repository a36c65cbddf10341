"""SwAV: the cluster of one view is predicted from another; clusters are shared out evenly within the batch.

Caron et al. (arXiv 2006.09882). A view's code says which prototypes it belongs to. Codes come from Sinkhorn-Knopp, so
that no prototype gets all images; small crops predict the codes of large ones and have none of their own.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fgssl_edu.data.image_set import Batch
from fgssl_edu.distributed import full_precision, gather, rank, world_size
from fgssl_edu.losses import sinkhorn_knopp, swav_loss
from fgssl_edu.methods.base import HEAD_SEED, Method, Presets, check_contrast
from fgssl_edu.methods.clustering.crops import code_statistics, multi_crop, projector, unit_embeddings
from fgssl_edu.nets.encoders import Encoder, seeded
from fgssl_edu.nets.memory import RingBuffer
from fgssl_edu.views.presets import ViewPreset

PAPER, CODE = "arXiv 2006.09882, section 4 and appendix A", "released code, facebookresearch/swav"
LARGE = 2  # views that get codes
CODES = ("sinkhorn", "softmax")
_PUBLISHED: dict[str, tuple[object, str]] = {
    "views": ("swav", CODE),
    "size": (224, PAPER),
    "local_views": (6, PAPER),
    "local_size": (96, PAPER),
    "local_area": ((0.05, 0.14), PAPER),
    "prototypes": (3000, PAPER),
    "temperature": (0.1, PAPER),
    "epsilon": (0.05, PAPER),
    "iterations": (3, PAPER),
    "freeze": (1 / 400, f"{CODE}: 313 of 125,200 steps, the first of 400 epochs"),
    "hidden": (2048, CODE),
    "out": (128, CODE),
}


class SwAV(Method):
    """Swapped prediction between the assignments of views; prototypes are trained and of unit length."""

    presets: ClassVar[Presets] = {
        "paper": _PUBLISHED,
        "batch_256": {**_PUBLISHED, "memory": (3840, f"{CODE}, batch 256: features of older batches")},
    }

    def __init__(
        self,
        encoder: Encoder,
        *,
        views: str | ViewPreset = "mild",
        size: int = 32,
        local_views: int = 4,
        local_size: int | None = None,
        local_area: tuple[float, float] = (0.25, 0.75),
        prototypes: int = 128,
        temperature: float = 0.1,
        epsilon: float = 0.05,
        iterations: int = 3,
        codes: str = "sinkhorn",
        freeze: float = 0.05,
        memory: int = 0,
        hidden: int | None = None,
        out: int = 128,
        seed: int = 0,
    ) -> None:
        """Prepare projector, prototypes and views.

        Args:
            encoder: trained from where it is; where it has no BatchNorm, the projector has LayerNorm.
            views: preset of the two large views or its name.
            size: side of a large view in pixels.
            local_views: V, small views of each image; 0 switches multi-crop off.
            local_size: side of a small view in pixels; None: five eighths of `size`.
            local_area: share of the picture that a small view shows, least and most; ours is
                larger than the paper's .05 to .14, for pictures of 64 px.
            prototypes: K; about ten times the classes is the authors' rule of thumb.
            temperature: divides cosines in the prediction.
            epsilon: softness of the codes; the authors advise .03 where training collapses.
            iterations: of Sinkhorn-Knopp.
            codes: "sinkhorn", or "softmax" of scores / epsilon, which nothing balances: collapse.
            freeze: share of the training in which prototypes stay as they were drawn.
            memory: embeddings of older batches, for each large view, that share the prototypes with the batch; 0 for
                none. Deviation: as soon as there are so many; the paper has 3,840 at a batch of 256, after 15 epochs.
            hidden: width of the projector; None: the encoder's D.
            out: dimensions of the embeddings.
            seed: of views, projector, prototypes.
        """
        super().__init__()
        check_contrast(temperature, out)
        check_codes(prototypes, epsilon, iterations)
        if codes not in CODES or not 0 <= freeze < 1 or memory < 0:
            raise ValueError(f"codes={codes!r}, freeze={freeze}, memory={memory}: {CODES}, a share below 1, 0 or more")
        self.encoder, self.seed, self.temperature, self.epsilon = encoder, seed, temperature, epsilon
        self.iterations, self.kind, self.freeze, self.chance = iterations, codes, freeze, math.log(prototypes)
        self.crops = multi_crop(views, size, local_views, local_size, local_area)
        with seeded(HEAD_SEED + seed):
            self.projector = projector(encoder, hidden, out)
            self.prototypes = nn.Parameter(F.normalize(torch.randn(prototypes, out), dim=1))  # C (K, d)
        queues = [RingBuffer(memory, out, seed + view) for view in range(LARGE)] if memory else []
        self.queues = nn.ModuleList(queues)
        self.new: list[list[Tensor]] = []  # embeddings of the large views of this step's forwards

    def extra_repr(self) -> str:
        numbers = f"seed={self.seed}, temperature={self.temperature}, epsilon={self.epsilon}"
        return f"{numbers}, iterations={self.iterations}, codes={self.kind}, freeze={self.freeze}, crops={self.crops}"

    def views(self, batch: Batch, step: int) -> tuple[Tensor, ...]:
        """Two large views, then the small ones, each (B, 3, side, side)."""
        return self.crops(batch.images, self.seed, step, batch.index)

    def forward(self, batch: Batch, views: tuple[Tensor, ...]) -> dict[str, Tensor]:
        embeddings = unit_embeddings(self.encoder, self.projector, views)  # z, (B, d) a view
        with full_precision():
            scores = [each @ self.prototypes.T for each in embeddings]  # (B, K) a view, cosines
            codes = [self.codes(scores[view].detach(), view) for view in range(LARGE)]  # q (N, K), all processes' rows
            own = [each.chunk(world_size())[rank()] for each in codes]  # (B, K)
            loss = swav_loss(scores, own, self.temperature)
        self.new.append([each.detach() for each in embeddings[:LARGE]])
        return {"loss": loss, "embeddings": embeddings[0].detach(), **code_statistics(torch.cat(codes))}

    @torch.no_grad()
    def codes(self, scores: Tensor, view: int) -> Tensor:
        """Codes of the batch of all processes, (N, K), from this process's scores (B, K) of a large view."""
        joined = everyone = gather(scores)  # (N, K)
        if self.kind == "softmax":
            return (everyone / self.epsilon).softmax(dim=1)
        queue: RingBuffer | None = self.queues[view] if self.queues else None  # type: ignore[assignment]
        if queue is not None and bool(queue.filled == len(queue.values)):  # not before it has no random rows left
            joined = torch.cat([queue.values @ self.prototypes.T, everyone])
        return sinkhorn_knopp(joined, self.epsilon, self.iterations)[-len(everyone) :]

    def before_step(self, progress: float) -> None:
        """Early on, prototypes stand still: embeddings spread over all of them before any can attract all."""
        if progress < self.freeze:
            self.prototypes.grad = None  # the optimiser passes it over, weight decay included

    @torch.no_grad()
    def after_step(self, progress: float) -> None:
        """Bring prototypes back to unit length (the released code does before each forward), then remember."""
        self.prototypes.copy_(F.normalize(self.prototypes, dim=1))
        for view, queue in enumerate(self.queues):
            queue.write(torch.cat([gather(each[view]) for each in self.new]))  # type: ignore[operator]
        self.new.clear()


def check_codes(prototypes: int, epsilon: float, iterations: int) -> None:
    """Refuse what cannot be shared out."""
    if isinstance(prototypes, bool) or not isinstance(prototypes, int) or prototypes < 2:
        raise ValueError(f"prototypes={prototypes!r}: clusters to share images out to, a whole number from 2")
    if not (math.isfinite(epsilon) and epsilon > 0) or iterations < 1:
        raise ValueError(f"epsilon={epsilon}, iterations={iterations}: above 0 (SwAV .05) and at least 1 (SwAV 3)")
