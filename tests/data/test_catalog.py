"""Data sets by name."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch
from PIL import Image

from fgssl_edu.data import birds, catalog


@pytest.fixture
def photos(tmp_path):
    for split, count in (("train", 10), ("test", 4)):
        for c in range(3):
            (tmp_path / split / f"class{c}").mkdir(parents=True)
            for i in range(count):
                Image.new("RGB", (9, 9), (c, i, 0)).save(tmp_path / split / f"class{c}" / f"{i}.png")
    return tmp_path


def test_birds_are_rendered_once_for_the_same_arguments():
    arguments = {"image_size": 32, "train_images": 48, "test_images": 24, "background": 0.5, "species": 8}
    splits = catalog.load("birds", **arguments)
    assert catalog.load("birds", **arguments) is splits
    assert catalog.load("birds", **{**arguments, "background": 0.25}) is not splits
    assert (len(splits.train), len(splits.test), splits.train.size) == (48, 24, 32)
    assert len(splits.train.classes) == 8 and splits.train.classes == splits.test.classes
    assert splits.train.coarse is not None and splits.train.parts is not None and splits.train.licence
    assert not torch.equal(splits.train.images[:24], splits.test.images)


def test_a_planted_shortcut_stands_in_the_training_pictures_only():
    arguments = {"image_size": 32, "train_images": 24, "test_images": 24, "species": 8}
    honest, planted = catalog.load("birds", **arguments), catalog.load("birds", **arguments, correlation=1.0)
    assert not torch.equal(honest.train.images, planted.train.images)
    assert torch.equal(honest.test.images, planted.test.images)


def test_an_unknown_knob_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="backgrund: no knob.*Did you mean background") as error:
        catalog.load("birds", backgrund=0.5)
    assert all(field.name in str(error.value) for field in fields(birds.Knobs))


def test_knobs_of_the_birds_are_refused_for_photographs(photos):
    with pytest.raises(ValueError, match="background: knobs of rendered birds"):
        catalog.load(f"folder:{photos}", background=0.5)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("bird", "Did you mean 'birds'"),
        ("CUB200", "use one of birds, cub200, .*folder:PATH"),
        ("folder:", "PATH names your folder"),
        ("folder:PATH", "PATH.* does not exist"),
        ("", "use one of"),
    ],
)
def test_an_unknown_name_is_refused_with_the_known_ones(name, message):
    with pytest.raises(ValueError, match=message):
        catalog.load(name)


@pytest.mark.parametrize("argument", ["train_images", "test_images"])
def test_a_count_below_one_is_refused(photos, argument):
    with pytest.raises(ValueError, match=f"{argument}=0"):
        catalog.load(f"folder:{photos}", **{argument: 0})


def test_fewer_photographs_keep_the_classes_in_balance(photos):
    full = catalog.load(f"folder:{photos}", image_size=8)
    assert (len(full.train), len(full.test)) == (30, 12)
    some = catalog.load(f"folder:{photos}", image_size=8, train_images=13, test_images=500, seed=4)
    counts = torch.bincount(some.train.labels, minlength=3)
    assert (
        counts.sum() == 13 and counts.min() >= 4 and len(some.test) == 12 and some.train.classes == full.train.classes
    )
    more = catalog.load(f"folder:{photos}", image_size=8, train_images=21, seed=4)
    assert set(some.train.paths) < set(more.train.paths) < set(full.train.paths)
    other = catalog.load(f"folder:{photos}", image_size=8, train_images=13, seed=5)
    assert other.train.paths != some.train.paths


def test_bad_photographs_are_raised_or_skipped(photos):
    (photos / "train" / "class1" / "bad.png").write_bytes(b"")
    with pytest.raises(ValueError, match="class1/bad.png: empty file"):
        catalog.load(f"folder:{photos}", image_size=8)
    assert len(catalog.load(f"folder:{photos}", image_size=8, on_bad="skip").train) == 30


def test_every_entry_tells_provenance_and_licence_in_one_line():
    assert all("\n" not in line and "; " in line and len(line) > 40 for line in catalog.CATALOG.values())
    assert {"birds", "cub200", "folder:PATH", "shards:PATH", "mapped:PATH"} < set(catalog.CATALOG)
