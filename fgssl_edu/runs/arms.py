"""How an arm of a lesson is built: its settings, its images, its views, its method."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, nn

from fgssl_edu import config
from fgssl_edu.data import birds, catalog, single_image
from fgssl_edu.data.image_set import Images, ImageSet
from fgssl_edu.data.large import LARGE
from fgssl_edu.evaluate.attention import part_mask
from fgssl_edu.methods import METHODS, build
from fgssl_edu.methods.base import Method
from fgssl_edu.methods.supervised import Supervised
from fgssl_edu.nets import weights
from fgssl_edu.nets.encoders import Encoder, build_encoder
from fgssl_edu.nets.heads import projection
from fgssl_edu.nets.inputs import seeing
from fgssl_edu.runs.arm_tables import ARMS, GENUS, MOCO, RANDOM, SIMCLR, SUPERVISED, Arm
from fgssl_edu.runs.arm_tables.scoreboard import MEMBERS, SLUG
from fgssl_edu.views.background import BackgroundSwap
from fgssl_edu.views.presets import ViewPreset, named, scaled

__all__ = ["ARMS", "GENUS", "MOCO", "RANDOM", "SIMCLR", "SUPERVISED", "Arm", "arm_named", "build_arm", "crops", "load"]
SWAP_BACKGROUNDS = 512  # backgrounds that the oracle view draws from


def arm_named(slug: str, name: str) -> Arm:
    """The arm of a lesson, or a ValueError that lists the lesson's arms."""
    if name not in ARMS[slug]:
        raise ValueError(f"method={name!r}: lesson {slug!r} has the arms {', '.join(ARMS[slug])}")
    return ARMS[slug][name]


def at_home(slug: str, name: str) -> tuple[str, Arm]:
    """The shipped record in which an arm of a lesson was trained, and the arm there: the scoreboard's at home."""
    if slug == SLUG and name in MEMBERS:
        return MEMBERS[name].record, ARMS[MEMBERS[name].lesson][name]
    return slug, arm_named(slug, name)


def arm_settings(arm: Arm, settings: config.Settings, seed: int, given: Collection[str] = ()) -> config.Settings:
    """The lesson's settings with what the arm changes at their scale, but for the `given`, which the user has set."""
    arm = arm.at(settings.scale)
    values: dict[str, Any] = {name: value for name, value in arm.settings.items() if name not in given}
    steps = values.setdefault("steps", arm.steps(settings.steps))
    warmup = min(values.get("warmup", settings.warmup), steps)
    return dataclasses.replace(settings, **{**values, "seed": seed, "warmup": warmup})


def load(settings: config.Settings) -> catalog.Splits:
    """The images of a run. The rendered birds are the same for every seed of training."""
    if settings.dataset != "birds":
        large = settings.dataset.startswith(LARGE)  # of these so many are scored; of photographs, all
        train, test = (settings.train_images, settings.test_images) if large else (None, None)
        splits = catalog.load(settings.dataset, image_size=settings.image_size, train_images=train, test_images=test)
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
        pose=settings.pose,
        correlation=settings.correlation,
        species=settings.species,
    )


def given_to(arm: Arm, images: ImageSet, seed: int) -> ImageSet:
    """The training images that an arm is given: a supervised one those with labels, or a share of them."""
    known = images.labelled() if arm.labels != "none" else images
    return known.label_fraction(arm.share, seed=seed) if arm.share < 1 else known


def trained_on(
    method: Method, images: ImageSet | Images | Tensor, splits: catalog.Splits
) -> ImageSet | Images | Tensor:
    """The images, but for `splits.train` of a set that is not held in memory all of that set, which it is a sample of.

    A method that was built with labels is about the pictures that it was built for.
    """
    if images is splits.train and splits.stream is not None and not isinstance(method, Supervised):
        return splits.stream
    return images


def crops(arm: Arm, settings: config.Settings) -> ImageSet:
    """The crops of one photograph that an arm trains on, as many as the settings say, other ones for another seed."""
    farm = single_image.FARMS[arm.extra]
    return single_image.crop_set(settings.photograph, settings.crops, settings.image_size, settings.seed, farm)


def view_presets(arm: Arm, settings: config.Settings) -> list[ViewPreset]:
    """The views of an arm, each kind that is named: the preset at its strength, less what the arm leaves out."""
    return [
        dataclasses.replace(scaled(preset, settings.strength), **arm.views)  # type: ignore[arg-type]
        for preset in named(settings.views)
    ]


def view_fields(arm: Arm, settings: config.Settings) -> dict[str, object]:
    """The views as the method of an arm takes them: one kind, or a second beside it, or large, large and small."""
    presets = view_presets(arm, settings)
    if arm.method == "dino" and len(presets) == 3:
        return {"views": presets}
    second = len(presets) == 2 and "other_views" in inspect.signature(METHODS[str(arm.method)]).parameters
    return {"views": presets[0], **({"other_views": presets[1]} if second else {})}


def device_of(settings: config.Settings) -> str:
    """Where a run trains and scores: "cuda", "mps" or "cpu"."""
    asked = settings.accelerator
    return asked if asked != "auto" else "cuda" if torch.cuda.is_available() else "cpu"


def untrained(settings: config.Settings, sees: str = "rgb") -> Encoder:
    """The encoder of the run before any step; `sees` as an arm has it."""
    return seeing(build_encoder(settings.encoder, settings.norm, settings.init, settings.seed), sees)


def build_arm(arm: Arm, settings: config.Settings, images: ImageSet) -> Method:
    """The method of an arm, ready to train on `images`.

    Raises:
        ValueError: the arm needs labels, masks or factors that the images do not have, or its method is unknown.
    """
    if arm.method is None or arm.method not in METHODS:
        raise ValueError(f"method={arm.method!r}: choose one of {', '.join(METHODS)}")
    arm = arm.at(settings.scale)
    fields = fields_of(arm, settings)
    if arm.labels != "none":
        labels = images.labels if arm.labels == "species" else images.coarse
        if labels is None or int(labels.max()) < 1:
            raise ValueError(f"{arm.title}: the data set {images.name!r} has no {arm.labels} labels")
        fields |= {"labels": labels, "classes": int(labels.max()) + 1}
    if "queue" in fields and "head" not in arm.fields and continued(settings):  # MoCo trained it
        fields["head"] = shipped_head()
    if arm.swap:
        if images.foreground is None or images.parts is None:  # a box is no mask to cut a bird out by
            raise ValueError(f"{arm.title}: the data set {images.name!r} has no true masks; use dataset='birds'")
        pictures = birds.backgrounds(SWAP_BACKGROUNDS, size=images.size, seed=settings.seed)
        fields["swap"] = BackgroundSwap(images.foreground, pictures)
    if arm.method == "rationale":
        fields["truth"] = true_map(str(arm.fields.get("target", settings.target)), images)
    if arm.method == "pairs":
        fields |= pair_fields(str(arm.fields.get("decoder", settings.decoder)), settings, images)
    return build(str(arm.method), untrained(settings, arm.sees), None, **fields)


def fields_of(arm: Arm, settings: config.Settings) -> dict[str, object]:
    """What an arm hands to its method, but for what it takes from the images: its own fields win over the settings."""
    arm = arm.at(settings.scale)
    own = own_fields(str(arm.method), settings) | view_fields(arm, settings) | {"size": settings.crop_size}
    return {**own, **arm.fields}


def own_fields(method: str, settings: config.Settings) -> dict[str, object]:
    """The settings that a method's constructor takes under their own names."""
    taken = inspect.signature(METHODS[method]).parameters
    names = [field.name for field in dataclasses.fields(settings) if field.name in taken]
    return {name: getattr(settings, name) for name in names if name != "encoder"}


def continued(settings: config.Settings) -> bool:
    """Whether a run goes on from the shipped resnet10, which has a head and a decoder."""
    return settings.init == "birds" and settings.encoder == "resnet10"


def shipped_head() -> nn.Module:
    """The projection head that the shipped encoder was trained with."""
    head = projection("mlp", 128, 128, 128)
    head.load_state_dict(weights.head_state())
    return head


def true_map(target: str, images: ImageSet) -> Tensor | None:
    """The true map that a branch of common rationale is fitted to, (N, H, W) in [0, 1]; None where it is none."""
    if target not in ("foreground", "discriminative"):
        return None
    if target == "foreground" and images.foreground is not None:
        return images.foreground / 255
    if images.parts is None or images.discriminative is None:
        raise ValueError(f"target={target!r}: the data set {images.name!r} has no true maps; use dataset='birds'")
    return part_mask(images.parts, images.discriminative)


def pair_fields(decoder: str, settings: config.Settings, images: ImageSet) -> dict[str, object]:
    """What synthesised pairs take from the settings: noise, threshold, and what draws the pictures."""
    fields: dict[str, object] = {"decoder_size": settings.eval_size}
    if decoder == "renderer":
        if not isinstance(images.factors, birds.Factors):
            raise ValueError(f"decoder='renderer': the data set {images.name!r} was not rendered; use dataset='birds'")
        fields["factors"] = images.factors
    if decoder == "learned" and continued(settings) and settings.eval_size == weights.DECODER_SIZE:
        fields["decoder_start"] = weights.decoder_state()
    if decoder != "learned" or "decoder_start" in fields:
        fields["decoder_steps"] = 0
    return fields
