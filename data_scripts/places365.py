"""Places365-Standard: 1,803,460 pictures of 365 kinds of places, short side 256 px (Zhou et al. 2018)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fgssl_edu.data import fetch

PARTS = {
    "train": ("train_256_places365standard.tar", "data_256", "places365_train_standard.txt"),
    "test": ("val_256.tar", "val_256", "places365_val.txt"),
}


def main(target: str | Path | None = None, given: str | Path | None = None) -> Path:
    """Fetch, check, unpack and list the data set; see `fetch.build`."""
    return fetch.build("places365", assemble, target, given)


def assemble(folder: Path, archives: Mapping[str, Path]) -> list[dict[str, object]]:
    """Unpack; the rows. The published validation part is the test set: the labels of the real one are not published."""
    lists = folder / "lists"
    fetch.unpack(archives["filelist_places365-standard.tar"], lists)
    classes = {number: name[3:] for name, number in pairs(lists / "categories_places365.txt")}  # /a/airfield
    rows: list[dict[str, object]] = []
    for split, (archive, top, names) in PARTS.items():
        fetch.unpack(archives[archive], folder / top, top=top)
        for name, number in pairs(lists / names):
            rows.append({"path": f"{top}/{name.lstrip('/')}", "label": classes[number], "split": split})
    return rows


def pairs(path: Path) -> list[list[str]]:
    """The lines of a list, a name and a number each."""
    return [line.split() for line in fetch.lines(path)]


if __name__ == "__main__":
    fetch.command(main)
