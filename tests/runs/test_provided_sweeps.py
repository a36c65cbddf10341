"""The sweeps that come with the package: every run can be made, is what the paper's table says, and is there once."""

from __future__ import annotations

import dataclasses
import itertools
import json
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from fgssl_edu import config, paths
from fgssl_edu.data import catalog, open_set
from fgssl_edu.runs import named_data, parameters, tables

FOLDER = Path(str(resources.files("fgssl_edu"))) / "sweeps"
RUNS = {  # rows of the table x what the grid has x data sets, without the seeds; counted by hand
    "eccv24-table1": 9,
    "eccv24-table2": 4,
    "eccv24-table3": 21,
    "eccv24-table4": 12,
    "eccv24-table6": 4,
    "eccv24-table7": 5,
    "eccv24-table8": 9,
    "eccv24-figure5": 5,
    "eccv24-figure6": 11,
    "lcr-table2": 9,
    "lcr-table3": 51,
    "simcore-table2": 100,
    "simcore-table3": 48,
    "simcore-table4": 48,
    "simcore-table5": 12,
    "simcore-finetuning": 12,
    "moco-v2-ablation": 6,
    "scoreboard": 21,
}
FIRST = "first-sweep"  # to try, on a laptop
SEEDS = {name: 1 if name.startswith(("simcore", "moco")) else 3 for name in RUNS}
PICTURES = {"cub200": 5994, "cars": 8144, "aircraft": 6667, "gtsrb": 26640, "isic2017": 2000, "pets": 3680}
PICTURES |= {"dogs": 12000, "flowers102": 2040, "actions40": 4000, "indoor67": 5360, "dtd": 3760, "food11": 13296}
OPEN = 1_281_167  # of ImageNet-1k


def read(name: str) -> dict[str, Any]:
    return tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))


def expanded(table: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every run but for its seed: name, lesson, parameters."""
    grid = table.get("grid", {})
    for row, values in itertools.product(table.get("runs", [{}]), itertools.product(*grid.values())):
        assert not set(grid) & {*row, *table.get("parameters", {})}, f"{row}: a key of the grid stands elsewhere too"
        own = {key: value for key, value in row.items() if key not in ("name", "lesson")}
        cell = dict(zip(grid, values, strict=True))
        lesson = row.get("lesson", table["lesson"])
        yield row.get("name", str(cell)), lesson, {**table.get("parameters", {}), **own, **cell}


@cache
def settled(name: str) -> dict[str, tuple[str, config.Settings]]:
    """The settings of each run of a sweep by the run's name, every check made but whether the data are on disk."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(named_data, "on_disk", lambda _: True)
        patch.setattr(named_data, "check_data", lambda _: None)
        patch.setattr(open_set, "check_open_set", lambda _: None)
        patch.delenv("FGSSL_SCALE", raising=False)
        for title, lesson, given in expanded(read(name)):
            (notebook,) = paths.notebooks_dir().glob(f"[0-9][0-9]_{lesson}.ipynb")
            parameters.check_declared(given, parameters.declared_by(json.loads(notebook.read_text(encoding="utf-8"))))
            found[title] = lesson, parameters.settle(lesson, given)[0].settings
    return found


def of(name: str) -> list[config.Settings]:
    return [settings for _, settings in settled(name).values()]


def test_the_sweeps_are_those_that_are_counted():
    assert {path.stem for path in FOLDER.iterdir()} == {*RUNS, FIRST}


@pytest.mark.parametrize("name", RUNS)
def test_every_data_set_of_a_sweep_can_be_had(name: str):
    named = {value for settings in of(name) for value in (settings.dataset, settings.open_set)}
    assert named <= {*catalog.CATALOG, "birds_open"}


@pytest.mark.parametrize("name", RUNS)
def test_a_sweep_has_the_rows_of_its_table_and_every_run_can_be_made(name: str):
    table = read(name)
    assert set(table) <= {"title", "source", "lesson", "seeds", "runs", "parameters", "grid"}
    assert table["seeds"] == SEEDS[name] and len(list(expanded(table))) == RUNS[name]
    assert len({title for title, _, _ in expanded(table)}) == RUNS[name], "a run's name stands for two"
    assert len(settled(name)) == RUNS[name]
    assert {settings.scale for settings in of(name)} == {"lecture" if name == "scoreboard" else "full"}


@pytest.mark.parametrize("name", RUNS)
def test_no_two_runs_of_a_sweep_are_alike(name: str):
    keys = [(lesson, settings.key()) for lesson, settings in settled(name).values()]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("name", [name for name in RUNS if name != "scoreboard"])
def test_the_paper_of_a_sweep_stands_in_the_report_of_its_lesson(name: str):
    table = read(name)
    number = table["source"].partition("arXiv ")[2].partition(",")[0]
    assert any(number in row["source"] for row in tables.papers(table["lesson"])), number


@pytest.mark.parametrize("name", [name for name in RUNS if name.startswith("eccv24")])
def test_eccv24_trains_for_100_epochs_of_batch_128_as_its_appendix_says(name: str):
    for settings in of(name):
        epoch = PICTURES[settings.dataset] // 128
        assert (settings.batch, settings.steps, settings.queue) == (128, 100 * epoch, 65536), settings
        assert (settings.encoder, settings.crop_size, settings.momentum) == ("resnet50", 224, 0.9)
        simsiam, decoded = (
            settings.method.startswith("simsiam"),
            settings.method not in ("start", "moco", "lcr", "dino"),
        )
        if settings.method != "dino":
            assert settings.lr == (0.05 if simsiam else 0.03)
        fits = decoded and settings.method not in ("supervised", "simsiam")
        assert settings.decoder_steps == (200 * epoch if fits else 0), settings.method  # appendix B.2
        assert settings.probe == "eccv24"


def test_eccv24_varies_one_thing_at_a_time():
    assert [settings.nu for settings in of("eccv24-table6")] == [0.0, 0.1, 0.5, 1.0]
    assert [settings.threshold for settings in of("eccv24-table7")] == [0.0, 0.01, 0.02, 0.05, 1.0]
    alphas = of("eccv24-figure5")
    assert {0.5, 1.0} <= {settings.alpha for settings in alphas} and {settings.nu for settings in alphas} == {0.0}
    assert {settings.dataset for settings in alphas} == {"cars"}
    intensities = (0.05, 0.1, 0.2, 0.5, 1.0)
    for method, field in (("gradcam", "sigma_cam"), ("variance", "sigma_var")):
        found = [getattr(settings, field) for settings in of("eccv24-figure6") if settings.method == method]
        assert tuple(found) == intensities
    published = {(s.nu, s.threshold) for table in (1, 2, 3, 4, 8) for s in of(f"eccv24-table{table}")}
    assert published == {(0.5, 0.02)}
    methods = [settings.method for settings in of("eccv24-table4") if settings.dataset == "cars"]
    assert methods == ["moco", "gradcam", "variance", "pairs"]


def test_lcr_compares_two_batches_and_takes_the_released_code():
    for settings in of("lcr-table2") + of("lcr-table3"):
        assert settings.steps == 100 * (PICTURES[settings.dataset] // settings.batch)
        assert (settings.queue, settings.kernels, settings.probe, settings.encoder) == (65536, 32, "lcr", "resnet50")
    found = {(s.method, s.batch) for s in of("lcr-table3") if s.dataset == "cub200"}
    methods = ("dino", "simclr", "byol", "simsiam", "moco", "barlow", "vicreg", "lcr_paper")
    assert found == {("supervised", 128), *itertools.product(methods, (32, 128))}
    rates = {(s.method, s.batch): s.lr for s in of("lcr-table3")}
    assert rates["lcr_paper", 128] == rates["moco", 128] == 0.03 and rates["byol", 128] == pytest.approx(
        0.3 * 128 / 256
    )


@pytest.mark.parametrize(
    ("dataset", "method", "budget", "epochs", "chosen"),
    [
        ("aircraft", "x", None, 5000, 0),
        ("aircraft", "open", None, 100, OPEN - 6667),
        ("cars", "x_all", None, 100, OPEN),
        ("cub200", "simcore", 0.01, 5000, 12_812),
        ("food11", "simcore_k1", 0.05, 2000, 64_058),
        ("pets", "simcore_stop", None, 694, 184_488),  # 14.4 %
        ("cub200", "simcore_stop", None, 729, 175_520),  # 13.7 %
        ("actions40", "simcore_stop", None, 641, 199_862),  # 15.6 %
        ("aircraft", "simcore_stop", None, 5000, 13_196),  # 1.03 %, the cap
    ],
)
def test_simcore_trains_as_long_as_its_rule_says(
    dataset: str, method: str, budget: float | None, epochs: int, chosen: int
):
    found = [s for s in of("simcore-table2") if (s.dataset, s.method) == (dataset, method)]
    (settings,) = [s for s in found if budget is None or s.budget == budget]
    assert settings.steps == epochs * ((PICTURES[dataset] + chosen) // 512)


def test_simcore_s_budgets_centroids_and_recipe_are_the_published_ones():
    for number in (2, 3, 5):
        for settings in of(f"simcore-table{number}"):
            assert (settings.batch, settings.lr, settings.weight_decay, settings.optimizer) == (512, 0.1, 1e-4, "sgd")
            assert (settings.temperature, settings.views, settings.init) == (0.07, "simcore", "random")
            assert (settings.open_set, settings.tau) == ("imagenet1k", 0.95)
            assert settings.centroids == (1 if settings.method == "simcore_k1" else 100)
    budgets = [s.budget for s in of("simcore-table2") if s.method in ("x_random", "simcore", "simcore_k1")]
    assert sorted(set(budgets)) == [0.01, 0.05] and len(budgets) == 60
    encoders = {s.encoder for s in of("simcore-table3")}
    assert encoders == {"efficientnet_b0", "resnet18", "resnext50_32x4d", "resnet101"}
    learners = {(s.method.partition("_")[0], s.encoder) for s in of("simcore-table4")}
    assert learners == {("byol", "resnet50"), ("swav", "resnet50"), ("dino", "vit_tiny"), ("mae", "vit_base")}
    assert {s.finetune_epochs for s in of("simcore-finetuning")} == {100}


def test_the_ablation_of_moco_adds_one_thing_a_row():
    epoch = OPEN // 256
    rows = [(s.method, s.temperature, s.views, s.lr_schedule, s.steps // epoch) for s in of("moco-v2-ablation")]
    assert rows == [
        ("moco_v1", 0.07, "moco_v1", "steps", 200),
        ("moco", 0.2, "moco_v1", "steps", 200),
        ("moco_v1", 0.07, "moco_v2", "steps", 200),
        ("moco", 0.2, "moco_v2", "steps", 200),
        ("moco", 0.2, "moco_v2", "cosine", 200),
        ("moco", 0.2, "moco_v2", "cosine", 800),
    ]
    shared = {(s.batch, s.lr, s.queue, s.ema, s.weight_decay, s.init) for s in of("moco-v2-ablation")}
    assert shared == {(256, 0.03, 65536, 0.999, 1e-4, "random")}


def test_the_new_knobs_of_pairs_reach_the_method():
    settings = dataclasses.replace(of("eccv24-figure5")[1], encoder="resnet10", init="random", crop_size=32)
    from fgssl_edu.runs import arms

    fields = arms.own_fields("pairs", settings)
    assert (fields["alpha"], fields["nu"]) == (0.1, 0.0)
