"""Training at 224 pixels on a GPU, images a second: our pipeline, the step alone, and lightly's views on the same step.

Five methods at their papers' sizes: MoCo v2, SimCLR and synthesised pairs with a ResNet-50, DINO and MAE with ViT-S/16.
The third contestant has lightly's transform, one picture at a time in a DataLoader of 16 workers; encoder, loss and
optimiser are the same, so that a ratio speaks of pipelines alone. Memory is the peak of a step, as torch's allocator
counts it, with weights, optimiser and the resident pictures.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from fgssl_edu.bench.rounds import Contestant, interleave, medians, ratio
from fgssl_edu.bench.train import Learner, PerImage, Setting, Views, fed_per_image, ours
from fgssl_edu.data import birds
from fgssl_edu.data.image_set import Batch, Images
from fgssl_edu.methods import METHODS
from fgssl_edu.methods.base import Method
from fgssl_edu.nets.encoders import build_encoder
from fgssl_edu.recipe import Recipe
from fgssl_edu.views.presets import VIEWS

GPU = Setting(
    name="gpu",
    crop=224,
    stored=256,
    batch=128,
    images=512,
    workers=16,
    device="cuda",
    precision=torch.bfloat16,
    bars={"pipeline_to_step": 0.9},
)
COMPARED = {"pipeline_to_step": ("ours", "step"), "to_lightly": ("ours", "lightly")}
MEGABYTE = 1e6
Transform = Callable[[Any], Any]  # a picture -> its views, as tensors


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A method of the bench."""

    method: str
    views: str  # preset
    transform: Callable[[Measured, int], Transform]  # lightly's, for pictures of so many pixels a side
    encoder: str = "resnet50"
    optimizer: str = "sgd"
    fields: Mapping[str, object] = field(default_factory=dict)


def simclr_views(measured: Measured, size: int) -> Transform:
    """lightly's SimCLR, with the preset's hue."""
    from lightly.transforms import SimCLRTransform

    return SimCLRTransform(size, cj_hue=VIEWS[measured.views].hue, normalize=None)


def moco_views(measured: Measured, size: int) -> Transform:
    """lightly's MoCo v2, with the preset's hue and blur."""
    from lightly.transforms import MoCoV2Transform

    preset = VIEWS[measured.views]
    return MoCoV2Transform(size, cj_hue=preset.hue, gaussian_blur=preset.blur, normalize=None)


def dino_views(measured: Measured, size: int) -> Transform:
    """lightly's DINO, with as many small crops, of the same size."""
    from lightly.transforms import DINOTransform

    small: Any = {"local_crop_size": measured.fields["local_size"], "n_local_views": measured.fields["local_views"]}
    return DINOTransform(size, **small, normalize=None)


def mae_views(measured: Measured, size: int) -> Transform:
    """lightly's MAE; its mean of 0 and deviation of 1 change nothing."""
    from lightly.transforms import MAETransform

    return MAETransform(size, normalize={"mean": [0.0] * 3, "std": [1.0] * 3})


QUEUE = 2048  # keys; Deviation: 65,536 in MoCo v2, and the bench has 512 pictures
DINO_HEAD = {"prototypes": 65536, "hidden": 2048, "bottleneck": 256}  # 2104.14294
MAE_DECODER = {"decoder_dim": 512, "decoder_depth": 8, "decoder_heads": 16}  # 2111.06377
MEASURED = {
    "moco_v2": Measured(method="moco", views="moco_v2", transform=moco_views, fields={"queue": QUEUE}),
    "simclr": Measured(method="simclr", views="simclr", transform=simclr_views),
    "dino": Measured(
        method="dino",
        views="simclr",
        transform=dino_views,
        encoder="vit_small",
        optimizer="adamw",
        fields={"local_views": 8, "local_size": 96, **DINO_HEAD},  # 2104.14294
    ),
    "mae": Measured(
        method="mae",
        views="mae",
        transform=mae_views,
        encoder="vit_small",
        optimizer="adamw",
        fields=MAE_DECODER,
    ),
    "pairs": Measured(
        method="pairs",
        views="moco_v2",
        transform=moco_views,
        fields={"queue": QUEUE, "memory": QUEUE, "decoder_size": GPU.crop},
    ),
}


class OwnLearner(Learner):
    """A method with its own optimisers and hooks, as the training loop has them."""

    def __init__(self, measured: Measured, setting: Setting, images: Tensor) -> None:
        encoder = build_encoder(measured.encoder, seed=0)
        made = METHODS[measured.method](encoder, views=measured.views, size=setting.crop, seed=0, **measured.fields)
        super().__init__(made, setting)
        self.own: Method = made.train()
        self.own.start(Images(images, setting.device), resumed=False)
        recipe = Recipe(steps=100, batch=setting.batch, lr=1e-3, optimizer=measured.optimizer)
        self.optimizers = self.own.optimizers(recipe)

    def update(self, batch: Batch, views: Views) -> None:
        """One step of training on views already made."""
        setting = self.setting
        with torch.autocast(setting.device, setting.precision, enabled=setting.precision != torch.float32):
            loss = self.own(batch, views)["loss"]
        loss.backward()
        self.own.before_step(0.5)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        self.own.after_step(0.5)

    def megabytes(self, batch: Batch, views: Views) -> dict[str, float]:
        """Peak of a step; nothing on a CPU, which does not count."""
        if self.setting.device != "cuda":
            return {}
        torch.cuda.reset_peak_memory_stats()
        self.update(batch, views)
        return {"ours": torch.cuda.max_memory_allocated() / MEGABYTE}


def lightly(measured: Measured, learner: OwnLearner, images: Tensor, ready: Views) -> dict[str, Contestant]:
    """The same step fed by lightly's views; nothing where it is not installed. What else a step draws is `ready`'s."""
    try:
        transform = measured.transform(measured, learner.setting.crop)
    except ImportError:
        return {}
    from torchvision.transforms.functional import to_pil_image

    data = PerImage([to_pil_image(image) for image in images], transform)
    rest = ready[len(transform(data.pictures[0])) :]
    whole = images[: learner.setting.batch].to(learner.setting.device)
    return {"lightly": fed_per_image(learner, data, whole, rest)}


def table(measured: Measured, setting: Setting, images: Tensor) -> dict[str, Any]:
    """One method's contestants in turns, and its memory."""
    learner = OwnLearner(measured, setting, images)
    batch = Batch(images[: setting.batch].to(setting.device), torch.arange(setting.batch, device=setting.device))
    ready = learner.own.views(batch, 0)
    memory = learner.megabytes(batch, ready)
    contestants = {**ours(learner, images), **lightly(measured, learner, images, ready)}
    rates = interleave(contestants, setting.rounds, setting.device)
    return {
        "images_per_second": medians(rates),
        **({"megabytes": memory} if memory else {}),
        "ratios": {name: ratio(rates, *pair) for name, pair in COMPARED.items()},
        "rounds": rates,
        "bars": dict(setting.bars),
    }


def run(setting: Setting = GPU, chosen: Mapping[str, Measured] = MEASURED) -> dict[str, object]:
    """A table of every method, one after the other on a GPU that is empty again; `ratios` are those of the first."""
    images = birds.bird_set(setting.images, size=setting.stored, seed=0).images
    tables = {}
    for name, measured in chosen.items():
        tables[f"{name}_{setting.crop}"] = table(measured, setting, images)
        gc.collect()
        if setting.device == "cuda":
            torch.cuda.empty_cache()
    return {"ratios": next(iter(tables.values()))["ratios"], "tables": tables}
