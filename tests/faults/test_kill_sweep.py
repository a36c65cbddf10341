"""A sweep's kernel, worker and driver are killed with SIGKILL in turn: each costs a few steps at most."""

# ruff: noqa: F811  # a fixture is imported
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from sweep_course import COMMAND, Watch, course, kernel_that_signs, states, tries, write_lesson, write_sweep  # noqa: F401

from fgssl_edu import checkpoints, paths, records
from fgssl_edu.runs import drive, notebook, worker
from fgssl_edu.runs.places import Place
from fgssl_edu.runs.sweep import load

STEPS, EVERY = 12, 2
END_S = 60  # at most for processes to end, on a busy machine
# The nth try stays at a step of its own; the monitor is called after a step, before its checkpoint
TRAIN = """
import torch
from fgssl_edu import lesson
from fgssl_edu.methods import build
from fgssl_edu.nets import build_encoder

run = lesson.start(globals(), "start")
stays = {1: 4, 2: 7, 3: 10}.get(len((folder / "tries").read_text()))

class Stay:
    every = 1

    def __call__(self, method, row, step):
        print("step", step)
        if step == stays:
            %s
        return {}

torch.manual_seed(0)
pictures = torch.randint(0, 256, (24, 3, 16, 16), dtype=torch.uint8)
history = run.pretrain("SimCLR", build("simclr", build_encoder("resnet10", seed=0), size=16), pictures, [Stay()])
print("resumed from", history.resumed_from, "rows", len(history.rows))
"""
STAY = "import threading; open(os.environ['SWEEP_SIGN'], 'w').write(str(os.getpid())); threading.Event().wait()"


def begin(file: Path, course: Path) -> tuple[subprocess.Popen, psutil.Process]:
    """A driver in a process of its own, and the kernel that it has come to; between the two is the run's worker."""
    driver = subprocess.Popen([*COMMAND, str(file)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return driver, kernel_that_signs(course)


def kept() -> int:
    """The last step that a checkpoint has."""
    (folder,) = (paths.cache_dir() / "once" / "pretrain").glob("*.checkpoints")
    newest = checkpoints.latest(folder)
    assert newest is not None
    return checkpoints.step_of(newest)


@pytest.mark.slow
@pytest.mark.kernel
def test_kernel_worker_and_driver_are_killed_and_nothing_but_the_last_steps_is_lost(course: Path, tmp_path: Path):
    write_lesson(course, TRAIN % STAY)
    file = write_sweep(tmp_path, f"[parameters]\nsteps = {STEPS}\ncheckpoint_every = {EVERY}")
    driver, kernel = begin(file, course)
    kernel.kill()
    said, _ = driver.communicate(timeout=END_S)
    assert driver.returncode == 1 and "the kernel died or hung" in said and "1 failed" in said
    assert kept() == 2  # the kernel stayed at step 4, before its checkpoint

    driver, kernel = begin(file, course)
    kernel.parent().kill()
    said, _ = driver.communicate(timeout=END_S)
    assert driver.returncode == 1 and "its process ended by SIGKILL (out of memory?)" in said
    assert kept() == 6

    driver, kernel = begin(file, course)
    below = [kernel, kernel.parent()]
    driver.kill()
    driver.communicate()
    assert not psutil.wait_procs(below, timeout=END_S)[1], "what the driver started goes on without it"
    assert kept() == 8

    last = drive.Drive(load(str(file), {}), Place(), Watch())
    assert last.entries[0].run.state == "partial"
    last.go()
    assert states(last) == ["complete"] and tries(last.entries[0]) == 4
    log = worker.last_try(last.entries[0].run.folder)
    steps = [int(line.split()[1]) for line in log if line.startswith("  step ") and line.split()[1].isdecimal()]
    assert steps == [9, 10, 11, 12]
    assert f"  resumed from 8 rows {STEPS}" in log
    assert any("the last time from step 8 on" in line for line in log)
    assert not (last.entries[0].run.folder / notebook.LOCK).exists()
    assert records.read_record(last.entries[0].run.folder)["metrics"]
