"""Settings: where values come from, and what is refused."""

from __future__ import annotations

import dataclasses
import math

import pytest

from fgssl_edu.config import LESSONS, SCALES, Settings, resolve

EVERY = [(slug, scale) for slug in LESSONS for scale in SCALES]


@pytest.mark.parametrize(("slug", "scale"), EVERY)
def test_every_lesson_resolves_at_every_scale_and_every_value_has_a_source(slug: str, scale: str):
    resolved = resolve(slug, {"scale": scale}, {})
    assert resolved.sources.keys() == dataclasses.asdict(resolved.settings).keys()
    for name, value in {**SCALES[scale], **LESSONS[slug][scale]}.items():
        assert getattr(resolved.settings, name) == value
        own = name in LESSONS[slug][scale]
        assert resolved.sources[name] == (f"lesson {slug} at {scale}" if own else f"scale {scale}")
    assert resolved.sources["scale"] == "given"


@pytest.mark.parametrize(("slug", "scale"), EVERY)
def test_a_queue_never_holds_the_picture_it_is_compared_with_too_often(slug: str, scale: str):
    settings = resolve(slug, {"scale": scale}, {}).settings
    assert settings.queue < settings.train_images or scale == "full"  # there the papers' own, which is eleven times it
    assert settings.eval_size <= settings.image_size and settings.crop_size <= settings.image_size


def test_what_is_given_wins_and_none_is_not_given():
    resolved = resolve("contrast", {"scale": "ci", "steps": 7, "lr": None}, {"FGSSL_SCALE": "full"})
    assert (resolved.settings.scale, resolved.settings.steps, resolved.settings.lr) == ("ci", 7, Settings.lr)
    assert resolved.sources["steps"] == "given" and resolved.sources["lr"] == "default"


def test_the_environment_chooses_the_scale_only_where_nothing_is_given():
    assert resolve("start", {}, {}).settings.scale == "lecture"
    assert resolve("start", {}, {"FGSSL_SCALE": ""}).settings.scale == "lecture"
    chosen = resolve("start", {"scale": None}, {"FGSSL_SCALE": "ci"})
    assert chosen.settings.scale == "ci" and chosen.sources["scale"] == "FGSSL_SCALE"
    with pytest.raises(ValueError, match=r"FGSSL_SCALE.*'lecure' \(did you mean 'lecture'\?\)"):
        resolve("start", {}, {"FGSSL_SCALE": "lecure"})


def test_the_environment_sets_what_belongs_to_the_machine_where_nothing_is_given():
    variables = {"FGSSL_DEVICES": "2", "FGSSL_NORM": "group", "FGSSL_PRECISION": "", "FGSSL_STEPS": "7"}
    chosen = resolve("start", {"scale": "ci"}, variables)
    assert (chosen.settings.devices, chosen.settings.norm, chosen.settings.precision) == (2, "group", "auto")
    assert chosen.sources["devices"] == "FGSSL_DEVICES" and chosen.settings.steps != 7  # that one is of the lesson
    given = resolve("start", {"scale": "ci", "devices": 4}, variables)
    assert given.settings.devices == 4 and given.sources["devices"] == "given"
    with pytest.raises(ValueError, match=r"FGSSL_NODES: nodes='two' is of type str.*FGSSL_NORM: norm='grop' \(did you"):
        resolve("start", {}, {"FGSSL_NODES": "two", "FGSSL_NORM": "grop"})


def test_all_mistakes_are_named_at_once_with_what_was_meant():
    with pytest.raises(ValueError) as caught:
        resolve("start", {"batchsize": 3, "steps": "many", "lr": -1, "seed": True, "optimizer": "adam"}, {})
    message = str(caught.value)
    assert "'batchsize' (did you mean 'batch'?)" in message
    assert "steps='many' is of type str; it should be a whole number (int)" in message
    assert "lr=-1 is out of range" in message
    assert "seed=True is of type bool" in message
    assert "optimizer='adam' (did you mean 'adamw'?)" in message


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lr": math.nan}, "lr=nan is out of range"),
        ({"species": 201}, "species=201 is out of range; it should be 2 to 200"),
        ({"seeds": 3}, r"no setting 'seeds' \(did you mean 'seed'\?\)"),
        ({"steps": 3.0}, "steps=3.0 is of type float"),
        ({"dataset": ""}, "dataset is empty"),
        ({"batch": 128, "scale": "ci", "devices": 3}, "does not divide by devices x nodes = 3"),
        ({"scale": "ci", "batch": 241}, "batch=241 is more than train_images=240"),
        ({"warmup": 50, "steps": 20}, "warmup=50 is more than steps=20"),
        ({"steps": list(range(1000))}, r"steps=\[0, 1, 2, 3, 4, 5, ...\]"),
    ],
)
def test_a_value_that_cannot_be_is_refused(given: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        resolve("start", given, {})


def test_an_arm_stands_above_its_lesson_and_below_what_is_given():
    asked = []

    def of_arm(method: str, scale: str, steps: int) -> dict[str, object]:
        asked.append((method, scale, steps))
        return {"moco": {"batch": 16, "queue": 8, "lr": 0.5}, "other": {"steps": 2 * steps}}[method]

    resolved = resolve("contrast", {"scale": "full", "lr": 0.25}, {}, of_arm)
    settings = resolved.settings
    assert (settings.method, settings.batch, settings.queue, settings.lr) == ("moco", 16, 8, 0.25)
    assert [resolved.sources[name] for name in ("method", "batch", "lr")] == ["scale full", "arm moco", "given"]
    chosen = resolve("contrast", {"scale": "ci", "method": "other"}, {}, of_arm)
    assert chosen.settings.steps == 24 and chosen.sources["steps"] == "arm other"
    assert asked == [("moco", "full", SCALES["full"]["steps"]), ("other", "ci", SCALES["ci"]["steps"])]
    assert resolve("contrast", {"scale": "ci", "method": "other", "steps": 7}, {}, of_arm).settings.steps == 7


def test_arms_are_asked_for_only_when_the_rest_is_right():
    with pytest.raises(
        ValueError, match="steps='many'"
    ):  # the table of arms imports torch: a typo need not wait for it
        resolve("start", {"steps": "many"}, {}, lambda *_: pytest.fail("asked"))


def test_few_steps_shorten_a_warm_up_that_nobody_asked_for():
    resolved = resolve("start", {"steps": 4}, {})
    assert resolved.settings.warmup == 4 and resolved.sources["warmup"] == "at most steps"


def test_an_unknown_lesson_is_refused_with_the_lessons():
    with pytest.raises(ValueError, match=r"'contrats' \(did you mean 'contrast'\?\); lessons are start, .*contrast"):
        resolve("contrats", {}, {})


def test_the_key_depends_on_every_value_and_on_nothing_else():
    base = Settings()
    assert base.key() == Settings().key() and len(base.key()) == 12
    changes = {"lr": 1.0, "seed": 1, "views": "simclr", "neighbours": 3, "scale": "ci", "steps": 200}
    keys = {dataclasses.replace(base, **{name: value}).key() for name, value in changes.items()}
    assert len(keys | {base.key()}) == len(changes) + 1
    assert dataclasses.replace(base, lr=1).key() == dataclasses.replace(base, lr=1.0).key()


def test_settings_refuse_what_they_are_made_with():
    with pytest.raises(ValueError, match="temperature=0 is out of range"):
        Settings(temperature=0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().steps = 3  # type: ignore[misc]
