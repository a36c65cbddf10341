"""Sets of middle size: decoded once, kept on disk as one array of pixels, and mapped into memory.

A set is a folder: `images.npy` (N, 3, S, S) uint8 and `labels.npy` (N,) int64, as numpy writes them, and, written last,
`map.json`. The system keeps in memory what was read lately and has room: of a set that fits, everything. So the pixels
are a tensor like any other, and batches come from the loader of a set in memory.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fgssl_edu.data.image_set import Images
from fgssl_edu.paths import atomic_write, whole_folder

FORMAT = "fgssl_edu map 1"
UNKNOWN = {"provenance": "a mapped set", "licence": "not known to the program: see what came with it"}
INDEX, PIXELS, LABELS = "map.json", "images.npy", "labels.npy"


class MappedImages(Images):
    """The pixels of a mapped set, and beside them what is known: for scoring, never for a method."""

    def __init__(self, folder: Path, device: str | torch.device = "cpu") -> None:
        """Open a set; pixels are read when they are used.

        Raises:
            ValueError: there is none, or it is damaged as far as can be told without reading it; says what to do.
        """
        path = folder / INDEX
        if not path.is_file():
            inside = [str(part) for part in sorted(folder.glob("*")) if (part / INDEX).is_file()]
            hint = f"name one of the sets in it: {', '.join(inside)}" if inside else "make one with `fgssl data map`"
            raise ValueError(f"{folder} holds no {INDEX}, so it is no mapped set; {hint}")
        try:
            content = path.read_bytes()
            found = json.loads(content)
            if found["format"] != FORMAT:
                raise ValueError(f"its format is {found['format']!r}, not {FORMAT!r}")
            pixels = np.load(
                folder / PIXELS, mmap_mode="c"
            )  # "c": what is written stays in memory, and torch warns not
            self.labels = torch.from_numpy(np.load(folder / LABELS))
            shape = (found["total"], 3, found["size"], found["size"])
            if pixels.shape != shape or len(self.labels) != shape[0]:
                raise ValueError(f"{PIXELS} holds {pixels.shape}, not {shape}")
            self.classes, self.source = tuple(found["classes"]), found["source"]
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise ValueError(f"{path} is damaged ({error}); copy the set again, or map it again") from error
        super().__init__(torch.from_numpy(pixels), device)
        self.folder = folder.absolute()
        self.digest = hashlib.sha256(content).hexdigest()[:16]

    def __reduce__(self) -> tuple[type[MappedImages], tuple[Path, torch.device]]:
        """Another process opens the same files: pixels are not sent."""
        return MappedImages, (self.folder, self.device)


def write_map(
    parts: Iterable[tuple[Tensor, Tensor]],
    folder: Path,
    *,
    size: int,
    classes: tuple[str, ...] = (),
    source: Mapping[str, str] | None = None,
) -> MappedImages:
    """Write a mapped set part by part; it appears whole or not at all.

    Args:
        parts: images (n, 3, size, size) uint8 and labels (n,) int64, in the order of their positions.
        folder: to make; it may exist, if it is empty.
        size: side of the pictures, px.
        classes: names of the labels.
        source: name, provenance and licence.

    Raises:
        ValueError: the folder is not empty, or there are no pictures.
    """
    with whole_folder(folder) as partial:
        labels = _write_pixels(parts, partial / PIXELS, size)
        if not len(labels):
            raise ValueError(f"{folder}: no pictures to map")
        np.save(partial / LABELS, labels)
        about = {"format": FORMAT, "total": len(labels), "size": size, "classes": classes}
        about["source"] = {"name": folder.name, **UNKNOWN, **(source or {})}
        for name in (PIXELS, LABELS):
            with (partial / name).open("rb") as file:
                about[name] = hashlib.file_digest(file, "sha256").hexdigest()
        atomic_write(partial / INDEX, json.dumps(about, indent=1) + "\n")
    return MappedImages(folder)


def _write_pixels(parts: Iterable[tuple[Tensor, Tensor]], path: Path, size: int) -> np.ndarray:
    """Pixels one part after the other below a header that is put right in the end; the labels, (N,) int64."""
    labels = [np.empty(0, dtype=np.int64)]
    kind = {"descr": "|u1", "fortran_order": False}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {**kind, "shape": (0, 3, size, size)})  # numpy leaves room to grow
        begin = file.tell()
        for images, known in parts:
            assert images.shape == (len(known), 3, size, size) and images.dtype == torch.uint8, images.shape
            file.write(images.contiguous().numpy().data)
            labels.append(known.numpy())
        total = sum(map(len, labels))
        file.seek(0)
        np.lib.format.write_array_header_1_0(file, {**kind, "shape": (total, 3, size, size)})
        assert file.tell() == begin, "numpy's header changed its length"
    return np.concatenate(labels)
