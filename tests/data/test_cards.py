"""The cards of the pictures that ship with the package: where they are from, their terms, and no class of people.

ImageNet's branch for people held names that insult. What must not be a class is written here as hashes of words, so
that a check can be made without a list to read.
"""

from __future__ import annotations

import hashlib

import pytest

from fgssl_edu.data import catalog
from fgssl_edu.data.image_set import ImageSet
from fgssl_edu.data.single_image import SHIPPED, crop_set

BLOCKED = {  # the first 16 digits of the SHA-256 of words for people, in lower case
    "38a81e87e79631e6",
    "48b676e2b107da67",
    "cf2e5bff1ef03dcd",
    "ddc9e669194254ce",
}


def digest(word: str) -> str:
    return hashlib.sha256(word.lower().encode()).hexdigest()[:16]


def bundled() -> list[ImageSet]:
    birds = catalog.load("birds", image_size=32, train_images=96, test_images=48)
    return [birds.train, birds.test, *(crop_set(name, 2, 16, seed=0) for name in SHIPPED)]


def test_every_bundled_picture_has_a_source_and_terms():
    for images in bundled():
        assert images.name.strip() and images.provenance.strip() and images.licence.strip()
        assert images.licence.startswith(("MIT", "CC BY"))


def test_no_class_is_of_people():
    names = {name for images in bundled() for name in (*images.classes, *images.coarse_classes)}
    assert names and not {digest(word) for name in names for word in name.split()} & BLOCKED


@pytest.mark.parametrize("word", ["Person", "woman"])
def test_the_hashes_are_of_such_words(word: str):
    assert digest(word) in BLOCKED
