"""A course of one tiny lesson, in this process and in those that a sweep starts; its sweeps, and what watches them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nbformat
import psutil
import pytest

from fgssl_edu import config, paths
from fgssl_edu.runs import parameters
from fgssl_edu.runs.drive import Drive, Entry
from fgssl_edu.runs.places import Place
from fgssl_edu.runs.sweep import load

PARAMETERS = """scale: str = "ci"
seed: int = 0
steps: int = 3
lr: float = 0.1
checkpoint_every: int = None"""
# Without torch, so that a kernel is there in a second; the run writes what `run.record` would
RECORD = """
import dataclasses, json, os
from pathlib import Path
from fgssl_edu import config, paths
from fgssl_edu.runs import notebook
folder = Path(os.environ[notebook.SUPERVISED])
with (folder / "tries").open("a") as tries:
    tries.write("x")
settings = config.resolve("start", {"scale": scale, "seed": seed, "steps": steps, "lr": lr}).settings
"""
# Tell the test that this cell is reached, and stay there until somebody kills the kernel
SIGN_AND_STAY = """
import threading
with open(os.environ["SWEEP_SIGN"], "w") as sign:
    sign.write(str(os.getpid()))
threading.Event().wait()
"""
END = """
record = {"lesson": "start", "settings": dataclasses.asdict(settings), "sources": {}, "notes": [], "seconds": 0.1}
record |= {"metrics": {"species/knn": {"value": seed + lr}}, "environment": {"code": paths.code_hash()}}
(folder / notebook.PENDING).write_text(json.dumps(record))
"""
# Imported by every Python that is started with this folder on its path: the same course there, and no torch to check it
EVERYWHERE = """
from pathlib import Path
from fgssl_edu import config, paths
from fgssl_edu.runs import parameters
paths.notebooks_dir = lambda: Path({course!r})
parameters.settle = lambda slug, given, written=(): (config.resolve(slug, given), [])
"""


def settle(slug: str, given: dict, written=()) -> tuple[config.Resolved, list[str]]:
    return config.resolve(slug, given), []


def write_lesson(folder: Path, *cells: str) -> None:
    """The lesson `start`: its parameters, a heading, these cells, and what records it."""
    made = [nbformat.v4.new_code_cell(PARAMETERS), nbformat.v4.new_markdown_cell("## The experiment")]
    made[0].metadata["tags"] = ["parameters"]
    made += [nbformat.v4.new_code_cell(source) for source in (RECORD, *cells, END)]
    metadata = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}
    nbformat.write(nbformat.v4.new_notebook(cells=made, metadata=metadata), folder / "01_start.ipynb")


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the course; a test writes its lesson."""
    folder = tmp_path / "course"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(EVERYWHERE.format(course=str(folder)))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(paths.PACKAGE.parent)]))
    monkeypatch.setenv("FGSSL_THREADS", "1")
    os.mkfifo(folder / "sign")
    monkeypatch.setenv("SWEEP_SIGN", str(folder / "sign"))
    monkeypatch.setattr(paths, "notebooks_dir", lambda: folder)
    monkeypatch.setattr(parameters, "settle", settle)
    return folder


def write_sweep(folder: Path, text: str) -> Path:
    path = folder / "sweep.toml"
    path.write_text(f'lesson = "start"\n{text}')
    return path


class Watch:
    """What a sweep tells, as (state or "later", name); `on_start` is called when a run begins."""

    def __init__(self, on_start=lambda entry: None) -> None:
        self.told: list[tuple[str, str]] = []
        self.on_start = on_start

    def event(self, drive: Drive, entry: Entry, told: str) -> None:
        self.told.append(("later" if told else entry.state, entry.run.name))
        if not told and entry.state == "running":
            self.on_start(entry)

    def stopping(self, drive: Drive) -> None:
        self.told.append(("stopping", ""))

    def refresh(self, drive: Drive) -> None:
        pass


def kernel_that_signs(course: Path) -> psutil.Process:
    """Wait until a kernel has come to the cell that stays."""
    return psutil.Process(int((course / "sign").read_text()))


def driven(file: Path, place: Place | None = None, watch: Watch | None = None) -> Drive:
    """A sweep, driven to its end."""
    drive = Drive(load(str(file), {}), place or Place(), watch or Watch())
    drive.go()
    return drive


def states(drive: Drive) -> list[str]:
    return [entry.state for entry in drive.entries]


def tries(entry: Entry) -> int:
    """How often a kernel began with a run."""
    return len((entry.run.folder / "tries").read_text())


COMMAND = [sys.executable, "-c", "from fgssl_edu.cli import main; main()", "sweep"]
