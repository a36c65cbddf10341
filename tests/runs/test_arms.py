"""Every arm of every lesson can be built and trained, and differs from the others in what its title says."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from PIL import Image

from fgssl_edu import config
from fgssl_edu.data.birds import World, bird_set
from fgssl_edu.data.mapped import write_map
from fgssl_edu.methods.contrastive.simclr import SimCLR
from fgssl_edu.nets.inputs import LabEncoder
from fgssl_edu.runs import arms, experiment

ALL = [(slug, name) for slug, table in arms.ARMS.items() for name in table]
TINY = {"scale": "ci", "steps": 1, "batch": 16, "train_images": 144, "test_images": 48, "image_size": 32, "queue": 32}


def tiny(slug: str) -> config.Settings:
    return config.resolve(slug, {**TINY, "crop_size": 24, "eval_size": 32, "species": 8}).settings


@pytest.mark.parametrize(("slug", "name"), ALL)
def test_every_arm_trains_a_step_on_birds(slug: str, name: str):
    arm = arms.ARMS[slug][name]
    settings = arms.arm_settings(arm, tiny(slug), seed=1)
    splits = arms.load(settings)
    if arm.method is None:
        before = arms.untrained(settings).state_dict()
        assert all(torch.equal(value, before[key]) for key, value in arms.untrained(settings).state_dict().items())
        return
    method, history = experiment.train_arm(arm, settings, splits.train)
    assert [row["step"] for row in history.rows] == list(range(1, settings.steps + 1))
    assert method.seed == 1


def test_arms_of_a_lesson_are_all_different():
    for slug, table in arms.ARMS.items():
        seen = [dataclasses.replace(arm, title="") for arm in table.values()]
        assert all(seen.count(arm) == 1 for arm in seen), slug
        assert len({arm.title for arm in table.values()}) == len(table)


def test_the_settings_of_an_arm_reach_its_method():
    settings = arms.arm_settings(arms.ARMS["contrast"]["tau_1"], tiny("contrast"), seed=0)
    method = arms.build_arm(arms.ARMS["contrast"]["tau_1"], settings, arms.load(settings).train)
    assert isinstance(method, SimCLR) and method.temperature == 1.0


def test_what_an_arm_sees_is_what_its_encoder_sees_trained_or_not():
    settings, table = tiny("colour"), arms.ARMS["colour"]
    for name in ("random_lightness", "supervised_lightness", "simclr_lightness"):
        arm = table[name]
        train = arms.load(settings).train
        encoder = (
            arms.untrained(settings, arm.sees) if arm.method is None else arms.build_arm(arm, settings, train).encoder
        )
        assert isinstance(encoder, LabEncoder) and encoder.channels == (0,)
    assert arms.untrained(settings).name == settings.encoder


def test_arms_that_leave_a_part_of_the_views_out():
    settings = tiny("contrast")
    crop, colour = (
        arms.view_presets(arms.ARMS["contrast"][name], settings)[0] for name in ("crop_only", "colour_only")
    )
    assert (crop.jitter, crop.gray) == (0, 0) and crop.crop[0] < 1
    assert colour.crop == (1.0, 1.0) and colour.flip == 0 and colour.jitter > 0


def test_an_arm_asks_for_what_the_images_do_not_have():
    settings = tiny("coarse-bias")
    train = arms.load(settings).train
    bare = dataclasses.replace(train, foreground=None, coarse=None)
    with pytest.raises(ValueError, match="true masks"):
        arms.build_arm(arms.ARMS["coarse-bias"]["swap"], settings, bare)
    with pytest.raises(ValueError, match="genus labels"):
        arms.build_arm(arms.ARMS["coarse-bias"]["genus"], settings, bare)


def test_pictures_without_labels_are_refused_by_name(tmp_path: Path):
    for number in range(4):
        Image.new("RGB", (40, 40), (number * 60, 90, 120)).save(tmp_path / f"{number}.png")
    rows = "".join(f"{number}.png,,unlabelled\n" for number in range(4))
    (tmp_path / "manifest.csv").write_text(f"path,label,split\n{rows}")
    with pytest.raises(ValueError, match="no labelled test pictures"):
        arms.load(dataclasses.replace(tiny("start"), dataset=f"folder:{tmp_path}"))


def test_a_mistyped_arm_is_told_the_arms():
    with pytest.raises(ValueError, match="simclr"):
        arms.arm_named("contrast", "simclear")


def test_a_planted_shortcut_stands_in_the_training_pictures_only():
    settings = dataclasses.replace(tiny("coarse-bias"), correlation=1.0)
    splits = arms.load(settings)
    assert splits.train.factors.background_family is not None
    families = [(images.factors.background_family, images.labels) for images in (splits.train, splits.test)]
    told = [len({(int(f), int(y)) for f, y in zip(family, labels, strict=True)}) for family, labels in families]
    assert told[0] == 8 and told[1] > 8  # one family a species in training, several in the test


def test_of_a_set_not_in_memory_all_is_trained_on_and_labels_keep_to_the_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    whole = bird_set(96, size=32, seed=0, world=World.make(species=8))
    for split, part in (("train", whole), ("test", whole)):
        write_map([(part.images, part.labels)], tmp_path / split, size=32, classes=whole.classes)
    settings = dataclasses.replace(tiny("contrast"), dataset=f"mapped:{tmp_path}", train_images=24)
    splits = arms.load(settings)
    assert (len(splits.train), splits.stream.count, len(splits.test)) == (24, 96, 48)
    simclr, supervised = (arms.build_arm(arm, settings, splits.train) for arm in (arms.SIMCLR, arms.SUPERVISED))
    assert arms.trained_on(simclr, splits.train, splits) is splits.stream
    assert arms.trained_on(supervised, splits.train, splits) is splits.train
    assert arms.trained_on(simclr, splits.test, splits) is splits.test
    trained = []
    monkeypatch.setattr(experiment, "train_arm", lambda arm, settings, images, extra: trained.append(extra) or 1 / 0)
    for arm in (arms.SIMCLR, arms.SUPERVISED):
        with pytest.raises(ZeroDivisionError):
            experiment.run_arm(arm, settings, seed=0)
    assert trained[0].count == 96 and trained[1] is None
