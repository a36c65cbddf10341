"""Arms that train on crops of one photograph: what they are fed, what is kept, which photograph is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from PIL import Image

from fgssl_edu import config
from fgssl_edu.data.single_image import FARMS, crop_set
from fgssl_edu.runs import arms, experiment, parameters

TINY = {"scale": "ci", "steps": 2, "batch": 16, "train_images": 96, "test_images": 48, "image_size": 32, "species": 8}
TABLE = arms.ARMS["one-image"]
FARMED = [name for name, arm in TABLE.items() if arm.extra]
LAYERS = [f"layer/conv{number}" for number in range(1, 6)]


@pytest.fixture
def settings() -> config.Settings:
    return config.resolve("one-image", {**TINY, "crops": 40}).settings


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A photograph of one's own."""
    path = tmp_path / "mine.png"
    across = torch.linspace(0, 255, 90).byte().expand(3, 70, 90).permute(1, 2, 0)
    Image.fromarray(across.numpy()).save(path)
    return path


@pytest.fixture
def unscored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows without their scores, which take longer than such a training."""
    monkeypatch.setattr(experiment.suite, "evaluate", lambda *_: {})
    monkeypatch.setattr(experiment, "by_layer", lambda *_: {})


@pytest.fixture
def fed(unscored: None, monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """The pixels that trainings are given."""
    seen: list[torch.Tensor] = []
    real = experiment.pretrain

    def watched(method, images, *rest, **named):
        seen.append(images)
        return real(method, images, *rest, **named)

    monkeypatch.setattr(experiment, "pretrain", watched)
    return seen


def learned(row: dict) -> dict:
    """A row without its times."""
    metrics = {name: value for name, value in row["metrics"].items() if not name.startswith("cost/")}
    return {"curve": row["curve"], "metrics": metrics}


def test_the_arms_of_a_farm_are_those_that_say_so():
    assert FARMED == ["one_rotation", "flower", "few_crops", "upright", "one_simclr", "one_moco"]
    assert all(TABLE[name].extra in FARMS for name in FARMED)


@pytest.mark.parametrize("name", FARMED)
def test_a_farmed_arm_trains_on_its_crops_and_on_nothing_else(
    name: str, settings: config.Settings, fed: list[torch.Tensor]
):
    experiment.run_arm(TABLE[name], settings, seed=1)
    photograph, count = ("flower" if name == "flower" else "china"), 100 if name == "few_crops" else 40
    assert len(fed) == 1
    assert torch.equal(fed[0], crop_set(photograph, count, 32, 1, FARMS[TABLE[name].extra]).images)


def test_its_twin_trains_on_the_birds(settings: config.Settings, fed: list[torch.Tensor]):
    experiment.run_arm(TABLE["many_rotation"], settings, seed=1)
    assert len(fed) == 1 and torch.equal(fed[0], arms.load(settings).train.images)


def test_nothing_but_the_pictures_tells_the_two_apart():
    for method in ("rotation", "simclr", "moco"):
        one, many = f"one_{method}", f"many_{method}"
        assert dataclasses.replace(TABLE[one], extra="", title="") == dataclasses.replace(TABLE[many], title="")


def test_another_seed_has_other_crops_and_the_same_one_the_same(settings: config.Settings):
    first, again, other = (
        arms.crops(TABLE["one_rotation"], dataclasses.replace(settings, seed=seed)).images for seed in (3, 3, 4)
    )
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_rows_do_not_depend_on_the_order_of_seeds(settings: config.Settings, unscored: None):
    rows = {seed: learned(experiment.run_arm(TABLE["one_rotation"], settings, seed)) for seed in (0, 1)}
    back = {seed: learned(experiment.run_arm(TABLE["one_rotation"], settings, seed)) for seed in (1, 0)}
    assert rows == back and rows[0] != rows[1]


def test_a_row_is_kept_by_the_photograph_and_the_crops_it_was_trained_on(
    settings: config.Settings, monkeypatch: pytest.MonkeyPatch
):
    computed = []
    monkeypatch.setattr(experiment, "run_arm", lambda *asked: computed.append(asked) or {"row": len(computed)})
    arm = TABLE["one_rotation"]
    kept = experiment.cached_run(arm, settings, seed=0)
    assert experiment.cached_run(arm, dataclasses.replace(settings, method="many_rotation"), seed=0) == kept
    changes = [{"photograph": "flower"}, {"crops": 41}, {"image_size": 40}]
    others = [experiment.cached_run(arm, dataclasses.replace(settings, **change), seed=0) for change in changes]
    others.append(experiment.cached_run(dataclasses.replace(arm, extra="one_image_upright"), settings, seed=0))
    assert [kept, *others] == [{"row": number} for number in range(1, 6)]


@pytest.mark.parametrize("name", ["random", "one_rotation", "supervised"])
def test_a_row_has_a_probe_of_every_layer_and_what_the_filters_are_like(
    name: str, settings: config.Settings, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(experiment.suite, "evaluate", lambda *_: {})
    row = experiment.run_arm(TABLE[name], settings, seed=0)
    assert set(row["metrics"]) >= {*LAYERS, "filters/oriented", "filters/chromatic"}
    assert row["protocol"]["layer/conv1"]["pooling"] == "adaptive max"
    assert row["protocol"]["filters/oriented"] == {"encoder": "alexnet_small"}


def test_other_encoders_have_no_layers_in_their_rows():
    settings = config.resolve("contrast", TINY).settings
    assert experiment.by_layer(arms.untrained(settings), arms.load(settings), settings) == {}


def test_a_record_of_farmed_arms_needs_no_open_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(experiment, "run_all", lambda *_: [{"protocol": {}, "metrics": {}, "arm": "one_rotation"}])
    monkeypatch.setattr(experiment.coresets, "umap_points", lambda *_: pytest.fail("an open set was mapped"))
    written = experiment.reference("one-image", seeds=1, scale="ci", target=tmp_path / "record.json")
    assert '"maps"' not in written.read_text()


def test_a_photograph_of_ones_own_is_found_from_where_its_user_stands(mine: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(mine.parent)
    resolved, notes = parameters.settle("one-image", {"photograph": "mine.png", "scale": "ci"})
    assert resolved.settings.photograph == str(mine) and resolved.sources["photograph"] == "given" and notes == []
    assert "mine.png" in arms.crops(TABLE["one_rotation"], dataclasses.replace(resolved.settings, crops=3)).provenance


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("nowhere.jpg", r"photograph='.*nowhere\.jpg': .*; choose china or flower, or give the path of a JPEG or PNG"),
        ("chian", r"photograph='.*chian': .*; choose china or flower"),
        ("text.png", r"photograph='.*text\.png': not an image; choose china or flower"),
        ("small.png", r"photograph='.*small\.png' is 90 x 50 px: .* at least 64 px"),
    ],
)
def test_what_cannot_be_cut_up_is_refused_before_anything_starts(
    written: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.png").write_text("no picture")
    Image.new("RGB", (90, 50)).save(tmp_path / "small.png")
    with pytest.raises(ValueError, match=message):
        parameters.settle("one-image", {"photograph": written, "scale": "ci"})


def test_lessons_without_a_farm_do_not_look_at_the_photograph():
    resolved, _ = parameters.settle("contrast", {"photograph": "nowhere.jpg", "scale": "ci"})
    assert resolved.settings.photograph.endswith("nowhere.jpg")


@pytest.mark.parametrize("crops", [1, 0])
def test_too_few_crops_are_refused(crops: int):
    with pytest.raises(ValueError, match=f"crops={crops}"):
        parameters.settle("one-image", {"crops": crops, "scale": "ci"})
