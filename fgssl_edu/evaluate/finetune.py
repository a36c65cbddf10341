"""Full fine-tuning: the encoder goes on learning, with a linear classifier on top, from the labels.

The other half of an encoder's worth: a linear probe reads what is there, fine-tuning asks what it is a good start for.
Learning rates are a paper's, the best of them chosen on a part of the training images. It is `train.pretrain` of a
supervised method: the run's device, precision, checkpoints, and the one training loop.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from fgssl_edu.config import Settings, suggestion
from fgssl_edu.data.image_set import ImageSet, Splits
from fgssl_edu.evaluate.features import extract
from fgssl_edu.evaluate.probe import class_count
from fgssl_edu.evaluate.sgd_probe import HELD_OUT, held_out_part
from fgssl_edu.evaluate.statistics import Score
from fgssl_edu.methods.finetuned import FineTuned
from fgssl_edu.methods.supervised import Supervised
from fgssl_edu.nets.encoders import Encoder, seeded
from fgssl_edu.nets.vit import VisionTransformer
from fgssl_edu.recipe import Recipe
from fgssl_edu.train import TrainingDiverged, pretrain
from fgssl_edu.views.presets import ViewPreset

SEARCHED_ON = ("validation", "test")


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How a paper fine-tunes; sizes of views and of scored pictures are the run's."""

    source: str
    rates: tuple[float, ...]  # peak learning rates for `batch` images; the best is searched for
    epochs: int = 100
    batch: int = 256
    optimizer: str = "sgd"
    weight_decay: float = 1e-4
    lr_schedule: str = "steps"
    warmup: float = 0.0  # share of the steps
    layer_decay: float = 1.0  # each block's rate over that of the block above it
    crop: tuple[float, float] = (0.2, 1.0)  # share of the picture's area; half of the views are mirrored


# Deviation: mixup, cutmix, random erasing, RandAugment and stochastic depth of the transformers' recipes are left out.
PROTOCOLS = {
    "simcore": Protocol(
        source="Kim et al., arXiv 2303.11101, all labels; the authors in issue 1 of their repository",
        rates=(0.1, 0.03, 0.01),
    ),
    "mae": Protocol(
        source="He et al., arXiv 2111.06377, released code: 5e-4 for 256 images; the other rates are ours",
        rates=(1e-3, 5e-4, 2.5e-4),
        optimizer="adamw",
        weight_decay=0.05,
        lr_schedule="cosine",
        warmup=0.05,
        layer_decay=0.65,
        crop=(0.08, 1.0),
    ),
    "simmim": Protocol(
        source="Xie et al., arXiv 2111.09886, released code: 1.25e-3 for 512 images; the other rates are ours",
        rates=(1.25e-3, 6.25e-4, 3.125e-4),
        optimizer="adamw",
        weight_decay=0.05,
        lr_schedule="cosine",
        warmup=0.2,
        layer_decay=0.65,
        crop=(0.08, 1.0),
    ),
}


@dataclass(frozen=True)
class Tuned:
    """What fine-tuning gave.

    Attributes:
        score: test accuracy, with its protocol.
        lr: the rate that was taken.
        validation: accuracy of each rate on what the search looked at; None where the training diverged. Empty where
            there was one rate only.
        method: the network with its classifier, trained on all the given labels.
    """

    score: Score
    lr: float
    validation: Mapping[float, float | None]
    method: Supervised


def finetune(
    encoder: Encoder,
    splits: Splits,
    settings: Settings,
    protocol: str | None = None,
    *,
    share: float = 1.0,
    search_on: str = "validation",
    rates: tuple[float, ...] | None = None,
    seed: int = 0,
    folder: Path | None = None,
) -> Tuned:
    """Search a paper's learning rates, train all weights with the best on all labels, score the test images.

    Args:
        encoder: where it starts; stays as it is.
        splits: training and test images; the unlabelled ones are left out.
        settings: gives crop_size, eval_size, device, precision, and `finetune_epochs` (0: the protocol's epochs).
        protocol: a key of `PROTOCOLS`; None: "mae" for a transformer, else "simcore".
        share: of the labels, stratified.
        search_on: "validation", a tenth of each class's training images; or "test", as the released code of SimCore
            had it, which keeps no validation images: its number is too good, and its protocol says so.
        rates: others than the protocol's.
        seed: of the classifier, views, order and the validation part.
        folder: for checkpoints: an interrupted search goes on where it was.

    Raises:
        ValueError: an unknown protocol or place to search, no class with two images to search on, or every rate
            diverges.
    """
    name = protocol or ("mae" if isinstance(encoder, VisionTransformer) else "simcore")
    plan = _plan(name, encoder, search_on, rates, settings.finetune_epochs)
    train, test = splits.train.labelled(), splits.test.labelled()
    train = train if share == 1 else train.label_fraction(share, seed)
    classes, searched = class_count(train.labels, test.labels), len(plan.rates) > 1
    trainer = _Trainer(encoder, plan, settings, classes, seed, folder)
    found: dict[float, float | None] = {}
    if searched:
        kept, judged = (train, test) if search_on == "test" else _parts(train, seed)
        found = {lr: trainer.accuracy(kept, judged, lr, "search") for lr in plan.rates}
    known = {lr: accuracy for lr, accuracy in found.items() if accuracy is not None}
    order = sorted(known, key=lambda rate: (-known[rate], rate)) if searched else plan.rates
    lr, method, hits = trainer.final(train, test, order)
    about = _about(name, plan, train, test, classes, share, search_on if searched else "none")
    chosen = {"lr": lr, "validation": {f"{rate:g}": accuracy for rate, accuracy in found.items()}}
    return Tuned(Score.of(hits, {**about, "seed": seed, "chosen": chosen}), lr, found, method)


@dataclass(frozen=True)
class _Trainer:
    """One training after another from the same start, which differ in their images and learning rate."""

    encoder: Encoder
    plan: Protocol
    settings: Settings
    classes: int
    seed: int
    folder: Path | None

    def train(self, images: ImageSet, lr: float, kind: str) -> Supervised | None:
        """A network fine-tuned on the images; None where it diverged."""
        plan, settings = self.plan, self.settings
        batch = min(plan.batch, len(images))
        steps = plan.epochs * (len(images) // batch)
        recipe = dataclasses.replace(
            Recipe.of(settings),
            steps=steps, batch=batch, lr=lr, optimizer=plan.optimizer, momentum=0.9, weight_decay=plan.weight_decay,
            warmup=round(plan.warmup * steps), lr_schedule=plan.lr_schedule, seed=self.seed,
        )  # fmt: skip
        views = ViewPreset("finetune", plan.source, crop=plan.crop)
        fields = {"labels": images.labels, "classes": self.classes, "views": views, "size": settings.crop_size}
        method = FineTuned(self.encoder, plan.layer_decay, seed=self.seed, **fields)
        place = None if self.folder is None else self.folder / f"{kind}_{lr:g}"
        try:
            with seeded(self.seed):  # of an encoder that drops paths or units
                pretrain(method, images, recipe, folder=place, progress=False)
        except TrainingDiverged:
            return None
        return method

    def final(self, train: ImageSet, test: ImageSet, rates: Sequence[float]) -> tuple[float, Supervised, Tensor]:
        """The first rate that does not diverge on all training images, its network, and which test images it names."""
        for lr in rates:
            method = self.train(train, lr, "final")
            hits = None if method is None else _hits(method, test, self.settings.eval_size)
            if method is not None and hits is not None:
                return lr, method, hits
        tried = ", ".join(f"{rate:g}" for rate in self.plan.rates)
        raise ValueError(f"rates={tried}: fine-tuning diverges at every one of them; give smaller ones")

    def accuracy(self, images: ImageSet, judged: ImageSet, lr: float, kind: str) -> float | None:
        """Share of the judged images that a network trained on the images names; None where it diverged."""
        method = self.train(images, lr, kind)
        hits = None if method is None else _hits(method, judged, self.settings.eval_size)
        return None if hits is None else float(hits.double().mean())


def _plan(name: str, encoder: Encoder, search_on: str, rates: tuple[float, ...] | None, epochs: int) -> Protocol:
    """The protocol with what was given in its place."""
    if name not in PROTOCOLS:
        raise ValueError(f"protocol={name!r}{suggestion(name, list(PROTOCOLS))}: use one of {', '.join(PROTOCOLS)}")
    if search_on not in SEARCHED_ON:
        raise ValueError(f"search_on={search_on!r}{suggestion(search_on, list(SEARCHED_ON))}: validation or test")
    if rates is not None and not (rates and all(rate > 0 for rate in rates)):
        raise ValueError(f"rates={rates}: give learning rates above 0, or None for the protocol's")
    plan = PROTOCOLS[name]
    if plan.layer_decay != 1 and not isinstance(encoder, VisionTransformer):
        raise ValueError(f"protocol={name!r} gives each block of a transformer its rate; {encoder.name} is none")
    return dataclasses.replace(plan, rates=rates or plan.rates, epochs=epochs or plan.epochs)


def _parts(train: ImageSet, seed: int) -> tuple[ImageSet, ImageSet]:
    """What is trained on while the rate is searched, and what the search looks at: a tenth of each class."""
    held_out = held_out_part(train.labels, seed, "finetune/validation")
    if not held_out.any():
        raise ValueError("no class has two labelled training images to search a learning rate on; give one rate")
    return train.subset(torch.nonzero(~held_out)[:, 0]), train.subset(torch.nonzero(held_out)[:, 0])


@torch.no_grad()
def _hits(method: Supervised, images: ImageSet, size: int) -> Tensor | None:
    """Which images the network names, (N,) bool, by its running statistics; None where its features are not finite."""
    try:
        features = extract(method.encoder, images.images, size)
    except ValueError:  # a rate on the brink: the losses were finite
        return None
    classifier = method.classifier
    logits = nn.functional.linear(features, classifier.weight.float().cpu(), classifier.bias.float().cpu())
    return logits.argmax(dim=1) == images.labels


def _about(
    name: str, plan: Protocol, train: ImageSet, test: ImageSet, classes: int, share: float, searched: str
) -> dict[str, object]:
    """What the score says about how it was taken."""
    search = {
        "validation": f"on {HELD_OUT:.0%} of each class's training images, then trained on all",
        "test": "on the test images, as released: too good",
        "none": "none",
    }[searched]
    counts = {"train_images": len(train), "test_images": len(test), "label_share": share, "chance": 1 / classes}
    decay = "" if plan.layer_decay == 1 else f", layer decay {plan.layer_decay}"
    how = f"{plan.optimizer}, wd {plan.weight_decay:g}, {plan.lr_schedule}, warm-up {plan.warmup:.0%}{decay}"
    return {
        "metric": "fine-tuning accuracy",
        "settings": name,
        "source": plan.source,
        "features": "all weights trained on the labels",
        "training": f"{how}; crops of {plan.crop[0]:g} to {plan.crop[1]:g} of the area, mirrored",
        "epochs": plan.epochs,
        "batch": min(plan.batch, len(train)),
        "rates": [f"{rate:g}" for rate in plan.rates],
        "search": search,
        **counts,
    }
