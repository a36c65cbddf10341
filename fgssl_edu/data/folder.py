"""Photographs in a folder: a manifest, train/ and test/ with class folders, or class folders alone.

`manifest.csv` wins; it has the columns path, label and split (train, test, unlabelled or single), an empty label means
unlabelled; more columns are known to `manifest`. Without a manifest and without train/ and test/, a quarter of each
class is drawn as test images. Everything that is wrong with any file is found first and reported together, by name,
before anything trains.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import torch

from fgssl_edu.data.boxes import with_boxes
from fgssl_edu.data.decode import decode
from fgssl_edu.data.image_set import UNLABELLED, ImageSet, Splits, class_ranks
from fgssl_edu.data.manifest import (
    CLUTTER,
    COLUMNS,
    CUT_BOTTOM,
    MANIFEST,
    SPLITS,
    SUFFIXES,
    files_below,
    read_manifest,
    stray_images,
)

LOGGER = logging.getLogger(__name__)
TEST_SHARE = 0.25  # of each class, where the folder has no split of its own
SHOWN = 100  # problems that a message lists by name
SIZES = (4, 2048)  # pixels


@dataclass
class Listing:
    """What a folder holds, before any file is opened."""

    rows: list[tuple[str, str, str]] = field(default_factory=list)  # path, label, split
    cuts: dict[str, int] = field(default_factory=dict)  # path: pixels to cut off at its lower edge, where there are any
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def load_folder(path: str | Path, image_size: int = 64, on_bad: str = "raise", seed: int = 0) -> Splits:
    """Load the photographs of a folder.

    Args:
        path: the folder.
        image_size: side of the stored square pictures in pixels.
        on_bad: "raise" refuses the folder if anything is wrong with it; "skip" loads the rest and tells in `notes`.
        seed: of the 75/25 split of a folder that has none.

    Returns:
        Train and test images. Genus and parts are unknown, hence absent; of masks there are at most boxes, where the
        folder has them (see `boxes`).

    Raises:
        ValueError: all that is wrong, by name.
    """
    folder = Path(path).expanduser()
    if on_bad not in ("raise", "skip"):
        raise ValueError(f"on_bad={on_bad!r}: use 'raise' or 'skip'")
    if not SIZES[0] <= image_size <= SIZES[1]:
        raise ValueError(f"image_size={image_size}: use {SIZES[0]} to {SIZES[1]} pixels")
    if not folder.is_dir():
        raise ValueError(
            f"{folder}: {'a file' if folder.exists() else 'does not exist'}; name a folder with photographs"
        )
    listing = list_folder(folder, seed)
    rows = sorted(listing.rows, key=lambda row: row[2] == "test")  # training images first: the two sets are slices
    images, unreadable = decode(folder, [name for name, _, _ in rows], image_size, listing.cuts)
    problems = listing.problems + [f"{rows[i][0]}: {unreadable[i]}" for i in sorted(unreadable)]
    if problems and on_bad == "raise":
        raise ValueError(
            f"{folder}: {_count(problems, 'problem')}, nothing was loaded:\n{_lines(problems)}\n"
            "Mend or remove what is named, or load the rest with on_bad='skip'."
        )
    good = [i for i in range(len(rows)) if i not in unreadable]
    if not good:
        raise ValueError(
            f"{folder}: no image can be read:\n{_lines(problems)}" if problems else f"{folder}: no images in it"
        )
    if unreadable:
        images, rows = images[torch.tensor(good)], [rows[i] for i in good]
    notes = listing.notes + [f"skipped: {problem}" for problem in problems]
    if notes:
        LOGGER.warning("%s: %s loaded, %s:\n%s", folder, _count(rows, "image"), _count(notes, "note"), _lines(notes))
    return _split(folder, images, rows, tuple(notes))


def list_folder(folder: Path, seed: int) -> Listing:
    """Find the layout of a folder and list its images, without opening them."""
    if (folder / MANIFEST).is_file():
        return _list_manifest(folder)
    inside = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not inside:
        loose = sum(1 for _ in files_below(folder, folder))
        raise ValueError(
            f"{folder}: no class folders ({loose} files). Put the images of each class into a folder of its own, or "
            f"write {MANIFEST} with the columns {','.join(COLUMNS)}; an empty label means unlabelled"
        )
    if len(inside) == 1 and inside[0] in ("train", "test"):
        raise ValueError(
            f"{folder}: {inside[0]}/ stands alone; train/ and test/ go together, or put class folders directly"
        )
    if {"train", "test"} <= set(inside):
        listing = Listing(
            notes=[f"ignored: {name}/ beside train/ and test/" for name in inside if name not in ("train", "test")]
        )
        for split in ("train", "test"):
            _list_classes(listing, folder, folder / split, split)
        return listing
    listing = Listing()
    _list_classes(listing, folder, folder, "train")
    listing.rows = _draw_test(listing.rows, seed)
    return listing


def _list_manifest(folder: Path) -> Listing:
    listing, seen = Listing(), set()
    for row in read_manifest(folder):
        name, label, split = (row[column] for column in COLUMNS)
        path = PurePosixPath(name)
        if not name or path.is_absolute() or ".." in path.parts:
            listing.problems.append(f"{name!r} in {MANIFEST}: not a path inside the folder")
        elif str(path) in seen:
            listing.problems.append(f"{name}: more than one row in {MANIFEST}")
        elif split not in SPLITS:
            listing.problems.append(f"{name}: split {split!r} in {MANIFEST}; use {', '.join(SPLITS)}")
        elif not (cut := row.get(CUT_BOTTOM) or "0").isdecimal():
            listing.problems.append(f"{name}: {CUT_BOTTOM} {cut!r} in {MANIFEST}; write a number of pixels")
        else:
            listing.rows.append((str(path), label, split))
            if int(cut):
                listing.cuts[str(path)] = int(cut)
        seen.add(str(path))
    stray = stray_images(folder, seen)
    if stray:
        more = f" and {len(stray) - 3} more" if len(stray) > 3 else ""
        listing.notes.append(
            f"ignored: {_count(stray, 'image')} without a row in {MANIFEST}: {', '.join(stray[:3])}{more}"
        )
    return listing


def _list_classes(listing: Listing, folder: Path, parent: Path, split: str) -> None:
    """Add every file below the class folders of `parent`; a class without files is a problem."""
    for entry in sorted(parent.iterdir(), key=lambda entry: entry.name):
        if entry.name.startswith(".") or entry.name.lower() in CLUTTER:
            continue
        name = entry.relative_to(folder).as_posix()
        if entry.is_dir():
            files = list(files_below(folder, entry))
            listing.rows += [(file, entry.name, split) for file in files]
            if not files:
                listing.problems.append(f"{name}/: a class without images")
        elif entry.suffix.lower() in SUFFIXES:
            listing.problems.append(f"{name}: an image outside of the class folders has no label")
        elif parent != folder:
            listing.notes.append(f"ignored: {name}")


def _draw_test(rows: list[tuple[str, str, str]], seed: int) -> list[tuple[str, str, str]]:
    """Move a quarter of each class to test, at least one image of a class that has two."""
    number = {label: i for i, label in enumerate(sorted({label for _, label, _ in rows}))}
    labels = torch.tensor([number[label] for _, label, _ in rows], dtype=torch.int64)
    place, size = class_ranks(labels, seed, "test_split")
    wanted = torch.where(size > 1, (size * TEST_SHARE).round().clamp(min=1), 0)
    tested = (place < wanted).tolist()
    return [(name, label, "test" if test else "train") for (name, label, _), test in zip(rows, tested, strict=True)]


def _split(folder: Path, images: torch.Tensor, rows: list[tuple[str, str, str]], notes: tuple[str, ...]) -> Splits:
    classes = tuple(sorted({label for _, label, _ in rows if label}))
    number = {label: i for i, label in enumerate(classes)} | {"": UNLABELLED}
    labels = torch.tensor([number[label] for _, label, _ in rows], dtype=torch.int64)
    trained = sum(split != "test" for _, _, split in rows)

    def part(where: slice) -> ImageSet:
        found = ImageSet(
            images=images[where],
            labels=labels[where],
            classes=classes,
            name=f"folder:{folder.name}",
            provenance=f"photographs in the folder {folder.name}",
            licence="not known to the program: see what came with the folder",
            paths=tuple(name for name, _, _ in rows[where]),
        )
        return with_boxes(found, folder)

    return Splits(train=part(slice(0, trained)), test=part(slice(trained, None)), notes=notes)


def _count(things: list, noun: str) -> str:
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"


def _lines(items: list[str]) -> str:
    more = [f"  and {len(items) - SHOWN} more"] if len(items) > SHOWN else []
    return "\n".join([f"  {item}" for item in items[:SHOWN]] + more)
