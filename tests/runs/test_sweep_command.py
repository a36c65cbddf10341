"""`fgssl sweep` as a user calls it: lists, mistakes, what a terminal and a log are shown, and a real lesson."""

# ruff: noqa: F811  # a fixture is imported
from __future__ import annotations

import re
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "faults"))
from sweep_course import course, write_lesson, write_sweep  # noqa: F401

from fgssl_edu import cli
from fgssl_edu.runs import drive, show, sweep, worker
from fgssl_edu.runs.places import Place


@pytest.fixture
def fgssl(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Runs the command line; returns (status, stdout, stderr)."""

    def called(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["fgssl", "sweep", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return called


def test_provided_sweeps_are_listed_with_their_titles(fgssl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = write_sweep(tmp_path, 'title = "Rates of learning"')
    monkeypatch.setattr(sweep, "provided", lambda: {"rates": file})
    assert fgssl() == (0, "rates  Rates of learning\n", "")


def test_the_provided_first_sweep_can_be_made(own_home: Path):
    found = sweep.load("first-sweep", {})
    assert len(found.runs) == 12 and {run.plan.resolved.settings.scale for run in found.runs} == {"ci"}


def test_a_dry_run_lists_every_run_and_starts_none(fgssl, course: Path, tmp_path: Path, own_home: Path):
    write_lesson(course)
    status, out, err = fgssl(write_sweep(tmp_path, "seeds = 2\n[grid]\nlr = [0.1, 0.2]"), "--dry-run")
    assert (status, err) == (0, "") and out.count("\n") == 8
    assert out.startswith("new       start lr=0.1 seed 0  start  lr=0.1\n")
    assert str(own_home / "runs" / "start") in out and not (own_home / "runs").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing"], "no sweep 'nothing'"),
        (["FILE", "-p", "lrr=1"], "no parameter 'lrr' (did you mean 'lr'?)"),
        (["FILE", "--scheduler", "tcp://127.0.0.1:1", "--jobs", "2"], "leave out --jobs and --slurm"),
        (["FILE", "--jobs", "0"], "Invalid value for '--jobs'"),
    ],
)
def test_a_mistake_is_told_with_status_two(fgssl, course: Path, tmp_path: Path, own_home: Path, words, message: str):
    write_lesson(course)
    file = write_sweep(tmp_path, "")
    status, _, err = fgssl(*(file if word == "FILE" else word for word in words))
    assert status == 2 and message in err and not (own_home / "runs").exists()


def test_what_a_terminal_shows_beneath_the_lines(course: Path, tmp_path: Path):
    write_lesson(course)
    driven = drive.Drive(sweep.load(str(write_sweep(tmp_path, "seeds = 4")), {}), Place(), show.Lines())
    one, two, three, _ = driven.entries
    for entry in (one, two):
        entry.run.folder.mkdir(parents=True)
        entry.state, entry.since = "running", time.monotonic() - 30
    before = f"{worker.BEGINS}yesterday\nOld heading\n  step 9/9: loss 1\n{worker.BEGINS}today\n"
    (one.run.folder / worker.LOG).write_text(before)
    (two.run.folder / worker.LOG).write_text(before + "Views\n  step 1/9: x\nThe experiment\n  step 120/400: loss\n")
    three.state, three.seconds = "complete", 100.0
    totals, first, second = show.table(driven)
    assert totals.startswith("1 complete, 2 running, 0 failed, 1 waiting, 0.")
    assert totals.endswith("about 120 s left" if "120 s" in totals else "about 2 min 0 s left")  # (70 + 70 + 100) / 2
    assert re.fullmatch(r"  start seed 0: starting, 30 s", first)
    assert re.fullmatch(r"  start seed 1: The experiment \(step 120/400\), 30 s", second)


def test_a_summary_names_what_failed_what_is_left_and_what_was_there_before(course: Path, tmp_path: Path):
    write_lesson(course)
    driven = drive.Drive(sweep.load(str(write_sweep(tmp_path, "seeds = 4")), {}), Place(), show.Lines())
    one, two, three, four = driven.entries
    one.complete({"run_seconds": 75.0, "metrics": {"species/knn": {"value": 0.5}, "odd": {"value": 1.0}}}, before=True)
    two.complete({"run_seconds": 3725.0, "metrics": {"species/knn": {"value": None}}}, before=False)
    three.end(worker.Outcome(state="failed", error="cell 3: KeyError: 'x'\n  see page.html", seconds=8.0))
    lines = list(drive.summary(driven))
    assert lines[0].split() == ["run", "state", "time", "species/knn"]
    assert lines[1].split() == ["start", "seed", "0", "complete,", "before", "75", "s", "0.500"]
    assert lines[2].split() == ["start", "seed", "1", "complete", "62", "min", "5", "s"]
    assert lines[3].split() == ["start", "seed", "2", "failed", "8.0", "s"]
    assert lines[4].split() == ["start", "seed", "3", "left"]
    assert re.match(r"2 of 4 complete \(1 before\), 1 failed, 1 left, 0\.\d s", lines[6])
    assert lines[7] == "failed: start seed 2\n  cell 3: KeyError: 'x'\n  see page.html"


@pytest.mark.slow
@pytest.mark.kernel
def test_a_real_lesson_is_made_summed_up_reported_and_skipped_the_second_time(fgssl, tmp_path: Path, own_home: Path):
    file = write_sweep(tmp_path, 'title = "Start"\n[parameters]\nscale = "ci"\nsteps = 4')
    status, out, err = fgssl(file)
    assert (status, err) == (0, "")
    assert out.startswith("Start: 1 runs\n[0/1] started   start seed 0\n[1/1] complete  start seed 0: ")
    written = dict(re.findall(r"^(summary|report) +(.+)$", out, re.MULTILINE))
    assert Path(written["summary"]).is_file() and Path(written["report"]).is_file()
    assert "species/knn" in out and own_home in Path(written["report"]).parents
    status, again, _ = fgssl(file)
    assert status == 0 and "started" not in again and "1 of 1 complete (1 before)" in again
