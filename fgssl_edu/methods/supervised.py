"""The supervised reference: the same encoder, views and loop, but told the answer."""

from __future__ import annotations

import hashlib
import math

import torch.nn.functional as F
from torch import Tensor, nn

from fgssl_edu.data.image_set import Batch, Images
from fgssl_edu.distributed import full_precision
from fgssl_edu.methods.base import HEAD_SEED, Method, augmentation
from fgssl_edu.nets.encoders import Encoder, seeded
from fgssl_edu.views.presets import ViewPreset


class Supervised(Method):
    """Cross-entropy of a linear classifier on one view of each image; the labels are given here, in plain sight."""

    labels: Tensor

    def __init__(
        self,
        encoder: Encoder,
        *,
        labels: Tensor,
        classes: int,
        views: str | ViewPreset = "mild",
        size: int = 32,
        seed: int = 0,
    ) -> None:
        """Prepare the classifier.

        Args:
            encoder: trained from where it is.
            labels: class of each image of the training set by position, (N,) int64 in [0, classes).
            classes: C.
            views: preset or its name.
            size: side of a view in pixels.
            seed: of the views and the classifier.
        """
        super().__init__()
        if len(labels) == 0 or labels.is_floating_point() or not 0 <= int(labels.min()) <= int(labels.max()) < classes:
            raise ValueError(
                f"labels: {len(labels)} of them, classes={classes}: labels must be whole numbers in [0, classes); "
                "leave out unlabelled images (-1) with images.labelled()"
            )
        self.encoder, self.seed, self.chance = encoder, seed, math.log(classes)
        self.augment = augmentation(views, size)
        with seeded(HEAD_SEED + seed):
            self.classifier = nn.Linear(encoder.dim, classes)
        self.register_buffer("labels", labels.long(), persistent=False)

    def extra_repr(self) -> str:
        known = hashlib.sha256(self.labels.cpu().numpy().tobytes()).hexdigest()[:8]
        return f"seed={self.seed}, views={self.augment.preset}, size={self.augment.size}, labels={known}"

    def start(self, images: Images, resumed: bool) -> None:
        if images.count != len(self.labels):
            raise ValueError(f"labels: {len(self.labels)} for {images.count} images; give those of the training set")

    def views(self, batch: Batch, step: int) -> tuple[Tensor, ...]:
        return (self.augment(batch.images, self.seed, step, batch.index, "view0"),)

    def forward(self, batch: Batch, views: tuple[Tensor, ...]) -> dict[str, Tensor]:
        features = self.encoder(views[0])  # (B, D)
        logits = self.classifier(features)  # (B, C)
        labels = self.labels[batch.index]  # (B,)
        with full_precision():
            loss = F.cross_entropy(logits.float(), labels)
        hits = (logits.argmax(dim=1) == labels).float().mean()
        return {"loss": loss, "accuracy": hits.detach(), "embeddings": features.detach()}
