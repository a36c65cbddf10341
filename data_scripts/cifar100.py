"""CIFAR-100: 60,000 pictures of 32 px of 100 kinds of things in 20 superclasses (Krizhevsky 2009)."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from fgssl_edu.data import fetch


def main(target: str | Path | None = None, given: str | Path | None = None) -> Path:
    """Fetch, check, unpack and list the data set; see `fetch.build`."""
    return fetch.build("cifar100", assemble, target, given)


def assemble(folder: Path, archives: Mapping[str, Path]) -> list[dict[str, object]]:
    """Unpack; the rows. A record is two bytes with superclass and class, and 3 x 32 x 32 bytes with the picture."""
    raw = folder / "raw"
    fetch.unpack(archives["cifar-100-binary.tar.gz"], raw, top="cifar-100-binary")
    coarse, fine = (fetch.lines(raw / f"{kind}_label_names.txt") for kind in ("coarse", "fine"))
    rows: list[dict[str, object]] = []
    for split in ("train", "test"):
        found = fetch.records(raw / f"{split}.bin", 2 + 3 * 32 * 32)
        labels = [fine[number] for number in found[:, 1]]
        own = fetch.write_pictures(folder, split, found[:, 2:].reshape(-1, 3, 32, 32), labels)
        rows += [{**row, "superclass": coarse[number]} for row, number in zip(own, found[:, 0], strict=True)]
    del found  # Windows deletes no file that is open
    shutil.rmtree(raw)
    return rows


if __name__ == "__main__":
    fetch.command(main)
