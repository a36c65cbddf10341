"""DINO: a student predicts what a slow copy of itself, its teacher, says of other crops of the same image.

Caron et al. (arXiv 2104.14294). No labels, no negatives, no predictor. Two opposite pulls keep the targets from
collapse: centring (no prototype may always win) and sharpening (no uniform answer). Deviation: the code clips each
parameter's gradient to norm 3 and drops blocks of the student at random; here `Recipe.clip` clips the whole, and
nothing is dropped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from fgssl_edu.data.image_set import Batch, Images
from fgssl_edu.distributed import full_precision, gather, rank
from fgssl_edu.losses.clustering import sinkhorn_knopp
from fgssl_edu.losses.distillation import batch_softmax, centred_softmax, dino_loss
from fgssl_edu.methods.base import HEAD_SEED, Method, Presets, augmentation, optimizer
from fgssl_edu.nets.ema import cosine_momentum, ema_copy, ema_update
from fgssl_edu.nets.encoders import Encoder, seeded
from fgssl_edu.nets.heads_dino import DINOHead
from fgssl_edu.nets.vit import VisionTransformer
from fgssl_edu.recipe import Recipe
from fgssl_edu.views.multicrop import MultiCrop
from fgssl_edu.views.presets import ViewPreset

BALANCES = ("centre", "sinkhorn", "softmax", "none")
LARGE = 2  # crops that the teacher sees
LEAST = {"local_views": 0, "prototypes": 2, "hidden": 1, "bottleneck": 1, "freeze_epochs": 0}
CENTRE_MOMENTUM = 0.9  # .9 to .99 are alike, .999 fails (kNN 69.7 and .1 in the paper's appendix)
SOURCE, CODE = "arXiv 2104.14294, section 3.2", "facebookresearch/dino, ViT-S/16, 100 epochs"


class DINO(Method):
    """Distillation without labels; the teacher is what is scored."""

    presets: ClassVar[Presets] = {
        "vit_small": {
            "views": (("dino_global_1", "dino_global_2", "dino_local"), CODE),
            "size": (224, SOURCE),
            "local_views": (8, f"{CODE}; 10 in the paper's table 8"),
            "local_size": (96, SOURCE),
            "prototypes": (65536, SOURCE),
            "hidden": (2048, SOURCE),
            "bottleneck": (256, SOURCE),
            "norm_last_layer": (False, CODE),
            "freeze_epochs": (1, CODE),
            "ema": (0.996, SOURCE),
            "teacher_temperature": ((0.04, 0.07), f"{SOURCE}; constant .04 in the script"),
            "warm_share": (0.3, f"{CODE}: 30 epochs"),
            "final_weight_decay": (0.4, CODE),
        },
    }

    centre: Tensor
    progress: Tensor

    def __init__(
        self,
        encoder: Encoder,
        *,
        views: str | ViewPreset | Sequence[str] = "mild",
        size: int = 32,
        local_views: int = 4,
        local_size: int | None = None,
        local_area: tuple[float, float] = (0.25, 0.75),
        prototypes: int = 256,
        hidden: int = 256,
        bottleneck: int = 64,
        norm_last_layer: bool = True,
        freeze_epochs: int = 1,
        balance: str = "centre",
        ema: float = 0.99,
        teacher_temperature: tuple[float, float] = (0.04, 0.04),
        warm_share: float = 0.3,
        student_temperature: float = 0.1,
        final_weight_decay: float | None = 0.4,
        seed: int = 0,
    ) -> None:
        """Prepare student, teacher and crops.

        Args:
            encoder: trained from where it is; the head reads the CLS token of a transformer, else pooled features.
            views: preset of all crops or its name, or names for large crop 1, large crop 2 and the local crops.
            size: side of a large crop in pixels.
            local_views: small crops an image, which only the student sees; 0 switches multi-crop off.
            local_size: side of a small crop in pixels; None: five eighths of `size`, in whole patches.
            local_area: share of the picture that a small crop shows, least and most, where `views` is one preset;
                ours is larger than the paper's .05 to .4, of which 64-px pictures show mostly sky.
            prototypes: K, outputs.
            hidden: width of the head.
            bottleneck: dimensions before the prototypes.
            norm_last_layer: see `DINOHead`.
            freeze_epochs: for so many the prototypes stand still.
            balance: how targets keep from collapse: "centre" (DINO), "sinkhorn" (as SwAV's codes), "softmax" (over the
                batch), "none" (collapse, on purpose).
            ema: m of the teacher at the start, rising to 1; the papers' .996 needs thousands of steps.
            teacher_temperature: at the start and after the warm-up; above .07 the paper's runs turn uniform.
            warm_share: of training over which the temperature goes from the first to the second.
            student_temperature: divides the student's logits.
            final_weight_decay: at the end of half a cosine from the recipe's; None: constant.
            seed: of crops and head.
        """
        super().__init__()
        _check(balance, ema, teacher_temperature, student_temperature, warm_share)
        _check_counts(
            local_views=local_views,
            prototypes=prototypes,
            hidden=hidden,
            bottleneck=bottleneck,
            freeze_epochs=freeze_epochs,
        )
        self.encoder, self.seed, self.balance, self.ema = encoder, seed, balance, ema
        self.teacher_temperature, self.warm_share = teacher_temperature, warm_share
        self.student_temperature = student_temperature
        self.freeze_epochs, self.final_weight_decay = freeze_epochs, final_weight_decay
        patch = encoder.patch if isinstance(encoder, VisionTransformer) else 1
        small_size = round(0.625 * size) // patch * patch if local_size is None else local_size
        self.crops = _crops(views, size, local_views, small_size, local_area)
        with seeded(HEAD_SEED + seed):
            self.head = DINOHead(encoder.dim, hidden, bottleneck, prototypes, norm_last_layer)
        self.teacher = ema_copy(nn.ModuleList([encoder, self.head]))
        self.register_buffer("centre", torch.zeros(prototypes))
        self.register_buffer("progress", torch.zeros(()))  # share of training done
        self.chance = math.log(prototypes)
        self.frozen_steps, self.steps, self.images = 0, 1, 0  # known when training starts
        self.raw: list[Tensor] = []  # mean teacher logits of this step's forwards, (K,) each

    def extra_repr(self) -> str:
        crops = f"size={self.crops.size}, local_views={self.crops.count}, local_size={self.crops.small_size}"
        return f"seed={self.seed}, balance={self.balance!r}, ema={self.ema}, {crops}"

    def start(self, images: Images, resumed: bool) -> None:
        self.images = images.count

    def optimizers(self, recipe: Recipe) -> list[Optimizer]:
        """One, whose weight decay rises where there is any: biases and norms keep none."""
        self.steps, self.frozen_steps = recipe.steps, self.freeze_epochs * (self.images // recipe.batch)
        made = optimizer(self, recipe)
        for group in made.param_groups if self.final_weight_decay is not None else []:
            if group["weight_decay"]:
                group["final_weight_decay"] = self.final_weight_decay
        return [made]

    def views(self, batch: Batch, step: int) -> tuple[Tensor, ...]:
        """Two large crops, (B, 3, size, size), then the local ones, (B, 3, local_size, local_size)."""
        return self.crops(batch.images, self.seed, step, batch.index)

    def forward(self, batch: Batch, views: tuple[Tensor, ...]) -> dict[str, Tensor]:
        large, small = torch.cat(views[:LARGE]), views[LARGE:]
        raw = self.judge(large)  # (2, B, K), without gradient
        targets = self.targets(raw)
        embeddings = [self.head.embed(summary(self.encoder, crops)) for crops in (large, *_joined(small))]
        student = self.head.logits(torch.cat(embeddings)).chunk(len(views))  # (B, K) a crop
        self.raw.append(raw.mean(dim=(0, 1)))
        return {
            "loss": dino_loss(student, targets.unbind(), self.student_temperature),
            "embeddings": embeddings[0].detach(),
            **target_shape(targets),
        }

    @torch.no_grad()
    def judge(self, images: Tensor) -> Tensor:
        """The teacher's raw logits of both large crops, (2B, 3, size, size) -> (2, B, K)."""
        return torch.stack(self.teacher[1](summary(self.evaluated(), images)).chunk(LARGE))

    def targets(self, raw: Tensor) -> Tensor:
        """The teacher's distributions, (2, B, K); what looks at the batch looks at that of all processes."""
        first, last = self.teacher_temperature
        temperature = first + (last - first) * (self.progress / self.warm_share).clamp(max=1)
        if self.balance in ("centre", "none"):
            return centred_softmax(raw, self.centre, temperature)
        mine = slice(rank() * raw.shape[1], (rank() + 1) * raw.shape[1])
        with full_precision():
            joined = [gather(view) / temperature for view in raw.float()]
        share = sinkhorn_knopp if self.balance == "sinkhorn" else batch_softmax
        return torch.stack([share(view, 1.0)[mine] for view in joined])

    def before_step(self, progress: float) -> None:
        """Hold the prototypes still in the first epochs: the optimiser skips what has no gradient."""
        if round(progress * self.steps) < self.frozen_steps:
            self.head.prototypes.grad = self.head.length.grad = None

    def after_step(self, progress: float) -> None:
        """Move teacher and centre, whatever the loss has seen; `none` leaves the centre at zero."""
        ema_update(self.teacher, nn.ModuleList([self.encoder, self.head]), cosine_momentum(self.ema, progress))
        mean = gather(torch.stack(self.raw).float()).mean(dim=0)  # (K,) the same on every process
        if self.balance != "none":
            self.centre.lerp_(mean, 1 - CENTRE_MOMENTUM)
        self.progress.fill_(progress)
        self.raw.clear()

    def evaluated(self) -> Encoder:
        return self.teacher[0]  # type: ignore[return-value]


def summary(encoder: Encoder, images: Tensor) -> Tensor:
    """What the head reads of (B, 3, h, w): a transformer's CLS token, else pooled features, (B, D)."""
    return encoder.cls(images) if isinstance(encoder, VisionTransformer) else encoder.features(images)


@torch.no_grad()
def target_shape(targets: Tensor) -> dict[str, Tensor]:
    """How far targets are from both collapses.

    Args:
        targets: (views, B, K), rows summing to 1.

    Returns:
        "usage": exp of the entropy of the batch's mean target, over K: 1 / K where one prototype always wins, 1 where
        all are used alike. "target_entropy": of single targets over log K, mean: 0 for certain, 1 for uniform ones.
    """
    count = targets.shape[-1]
    mean = gather(targets.mean(dim=(0, 1))[None]).mean(dim=0)
    usage = torch.special.entr(mean).sum().exp() / count
    return {"usage": usage, "target_entropy": torch.special.entr(targets).sum(dim=-1).mean() / math.log(count)}


def _joined(views: Sequence[Tensor]) -> list[Tensor]:
    """Crops of one size as one batch; none if there are none."""
    return [torch.cat(tuple(views))] if views else []


def _crops(
    views: str | ViewPreset | Sequence[str], size: int, count: int, small_size: int, small_area: tuple[float, float]
) -> MultiCrop:
    if not 0 < small_area[0] <= small_area[1] <= 1:
        raise ValueError(f"local_area={small_area}: least and most share of a picture, in (0, 1]; DINO has .05, .4")
    if isinstance(views, str | ViewPreset):
        large = augmentation(views, size).preset
        presets = (large, large, replace(large, crop=small_area))
    else:
        if len(views) != LARGE + 1:
            raise ValueError(f"views={views!r}: one preset, or three: large crop 1, large crop 2, local crops")
        presets = tuple(augmentation(name, size).preset for name in views)  # type: ignore[assignment]
    augmentation(presets[-1], small_size)  # refuses a size that is too small
    return MultiCrop(presets[:LARGE], size, presets[-1], small_size, count)


def _check(balance: str, ema: float, temperatures: tuple[float, float], student: float, warm_share: float) -> None:
    if balance not in BALANCES:
        raise ValueError(f"balance={balance!r}: use one of {', '.join(BALANCES)}")
    if not 0 <= ema <= 1:
        raise ValueError(f"ema={ema}: m of a moving average is in [0, 1]; the paper has .996")
    if len(temperatures) != 2 or not min(*temperatures, student) > 0:
        raise ValueError(
            f"teacher_temperature={temperatures}, student_temperature={student}: all above 0; (.04, .07) and .1"
        )
    if not 0 < warm_share <= 1:
        raise ValueError(f"warm_share={warm_share}: a share of training, above 0 and at most 1")


def _check_counts(**counts: int) -> None:
    for name, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < LEAST[name]:
            raise ValueError(f"{name}={value!r}: a whole number, at least {LEAST[name]}")
