"""SeLa: labels for all images that the network finds likeliest, of those that use every label equally often.

Asano, Rupprecht and Vedaldi (arXiv 1911.05371): finding labels and learning them lower one and the same cross-entropy.
Given the network, the best balanced labels are a problem of optimal transport (Sinkhorn-Knopp); given the labels, the
network learns as if they were true.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fgssl_edu.data.image_set import Batch, Images
from fgssl_edu.distributed import full_precision, gather
from fgssl_edu.losses import sinkhorn_knopp
from fgssl_edu.methods.base import HEAD_SEED, Method, Presets, augmentation
from fgssl_edu.methods.clustering.crops import code_statistics
from fgssl_edu.methods.clustering.swav import check_codes
from fgssl_edu.nets.encoders import Encoder, seeded
from fgssl_edu.nets.modes import frozen
from fgssl_edu.views.geometry import resized
from fgssl_edu.views.presets import ViewPreset

PAPER, CODE = "arXiv 1911.05371, section 4", "released code, yukimasano/self-label"
PASS = 256  # images a pass when all are labelled anew


class SeLa(Method):
    """Cross-entropy of one view of each image with its present label, one label a head."""

    presets: ClassVar[Presets] = {
        "paper": {
            "views": ("simclr", f"{CODE}, 'aug++'"),
            "size": (224, PAPER),
            "prototypes": (3000, PAPER),
            "heads": (10, PAPER),
            "epsilon": (1 / 25, f"{CODE}: lambda 25"),
        },
    }

    assigned: Tensor

    def __init__(
        self,
        encoder: Encoder,
        *,
        views: str | ViewPreset = "mild",
        size: int = 32,
        prototypes: int = 128,
        heads: int = 1,
        epsilon: float = 0.04,
        iterations: int = 30,
        relabel: int = 1,
        seed: int = 0,
    ) -> None:
        """Prepare heads and views.

        Args:
            encoder: trained from where it is.
            views: preset or its name.
            size: side of a view in pixels.
            prototypes: K, labels of each head; of more than there are images some stay unused.
            heads: linear classifiers on one encoder, each with labels of its own; the loss is their mean.
            epsilon: 1 / lambda of the paper, in nats of log-probability: softness of the plan whose largest entry is an
                image's label.
            iterations: of Sinkhorn-Knopp. The released code stops by a change below .1.
            relabel: epochs from one labelling to the next, the first before any training.
            seed: of views and heads.
        """
        super().__init__()
        check_codes(prototypes, epsilon, iterations)
        if isinstance(heads, bool) or not isinstance(heads, int) or heads < 1:
            raise ValueError(f"heads={heads!r}: classifiers with labels of their own, a whole number from 1")
        if isinstance(relabel, bool) or not isinstance(relabel, int) or relabel < 1:
            raise ValueError(f"relabel={relabel!r}: epochs from one labelling to the next, a whole number from 1")
        self.encoder, self.seed, self.epsilon, self.iterations = encoder, seed, epsilon, iterations
        self.relabel = relabel
        self.clusters, self.heads, self.chance = prototypes, heads, math.log(prototypes)
        self.augment = augmentation(views, size)
        with seeded(HEAD_SEED + seed):
            self.classifier = nn.Linear(encoder.dim, heads * prototypes)

    def extra_repr(self) -> str:
        numbers = f"seed={self.seed}, epsilon={self.epsilon}, iterations={self.iterations}, clusters={self.clusters}"
        numbers = f"{numbers}, heads={self.heads}, relabel={self.relabel}"
        return f"{numbers}, views={self.augment.preset}, size={self.augment.size}"

    def start(self, images: Images, resumed: bool) -> None:
        self.register_buffer("assigned", torch.zeros(self.heads, images.count, dtype=torch.long, device=images.device))

    @torch.no_grad()
    def before_epoch(self, images: Images, epoch: int) -> None:
        """Label all images anew, each head by itself, in every epoch that is a multiple of `relabel`.

        Deviation: evenly spaced. The released code's schedule is quadratic, 100 times in 400 epochs: several times in
        the first ones, up to 8 epochs apart late in training.
        Deviation: seen whole and in evaluation mode; the released code takes augmented images in training mode.
        """
        if epoch % self.relabel:
            return
        rows = torch.zeros(images.count, self.encoder.dim, device=images.device)
        with frozen(self):
            for batch in images.batches(PASS):
                rows[batch.index] = self.encoder(resized(batch.images, self.augment.size, images.device)).float()
        features = gather(rows[None]).sum(dim=0)  # (N, D), the same on every process
        logits = self.logits(features)  # (N, heads, K)
        self.assigned.copy_(gather(torch.stack([self.labels(logits[:, i]) for i in range(self.heads)])[None])[0])

    def labels(self, logits: Tensor) -> Tensor:
        """The label of each image, (N,), from one head's logits (N, K): the largest entry of the balanced plan."""
        return sinkhorn_knopp(logits.log_softmax(dim=1), self.epsilon, self.iterations).argmax(dim=1)

    def logits(self, features: Tensor) -> Tensor:
        """(B, D) -> (B, heads, K) float32."""
        return self.classifier(features).float().unflatten(1, (self.heads, self.clusters))  # type: ignore[no-any-return]

    def views(self, batch: Batch, step: int) -> tuple[Tensor, ...]:
        """One view of each image, (B, 3, size, size)."""
        return (self.augment(batch.images, self.seed, step, batch.index, "view0"),)

    def forward(self, batch: Batch, views: tuple[Tensor, ...]) -> dict[str, Tensor]:
        features = self.encoder(views[0])  # (B, D)
        logits = self.logits(features)  # (B, heads, K)
        labels = self.assigned[:, batch.index].T  # (B, heads)
        with full_precision():
            loss = F.cross_entropy(logits.transpose(1, 2), labels)  # mean over images and heads
        codes = F.one_hot(gather(labels), self.clusters)  # (N, heads, K)
        return {"loss": loss, "embeddings": features.detach(), **code_statistics(codes)}
