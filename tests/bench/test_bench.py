"""The benches run at scale ci and report what they promise; their numbers are not looked at."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from fgssl_edu import bench
from fgssl_edu import panels as panels_package
from fgssl_edu.bench import panels, train
from fgssl_edu.bench.rounds import interleave, ratio
from fgssl_edu.data.birds import bird_set
from fgssl_edu.data.image_set import Splits
from fgssl_edu.views.augment import Augment
from fgssl_edu.views.presets import VIEWS


def run_json(name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> dict:
    monkeypatch.setenv("FGSSL_SCALE", "ci")
    bench.main(name, as_json=True)
    printed = capsys.readouterr().out
    assert printed.endswith("}\n")  # the object is the last thing printed
    return json.loads(printed.splitlines()[-1])


def test_contestants_take_turns_and_the_first_round_is_not_counted():
    seen: list[tuple[str, int]] = []

    def contestant(name: str):
        return lambda turn: seen.append((name, turn)) or 10

    rates = interleave({"a": contestant("a"), "b": contestant("b")}, rounds=2)
    assert seen == [(name, turn) for turn in range(3) for name in "ab"]
    assert [len(values) for values in rates.values()] == [2, 2]


def test_the_ratio_is_the_median_of_the_rounds_ratios_and_none_where_a_contestant_is_absent():
    rates = {"a": [1.0, 20.0, 3.0], "b": [1.0, 10.0, 1.0]}
    assert ratio(rates, "a", "b") == 2.0  # of 1, 2 and 3; the ratio of the medians would be 3
    assert ratio(rates, "a", "lightly") is None


def test_train_reports_every_comparison(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("lightly")
    result = run_json("train", capsys, monkeypatch)
    agreed = {"pipeline_to_step", "to_torchvision_loader", "to_lightly", "views_to_torchvision"}
    assert set(result["ratios"]) == agreed == set(train.COMPARED)
    assert all(value > 0 and math.isfinite(value) for value in result["ratios"].values())
    assert result["environment"]["threads"] == torch.get_num_threads()


def test_train_without_lightly_says_not_run(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "lightly.transforms", None)  # its import then raises
    monkeypatch.setitem(train.SETTINGS, "ci", [train.SETTINGS["ci"][0]])
    result = train.run("ci")
    assert result["ratios"]["to_lightly"] is None
    text = bench.report({"bench": "train", "scale": "ci", "environment": {"threads": 1}, **result})
    assert "to_lightly             not run" in text and "pipeline_to_step" in text


def test_ratios_are_those_of_the_course_s_crop_and_every_setting_has_its_own(monkeypatch: pytest.MonkeyPatch):
    assert train.SETTINGS["lecture"][0].crop == 32
    first, second = (dataclasses.replace(train.SETTINGS["ci"][0], name=name) for name in ("one", "two"))
    monkeypatch.setitem(train.SETTINGS, "ci", [first, second])
    for name in ("ours", "torchvision", "lightly"):
        monkeypatch.setattr(train, name, lambda *_: {})
    turns = iter([{"ours": [3.0], "step": [4.0]}, {"ours": [1.0], "step": [2.0]}])
    monkeypatch.setattr(train, "interleave", lambda *_: next(turns))
    result = train.run("ci")
    assert result["ratios"]["pipeline_to_step"] == 0.75
    assert result["tables"]["two"]["ratios"]["pipeline_to_step"] == 0.5


def test_both_per_image_pipelines_get_the_preset_with_hue_and_blur():
    preset = VIEWS[train.PRESET]
    assert preset.hue > 0 and preset.blur > 0 and preset.jitter > 0
    names = str(train.TorchvisionViews(preset, 32).view)
    assert "ColorJitter" in names and f"kernel_size=[{Augment(preset, 32).kernel}" in names.replace("(", "[")
    first, second = train.TorchvisionViews(preset, 32)(torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8))
    assert first.shape == (3, 32, 32) and first.dtype == torch.float32 and not torch.equal(first, second)


@pytest.mark.parametrize("name", ["birds", "panels"])
def test_the_other_benches_give_positive_numbers(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    result = run_json(name, capsys, monkeypatch)
    assert result["ratios"] and all(value > 0 for value in result["ratios"].values())
    text = bench.report(result)
    assert all(row in text for table in result["tables"].values() for row in table["ratios"])


def test_every_panel_is_timed():
    folder = Path(panels_package.__file__).parent
    classes = [
        name for file in folder.glob("*.py") for name in re.findall(r"^class (\w+)\(Panel\)", file.read_text(), re.M)
    ]
    splits = Splits(bird_set(30, size=32, seed=1), bird_set(30, size=32, seed=2, split="test"))
    assert sorted(type(make()).__name__ for make, _, _ in panels.contestants(splits, 1).values()) == sorted(classes)


def test_no_move_of_the_panels_bench_finds_its_picture_kept():
    splits = Splits(bird_set(30, size=32, seed=1), bird_set(120, size=32, seed=2, split="test"))
    for make, moves_by_name, _ in panels.contestants(splits, panels.MOVES["lecture"]).values():
        panel = make()
        panel.draw = lambda **_: np.zeros((8, 8, 3), dtype=np.uint8)  # what is asked is the cache, not the picture
        for moves in moves_by_name.values():
            for values in moves:
                panels.timed_move(panel, values)


def test_a_kept_picture_is_not_timed():
    splits = Splits(bird_set(30, size=32, seed=1), bird_set(30, size=32, seed=2, split="test"))
    panel = panels.contestants(splits, 1)["neighbours"][0]()
    with pytest.raises(AssertionError, match="drawn before"):
        panels.timed_move(panel, {"query": 0})


def test_percentiles_are_of_wall_and_of_cpu_time():
    found = panels.percentiles([(float(i), 2.0 * i) for i in range(101)])
    assert found == {"wall p50": 50, "wall p95": 95, "cpu p50": 100, "cpu p95": 190}


def test_an_unknown_bench_is_refused_with_the_names_there_are():
    with pytest.raises(ValueError, match="no bench 'trian'; choose one of train, birds, panels"):
        bench.main("trian")
