"""A finished run is skipped only while all that it was made from is as it was."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import nbformat
import pytest

from fgssl_edu import paths, records
from fgssl_edu.runs import inputs, notebook

PARAMETERS = "scale: str = None\ndataset: str = None\nsteps: int = None"


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a course's only lesson, in a package of its own; running it takes no kernel."""
    path, package = tmp_path / "course" / "01_start.ipynb", tmp_path / "package"
    path.parent.mkdir()
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(PARAMETERS), nbformat.v4.new_code_cell("1 + 1")])
    book.cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(book, path)
    for name in ("lesson.py", "panels/panel.py", "reference/start.json", "course/notebooks/01_start.ipynb"):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text("as it was")
    monkeypatch.setattr(paths, "notebooks_dir", lambda: path.parent)
    monkeypatch.setattr(paths, "PACKAGE", package)
    monkeypatch.setenv("FGSSL_SCALE", "ci")

    def cells(planned: notebook.Plan) -> nbformat.NotebookNode:
        record = {"metrics": {}, "environment": {"code": paths.code_hash()}}
        (planned.folder / notebook.PENDING).write_text(json.dumps(record))
        shutil.copy(planned.notebook, planned.folder / notebook.EXECUTED)
        return book

    paths.code_hash()  # of the real package, which stays as it is
    monkeypatch.setattr(notebook, "_run_cells", cells)
    monkeypatch.setattr(notebook, "_write_page", lambda folder: None)
    return path


def change_notebook(path: Path, source: str, outputs: list | None = None) -> None:
    book = nbformat.read(path, as_version=4)
    book.cells[1].source, book.cells[1].outputs = source, outputs or []
    nbformat.write(book, path)


def test_a_finished_run_is_found_again(course: Path):
    record = notebook.execute(notebook.plan("start", {}))
    assert record["inputs"].keys() == {"notebook", "package", "data"} and record["inputs"]["data"] == ""
    assert records.read_record(notebook.plan("start", {}).folder)["inputs"] == record["inputs"]
    assert notebook.complete(notebook.plan("start", {}))["inputs"] == record["inputs"]
    assert notebook.complete(notebook.plan("start", {"steps": "3"})) is None


def test_another_cell_runs_again_and_an_output_does_not(course: Path):
    notebook.execute(notebook.plan("start", {}))
    change_notebook(course, "1 + 1", [nbformat.v4.new_output("stream", text="2")])
    assert notebook.complete(notebook.plan("start", {}))
    change_notebook(course, "1 + 2")
    assert notebook.complete(notebook.plan("start", {})) is None


@pytest.mark.parametrize("name", ["lesson.py", "panels/panel.py", "reference/start.json"])
def test_code_that_shows_and_shipped_numbers_count_too(name: str, course: Path):
    notebook.execute(notebook.plan("start", {}))
    (paths.PACKAGE / "course" / "notebooks" / "01_start.ipynb").write_text("a copy of the notebook, counted by itself")
    assert notebook.complete(notebook.plan("start", {}))
    (paths.PACKAGE / name).write_text("edited")
    assert notebook.complete(notebook.plan("start", {})) is None


@pytest.mark.parametrize("change", ["another file", "a longer file", "a new file", "a removed file"])
def test_other_photographs_run_again(change: str, course: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "pictures"
    for name in ("crow/1.png", "crow/2.png", "jay/1.png", "jay/2.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"picture")
    monkeypatch.chdir(tmp_path)
    planned = notebook.plan("start", {"dataset": "folder:pictures"})
    assert planned.given == {"dataset": f"folder:{folder}"}  # the kernel may work elsewhere
    assert notebook.execute(planned)["inputs"]["data"]
    monkeypatch.chdir(folder)
    same = notebook.plan("start", {"dataset": "folder:../pictures"})
    assert same.folder == planned.folder and notebook.complete(same)
    first = folder / "crow" / "1.png"
    if change == "another file":
        time = first.stat().st_mtime_ns
        os.utime(first, ns=(time, time + 1_000_000_000))
    elif change == "a longer file":
        first.write_bytes(b"picture!")
    elif change == "a new file":
        (folder / "jay" / "3.png").write_bytes(b"picture")
    else:
        first.unlink()
    assert notebook.complete(same) is None


def test_a_link_to_nothing_is_listed(tmp_path: Path):
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    assert list(inputs.listing(tmp_path)) == ["gone unreadable"]
