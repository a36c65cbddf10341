"""From a name to a folder with a manifest: the one way that all data scripts go."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from fgssl_edu.data import sources
from fgssl_edu.data.fetch.archives import staging
from fgssl_edu.data.fetch.obtain import note_first_seen, obtain
from fgssl_edu.data.manifest import MANIFEST, stray_images, verify, write_manifest
from fgssl_edu.paths import data_dir

Rows = Sequence[Mapping[str, object]]
Assemble = Callable[[Path, Mapping[str, Path]], Rows]
SHOWN = 5  # files that a message names


def build(name: str, assemble: Assemble, target: str | Path | None = None, given: str | Path | None = None) -> Path:
    """Fetch, check, unpack and list a data set; if it is there already, do nothing.

    Pictures that no row of the manifest names are not kept, and neither are downloaded archives.

    Args:
        name: in the table of sources.
        assemble: called with an empty folder and the archives by file name; unpacks them there and returns the rows of
            the manifest.
        target: the folder to make; by default `name` among the data sets.
        given: a folder of the user's with archives.

    Returns:
        The folder, with manifest.csv.

    Raises:
        ValueError: what is wrong and what to do; nothing half-made is left. ConnectionError: see `obtain`.
    """
    source = sources.find(name)
    folder = Path(target) if target else data_dir() / name
    if (folder / MANIFEST).is_file():
        return folder
    downloads = folder.with_name(f"{folder.name}.archives")
    try:
        with staging(folder) as stage:
            archives = obtain(source, downloads, Path(given).expanduser() if given else None)
            rows = _assembled(name, assemble, stage, archives)
            _refuse_other(source, stage, rows)
            for stray in stray_images(stage, {str(row["path"]) for row in rows}):
                (stage / stray).unlink()
            write_manifest(stage, rows)
        note_first_seen(source, archives, folder.parent)
        shutil.rmtree(downloads, ignore_errors=True)
    finally:
        with contextlib.suppress(OSError):
            downloads.rmdir()  # empty: nothing to go on with
    return folder


def _assembled(name: str, assemble: Assemble, stage: Path, archives: Mapping[str, Path]) -> Rows:
    try:
        return assemble(stage, archives)
    except FileNotFoundError as error:
        raise ValueError(f"{name}: {error.filename} is not in its archives; nothing was kept of them") from error
    except (LookupError, TypeError) as error:  # a list names what another does not know, or lacks a column
        raise ValueError(f"{name}: its lists are not as they were published ({error!r}); nothing was kept") from error
    except ValueError as error:
        raise ValueError(f"{name}: {error}; nothing was kept of it") from error


def _refuse_other(source: sources.Source, folder: Path, rows: Rows) -> None:
    """Refuse rows that are not the published set: files missing, other numbers of images or classes."""
    missing = [str(row["path"]) for row in rows if not (folder / str(row["path"])).is_file()]
    if missing:
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        raise ValueError(
            f"{source.name}: its lists name files that are missing: {', '.join(missing[:SHOWN])}{more}. Not the "
            "published archives, or not all of them"
        )
    found = dict(Counter(str(row["split"]) for row in rows))
    classes = len({row["label"] for row in rows} - {""})
    if (found, classes) != (source.sizes, source.classes):
        raise ValueError(
            f"{source.name}: {_counts(found)}, {classes} classes were found, {_counts(source.sizes)}, {source.classes} "
            "classes are published. Not the published archives; nothing was kept of them"
        )


def _counts(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {split}" for split, count in sorted(sizes.items(), reverse=True)) or "no images"


def command(main: Callable[..., Path]) -> None:
    """What `python data_scripts/NAME.py [--from FOLDER]` does: the same as `fgssl data get NAME`, and a check."""
    parser = argparse.ArgumentParser(description="Fetch this data set, check it, unpack it and list its pictures.")
    parser.add_argument("--from", dest="given", help="a folder with archives that were fetched by hand")
    try:
        folder = main(given=parser.parse_args().given)
        print(f"{folder}: {verify(folder)}")
    except (ValueError, OSError) as error:
        sys.exit(str(error))
