"""JupyterLab on the course: the checkout's notebooks, or a copy to write in where the package was installed."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import platformdirs

from fgssl_edu import paths

ADDRESS, QUIET = "127.0.0.1", ("--no-browser",)
ADDRESS_OPTION = re.compile(r"--?(\w+\.)*ip(=|$)")  # --ip, --ServerApp.ip; Jupyter takes no shortened names
SHIPPED = ".shipped.json"  # in the copy: the hash of each notebook as it was put there


def course_folder() -> tuple[Path, list[str]]:
    """The folder to open, and what its reader has to be told.

    From a checkout it is the notebooks' own folder. An installed package's notebooks are copied into the user's data
    folder (or `FGSSL_HOME/notebooks`); a later version replaces a copy only where nobody changed it.
    """
    if paths.is_checkout():
        return paths.notebooks_dir(), []
    root = paths.home() or platformdirs.user_data_path("fgssl_edu", appauthor=False)
    return copy_course(paths.notebooks_dir(), root / "notebooks")


def copy_course(source: Path, target: Path) -> tuple[Path, list[str]]:
    """Bring a writable copy of the notebooks up to date without touching what was edited.

    Returns:
        The target, and one line for each lesson whose newer version was not put in the place of an edited one.
    """
    target.mkdir(parents=True, exist_ok=True)
    ledger = target / SHIPPED
    known: dict[str, str] = json.loads(ledger.read_text(encoding="utf-8")) if ledger.is_file() else {}
    notes = []
    for notebook in sorted(source.glob("*.ipynb")):
        copy, new = target / notebook.name, digest(notebook)
        if not copy.exists() or digest(copy) == known.get(notebook.name):
            shutil.copyfile(notebook, copy)
            known[notebook.name] = new
        elif digest(copy) != new and known.get(notebook.name) != new:
            notes.append(f"{copy.name} was edited and is kept; the course has a newer one: rename yours to get it")
    paths.atomic_write(ledger, json.dumps(known, indent=1))
    return target, notes


def digest(path: Path) -> str:
    """Hash of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def arguments(folder: Path, browser: bool, further: Sequence[str] = ()) -> list[str]:
    """What JupyterLab is started with, to serve a folder to this machine alone. It makes a new token for each start.

    Raises:
        ValueError: a further option would open the server to a network.
    """
    for word in further:
        if ADDRESS_OPTION.match(word):
            raise ValueError(
                f"{word}: the course is served to this machine alone, at {ADDRESS}; leave the address out. "
                "From elsewhere, forward the port: ssh -L 8888:localhost:8888 HOST"
            )
    return [f"--ServerApp.ip={ADDRESS}", f"--ServerApp.root_dir={folder}", *(() if browser else QUIET), *further]


def open_lab(browser: bool, further: Sequence[str] = ()) -> None:
    """Serve JupyterLab on the course, in this process, until it is stopped."""
    from jupyterlab.labapp import main  # type: ignore[import-untyped]

    folder, notes = course_folder()
    for line in (f"the course: {folder}", *notes):
        print(line, flush=True)
    main(arguments(folder, browser, further))
