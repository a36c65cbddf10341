"""The form of every lesson: what papermill, nbmake, git and a reader each rely on."""

from __future__ import annotations

import ast
import dataclasses
import io
import json
import re
import tokenize
from pathlib import Path

import pytest

from fgssl_edu import config, paths

NOTEBOOKS = sorted(paths.notebooks_dir().glob("*.ipynb"))
HEADINGS = ("Objectives", "Predict", "Checks", "Exercises", "Summary", "Questionnaire", "References")
MOST_CELLS, MOST_LINES, MOST_WORDS = 40, 20, 1500
SCAFFOLD = ("kernelspec", "language_info")  # all the metadata that a committed notebook may carry
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def source(cell: dict) -> str:
    return "".join(cell["source"])


def tags(cell: dict) -> list[str]:
    return cell["metadata"].get("tags", [])


def code_cells(path: Path) -> list[dict]:
    return [cell for cell in read(path)["cells"] if cell["cell_type"] == "code"]


def prose(path: Path) -> str:
    return "\n\n".join(source(cell) for cell in read(path)["cells"] if cell["cell_type"] == "markdown")


def parameters(path: Path) -> str:
    found = [source(cell) for cell in code_cells(path) if "parameters" in tags(cell)]
    assert len(found) == 1, "there must be one cell tagged parameters"
    return found[0]


def test_lessons_are_numbered_from_one_without_a_gap():
    numbers = [int(path.name.split("_")[0]) for path in NOTEBOOKS]
    assert numbers and numbers == list(range(1, len(NOTEBOOKS) + 1))


@each_notebook
def test_title_number_and_slug_agree_with_the_file_name(path: Path):
    number, slug = path.stem.split("_", 1)
    assert prose(path).startswith(f"# {number} · ")
    assert slug in config.LESSONS
    setup = f'from fgssl_edu import lesson\n\nrun = lesson.start(globals(), "{slug}")\nrun'
    after = code_cells(path)[[tags(cell) for cell in code_cells(path)].index(["parameters"]) + 1]
    assert source(after) == setup, "the cell after the parameters is the set-up cell, the same in every lesson"


@each_notebook
def test_parameters_are_annotated_literals_that_settings_knows(path: Path):
    kinds = {field.name: field.type for field in dataclasses.fields(config.Settings)}
    names = []
    for statement in ast.parse(parameters(path)).body:
        assert isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name), ast.unparse(statement)
        ast.literal_eval(statement.value)
        assert kinds[statement.target.id] == ast.unparse(statement.annotation), ast.unparse(statement)
        names.append(statement.target.id)
    assert {"scale", "seed"} <= set(names) and len(names) == len(set(names))


@each_notebook
def test_papermill_can_read_every_parameter(path: Path):
    """Its reader is a regular expression: `=` in a comment, `#` in a value or `|` in a type hides the parameter."""
    for token in tokenize.generate_tokens(io.StringIO(parameters(path)).readline):
        if token.type == tokenize.COMMENT:
            assert "=" not in token.string, token.string
        else:
            assert "#" not in token.string and token.string != "|", token.string
    for statement in ast.parse(parameters(path)).body:
        assert statement.lineno == statement.end_lineno


@each_notebook
def test_git_holds_the_source_of_a_lesson_and_nothing_that_a_run_left(path: Path):
    notebook = read(path)
    assert set(notebook["metadata"]) == set(SCAFFOLD)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert [cell["id"] for cell in notebook["cells"]] == [f"{i:02d}" for i in range(len(notebook["cells"]))]
    for cell in notebook["cells"]:
        assert set(cell["metadata"]) <= {"tags", "jupyter"}
        assert not cell.get("outputs") and cell.get("execution_count") is None


@each_notebook
def test_a_lesson_keeps_to_its_budget(path: Path):
    assert len(read(path)["cells"]) <= MOST_CELLS
    assert max(len(source(cell).splitlines()) for cell in code_cells(path)) <= MOST_LINES
    assert len(prose(path).split()) <= MOST_WORDS


@each_notebook
def test_a_lesson_has_every_station(path: Path):
    found = re.findall(r"^#+ (\w+)", prose(path), flags=re.MULTILINE)
    assert [name for name in HEADINGS if name not in found] == []
    stations = [found.index(name) for name in HEADINGS]
    assert stations == sorted(stations)


@each_notebook
def test_checks_assert_and_the_record_comes_last(path: Path):
    cells = read(path)["cells"]
    heading = next(i for i, cell in enumerate(cells) if source(cell).startswith("## Checks"))
    assert source(cells[heading + 1]).count("assert ") >= 2
    assert source(code_cells(path)[-1]).startswith("run.record(")
    assert all("run.record(" not in source(cell) for cell in code_cells(path)[:-1])


@each_notebook
def test_every_exercise_has_a_tagged_solution_and_a_stub_that_gives_nothing_away(path: Path):
    stubs = [source(cell) for cell in code_cells(path) if "raise NotImplementedError" in source(cell)]
    solutions = [cell for cell in code_cells(path) if "solution" in tags(cell)]
    assert stubs and len(stubs) == len(solutions)
    assert all("solution" not in tags(cell) or "NotImplementedError" not in source(cell) for cell in code_cells(path))


@each_notebook
def test_no_cell_can_end_a_run_early_or_hide_an_error(path: Path):
    """SystemExit ends papermill with status 0; interact and Output swallow what they run."""
    forbidden = re.compile(
        r"sys\.exit|SystemExit|\b(exit|quit)\(|\binteract(ive\w*)?\(|widgets\.Output|\.capture\(|^[%!]", re.MULTILINE
    )
    assert [hit[0] for cell in code_cells(path) for hit in forbidden.finditer(source(cell))] == []
    assert {tag for cell in code_cells(path) for tag in tags(cell)} <= {"parameters", "solution"}


@pytest.mark.slow
@pytest.mark.kernel
@each_notebook
def test_the_students_copy_without_solutions_still_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("FGSSL_SCALE", "ci")
    notebook = nbformat.read(path, as_version=4)
    notebook.cells = [cell for cell in notebook.cells if "solution" not in tags(cell)]
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    assert notebook.cells[-1].execution_count is not None
