"""One run of a notebook: plan, folder, record, failures, widgets, and the ecosystem's own commands."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from fgssl_edu import config, paths, records
from fgssl_edu.runs import notebook, page

PARAMETERS = "scale: str = None  # ci, lecture or full\nseed: int = 0\nsteps: int = None  # updates"
SETUP = 'from fgssl_edu import lesson\nrun = lesson.start(globals(), "start")\nrun'
RECORD = 'run.record({"steps": float(run.settings.steps)})'
VIEW, STATE = page.VIEW, page.WIDGET_STATE


def book(*cells: str) -> nbformat.NotebookNode:
    """A lesson of these cells between its set-up and its record; a cell that starts with # is text."""
    made = [nbformat.v4.new_markdown_cell("# 1 · A tiny lesson"), nbformat.v4.new_code_cell(PARAMETERS)]
    made[1].metadata["tags"] = ["parameters"]
    for source in (SETUP, *cells, RECORD):
        kind = nbformat.v4.new_markdown_cell if source.startswith("#") else nbformat.v4.new_code_cell
        made.append(kind(source))
    metadata = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}
    return nbformat.v4.new_notebook(cells=made, metadata=metadata)


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A course of one lesson, `start`, that is not written yet."""
    folder = tmp_path / "course"
    folder.mkdir()
    monkeypatch.setattr(paths, "notebooks_dir", lambda: folder)
    monkeypatch.setenv("FGSSL_SCALE", "ci")
    return folder


def write(course: Path, *cells: str) -> Path:
    path = course / "01_start.ipynb"
    nbformat.write(book(*cells), path)
    return path


def test_a_plan_is_checked_without_a_kernel(course: Path, own_home: Path):
    write(course)
    plan = notebook.plan("start", {"steps": "5", "seed": "3"})
    assert (plan.resolved.settings.steps, plan.resolved.settings.seed) == (5, 3)
    assert plan.given == {"steps": 5, "seed": 3}
    assert plan.folder == own_home / "runs" / "start" / plan.resolved.settings.key()


def test_what_belongs_to_the_machine_is_given_to_any_lesson_by_the_environment(course: Path):
    write(course)
    plan = notebook.plan("start", {"devices": "2", "norm": "group", "steps": "5"})
    assert (plan.resolved.settings.devices, plan.resolved.settings.norm) == (2, "group")
    assert plan.given == {"steps": 5}  # papermill would be refused what the notebook does not declare
    assert plan.environment == {"FGSSL_DEVICES": "2", "FGSSL_NORM": "group"}
    given = ["FGSSL_DEVICES", "FGSSL_NORM"]
    with notebook._environment(plan.environment):
        same = notebook.plan("start", {"steps": "5"})
    assert same.folder == plan.folder and [same.resolved.sources[name] for name in ("devices", "norm")] == given


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"devices": "2", "batch": "5"}, "no parameter 'batch'"),
        ({"devises": "2"}, r"no parameter 'devises' \(did you mean 'devices'\?\)"),
        ({"norm": "group", "nodes": "0"}, "nodes=0 is out of range"),
        ({"stepz": "5"}, r"no parameter 'stepz' \(did you mean 'steps'\?\)"),
        ({"batch": "5"}, "no parameter 'batch'"),
        ({"steps": "five"}, "steps='five' is of type str"),
        ({"steps": "1.5"}, "steps='1.5' is of type str; it should be a whole number"),
        ({"steps": "0"}, "steps=0 is out of range"),
        ({"scale": "huge"}, "scale='huge' should be one of ci, lecture, full"),
    ],
)
def test_a_mistake_is_refused_before_a_kernel_starts(course: Path, own_home: Path, given: dict, message: str):
    write(course)
    with pytest.raises(ValueError, match=message):
        notebook.plan("start", given)
    assert not (own_home / "runs").exists()


def test_an_unknown_lesson_is_refused_with_the_lessons(course: Path):
    write(course)
    with pytest.raises(ValueError, match=r"no lesson 'strat' \(did you mean 'start'\?\); lessons are start"):
        notebook.plan("strat", {})


@pytest.mark.parametrize("scale", list(config.SCALES))
@pytest.mark.parametrize("slug", list(config.LESSONS))
def test_every_lesson_of_the_course_can_be_planned_at_every_scale(slug: str, scale: str):
    plan = notebook.plan(slug, {"scale": scale})
    assert plan.resolved.settings.scale == scale
    assert bool(plan.notes) == (scale == "full")  # the photographs of full are not on disk here


def test_a_parameters_cell_may_only_hold_literals(course: Path):
    path = write(course)
    path.write_text(path.read_text().replace("steps: int = None", "steps: int = 2 * 3"))
    with pytest.raises(ValueError, match=r"sets steps = 2 \* 3; only literals"):
        notebook.plan("start", {})


def test_live_output_is_headings_and_at_most_twenty_lines_a_cell(capsys: pytest.CaptureFixture[str]):
    progress = notebook.Progress()
    progress.cell({"cell_type": "markdown", "source": "## Views\n\nText."}, cell_index=0)
    progress.cell({"cell_type": "code", "source": "# no heading"}, cell_index=1)
    for i in range(30):
        progress.write(f"old\rline {i}")
        progress.write("\n\n")
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["Views", "  line 0"] and lines[20:] == ["  line 19", "  ... (more in the notebook)"]


def test_the_scan_finds_errors_that_a_widget_swallowed_and_nothing_else():
    error = {"output_type": "error", "ename": "RuntimeError", "evalue": "hidden", "traceback": []}
    models = {
        "a": {"model_name": "OutputModel", "state": {"outputs": [{"output_type": "stream"}, error]}},
        "b": {"model_name": "ImageModel", "state": {}},
    }
    executed = {"metadata": {"widgets": {STATE: {"state": models}}}}
    assert notebook.scan_widget_errors(executed) == ["RuntimeError: hidden"]
    assert notebook.scan_widget_errors({"metadata": {}}) == []


WIDGETS = """
import base64
import ipywidgets
from IPython.display import display
pixel = base64.b64decode("iVBORw0KGgo=")
slider = ipywidgets.IntSlider(value=3, description="budget")
choice = ipywidgets.Dropdown(options=[("two", 2), ("ten", 10)], value=10, description="k")
image = ipywidgets.Image(value=pixel, format="png")
display(ipywidgets.VBox([ipywidgets.HBox([slider, choice]), image]))
print("\\n".join(f"line {i}" for i in range(30)))
"""


@pytest.mark.kernel
def test_a_run_leaves_notebook_page_and_record_and_is_skipped_afterwards(
    course: Path, own_home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    from fgssl_edu import cli

    write(course, "## The panel", WIDGETS)
    monkeypatch.setattr(sys, "argv", ["fgssl", "run", "start", "-p", "steps=5"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr()
    assert ended.value.code == 0 and said.err == ""
    lines = said.out.splitlines()
    assert "The panel" in lines and "  line 17" in lines and "  ... (more in the notebook)" in lines
    assert any(line.startswith("steps") and "5.000" in line for line in lines)
    (folder,) = (own_home / "runs" / "start").iterdir()
    record = records.read_record(folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        "metrics.json",
        "notebook.html",
        "notebook.ipynb",
        "record.json",
    ]
    assert record["parameters"] == {"steps": 5} and record["settings"]["steps"] == 5 and record["run_seconds"] > 0
    html = (folder / "notebook.html").read_text()
    assert "data:image/png;base64,iVBORw0KGgo" in html and "budget: 3" in html and "k: ten" in html
    assert "unpkg" not in html and "require.min.js" not in html and VIEW not in html
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0 and "is complete already" in capsys.readouterr().out
    monkeypatch.setattr(paths, "code_hash", lambda: "edited")
    assert notebook.complete(notebook.plan("start", {"steps": "5"})) is None  # other code: it runs again


@pytest.mark.kernel
def test_a_failed_cell_leaves_its_error_in_the_notebook_a_status_and_no_record(
    course: Path, own_home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    from fgssl_edu import cli

    write(course, "before = 1", "raise KeyError('the cell that fails')")
    monkeypatch.setattr(sys, "argv", ["fgssl", "run", "start"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert "KeyError: 'the cell that fails'" in said and "Traceback" not in said
    (folder,) = (own_home / "runs" / "start").iterdir()
    assert not (folder / "record.json").exists() and not (folder / "metrics.json").exists()
    assert "the cell that fails" in (folder / "notebook.ipynb").read_text()
    assert "the cell that fails" in (folder / "notebook.html").read_text()


@pytest.mark.kernel
def test_plain_papermill_runs_a_lesson_which_then_writes_its_own_record(course: Path, tmp_path: Path, own_home: Path):
    lesson = write(course, "my_own = 1", SETUP)  # set up a second time, after a variable of the reader's
    command = [sys.executable, "-m", "papermill", str(lesson), str(tmp_path / "out.ipynb"), "-p", "steps", "7"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    (folder,) = (own_home / "runs" / "start").iterdir()
    assert records.read_record(folder)["metrics"]["steps"]["value"] == 7


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [("stepz", "7", "no parameter 'stepz' (did you mean 'steps'?)"), ("steps", "many", "steps='many' is of type str")],
)
def test_plain_papermill_ends_with_an_error_that_names_a_wrong_parameter(
    name: str, value: str, message: str, course: Path, tmp_path: Path, own_home: Path
):
    command = [sys.executable, "-m", "papermill", str(write(course)), str(tmp_path / "out.ipynb"), "-p", name, value]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode != 0 and message in done.stderr
    assert not (own_home / "runs").exists()


@pytest.mark.kernel
def test_plain_nbmake_runs_lessons_at_ci_and_says_so(course: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("FGSSL_SCALE")
    write(course, "assert run.settings.scale == 'ci'")
    shutil.copy(Path(__file__).parents[2] / "notebooks" / "conftest.py", course)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--nbmake",
        "--rootdir",
        str(course),
        "-p",
        "no:cacheprovider",
        str(course),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "lessons at scale ci (FGSSL_SCALE was not set)" in done.stdout
    (folder,) = (own_home / "runs" / "start").iterdir()
    assert records.read_record(folder)["settings"]["scale"] == "ci"


def ends_cleanly(
    course: Path, own_home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> str:
    """Run the lesson, which must fail; what was said of it, after the folder was found to be as it should."""
    from fgssl_edu import cli

    monkeypatch.setattr(sys, "argv", ["fgssl", "run", "start"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    (folder,) = (own_home / "runs" / "start").iterdir()
    assert ended.value.code == 1
    assert sorted(path.name for path in folder.iterdir()) == ["notebook.html", "notebook.ipynb"]  # no record
    return capsys.readouterr().err


@pytest.mark.kernel
def test_a_kernel_that_dies_in_a_cell_is_a_failure_without_a_traceback(
    course: Path, own_home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    write(course, "before = 1", "import os\nos._exit(1)")
    said = ends_cleanly(course, own_home, capsys, monkeypatch)
    assert "fgssl: failed: the kernel died or hung (Kernel died)" in said and "Traceback" not in said


def test_a_kernel_that_is_not_there_is_a_failure_too(
    course: Path, own_home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    path = write(course)
    path.write_text(path.read_text().replace('"python3"', '"no-such-kernel"'))
    said = ends_cleanly(course, own_home, capsys, monkeypatch)
    assert "fgssl: failed: the notebook asks for the kernel 'no-such-kernel', which is not here" in said
    assert "Traceback" not in said


def test_a_kernel_that_dies_at_its_start_is_a_failure_too(
    course: Path, own_home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    from papermill.clientwrap import PapermillNotebookClient

    def dies(self: object, **options: object) -> None:
        raise RuntimeError("Kernel died before replying to kernel_info")

    write(course)
    monkeypatch.setattr(PapermillNotebookClient, "execute", dies)
    said = ends_cleanly(course, own_home, capsys, monkeypatch)
    assert "failed: the kernel died or hung (Kernel died before replying to kernel_info)" in said


@pytest.mark.parametrize("left", ["nothing", "a hidden error"])
def test_a_notebook_that_ends_too_early_or_hides_an_error_has_no_record(
    left: str, course: Path, monkeypatch: pytest.MonkeyPatch
):
    write(course)
    executed = book()
    if left != "nothing":
        error = {"output_type": "error", "ename": "RuntimeError", "evalue": "hidden", "traceback": []}
        executed.metadata["widgets"] = {
            STATE: {"state": {"a": {"model_name": "OutputModel", "state": {"outputs": [error]}}}}
        }

    def cells(planned: notebook.Plan) -> nbformat.NotebookNode:
        nbformat.write(executed, planned.folder / notebook.EXECUTED)
        if left != "nothing":
            (planned.folder / notebook.PENDING).write_text(json.dumps({"metrics": {}}))
        return executed

    monkeypatch.setattr(notebook, "_run_cells", cells)
    planned = notebook.plan("start", {})
    planned.folder.mkdir(parents=True)
    records.write_record(planned.folder, {"metrics": {}})  # of an earlier run, which this one replaces
    with pytest.raises(notebook.RunFailed, match="before its record cell" if left == "nothing" else "hidden"):
        notebook.execute(planned)
    assert not (planned.folder / "record.json").exists() and (planned.folder / "notebook.html").exists()
