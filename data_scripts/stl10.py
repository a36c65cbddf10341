"""STL-10: 13,000 labelled and 100,000 unlabelled pictures of 96 px (Coates, Lee, Ng 2011): a small open set."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from fgssl_edu.data import fetch


def main(target: str | Path | None = None, given: str | Path | None = None) -> Path:
    """Fetch, check, unpack and list the data set; see `fetch.build`."""
    return fetch.build("stl10", assemble, target, given)


def assemble(folder: Path, archives: Mapping[str, Path]) -> list[dict[str, object]]:
    """Unpack; the rows. A record is 3 x 96 x 96 bytes, column by column; classes are numbered from 1."""
    raw = folder / "raw"
    fetch.unpack(archives["stl10_binary.tar.gz"], raw, top="stl10_binary")
    classes = dict(enumerate(fetch.lines(raw / "class_names.txt"), 1))
    rows: list[dict[str, object]] = []
    for split, name in {"train": "train", "test": "test", "unlabelled": "unlabeled"}.items():
        found = fetch.records(raw / f"{name}_X.bin", 3 * 96 * 96).reshape(-1, 3, 96, 96).transpose(0, 1, 3, 2)
        labels = [""] * len(found)
        if split != "unlabelled":
            labels = [classes[number] for number in fetch.records(raw / f"{name}_y.bin", 1)[:, 0]]
        rows += fetch.write_pictures(folder, split, found, labels)
    del found  # Windows deletes no file that is open
    shutil.rmtree(raw)
    return rows


if __name__ == "__main__":
    fetch.command(main)
