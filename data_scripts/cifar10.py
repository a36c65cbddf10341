"""CIFAR-10: 60,000 pictures of 32 px of ten kinds of things (Krizhevsky 2009), one of them birds."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fgssl_edu.data import fetch

FILES = {"train": [f"data_batch_{i}.bin" for i in range(1, 6)], "test": ["test_batch.bin"]}


def main(target: str | Path | None = None, given: str | Path | None = None) -> Path:
    """Fetch, check, unpack and list the data set; see `fetch.build`."""
    return fetch.build("cifar10", assemble, target, given)


def assemble(folder: Path, archives: Mapping[str, Path]) -> list[dict[str, object]]:
    """Unpack; the rows. A record is a byte with the class and 3 x 32 x 32 bytes with the picture."""
    raw = folder / "raw"
    fetch.unpack(archives["cifar-10-binary.tar.gz"], raw, top="cifar-10-batches-bin")
    classes = fetch.lines(raw / "batches.meta.txt")
    rows: list[dict[str, object]] = []
    for split, names in FILES.items():
        found = np.concatenate([fetch.records(raw / name, 1 + 3 * 32 * 32) for name in names])
        labels = [classes[number] for number in found[:, 0]]
        rows += fetch.write_pictures(folder, split, found[:, 1:].reshape(-1, 3, 32, 32), labels)
    shutil.rmtree(raw)
    return [{**row, "group": row["label"]} for row in rows]


if __name__ == "__main__":
    fetch.command(main)
