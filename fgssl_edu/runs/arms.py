"""The arms of each lesson: which methods it compares, what differs between them, and how one is built.

An arm is a method with its settings. All arms of a lesson train for the same steps on the same pictures; what an arm
may know beyond the pictures (labels, true masks) stands in its line.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

from fgssl_edu import config
from fgssl_edu.data import birds, catalog
from fgssl_edu.data.image_set import ImageSet
from fgssl_edu.methods import METHODS, build
from fgssl_edu.methods.base import Method
from fgssl_edu.nets.encoders import Encoder, build_encoder
from fgssl_edu.views.background import BackgroundSwap
from fgssl_edu.views.presets import VIEWS, ViewPreset, scaled

SWAP_BACKGROUNDS = 512  # backgrounds that the oracle view draws from


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One line of a lesson's table: a method, what differs from the lesson's settings, and what it may know."""

    title: str
    method: str | None = "simclr"  # a key of METHODS, or None: an untrained encoder
    fields: Mapping[str, object] = field(default_factory=dict)  # of the method
    settings: Mapping[str, object] = field(default_factory=dict)  # of config.Settings
    views: Mapping[str, object] = field(default_factory=dict)  # of the view preset
    labels: str = "none"  # "species" or "genus": what a supervised arm is told
    share: float = 1.0  # of the training labels (and images) that a supervised arm gets
    swap: bool = False  # true background swap: the oracle view

    @property
    def needs_birds(self) -> bool:
        """Whether it uses what only the rendered birds have: true masks, genera, a planted shortcut."""
        return self.swap or self.labels == "genus" or "correlation" in self.settings


NO_COLOUR = {"jitter": 0.0, "gray": 0.0}
NO_CROP = {"crop": (1.0, 1.0), "ratio": (1.0, 1.0), "flip": 0.0}
RANDOM = Arm(title="untrained", method=None)
SUPERVISED = Arm(title="supervised", method="supervised", labels="species")
GENUS = Arm(title="supervised by genus", method="supervised", labels="genus")
SIMCLR = Arm(title="SimCLR")
MOCO = Arm(title="MoCo v2", method="moco")

ARMS: dict[str, dict[str, Arm]] = {
    "start": {
        "random": RANDOM,
        "simclr": SIMCLR,
        "supervised": SUPERVISED,
        "scratch_20": Arm(title="from scratch, 20 % of the labels", method="supervised", labels="species", share=0.2),
        "scratch_4": Arm(title="from scratch, 4 % of the labels", method="supervised", labels="species", share=0.04),
        "genus": GENUS,
        "genus_20": Arm(title="genus from scratch, 20 % of the labels", method="supervised", labels="genus", share=0.2),
        "genus_4": Arm(title="genus from scratch, 4 % of the labels", method="supervised", labels="genus", share=0.04),
    },
    "contrast": {
        "random": RANDOM,
        "simclr": SIMCLR,
        "moco": MOCO,
        "moco_v1": Arm(
            title="MoCo v1: linear head, temperature 0.07",
            method="moco",
            fields={"head": "linear", "temperature": 0.07},
        ),
        "moco_ema_0": Arm(title="key encoder without memory (m = 0)", method="moco", fields={"ema": 0.0}),
        "moco_queue_128": Arm(title="queue of one batch (K = 128)", method="moco", fields={"queue": 128}),
        "strength_0": Arm(title="no augmentation", settings={"strength": 0.0}),
        "strength_0.25": Arm(title="views at strength 0.25", settings={"strength": 0.25}),
        "strength_0.5": Arm(title="views at strength 0.5", settings={"strength": 0.5}),
        "strength_2": Arm(title="views at strength 2", settings={"strength": 2.0}),
        "crop_only": Arm(title="crop and flip only", views=NO_COLOUR),
        "colour_only": Arm(title="colour only", views=NO_CROP),
        "strong_views": Arm(title="SimCLR's ImageNet views", settings={"views": "simclr"}),
        "tau_0.05": Arm(title="temperature 0.05", settings={"temperature": 0.05}),
        "tau_1": Arm(title="temperature 1", settings={"temperature": 1.0}),
        "no_head": Arm(title="no projection head", fields={"head": "none"}),
        "batch_32": Arm(title="batch 32", settings={"batch": 32}),
        "supervised": SUPERVISED,
    },
    "coarse-bias": {
        "random": RANDOM,
        "moco": MOCO,
        "simclr": SIMCLR,
        "swap": Arm(title="SimCLR + true background swap", swap=True),
        "genus": GENUS,
        "supervised": SUPERVISED,
        "simclr_shortcut": Arm(title="SimCLR, planted shortcut", settings={"correlation": 0.95}),
        "supervised_shortcut": Arm(
            title="supervised, planted shortcut", method="supervised", labels="species", settings={"correlation": 0.95}
        ),
    },
}


def arm_named(slug: str, name: str) -> Arm:
    """The arm of a lesson, or a ValueError that lists the lesson's arms."""
    if name not in ARMS[slug]:
        raise ValueError(f"method={name!r}: lesson {slug!r} has the arms {', '.join(ARMS[slug])}")
    return ARMS[slug][name]


def arm_settings(arm: Arm, settings: config.Settings, seed: int) -> config.Settings:
    """The lesson's settings with what the arm changes."""
    return dataclasses.replace(settings, seed=seed, **arm.settings)  # type: ignore[arg-type]


def load(settings: config.Settings) -> catalog.Splits:
    """The images of a run. The rendered birds are the same for every seed of training."""
    if settings.dataset != "birds":
        splits = catalog.load(settings.dataset, image_size=settings.image_size)  # all of them
        if not len(splits.test.labelled()):
            raise ValueError(
                f"dataset={settings.dataset!r} has no labelled test pictures, and a lesson scores encoders by labels: "
                "give class folders, or a manifest.csv with labels"
            )
        return splits
    return catalog.load(
        "birds",
        image_size=settings.image_size,
        train_images=settings.train_images,
        test_images=settings.test_images,
        background=settings.background,
        correlation=settings.correlation,
        species=settings.species,
    )


def view_preset(arm: Arm, settings: config.Settings) -> ViewPreset:
    """The views of an arm: the named preset at its strength, less what the arm leaves out."""
    if settings.views not in VIEWS:
        raise ValueError(f"views={settings.views!r}: choose one of {', '.join(VIEWS)}")
    return dataclasses.replace(scaled(VIEWS[settings.views], settings.strength), **arm.views)  # type: ignore[arg-type]


def untrained(settings: config.Settings) -> Encoder:
    """The encoder of the run before any step."""
    return build_encoder(settings.encoder, init=settings.init, seed=settings.seed)


def build_arm(arm: Arm, settings: config.Settings, images: ImageSet) -> Method:
    """The method of an arm, ready to train on `images`.

    Raises:
        ValueError: the arm needs labels or masks that the images do not have, or its method is unknown.
    """
    if arm.method is None or arm.method not in METHODS:
        raise ValueError(f"method={arm.method!r}: choose one of {', '.join(METHODS)}")
    fields: dict[str, object] = {"views": view_preset(arm, settings), "size": settings.crop_size, "seed": settings.seed}
    if arm.labels != "none":
        labels = images.labels if arm.labels == "species" else images.coarse
        if labels is None or int(labels.max()) < 1:
            raise ValueError(f"{arm.title}: the data set {images.name!r} has no {arm.labels} labels")
        fields |= {"labels": labels, "classes": int(labels.max()) + 1}
    else:
        fields["temperature"] = settings.temperature
    if arm.method == "moco":
        fields |= {"queue": settings.queue, "ema": settings.ema}
    if arm.swap:
        if images.foreground is None:
            raise ValueError(f"{arm.title}: the data set {images.name!r} has no true masks; use dataset='birds'")
        pictures = birds.backgrounds(SWAP_BACKGROUNDS, size=images.size, seed=settings.seed)
        fields["swap"] = BackgroundSwap(images.foreground, pictures)
    return build(arm.method, untrained(settings), None, **{**fields, **arm.fields})
