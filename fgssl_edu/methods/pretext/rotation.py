"""RotNet: turn a picture, and ask by how much (Gidaris, Singh and Komodakis, ICLR 2018, arXiv 1803.07728).

No label is needed, for who turns a picture knows the answer; to find it, a network has to know how things usually
stand. Or it finds something easier: the marks that turning leaves, the light, the edge of the frame.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fgssl_edu import draws
from fgssl_edu.data.image_set import Batch
from fgssl_edu.distributed import full_precision
from fgssl_edu.methods.base import HEAD_SEED, Method, Presets, augmentation
from fgssl_edu.nets.encoders import Encoder, seeded
from fgssl_edu.nets.norm import has_batch_norm, norm_layer
from fgssl_edu.views.presets import ViewPreset
from fgssl_edu.views.turns import field_size, lit_from_above, turned

SOURCE, CODE = "arXiv 1803.07728, section 3", "gidariss/FeatureLearningRotNet, ImageNet_RotNet_AlexNet"
QUARTERS = (0, 90, 180, 270)  # degrees, counter-clockwise
HEADS = ("linear", "conv")


def orientation_head(kind: str, dim: int, angles: int, batch_norm: bool = True) -> nn.Module:
    """From the last map, (B, dim, h, w), to one logit an angle, (B, angles).

    Args:
        kind: "linear" reads the mean over places, what is scored later; "conv" has a 3x3 convolution before it, so that
            what only the pretext task needs can stay in the head.
        dim: D of the features.
        angles: how many there are.
        batch_norm: False: the convolution has GroupNorm, so that no image depends on its batch.
    """
    reading = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(dim, angles)]
    if kind == "linear":
        return nn.Sequential(*reading)
    norm = norm_layer("batch" if batch_norm else "group", dim)
    return nn.Sequential(nn.Conv2d(dim, dim, 3, padding=1, bias=False), norm, nn.ReLU(inplace=True), *reading)


class Rotation(Method):
    """Cross-entropy over angles; all turns of a picture are in one batch."""

    presets: ClassVar[Presets] = {
        "paper": {
            "views": ("rotnet", CODE),  # a random resized crop and a flip, no colours
            "size": (224, CODE),
            "angles": (QUARTERS, SOURCE),
            "all_turns": (True, SOURCE),
            "head": ("linear", SOURCE),
        },
    }

    def __init__(
        self,
        encoder: Encoder,
        *,
        views: str | ViewPreset = "mild",
        size: int = 32,
        angles: Sequence[float] = QUARTERS,
        all_turns: bool = True,
        head: str = "linear",
        offset: float = 0.0,
        light: float = 0.0,
        seed: int = 0,
    ) -> None:
        """Prepare views and head.

        Args:
            encoder: trained from where it is.
            views: preset or its name, of the picture before it is turned.
            size: side of a view in pixels.
            angles: degrees, counter-clockwise; the classes. What is no multiple of 90 is interpolated.
            all_turns: show every picture at all angles at once; False: at one, drawn.
            head: "linear" or "conv", see `orientation_head`.
            offset: shortcut: pixels by which the turning point misses the middle, so that turns leave their marks.
            light: shortcut: how much brighter than its bottom the top of every picture is before it is turned.
            seed: of views and head.
        """
        super().__init__()
        self.angles = check_angles(angles)
        if head not in HEADS:
            raise ValueError(f"head={head!r} is unknown: use one of {', '.join(HEADS)}")
        if not (abs(offset) <= size / 4 and 0 <= light <= 1):
            raise ValueError(
                f"offset={offset}, light={light}: offset is at most size / 4 = {size / 4} px, light 0 to 1"
            )
        self.encoder, self.seed, self.size, self.all_turns = encoder, seed, size, all_turns
        self.offset, self.light = offset, light
        self.augment = augmentation(views, field_size(size, self.angles))
        batch_norm = has_batch_norm(encoder)
        with seeded(HEAD_SEED + seed):
            self.head = orientation_head(head, encoder.dim, len(self.angles), batch_norm)
        self.chance = math.log(len(self.angles))

    def extra_repr(self) -> str:
        turns = f"angles={self.angles}, all_turns={self.all_turns}, offset={self.offset}, light={self.light}"
        return f"seed={self.seed}, size={self.size}, {turns}, views={self.augment.preset}"

    def views(self, batch: Batch, step: int) -> tuple[Tensor, ...]:
        """Turned pictures, (kB, 3, size, size), and which angle each has, (kB,); without `all_turns` one an image.

        Angle r of image i is row k i + r.
        """
        pictures = self.augment(batch.images, self.seed, step, batch.index, "view0")  # (B, 3, field, field)
        every = self.turns(pictures)  # (B, k, 3, size, size)
        k = len(self.angles)
        if self.all_turns:
            return every.flatten(0, 1), torch.arange(k, device=every.device).repeat(len(every))
        target = (k * draws.uniform(self.seed, step, batch.index, "turn", 1)[:, 0]).long()  # (B,)
        return every[torch.arange(len(every), device=every.device), target], target

    def turns(self, pictures: Tensor) -> Tensor:
        """(B, 3, field, field) in [0, 1] -> (B, k, 3, size, size), every picture at every angle."""
        if self.light:
            pictures = lit_from_above(pictures, self.light)
        return torch.stack([turned(pictures, angle, self.size, self.offset) for angle in self.angles], dim=1)

    def forward(self, batch: Batch, views: tuple[Tensor, ...]) -> dict[str, Tensor]:
        pictures, target = views  # (kB, 3, size, size), (kB,)
        maps = self.encoder.feature_map(pictures)  # (kB, D, h, w)
        logits = self.head(maps)  # (kB, k)
        with full_precision():
            loss = F.cross_entropy(logits.float(), target)  # the mean over images and angles (eq. 2 and 3)
        accuracy = (logits.argmax(dim=1) == target).float().mean()
        return {"loss": loss, "accuracy": accuracy.detach(), "embeddings": self.encoder.pool(maps).detach()}


def check_angles(angles: Sequence[float]) -> tuple[float, ...]:
    """The angles in [0, 360); ValueError where there are fewer than two different ones."""
    whole = tuple(angle % 360 for angle in angles)
    if len(whole) < 2 or len(set(whole)) < len(whole) or not all(map(math.isfinite, whole)):
        raise ValueError(
            f"angles={tuple(angles)}: give at least two different ones, in degrees; the paper has {QUARTERS}"
        )
    return whole
