"""One run of a lesson's notebook by papermill: checks before the kernel starts, then one folder that tells all.

The folder holds the executed notebook, its HTML, `metrics.json` and, last and atomically, `record.json`: a run is
complete when its record is there. A failed cell leaves the notebook with the error, and no record.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fgssl_edu import config, paths, records
from fgssl_edu.runs import inputs, locks, page, parameters

SUPERVISED = "FGSSL_RUN"  # environment variable: the folder of the run that started this kernel
PENDING = "pending.json"  # what the notebook's last cell leaves for the record, before the run is known to be good
EXECUTED = "notebook.ipynb"
PAGE = "notebook.html"
MOST_THREADS = 4  # a small network gains nothing from more
LOCK = ".lock"  # there while a process writes the folder
LINES_A_CELL = 20  # printed live; the executed notebook has the rest


class RunFailed(RuntimeError):
    """A lesson that did not run to its end; the message says where and why, and where to look."""


@dataclass(frozen=True)
class Plan:
    """A run that was checked and not yet started."""

    slug: str
    notebook: Path
    given: dict[str, object]  # what is injected
    resolved: config.Resolved
    notes: tuple[str, ...]  # what the user has to be told
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)  # of the kernel: settings that no notebook declares


def plan(slug: str, given: Mapping[str, object]) -> Plan:
    """Check a run without starting a kernel.

    Args:
        slug: the lesson.
        given: parameters by name; text is read by the type of its setting, as from the command line.

    Raises:
        ValueError: an unknown lesson or parameter, a wrong type, a value out of range, a data set that is not there.
    """
    lessons = {name: path for _, name, path in paths.course()}
    if slug not in lessons:
        hint = config.suggestion(slug, lessons)
        raise ValueError(
            f"no lesson {slug!r}{hint}; lessons are {', '.join(lessons) or f'none in {paths.notebooks_dir()}'}"
        )
    values = {name: parameters.parse(name, value) if isinstance(value, str) else value for name, value in given.items()}
    declared = parameters.declared_by(json.loads(lessons[slug].read_text(encoding="utf-8")))
    given = {name: value for name, value in values.items() if value is not None}
    machine = {name: given[name] for name in config.OF_THE_MACHINE if name in given and name not in declared}
    parameters.check_declared(values, {**declared, **dict.fromkeys(config.OF_THE_MACHINE)})
    resolved, notes = parameters.settle(slug, {**declared, **given}, declared.keys() - given.keys())
    if given.get("dataset"):
        given["dataset"] = resolved.settings.dataset  # a folder's whole path, wherever the kernel works
    injected = {name: value for name, value in given.items() if name not in machine}
    variables = {f"FGSSL_{name.upper()}": str(value) for name, value in machine.items()}
    folder = folder_of(slug, resolved.settings)
    return Plan(slug, lessons[slug], injected, resolved, tuple(notes), folder, variables)


def folder_of(slug: str, settings: config.Settings, notebook: bool = False) -> Path:
    """The folder of a run: the same for the same settings, so that a complete run is found again."""
    return paths.runs_dir(notebook) / slug / settings.key()


def complete(planned: Plan) -> dict[str, Any] | None:
    """The record of this run if `execute` completed it with code, notebook and photographs as they are now, or None."""
    try:
        record = records.read_record(planned.folder)
    except ValueError:
        return None
    same = record.get("inputs") == digests_of(planned)
    same &= record.get("environment", {}).get("code") == paths.code_hash()
    return record if same and (planned.folder / record.get("notebook", "missing")).is_file() else None


def digests_of(planned: Plan) -> dict[str, str]:
    """What the run is made from beside its settings; see `inputs.digests`."""
    return inputs.digests(planned.notebook, planned.resolved.settings.dataset)


def execute(planned: Plan) -> dict[str, Any]:
    """Run a lesson that was checked, and write its folder; see `execute_alone`.

    Raises:
        RunFailed: also where another process is at this very run.
    """
    try:
        with locks.held(planned.folder / LOCK, wait=False):
            return execute_alone(planned)
    except locks.Busy as error:
        raise RunFailed(f"{error}; its result will be there when it is done") from None


def execute_alone(planned: Plan) -> dict[str, Any]:
    """Run a lesson that was checked, in a folder that no other process writes to.

    Returns:
        The record.

    Raises:
        RunFailed: a cell or a widget failed, or the last cell did not run; there is no record then.
    """
    folder, started, made_from = planned.folder, time.monotonic(), digests_of(planned)
    for name in (records.RECORD, records.METRICS, PENDING, EXECUTED, PAGE):
        (folder / name).unlink(missing_ok=True)
    try:
        executed = _run_cells(planned)
    finally:
        if (folder / EXECUTED).is_file():
            _write_page(folder)
    hidden = scan_widget_errors(executed)
    if hidden:
        raise RunFailed(f"{len(hidden)} error(s) inside widgets, the first: {hidden[0]}\n  see {folder / PAGE}")
    if not (folder / PENDING).is_file():
        raise RunFailed(f"the notebook ended before its record cell (run.record)\n  see {folder / PAGE}")
    record: dict[str, Any] = json.loads((folder / PENDING).read_text(encoding="utf-8"))
    record |= {
        "parameters": planned.given,
        "inputs": made_from,
        "notebook": EXECUTED,
        "page": PAGE,
        "run_seconds": time.monotonic() - started,
    }
    records.write_record(folder, record)
    (folder / PENDING).unlink()
    return record


def scan_widget_errors(notebook: Mapping[str, Any]) -> list[str]:
    """Errors that a widget swallowed: an exception inside `interact` or `with Output()` fails no cell.

    Args:
        notebook: an executed notebook with its widget state.

    Returns:
        "Name: message" for each error output in the saved state of an Output widget.
    """
    state = notebook["metadata"].get("widgets", {}).get(page.WIDGET_STATE, {}).get("state", {})
    outputs = [output for model in state.values() for output in model.get("state", {}).get("outputs", ())]
    return [f"{output['ename']}: {output['evalue']}" for output in outputs if output.get("output_type") == "error"]


def set_threads(scale: str) -> None:
    """Threads of torch: `FGSSL_THREADS`, else `OMP_NUM_THREADS`, else one at ci and one core less than there are."""
    import torch  # late: a mistake on the command line is told without it

    # Threads wait for each other by spinning: with every core asked for, a busy browser made a run 20 times slower.
    asked = os.environ.get("FGSSL_THREADS")
    if asked is not None:
        if not asked.isdecimal() or int(asked) < 1:
            raise ValueError(f"the environment variable FGSSL_THREADS={asked!r} should be a whole number from 1")
        torch.set_num_threads(int(asked))
    elif not os.environ.get("OMP_NUM_THREADS"):
        torch.set_num_threads(1 if scale == "ci" else max(1, min(MOST_THREADS, (os.cpu_count() or 2) - 1)))


def opened_by_hand(namespace: Mapping[str, object], slug: str) -> bool:
    """Whether a person opened the notebook: a Jupyter session, or a kernel that works in the notebook's own folder."""
    if not isinstance(namespace.get("In"), list):
        return False
    return "JPY_SESSION_NAME" in os.environ or any(Path.cwd().glob(f"[0-9][0-9]_{slug}.ipynb"))


def _run_cells(planned: Plan) -> Any:
    import papermill
    from jupyter_client.kernelspec import NoSuchKernel
    from nbclient.exceptions import CellTimeoutError
    from papermill.exceptions import PapermillExecutionError

    folder, progress = planned.folder, Progress()
    literal = [str(path).replace("{", "{{").replace("}", "}}") for path in (planned.notebook, folder / EXECUTED)]
    with _environment({SUPERVISED: str(folder), **planned.environment}):
        try:
            return papermill.execute_notebook(
                *literal,
                parameters=planned.given,
                progress_bar=False,
                stdout_file=progress,
                on_cell_start=progress.cell,
                extra_arguments=["--IPKernelApp.log_level=CRITICAL"],  # it warns at each start, and complains of Ctrl-C
            )
        except PapermillExecutionError as error:
            where = f"cell {error.exec_count}: {error.ename}: {error.evalue}"
            raise RunFailed(f"{where}\n  see {folder / PAGE}") from None
        except NoSuchKernel as error:
            known = "`jupyter kernelspec list` names those that there are"
            raise RunFailed(f"the notebook asks for the kernel {error.name!r}, which is not here; {known}") from None
        except (RuntimeError, CellTimeoutError) as error:  # RuntimeError: a kernel's death, at its start or in a cell
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise RunFailed(f"the kernel died or hung ({reason})\n  see {folder / PAGE}") from None


@contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _write_page(folder: Path) -> None:
    import nbformat

    paths.atomic_write(folder / PAGE, page.as_html(nbformat.read(folder / EXECUTED, as_version=4)))


class Progress:
    """Plain lines while a notebook runs: its headings as they are reached, and what its cells print."""

    def __init__(self) -> None:
        self.heading, self.printed, self.rest = "", 0, ""

    def cell(self, cell: Mapping[str, Any], cell_index: int) -> None:
        """Called before each cell, text cells included."""
        self.printed, self.rest = 0, ""
        first = cell["source"].lstrip().split("\n", 1)[0]
        if cell["cell_type"] == "markdown" and first.startswith("#"):
            print(first.lstrip("# "), flush=True)

    def write(self, text: str) -> None:
        """Print whole lines, indented, until the cell has had its share."""
        *lines, self.rest = (self.rest + text).split("\n")
        for line in lines:
            shown = line.rsplit("\r", 1)[-1].rstrip()
            self.printed += bool(shown)
            if shown and self.printed <= LINES_A_CELL:
                print(f"  {shown}", flush=True)
            elif shown and self.printed == LINES_A_CELL + 1:
                print("  ... (more in the notebook)", flush=True)

    def flush(self) -> None:
        """Nothing is held back but a line that has not ended."""
