"""A sweep on one worker: real processes and kernels, failures, a second driver, Ctrl-C."""

# ruff: noqa: F811  # a fixture is imported
from __future__ import annotations

import _thread
import json
import os
import signal
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "faults"))
from sweep_course import Watch, course, driven, states, tries, write_lesson, write_sweep  # noqa: F401

from fgssl_edu.runs import drive, locks, notebook, worker
from fgssl_edu.runs.places import Place
from fgssl_edu.runs.sweep import load

pytestmark = pytest.mark.kernel


def test_it_goes_on_after_a_failure_and_the_second_time_makes_only_what_failed(course: Path, tmp_path: Path):
    write_lesson(course, "print('  step 2/3: loss 1')", "assert lr < 1, f'lr={lr} is too high'")
    file = write_sweep(tmp_path, "[grid]\nlr = [5.0, 0.1]")
    watch = Watch()
    first = driven(file, watch=watch)
    assert states(first) == ["failed", "complete"]
    assert [state for state, _ in watch.told] == ["running", "failed", "running", "complete"]
    failed = first.entries[0]
    where, page = failed.error.split("\n")
    assert "cell" in where and "AssertionError: lr=5.0 is too high" in where
    assert page.strip() == f"see {failed.run.folder / notebook.PAGE}" and Path(page.split()[1]).is_file()
    written = json.loads((first.sweep.folder / drive.SUMMARY).read_text())
    assert [run["state"] for run in written["runs"]] == states(first)
    assert written["runs"][1]["metrics"] == {"species/knn": 0.1}
    lines = list(drive.summary(first))
    assert lines[0].split() == ["run", "state", "time", "species/knn"]
    assert lines[4].startswith("1 of 2 complete, 1 failed, ")
    assert lines[5].startswith("failed: start lr=5.0 seed 0\n  cell ")
    second = driven(file)
    assert states(second) == ["failed", "complete"]
    assert [tries(entry) for entry in second.entries] == [2, 1]
    assert [entry.before for entry in second.entries] == [False, True]
    log = worker.last_try(failed.run.folder)
    assert log[0].startswith(worker.BEGINS) and log[1] == "The experiment" and log[-2].startswith("failed cell")


def test_two_drivers_of_one_sweep_share_its_runs(course: Path, tmp_path: Path):
    write_lesson(course)
    file = write_sweep(tmp_path, "seeds = 3")
    found: list[drive.Drive] = []
    threads = [threading.Thread(target=lambda: found.append(driven(file))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [states(each) for each in found] == [["complete"] * 3] * 2
    assert [tries(entry) for entry in found[0].entries] == [1, 1, 1]


def test_a_run_that_another_process_is_at_is_refused(course: Path, own_home: Path):
    write_lesson(course)
    planned = notebook.plan("start", {})
    with (
        locks.held(planned.folder / notebook.LOCK, wait=False),
        pytest.raises(notebook.RunFailed, match=f"in use by process {os.getpid()} on .*; its result will be there"),
    ):
        notebook.execute(planned)


def test_ctrl_c_stops_the_run_and_the_next_sweep_goes_on(course: Path, tmp_path: Path):
    write_lesson(course, "import threading\nif not (folder / 'go').exists(): threading.Event().wait()")
    sweep = load(str(write_sweep(tmp_path, "seeds = 2")), {})
    watch = Watch(lambda entry: _thread.interrupt_main(signal.SIGINT))
    stopped = drive.Drive(sweep, Place(), watch)
    with pytest.raises(KeyboardInterrupt):
        stopped.go()
    assert states(stopped) == ["stopped", "waiting"] and watch.told[-1][0] == "stopping"
    folder = sweep.runs[0].folder
    assert worker.last_try(folder)[-1] == "stopped" and not (folder / notebook.LOCK).exists()
    assert sweep.runs[0].state == "partial" and sweep.runs[1].state == "new"
    for run in sweep.runs:
        run.folder.mkdir(exist_ok=True)
        (run.folder / "go").touch()
    again = drive.Drive(sweep, Place(), Watch())
    again.go()
    assert states(again) == ["complete", "complete"]


def test_a_worker_whose_settings_come_out_otherwise_makes_no_run(course: Path, tmp_path: Path):
    write_lesson(course)
    folder = tmp_path / "other"
    with pytest.raises(ValueError, match="the same parameters give other settings .*, not other"):
        worker.do(worker.Job(slug="start", given={}, folder=str(folder), wait=False))
    assert not folder.exists()
