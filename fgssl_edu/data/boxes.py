"""Boxes of photographs: where the bird is, as far as a box can tell.

A folder may hold `annotations.csv` with a row a picture: path, width, height, and bbox_x, bbox_y, bbox_w, bbox_h in
pixels of the picture as it lies there (CUB-200-2011 gives such boxes). A box is a coarse foreground: it holds the bird
and the corners around it.
"""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from fgssl_edu.data.image_set import ImageSet

ANNOTATIONS = "annotations.csv"
COLUMNS = ("path", "width", "height", "bbox_x", "bbox_y", "bbox_w", "bbox_h")


def with_boxes(images: ImageSet, folder: Path) -> ImageSet:
    """The same set with every picture's box as its foreground, where the folder knows all of them; else as it is.

    Raises:
        ValueError: a row whose numbers are none, by path.
    """
    path = folder / ANNOTATIONS
    if not path.is_file() or not len(images):
        return images
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, restval="")
        if not set(COLUMNS) <= set(reader.fieldnames or ()):
            return images  # annotations of another kind
        rows = {row["path"]: row for row in reader}
    if not all(name in rows for name in images.paths):
        return images
    boxes = torch.tensor([_numbers(rows[name], path) for name in images.paths])  # (N, 6)
    return replace(images, foreground=box_masks(boxes, images.size))


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


def _numbers(row: dict[str, str], path: Path) -> list[float]:
    try:
        return [float(row[name]) for name in COLUMNS[1:]]
    except ValueError as error:
        raise ValueError(f"{path}: the box of {row['path']} is not made of numbers ({error})") from error
