"""Pictures that a data set publishes as bare bytes, written as PNG files: one kind of data set for whatever reads them.

Nothing is unpickled: a pickle may run any code, and the sets that come as pickles are published as bytes too.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

THREADS = min(8, os.cpu_count() or 1)


def records(path: Path, size: int) -> np.ndarray:
    """A file of equally long records, (records, size) uint8, read from the disk where it is touched.

    Raises:
        ValueError: a file that is no whole number of records.
    """
    if not path.stat().st_size or path.stat().st_size % size:
        raise ValueError(f"{path.name}: {path.stat().st_size:,} bytes are no whole number of records of {size:,} bytes")
    return np.memmap(path, dtype=np.uint8, mode="r").reshape(-1, size)


def write_pictures(folder: Path, split: str, pixels: np.ndarray, labels: Sequence[str]) -> list[dict[str, object]]:
    """Write SPLIT/LABEL/NUMBER.png of each picture, packed quickly rather than tightly.

    Args:
        folder: of the data set.
        split: of the manifest.
        pixels: (N, 3, H, W) uint8.
        labels: (N,) names of classes; "" is unlabelled.

    Returns:
        Rows of the manifest, in the order of the pictures.
    """
    names = [str(PurePosixPath(split, label, f"{i:06d}.png")) for i, label in enumerate(labels)]
    for parent in {(folder / name).parent for name in names}:
        parent.mkdir(parents=True, exist_ok=True)

    def write(i: int) -> None:
        Image.fromarray(np.ascontiguousarray(pixels[i].transpose(1, 2, 0))).save(folder / names[i], compress_level=1)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(write, range(len(names))))
    return [{"path": name, "label": label, "split": split} for name, label in zip(names, labels, strict=True)]
