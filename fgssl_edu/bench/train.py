"""Training with MoCo v2, images a second: our pipeline, the step alone, and the per-image pipelines a reader would use.

What is compared, all with the same encoder, optimiser, batch and pictures:

- ours: loader, views of a whole batch at once, step;
- step: the step alone on views already made, the ceiling of every pipeline;
- torchvision_loader: the same method fed by torchvision v2, one picture at a time, in a DataLoader;
- lightly: lightly's transform, head, loss and momentum update, in a DataLoader (dependency group parity);
- views and torchvision_views: the views alone, in this process.

On a machine with a GPU the bench is `train_gpu` instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, RandomSampler

from fgssl_edu.bench.rounds import Contestant, interleave, medians, ratio
from fgssl_edu.data import birds
from fgssl_edu.data.image_set import Batch, Images
from fgssl_edu.data.loader import Loader
from fgssl_edu.methods import METHODS
from fgssl_edu.methods.base import Method
from fgssl_edu.nets.ema import ema_copy
from fgssl_edu.nets.encoders import build_encoder
from fgssl_edu.views.augment import Augment
from fgssl_edu.views.presets import VIEWS, ViewPreset

PRESET = "moco_v2"  # crop, flip, jitter with hue, grey, blur
Views = tuple[Tensor, ...]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What one table of `bench train` is measured with."""

    name: str
    crop: int  # px, side of a view
    stored: int = 64  # px, side of the pictures
    batch: int = 128
    images: int = 1024
    encoder: str = "resnet10"
    queue: int = 512  # keys
    steps: int = 6  # a round
    rounds: int = 9
    workers: int = 2  # of the per-image pipelines
    device: str = "cpu"
    precision: torch.dtype = torch.float32
    bars: Mapping[str, float] = field(default_factory=dict)  # the ratio that each comparison should reach


SETTINGS = {
    "ci": [Setting(name="crop_16", crop=16, stored=32, batch=8, images=16, queue=8, steps=1, rounds=2, workers=0)],
    "lecture": [
        Setting(
            name="crop_32",
            crop=32,
            bars={"pipeline_to_step": 0.75, "to_torchvision_loader": 3, "views_to_torchvision": 15},
        ),
        Setting(
            name="crop_64",
            crop=64,
            bars={"pipeline_to_step": 0.9, "to_torchvision_loader": 2, "views_to_torchvision": 15},
        ),
    ],
}
COMPARED = {  # ratio -> which contestant's images a second over which
    "pipeline_to_step": ("ours", "step"),
    "to_torchvision_loader": ("ours", "torchvision_loader"),
    "to_lightly": ("ours", "lightly"),
    "views_to_torchvision": ("views", "torchvision_views"),
}


class PerImage(Dataset[tuple[Any, ...]]):
    """The views of one picture at a time, as a data set for DataLoader's workers: position, view, view ..."""

    def __init__(self, pictures: Sequence[Any] | Tensor, views: Callable[[Any], Sequence[Any]]) -> None:
        self.pictures, self.views = pictures, views

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        return index, *self.views(self.pictures[index])


class TorchvisionViews:
    """The preset's two views by torchvision v2, on uint8 tensors as its documentation advises; can be pickled."""

    def __init__(self, preset: ViewPreset, size: int) -> None:
        from torchvision.transforms import v2

        jitter = v2.ColorJitter(preset.brightness, preset.contrast, preset.saturation, preset.hue)
        blur = v2.GaussianBlur(Augment(preset, size).kernel, preset.sigma)
        self.view = v2.Compose(
            [
                v2.RandomResizedCrop(size, preset.crop, preset.ratio, antialias=True),
                v2.RandomHorizontalFlip(preset.flip),
                v2.RandomApply([jitter], preset.jitter),
                v2.RandomGrayscale(preset.gray),
                v2.RandomApply([blur], preset.blur),
                v2.ToDtype(torch.float32, scale=True),
            ]
        )

    def __call__(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        return self.view(picture), self.view(picture)


class LightlyMoCo(nn.Module):
    """MoCo v2 from lightly's head, loss and momentum update on our encoder, with the hooks of a method."""

    def __init__(self, encoder: nn.Module, dim: int, queue: int, temperature: float) -> None:
        super().__init__()
        from lightly.loss import NTXentLoss
        from lightly.models.modules import MoCoProjectionHead

        self.online = nn.Sequential(encoder, MoCoProjectionHead(dim, dim, 128))
        self.slow = ema_copy(self.online)
        self.criterion = NTXentLoss(temperature, memory_bank_size=(queue, 128))

    def forward(self, batch: Batch, views: Views) -> dict[str, Tensor]:
        with torch.no_grad():
            key = self.slow(views[1])
        return {"loss": self.criterion(self.online(views[0]), key)}

    def after_step(self, progress: float) -> None:
        from lightly.models.utils import update_momentum

        update_momentum(self.online, self.slow, 0.99)


class Learner:
    """A method with an optimiser: the step that every contestant of a table pays alike."""

    def __init__(self, method: Method | LightlyMoCo, setting: Setting) -> None:
        self.method, self.setting = method.to(setting.device), setting
        trained = [parameter for parameter in method.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.SGD(trained, lr=0.03, momentum=0.9, weight_decay=1e-4)

    def update(self, batch: Batch, views: Views) -> None:
        """One step of training on views already made."""
        setting = self.setting
        with torch.autocast(setting.device, setting.precision, enabled=setting.precision != torch.float32):
            loss = self.method(batch, views)["loss"]
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.method.after_step(0.5)


def our_moco(setting: Setting, images: Tensor) -> Method:
    """MoCo v2 as the package trains it."""
    encoder = build_encoder(setting.encoder, seed=0)
    method = METHODS["moco"](encoder, views=VIEWS[PRESET], size=setting.crop, queue=setting.queue, seed=0)
    method = method.to(setting.device)
    method.start(Images(images, setting.device), resumed=False)
    return method


def fed_per_image(learner: Learner, data: PerImage, pictures: Tensor | None = None, rest: Views = ()) -> Contestant:
    """The learner's steps on what a DataLoader's workers make; between rounds they are kept, and idle.

    Args:
        learner: what is trained.
        data: pictures with their views.
        pictures: a batch of them, (B, 3, H, W) uint8, for a method that looks at more than views.
        rest: what the method draws for a batch beside the views.
    """
    setting = learner.setting
    count = setting.steps * setting.batch
    loader = DataLoader(
        data,
        batch_size=setting.batch,
        sampler=RandomSampler(data, num_samples=count),
        num_workers=setting.workers,
        persistent_workers=setting.workers > 0,
        pin_memory=setting.device == "cuda",
    )

    def fed(_turn: int) -> int:
        for index, *made in loader:
            views = tuple(view.to(setting.device, non_blocking=True) for view in made)
            seen = views[0] if pictures is None else pictures
            learner.update(Batch(seen, index.to(setting.device)), (*views, *rest))
        return count

    return fed


def ours(learner: Learner, images: Tensor) -> dict[str, Contestant]:
    """Our loader, views and step; the step alone; the views alone."""
    method, setting = learner.method, learner.setting
    assert isinstance(method, Method)
    loader = Loader(images, setting.batch, seed=0, device=setting.device)
    fixed = next(loader)
    ready = method.views(fixed, 0)

    def whole(turn: int) -> int:
        for step in range(turn * setting.steps, (turn + 1) * setting.steps):
            batch = next(loader)
            learner.update(batch, method.views(batch, step))
        return setting.steps * setting.batch

    def step_alone(_turn: int) -> int:
        for _ in range(setting.steps):
            learner.update(fixed, ready)
        return setting.steps * setting.batch

    def views_alone(turn: int) -> int:
        for step in range(turn * setting.steps, (turn + 1) * setting.steps):
            method.views(next(loader), step)
        return setting.steps * setting.batch

    return {"ours": whole, "step": step_alone, "views": views_alone}


def torchvision(setting: Setting, images: Tensor) -> dict[str, Contestant]:
    """The same method fed by a per-image torchvision pipeline; and that pipeline alone, in this process."""
    pipeline = TorchvisionViews(VIEWS[PRESET], setting.crop)
    learner = Learner(our_moco(setting, images), setting)
    some = images[: min(64, len(images))]

    def views_alone(_turn: int) -> int:
        for picture in some:
            pipeline(picture)
        return len(some)

    return {"torchvision_loader": fed_per_image(learner, PerImage(images, pipeline)), "torchvision_views": views_alone}


def lightly(setting: Setting, images: Tensor) -> dict[str, Contestant]:
    """lightly's transform, head and loss on the same encoder; nothing where it is not installed."""
    try:
        from lightly.transforms import MoCoV2Transform
    except ImportError:
        return {}
    from torchvision.transforms.functional import to_pil_image

    preset = VIEWS[PRESET]
    transform = MoCoV2Transform(setting.crop, cj_hue=preset.hue, gaussian_blur=preset.blur, normalize=None)
    encoder = build_encoder(setting.encoder, seed=0)
    learner = Learner(LightlyMoCo(encoder, encoder.dim, setting.queue, temperature=0.2), setting)
    pictures = [to_pil_image(image) for image in images]
    return {"lightly": fed_per_image(learner, PerImage(pictures, transform))}


def run(scale: str) -> dict[str, object]:
    """Measure every setting of the scale on the CPU; `ratios` are those of the first."""
    settings = SETTINGS[scale]
    tables = {}
    for setting in settings:
        images = birds.bird_set(setting.images, size=setting.stored, seed=0).images
        learner = Learner(our_moco(setting, images), setting)
        contestants = {**ours(learner, images), **torchvision(setting, images), **lightly(setting, images)}
        rates = interleave(contestants, setting.rounds, setting.device)
        tables[setting.name] = {
            "images_per_second": medians(rates),
            "ratios": {name: ratio(rates, *pair) for name, pair in COMPARED.items()},
            "rounds": rates,
            "bars": dict(setting.bars),
        }
    return {"ratios": tables[settings[0].name]["ratios"], "tables": tables}
