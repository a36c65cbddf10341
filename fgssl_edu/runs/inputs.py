"""What a finished run was made from beside its settings: its notebook, the package, the photographs of a folder.

A run is skipped only where all of them are as they were.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from fgssl_edu import paths
from fgssl_edu.runs import named_data

TOLD = (".py", ".json", ".csv")  # of the package: its code, the shipped records and the papers' numbers in its tables


def digests(notebook: Path, dataset: str) -> dict[str, str]:
    """A digest of each, by name; without photographs that of the data is empty.

    Args:
        notebook: its cells' sources, types and tags count, and no output.
        dataset: a name, or folder:PATH.
    """
    place = named_data.place_of(dataset)
    return {
        "notebook": of_lines(cells(notebook)),
        "package": of_lines(package()),
        "data": "" if place is None else of_lines(listing(place)),
    }


def of_lines(lines: Iterable[str]) -> str:
    """12 hex digits of lines of text."""
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode("utf-8", "surrogateescape") + b"\0")
    return digest.hexdigest()[:12]


def cells(notebook: Path) -> Iterator[str]:
    """What a notebook's author wrote, a line a cell."""
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        yield json.dumps([cell["cell_type"], "".join(cell["source"]), cell["metadata"].get("tags", [])])


def package() -> Iterator[str]:
    """Every file of the package that a result or what shows it may come from, with its content's hash."""
    for path in sorted(paths.PACKAGE.rglob("*")):
        within = path.relative_to(paths.PACKAGE)
        if path.suffix in TOLD and within.parts[0] != "course":
            yield f"{within.as_posix()} {hashlib.sha256(path.read_bytes()).hexdigest()}"


def listing(folder: Path) -> Iterator[str]:
    """Every file below a folder with its size in bytes and the time of its last change: cheap, and enough to notice."""
    for where, inside, names in os.walk(folder):
        inside.sort()
        for name in sorted(names):
            path = Path(where) / name
            try:
                known = path.stat()
            except OSError:  # a link to nothing, or gone by now
                yield f"{path.relative_to(folder)} unreadable"
                continue
            yield f"{path.relative_to(folder)} {known.st_size} {known.st_mtime_ns}"
