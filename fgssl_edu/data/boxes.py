"""Boxes of photographs: where the bird is, as far as a box can tell.

They stand in `manifest.csv` (columns `manifest.FRAME` and `manifest.BOX`) or in an `annotations.csv` beside it with a
row a picture: path, width, height, and bbox_x, bbox_y, bbox_w, bbox_h, all in pixels of the picture as it lies there
(CUB-200-2011 gives such boxes). A box is a coarse foreground: it holds the bird and the corners around it.
"""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from fgssl_edu.data.image_set import ImageSet
from fgssl_edu.data.manifest import BOX, CUT_BOTTOM, FRAME, MANIFEST

TABLES = {  # where boxes may stand, and under which names, in the order of `box_masks`
    MANIFEST: (*FRAME, *BOX),
    "annotations.csv": (*FRAME, "bbox_x", "bbox_y", "bbox_w", "bbox_h"),
}


def with_boxes(images: ImageSet, folder: Path) -> ImageSet:
    """The same set with every picture's box as its foreground, where the folder knows all of them; else as it is.

    Raises:
        ValueError: a row whose numbers are none, by path.
    """
    for table, columns in TABLES.items():
        rows = _rows(folder / table, columns)
        if len(images) and all(name in rows for name in images.paths):
            boxes = torch.tensor([_numbers(rows[name], columns, folder) for name in images.paths])  # (N, 6)
            return replace(images, foreground=box_masks(boxes, images.size))
    return images


def _rows(path: Path, columns: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """The rows that have a box by the path of their picture; none where there is no such table."""
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, restval="")
        if not {"path", *columns} <= set(reader.fieldnames or ()):
            return {}  # a table of another kind
        return {row["path"]: row for row in reader if any(row[name] for name in columns[2:])}


def box_masks(boxes: Tensor, size: int) -> Tensor:
    """Boxes as pictures are stored: the central square of each, `size` px a side; the share of each pixel inside.

    Args:
        boxes: width and height of the picture, then left, top, width and height of the box, pixels, (N, 6). What lies
            outside of the square is cut off.
        size: side of the stored pictures.

    Returns:
        (N, size, size) uint8, 0..255.
    """
    width, height, left, top, wide, high = boxes.double().unbind(1)
    side = torch.minimum(width, height)
    scale = size / side
    across = _covered((left - (width - side) / 2) * scale, wide * scale, size)  # (N, size)
    down = _covered((top - (height - side) / 2) * scale, high * scale, size)
    return (255 * down[:, :, None] * across[:, None, :]).round().to(torch.uint8)


def _covered(start: Tensor, length: Tensor, size: int) -> Tensor:
    """Share of each of `size` unit cells that [start, start + length) covers, (N, size)."""
    cell = torch.arange(size)
    end = (start + length)[:, None]
    return (torch.minimum(end, cell + 1.0) - torch.maximum(start[:, None], cell.double())).clamp(0, 1)


def _numbers(row: dict[str, str], columns: tuple[str, ...], folder: Path) -> list[float]:
    try:
        width, height, *box = (float(row[name]) for name in columns)
        return [width, height - float(row.get(CUT_BOTTOM) or 0), *box]
    except ValueError as error:
        raise ValueError(f"{folder}: the box of {row['path']} is not made of numbers ({error})") from error
