"""One run of an arm, its cache, and the records that are shipped."""

from __future__ import annotations

import math
from importlib import resources
from pathlib import Path

import pytest

from fgssl_edu import config, records
from fgssl_edu.runs import arms, experiment
from fgssl_edu.runs.arm_tables.scoreboard import SLUG

TINY = {"scale": "ci", "steps": 2, "batch": 16, "train_images": 96, "test_images": 48, "image_size": 32, "species": 8}
TRIED_ONCE = ("--ten-times", "--longer", "--plain", "scoreboard--birds", "scoreboard--flowers", "scoreboard--signs")
SHIPPED = sorted(
    item.name.removesuffix(".json")
    for item in (resources.files("fgssl_edu") / "reference").iterdir()
    if item.name.endswith(".json")
)


def test_a_run_is_computed_once_and_then_read(monkeypatch: pytest.MonkeyPatch):
    settings = config.resolve("start", TINY).settings
    first = experiment.cached_run(arms.SUPERVISED, settings, seed=3)
    assert first["seed"] == 3 and first["curve"]["step"] == [1, 2] and "species/own_classifier" in first["metrics"]
    monkeypatch.setattr(experiment, "run_arm", lambda *_: pytest.fail("computed again"))
    assert experiment.cached_run(arms.SUPERVISED, settings, seed=3) == first


def test_the_same_seed_gives_the_same_row_and_another_seed_another():
    settings = config.resolve("start", TINY).settings
    rows = [experiment.run_arm(arms.SIMCLR, settings, seed)["curve"]["loss"] for seed in (0, 0, 1)]
    assert rows[0] == rows[1] != rows[2]


def test_numbers_are_shipped_with_five_digits():
    assert experiment.five_digits({"a": [0.1234567, 2], "b": "x"}) == {"a": [0.12346, 2], "b": "x"}


def test_a_protocol_keeps_what_all_runs_agree_on():
    runs = [{"linear": {"C": 1.0, "k": 5}}, {"linear": {"C": 0.1, "k": 5}, "own": {"n": 3}}]
    assert experiment.shared_protocol(runs) == {"linear": {"k": 5}, "own": {"n": 3}}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_record_is_whole(name: str):
    record = records.load_reference(name)
    slug = record["lesson"]
    found = {run["arm"]: sorted(r["seed"] for r in record["runs"] if r["arm"] == run["arm"]) for run in record["runs"]}
    own, beside = name == slug, "--" in name  # a lesson's own record; one of some arms under other settings
    wanted = [arm for arm, what in arms.ARMS[slug].items() if what.shipped and (own or not what.needs_birds)]
    some = set(found) <= set(arms.ARMS[slug]) if slug == SLUG else set(found) < set(arms.ARMS[slug])
    assert some if beside else (list(found) == wanted)
    few = name.endswith(TRIED_ONCE)
    assert all(seeds == list(range(len(seeds))) and len(seeds) >= (1 if few else 3) for seeds in found.values())
    live = experiment.LIVE_ARMS[slug]
    assert not own or len(found[live]) >= 5
    assert all(math.isfinite(value) for run in record["runs"] for value in run["metrics"].values())
    assert record["command"].startswith(f"fgssl reference {slug}")


def test_every_lesson_has_a_record_of_its_own_lecture_settings():
    for slug in config.LESSONS.keys() - {SLUG}:  # whose numbers are the other lessons'
        settings = config.resolve(slug, {"scale": "lecture"}, {}).settings
        shipped = records.load_reference(slug)["settings"]
        assert {key: shipped[key] for key in vars(settings)} == vars(settings)


def test_the_scoreboard_repeats_no_record_of_another_lesson():
    with pytest.raises(ValueError, match=r"own lessons; .* --out FILE"):
        experiment.reference(SLUG)


def test_other_settings_than_the_shipped_ones_need_a_file(tmp_path: Path):
    from typer.testing import CliRunner

    from fgssl_edu.cli import app

    result = CliRunner().invoke(app, ["reference", "start", "-p", "steps=3"])
    assert isinstance(result.exception, ValueError) and "--out" in str(result.exception)
