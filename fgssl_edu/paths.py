"""Where things are kept: data, caches, runs, the notebooks and the data scripts.

`FGSSL_HOME` is the one root for data, caches and runs. Without it they go where the platform keeps a user's data and
caches, and runs go to `./runs`, where whoever started them finds them.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import platformdirs

PACKAGE = Path(__file__).resolve().parent
NOTEBOOK_NAME = re.compile(r"(\d\d)_([a-z0-9-]+)\.ipynb")
# Floors 0 to 4: everything that can change a computed result. What only shows it (figures, panels) is left out.
COMPUTING = (
    *("config.py", "paths.py", "records.py", "draws.py", "distributed.py", "recipe.py"),
    *("views", "nets", "losses", "gradcam.py", "data"),
    *("methods", "coreset", "train.py", "devices.py", "checkpoints.py", "evaluate", "explain"),
)


def home() -> Path | None:
    """The folder named by `FGSSL_HOME`, absolute, or None where the variable is unset or empty."""
    named = os.environ.get("FGSSL_HOME")
    return Path(named).expanduser().resolve() if named else None


def data_dir() -> Path:
    """Where downloaded data sets live."""
    root = home()
    return root / "data" if root else platformdirs.user_data_path("fgssl_edu", appauthor=False) / "data"


def cache_dir() -> Path:
    """Where results live that can be computed again."""
    root = home()
    return root / "cache" if root else platformdirs.user_cache_path("fgssl_edu", appauthor=False)


def runs_dir(notebook: bool = False) -> Path:
    """Where run folders are written.

    Args:
        notebook: opened by hand, where the working folder is the notebooks' own and no place for results.
    """
    root = home()
    if root:
        return root / "runs"
    return platformdirs.user_data_path("fgssl_edu", appauthor=False) / "runs" if notebook else Path.cwd() / "runs"


def is_checkout() -> bool:
    """Whether the package runs from a checkout, whose notebooks are meant to be edited in place."""
    return not (PACKAGE / "course").is_dir() and (PACKAGE.parent / "notebooks").is_dir()


def notebooks_dir() -> Path:
    """The folder of the course's notebooks: the checkout's, or the copy inside an installed package."""
    return _course_folder("notebooks")


def data_scripts_dir() -> Path:
    """The folder of the scripts that fetch data sets: the checkout's, or the copy inside an installed package."""
    return _course_folder("data_scripts")


def _course_folder(name: str) -> Path:
    return PACKAGE.parent / name if is_checkout() else PACKAGE / "course" / name


def course() -> list[tuple[int, str, Path]]:
    """Every lesson in the order of the course: its number, its slug, its notebook."""
    named = ((NOTEBOOK_NAME.fullmatch(path.name), path) for path in sorted(notebooks_dir().glob("*.ipynb")))
    return [(int(match[1]), match[2], path) for match, path in named if match]


def atomic_write(path: Path, content: bytes | str) -> Path:
    """Write a file so that a reader sees the old content or the new, never a part, even if the machine stops.

    Args:
        path: the file; its folder is made if need be.
        content: what it will hold; text is written as UTF-8.

    Returns:
        The path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)  # mkstemp makes files that only their owner may read
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    return path


@contextlib.contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A folder to fill, beside the one named: it gets that name when all is done, and is deleted if anything fails.

    Raises:
        ValueError: the folder is there already, and not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} is there already and not empty: name a new folder, or delete it first")
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of somebody who was killed
    partial.mkdir(parents=True)
    try:
        yield partial
        if folder.exists():
            folder.rmdir()
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


@functools.cache
def code_hash() -> str:
    """12 hex digits over the content of every source file that can change a result (floors 0 to 4).

    Taken once in a process, so that it names the code that was loaded, not what the files became since.
    """
    digest = hashlib.sha256()
    roots = [PACKAGE / name for name in COMPUTING]
    files = [path for root in roots for path in ([root] if root.is_file() else sorted(root.rglob("*.py")))]
    for path in files:
        digest.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0")
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]
