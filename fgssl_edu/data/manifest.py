"""manifest.csv: the list of a folder's pictures with label, split and checksum, written, read and checked.

Columns: path, label, split; sha256; and, where they are known, what `FRAME` and `BOX` name. No torch here, so that a
download needs none.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from fgssl_edu.paths import atomic_write

MANIFEST = "manifest.csv"
COLUMNS = ("path", "label", "split")
SPLITS = ("train", "test", "unlabelled", "single")  # all but test are trained on
FRAME = ("width", "height")  # of the picture as it lies there, pixels; measured when a manifest with boxes is written
BOX = ("box_x", "box_y", "box_width", "box_height")  # where its object is, pixels of that picture
CUT_BOTTOM = "cut_bottom"  # rows of pixels at the lower edge that are no part of the photograph: a copyright banner
SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})
CLUTTER = frozenset({"desktop.ini", "thumbs.db"})  # left by file managers, next to dot files


def read_manifest(folder: Path) -> list[dict[str, str]]:
    """The rows of a folder's manifest.csv, all columns; a file that is no such table is a ValueError."""
    path = folder / MANIFEST
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="")
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise ValueError(
                    f"{path}: no column {', '.join(missing)}; its first line must name {','.join(COLUMNS)}"
                )
            return [{key: value.strip() for key, value in row.items() if key is not None} for row in reader]
    except FileNotFoundError as error:
        raise ValueError(f"{path} does not exist: there is nothing to read or to check the folder against") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(
            f"{path}: not a table in UTF-8 ({error}); save it as CSV, UTF-8, separated by commas"
        ) from error


def write_manifest(folder: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    """Write manifest.csv from rows with path, label, split and what else is known.

    Adds the SHA-256 of each file and, where the rows have boxes, the size of each picture, without which a box says
    little.
    """
    names = [str(row["path"]) for row in rows]
    added = [{"sha256": value} for value in digests(folder, names)]
    if set(BOX) <= set(rows[0]):
        added = [{**one, **frame} for one, frame in zip(added, _frames(folder, names), strict=True)]
    table = [{**row, **more} for row, more in zip(rows, added, strict=True)]
    first = (*COLUMNS, *added[0])
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, [*first, *(name for name in rows[0] if name not in first)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return atomic_write(folder / MANIFEST, text.getvalue())


def files_below(folder: Path, below: Path) -> Iterator[str]:
    """Every file below a folder but hidden ones and clutter, relative to `folder`, in the same order anywhere."""
    for where, inside, names in os.walk(below):
        inside[:] = sorted(name for name in inside if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and name.lower() not in CLUTTER:
                yield (Path(where) / name).relative_to(folder).as_posix()


def stray_images(folder: Path, names: set[str]) -> list[str]:
    """Image files in a folder, by their suffix, that are not among `names`."""
    return [name for name in files_below(folder, folder) if name not in names and Path(name).suffix.lower() in SUFFIXES]


def digests(folder: Path, names: Sequence[str]) -> list[str]:
    """SHA-256 of files, in hex digits, in the order of the names."""

    def digest(name: str) -> str:
        with (folder / name).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(digest, names))


def _frames(folder: Path, names: Sequence[str]) -> list[dict[str, str]]:
    """Width and height of pictures from their headers; ValueError for what is no picture."""
    from PIL import Image, UnidentifiedImageError

    def frame(name: str) -> dict[str, str]:
        try:
            with Image.open(folder / name) as image:
                return dict(zip(FRAME, map(str, image.size), strict=True))
        except UnidentifiedImageError:
            raise ValueError(f"{name}: not an image") from None

    return [frame(name) for name in names]


@dataclass(frozen=True)
class Verification:
    """What a folder was found to hold, against its manifest."""

    images: int  # rows of the manifest
    problems: tuple[str, ...]  # files that are missing or changed, one line each
    stray: tuple[str, ...]  # image files without a row
    duplicates: tuple[tuple[str, str], ...]  # the same bytes in test and in what is trained on

    def __str__(self) -> str:
        found = [*self.problems, *(f"{name}: no row in manifest.csv" for name in self.stray)]
        found += [f"{test} is the same file as {train}" for test, train in self.duplicates]
        state = "not as manifest.csv says" if self.problems else "as manifest.csv says"
        return "\n  ".join([f"{self.images} images, {state}", *found])


def verify(folder: Path) -> Verification:
    """Check every file of a folder against its manifest.csv, and look for files that are in train and in test.

    Without a column sha256 only missing files are found, and duplicates all the same. A duplicate here has the same
    bytes; a picture that was saved twice has not.
    """
    rows = read_manifest(folder)
    missing = [row["path"] for row in rows if not (folder / row["path"]).is_file()]
    gone = set(missing)
    there = [row for row in rows if row["path"] not in gone]
    sums = digests(folder, [row["path"] for row in there])
    problems = [f"{name}: missing" for name in missing]
    owner: dict[str, str] = {}
    for row, value in zip(there, sums, strict=True):
        if row.get("sha256", value) != value:
            problems.append(f"{row['path']}: changed (sha256 {value[:12]}... instead of {row['sha256'][:12]}...)")
        if row["split"] != "test":
            owner.setdefault(value, row["path"])
    tested = [(row["path"], owner.get(value)) for row, value in zip(there, sums, strict=True) if row["split"] == "test"]
    duplicates = tuple((test, train) for test, train in tested if train is not None)
    stray = stray_images(folder, {row["path"] for row in rows})
    return Verification(len(rows), tuple(problems), tuple(stray), duplicates)
