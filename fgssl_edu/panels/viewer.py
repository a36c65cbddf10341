"""One encoder as the Grad-CAM panel asks it: a heat map and a feature vector for a target, all in one forward pass."""

from __future__ import annotations

from functools import cached_property, lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from fgssl_edu.data.image_set import Splits
from fgssl_edu.evaluate.features import extract
from fgssl_edu.evaluate.probe import LinearClassifier, fit_linear
from fgssl_edu.gradcam import gradcam
from fgssl_edu.losses import info_nce
from fgssl_edu.nets.encoders import Encoder
from fgssl_edu.nets.modes import frozen
from fgssl_edu.panels.augmentation import gallery_index
from fgssl_edu.panels.threads import one_thread
from fgssl_edu.views import resized
from fgssl_edu.views.augment import Augment
from fgssl_edu.views.presets import VIEWS

TARGETS = {
    "class": "the species' logit (linear probe)",
    "positive": "the similarity of two views",
    "loss": "a low contrastive loss",
}
TEMPERATURE = 0.2  # of the pair's similarity and loss, on pooled features: an encoder comes without its head
TRAIN_PICTURES, PER_CLASS = 240, 10  # what the probe is fitted on and the negatives come from
PROBE_STRENGTH = 0.1  # C of the probe: it is fitted in 30 ms, where C = 1 takes 900


class Viewer:
    """Heat maps and features of one encoder.

    Args:
        encoder: left in the mode it was in.
        splits: views are of `test` pictures, the probe and the negatives from `train`.
        size: side in pixels at which the encoder sees pictures; None for the stored one.
    """

    def __init__(self, encoder: Encoder, splits: Splits, size: int | None) -> None:
        self.encoder, self.images, self.size = encoder, splits.test, size or splits.test.size
        self.train = splits.train.subset(gallery_index(splits.train.labels, TRAIN_PICTURES, PER_CLASS))
        self.labelled = bool((self.train.labels >= 0).any() and (splits.test.labels >= 0).all())
        self.key = lru_cache(maxsize=256)(self._key)
        with one_thread(), frozen(encoder) as device, torch.no_grad():
            maps = encoder.stages(resized(splits.test.images[:1], self.size, device))
        self.stages = [f"stage {i + 1} ({m.shape[-2]} × {m.shape[-1]})" for i, m in enumerate(maps)]

    @cached_property
    def train_features(self) -> Tensor:
        """(n, D) of the training pictures."""
        return extract(self.encoder, self.train.images, self.size)

    @cached_property
    def classifier(self) -> LinearClassifier:
        """A linear probe on the training pictures that have a label."""
        known = self.train.labels >= 0
        classes = len(self.train.classes)
        return fit_linear(self.train_features[known], self.train.labels[known], classes, strength=PROBE_STRENGTH)

    @cached_property
    def negatives(self) -> Tensor:
        """(n, D) unit-norm."""
        return F.normalize(self.train_features, dim=1)

    def features(self, images: Tensor) -> Tensor:
        """(n, 3, H, W) uint8 -> (n, D)."""
        return extract(self.encoder, images, self.size)

    def view(self, picture: int) -> Tensor:
        """(3, size, size): the other view of a test picture, always the same."""
        index = torch.tensor([picture])
        return Augment(VIEWS["mild"], self.size)(self.images.images[index], 0, 0, index, "panel/key")[0]

    @torch.no_grad()
    def _key(self, picture: int) -> Tensor:
        """(1, D) unit-norm features of the other view."""
        with frozen(self.encoder) as device:
            return F.normalize(self.encoder.features(self.view(picture)[None].to(device)), dim=1)

    def look(self, images: Tensor, picture: int, target: str, sign: str, layer: int) -> tuple[Tensor, Tensor]:
        """Heat maps of several versions of a test picture.

        Args:
            images: (n, 3, H, W) uint8.
            picture: which test picture they are versions of: its species and its other view are the target.
            target: a key of TARGETS.
            sign: "helps" or "hurts" the target.
            layer: index of the stage whose map is weighed.

        Returns:
            heat (n, h, w) at least 0, features (n, D); on the CPU, without graph.
        """
        with frozen(self.encoder) as device, torch.enable_grad():
            pixels = resized(images, self.size, device).requires_grad_()  # so that a frozen encoder has a graph too
            maps = self.encoder.stages(pixels)
            features = self.encoder.pool(maps[-1])  # (n, D)
            heat = gradcam(self._loss(features, picture, target), maps[layer], sign=sign)
        return heat.detach().cpu(), features.detach().cpu()

    def _loss(self, features: Tensor, picture: int, target: str) -> Tensor:
        """What is low when the target is met; a sum over images, so that each map is its own image's."""
        if target == "class":
            return -self.classifier(features)[:, int(self.images.labels[picture])].sum()
        query, key = F.normalize(features, dim=1), self.key(picture).expand(len(features), -1)  # (n, D)
        if target == "positive":
            return -(query * key).sum() / TEMPERATURE
        return info_nce(query, key, self.negatives.to(query), TEMPERATURE) * len(query)
