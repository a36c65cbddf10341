"""Sweep files: what they expand to, how a run is named and stands, and every mistake before anything starts."""

# ruff: noqa: F811  # a fixture is imported
from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "faults"))
from sweep_course import course, write_lesson  # noqa: F401

from fgssl_edu import paths, records
from fgssl_edu.runs import notebook, sweep

CROSSED = """
title = "Rates"
source = "a paper"
lesson = "start"
seeds = 3
[parameters]
steps = 5
[grid]
lr = [0.1, 0.2]
checkpoint_every = [1, 2]
[[runs]]
name = "short"
steps = 3
[[runs]]
name = "long"
[cluster]
queue = "gpu"
gpus = 1
"""


@pytest.fixture
def write(course: Path, tmp_path: Path):
    """Writes a sweep file; the course has the lesson `start` with seed, steps, lr and checkpoint_every."""
    write_lesson(course)

    def written(text: str) -> str:
        path = tmp_path / "mine.toml"
        path.write_text(text)
        return str(path)

    return written


def test_rows_grid_and_seeds_are_crossed_in_this_order(write, own_home: Path):
    found = sweep.load(write(CROSSED), {})
    assert (found.title, found.source, found.cluster) == ("Rates", "a paper", {"queue": "gpu", "gpus": 1})
    assert len(found.runs) == 2 * 2 * 2 * 3
    assert [run.name for run in found.runs][:4] == [
        "short lr=0.1 checkpoint_every=1 seed 0",
        "short lr=0.1 checkpoint_every=1 seed 1",
        "short lr=0.1 checkpoint_every=1 seed 2",
        "short lr=0.1 checkpoint_every=2 seed 0",
    ]
    assert found.runs[12].plan.given == {"steps": 5, "lr": 0.1, "checkpoint_every": 1, "seed": 0}
    assert found.runs[0].plan.given["steps"] == 3  # a row wins over [parameters]
    assert found.folder.parent == own_home / "runs" / "sweeps" and found.folder.name.startswith("mine-")
    assert not (own_home / "runs").exists()


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('lesson = "start"', ["start seed 0"]),
        ('lesson = "start"\nseeds = [7, 3]', ["start seed 7", "start seed 3"]),
        ('lesson = "start"\nruns = [{steps = 2}, {lr = 0.3}]', ["steps=2 seed 0", "lr=0.3 seed 0"]),
        ('[grid]\nlr = [0.1]\n[[runs]]\nname = "A"\nlesson = "start"', ["A lr=0.1 seed 0"]),
    ],
)
def test_what_a_file_leaves_out(write, text: str, names: list[str]):
    assert [run.name for run in sweep.load(write(text), {}).runs] == names


def test_the_command_line_wins_in_every_run_over_rows_grid_and_seeds(write):
    found = sweep.load(write(CROSSED), {"lr": "0.4", "checkpoint_every": "4", "seed": "5"}, only="long")
    assert [run.name for run in found.runs] == ["long seed 5"]
    assert found.runs[0].plan.given == {"steps": 5, "checkpoint_every": 4, "lr": 0.4, "seed": 5}
    with pytest.raises(ValueError, match="long lr=0.1 checkpoint_every=1 seed 0: the same run as 'short lr=0.1"):
        sweep.load(write(CROSSED), {"steps": "9"})  # rows that differed in this alone


def test_a_run_is_new_then_partial_then_complete_and_partial_again_for_other_code(
    write, monkeypatch: pytest.MonkeyPatch
):
    (run,) = sweep.load(write('lesson = "start"'), {}).runs
    assert run.state == "new"
    run.folder.mkdir(parents=True)
    assert run.state == "partial"
    (run.folder / "notebook.ipynb").touch()
    record = {"inputs": notebook.digests_of(run.plan), "environment": {"code": paths.code_hash()}}
    records.write_record(run.folder, {**record, "notebook": "notebook.ipynb"})
    assert run.state == "complete"
    monkeypatch.setattr(paths, "code_hash", lambda: "edited")
    assert run.state == "partial"


START = 'lesson = "start"\n'
ROWS = START + 'runs = [{name = "A", lrr = 1}, {name = "B", steps = "many"}, {name = "C", lesson = "strat"}]'
MISTAKES = [
    ("lesson =", ["is no TOML"]),
    (
        'titel = "x"\nlesson = 3\nseeds = 0',
        ["'titel' is unknown (did you mean 'title'?)", "lesson should be text", "seeds=0 should be how many"],
    ),
    (START + "seeds = [1, 1]", ["seeds=[1, 1] should be different whole numbers"]),
    (START + "seeds = true", ["seeds should be a number or a list, it is True"]),
    (START + "[grid]\nlr = 0.1\nsteps = [2, 2]", ["[grid] lr should be a list", "steps has a value twice"]),
    (START + "runs = [3]", ["row 1 should be a table"]),
    (START + "seeds = []", ["has no runs"]),
    (START + "[grid]\nlr = []", ["has no runs"]),
    ("seeds = 2", ["all runs: no lesson"]),
    (START + "runs = [{name = 3}]", ["3: name should be text"]),
    (START + '[grid]\nlr = [0.1]\n[[runs]]\nname = "A"\nlr = 0.2', ["A: lr stands in [grid] and in the row"]),
    (START + "[parameters]\nlr = 0.1\n[grid]\nlr = [0.1]", ["lr stands in [grid] and in [parameters]"]),
    (START + "[parameters]\nseed = 1", ["seed is set by seeds = ..."]),
    (
        START + '[cluster]\nqueues = "x"\ncores = "4"',
        ["[cluster] 'queues' is unknown (did you mean 'queue'?)", "[cluster] cores should be a whole number"],
    ),
    (
        ROWS,
        [
            "A seed 0: this lesson has no parameter 'lrr' (did you mean 'lr'?)",
            "B seed 0: steps='many' is of type str",
            "C seed 0: no lesson 'strat' (did you mean 'start'?)",
        ],
    ),
    (
        START + 'runs = [{name = "A", lr = 1}, {name = "B", lr = 1.0}]',
        ["B seed 0: the same run as 'A seed 0': the settings are equal"],
    ),
    (START + "seeds = 5\nruns = [{steps = -1}]", ["steps=-1 seed 0, steps=-1 seed 1 and 3 more: steps=-1 is"]),
]


@pytest.mark.parametrize(("text", "messages"), MISTAKES)
def test_every_mistake_is_told_at_once_and_nothing_starts(write, own_home: Path, text: str, messages: list[str]):
    with pytest.raises(ValueError) as error:
        sweep.load(write(text), {})
    assert all(message in str(error.value) for message in messages), error.value
    assert "mine.toml" in str(error.value) and not (own_home / "runs").exists()


def test_a_mistake_of_the_command_line_names_it(write):
    with pytest.raises(ValueError, match="-p seed=x: it should be one whole number"):
        sweep.load(write(CROSSED), {"seed": "x"})
    with pytest.raises(ValueError, match=r"--only 'nothing' leaves none of 24 runs; names are like 'short lr=0.1"):
        sweep.load(write(CROSSED), {}, only="nothing")


def test_a_provided_sweep_is_found_by_its_name_and_a_mistyped_one_suggested(
    write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sweep, "provided", lambda: {"mine": Path(write('lesson = "start"'))})
    assert len(sweep.load("mine", {}).runs) == 1
    with pytest.raises(
        ValueError, match=r"no sweep 'mines' \(did you mean 'mine'\?\): no such file, and provided are mine"
    ):
        sweep.load("mines", {})
