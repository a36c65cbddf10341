"""From an open set to training images: what each arm of the lesson trains on, and the list that is kept of it."""

from __future__ import annotations

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from fgssl_edu import config, coreset, paths, records
from fgssl_edu.evaluate.features import extract
from fgssl_edu.runs import arms, coresets, experiment

TINY = {"scale": "ci", "steps": 2, "batch": 16, "target_images": 48, "test_images": 48, "open_images": 100}
TINY |= {"image_size": 32, "crop_size": 24, "eval_size": 24, "centroids": 4, "budget": 0.1, "species": 24}


def settings(**given: object) -> config.Settings:
    return config.resolve("simcore", {**TINY, **given}).settings


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("FGSSL_HOME", str(tmp_path))


def test_x_alone_is_the_target_and_nothing_else():
    images, splits, metrics = coresets.training_images("none", settings())
    assert torch.equal(images, splits.train.images) and len(images) == 48 and metrics == {}


@pytest.mark.parametrize("choice", ["random", "raw", "simcore", "stop", "facility", "oracle"])
def test_x_comes_first_and_the_chosen_pictures_are_the_listed_ones(choice: str):
    images, splits, metrics = coresets.training_images(choice, settings())
    (file,) = (paths.cache_dir() / "coresets").glob("*.csv")
    chosen, provenance = coreset.load(file, 100)
    _, pool = coresets.target_and_pool(settings())
    assert torch.equal(images[:48], splits.train.images)
    assert torch.equal(images[48:], pool.images.images[chosen.indices]) and metrics["coreset/size"] == len(chosen)
    assert metrics["coreset/precision"] == pytest.approx(pool.relevant[chosen.indices].float().mean().item())
    assert provenance["choice"] == choice and "birds_open" in provenance["open_set"]
    if choice != "stop":
        assert len(chosen) == 10


def test_the_oracle_is_all_relevant_and_the_whole_set_has_the_base_rate():
    assert coresets.training_images("oracle", settings())[2]["coreset/precision"] == 1
    whole = coresets.training_images("all", settings())[2]
    assert whole["coreset/precision"] == whole["coreset/base_rate"] and whole["coreset/recall"] == 1


def test_the_open_set_alone_has_no_picture_of_x_and_nothing_is_scored_that_nobody_knows(
    monkeypatch: pytest.MonkeyPatch,
):
    pool = coresets.pool_of(settings())
    images, scored, metrics = coresets.training_images("only", settings())
    assert torch.equal(images, pool.images.images) and len(scored.train) == 48 and metrics["coreset/size"] == 100
    unknown = dataclasses.replace(pool, relevant=torch.zeros(100, dtype=torch.bool))
    monkeypatch.setattr(coresets, "pool_of", lambda _: unknown)
    assert not {"coreset/precision", "coreset/recall"} & set(coresets.training_images("random", settings())[2])


def test_another_method_trains_both_the_encoder_that_chooses_and_the_one_that_is_scored(
    monkeypatch: pytest.MonkeyPatch,
):
    made: list[str] = []
    build = arms.build_arm
    monkeypatch.setattr(arms, "build_arm", lambda *a: (made.append(a[0].method), build(*a))[1])
    experiment.run_arm(arms.ARMS["simcore"]["byol_stop"], settings(), seed=1)
    assert made == ["byol", "byol"]


def test_the_encoder_of_x_is_trained_once_for_all_choices(monkeypatch: pytest.MonkeyPatch):
    given = settings()
    train = coresets.target_and_pool(given)[0].train
    first = coresets.encoder_on_x(given, train).state_dict()
    monkeypatch.setattr(coresets, "pretrain", lambda *_, **__: pytest.fail("trained again"))
    again = coresets.encoder_on_x(
        dataclasses.replace(given, centroids=2, tau=0.5, method="simcore_k1"), train
    ).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in first.items())


def test_an_unknown_choice_is_told_the_known_ones():
    with pytest.raises(ValueError, match="facility"):
        coresets.select("nearest", torch.ones(2, 2), torch.ones(2, 2), settings(), torch.ones(2, dtype=torch.bool))


def test_an_arm_trains_on_what_was_chosen_and_is_scored_on_x():
    row = experiment.run_arm(arms.ARMS["simcore"]["simcore"], settings(), seed=1)
    assert row["metrics"]["coreset/size"] == 10 and 0 <= row["metrics"]["species/knn"] <= 1
    json.dumps(row)


@pytest.fixture()
def laid(monkeypatch: pytest.MonkeyPatch) -> list[list[torch.Tensor]]:
    """What UMAP was asked to lay out, call by call; it stands still and hands back two of the dimensions."""
    asked: list[list[torch.Tensor]] = []

    def umap_map(*sets: torch.Tensor) -> list[torch.Tensor]:
        asked.append(list(sets))
        return [40 * rows[:, :2] for rows in sets]

    monkeypatch.setattr(coresets, "umap_map", umap_map)
    return asked


def test_the_shipped_map_is_one_of_both_sets_by_the_encoder_of_x_of_seed_0(laid: list[list[torch.Tensor]]):
    points = coresets.umap_points(settings(seed=3))
    ((x, heap),) = laid
    assert x.shape == (48, 128) and heap.shape == (100, 128)
    assert torch.allclose(torch.cat([x, heap]).norm(dim=1), torch.ones(148), atol=1e-5)
    encoder = coresets.encoder_on_x(settings(seed=0), coresets.target_and_pool(settings())[0].train)
    _, pool = coresets.target_and_pool(settings())
    assert torch.allclose(heap, F.normalize(extract(encoder, pool.images.images, 24), dim=1), atol=1e-6)
    assert {name: len(rows) for name, rows in points.items()} == {"x": 48, "open": 100}
    flat = torch.tensor(points["x"] + points["open"]).flatten()
    share = float((flat.abs() <= 1).float().mean())
    assert share == pytest.approx(0.98, abs=0.01) and all(len(row) == 2 for row in points["open"])
    given = torch.cat([x, heap])[:, :2].flatten()
    assert torch.allclose(flat / flat.abs().max(), given / given.abs().max(), atol=2e-3)  # one scale for all
    assert len(json.dumps(points["x"][0])) <= len("[-0.123, -0.456]")


def test_only_a_whole_record_with_an_open_set_carries_the_map(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    assert written("simcore", monkeypatch, tmp_path)["maps"] == {"x": [[0.5, -0.5]], "open": []}
    assert "maps" not in written("simcore", monkeypatch, tmp_path, only=("x",))
    assert "maps" not in written("simcore", monkeypatch, tmp_path, given={"steps": 2})
    assert "maps" not in written("start", monkeypatch, tmp_path)


def test_the_shipped_record_has_a_point_for_every_picture_of_its_sets():
    record = records.load_reference("simcore")
    wanted = {"x": record["settings"]["target_images"], "open": record["settings"]["open_images"]}
    assert {name: len(points) for name, points in record["maps"].items()} == wanted


def written(slug: str, monkeypatch: pytest.MonkeyPatch, folder: Path, **how: object) -> dict:
    """The record that `reference` writes, its runs and its map left out."""
    row = {"title": "", "seed": 0, "metrics": {}, "protocol": {}, "cpu_seconds": 0.0}
    monkeypatch.setattr(experiment, "cached_run", lambda arm, settings, seed, given: {**row, "seed": seed})
    monkeypatch.setattr(experiment, "ProcessPoolExecutor", lambda jobs, mp_context: ThreadPoolExecutor(jobs))
    monkeypatch.setattr(coresets, "umap_points", lambda settings: {"x": [[0.5, -0.5]], "open": []})
    target = experiment.reference(slug, seeds=1, target=folder / "r.json", report=lambda line: None, **how)
    return json.loads(target.read_text())
