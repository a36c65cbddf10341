"""Small birds and small encoders for the panels."""

from __future__ import annotations

import dataclasses

import pytest

from fgssl_edu.data.birds import bird_set
from fgssl_edu.data.image_set import ImageSet, Splits
from fgssl_edu.nets.encoders import Encoder, build_encoder


@pytest.fixture(scope="package")
def splits() -> Splits:
    """96 training and 72 test birds of 48 px."""
    return Splits(bird_set(96, size=48, seed=1), bird_set(72, size=48, seed=2, split="test"))


@pytest.fixture(scope="package")
def bare_splits(splits: Splits) -> Splits:
    """The same pictures as a folder of photographs would give them: labels, but no genus, parts or factors."""
    return Splits(_bare(splits.train), _bare(splits.test))


@pytest.fixture(scope="package")
def encoders() -> dict[str, Encoder]:
    """Two untrained encoders that differ."""
    return {"one": build_encoder("resnet10", seed=0), "two": build_encoder("resnet10", seed=1)}


def _bare(images: ImageSet) -> ImageSet:
    unknown = {"parts": None, "foreground": None, "discriminative": None, "factors": None, "coarse": None}
    return dataclasses.replace(images, name="folder", part_names=(), coarse_classes=(), **unknown)
