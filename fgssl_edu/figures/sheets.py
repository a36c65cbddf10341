"""Sheets of pictures: rows of views, species with their names, heat maps over what they explain."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
import torch.nn.functional as F
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from fgssl_edu.data.image_set import ImageSet
from fgssl_edu.figures.style import SMALL, TEXT, WIDTH, new_figure, styled
from fgssl_edu.gradcam import normalize_map

TITLE_LINE = 0.24  # inches a line of a title
LETTERS = 9.6  # of a title an inch
NAMES = 1.7  # inches for the names of rows
HEAT_OPACITY = 0.7  # of the hottest place


@styled
def contact_sheet(
    pictures: Tensor | Sequence[Tensor],
    titles: Sequence[str] | None = None,
    rows: Sequence[str] | None = None,
    columns: int = 8,
) -> Figure:
    """Pictures in a grid.

    Args:
        pictures: (N, 3, H, W) uint8 or float in [0, 1], filled row by row; or one such batch a row, of any sizes.
        titles: one a picture, above it.
        rows: one name a row, on the left.
        columns: pictures a row, where one batch is given.
    """
    batches = list(pictures.split(columns)) if isinstance(pictures, Tensor) else list(pictures)
    if not batches or not len(batches[0]):
        raise ValueError("no pictures to show")
    wide = max(len(batch) for batch in batches)
    side = (WIDTH - (NAMES if rows else 0)) / wide  # inches
    wrapped = [textwrap.fill(title, max(int(side * LETTERS), 6)) for title in titles or ()]
    lines = [1 + max(title.count("\n") for title in wrapped[at : at + wide]) for at in range(0, len(wrapped), wide)]
    figure = new_figure(side * len(batches) + sum(lines) * TITLE_LINE + 0.1)
    grid = figure.subplots(len(batches), wide, squeeze=False)
    number = 0
    for row, batch in enumerate(batches):
        for column, axes in enumerate(grid[row]):
            axes.set(xticks=[], yticks=[], frame_on=False, anchor="S")  # what room is left over goes to the titles
            axes.spines[:].set_visible(False)
            if column == 0 and rows is not None:
                axes.set_ylabel(
                    textwrap.fill(rows[row], 14), rotation=0, ha="right", va="center", fontsize=TEXT, labelpad=10
                )
            if column < len(batch):
                axes.imshow(as_array(batch[column]))
                if number < len(wrapped):
                    axes.set_title(wrapped[number], fontsize=SMALL, pad=4)
                number += 1
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.01, hspace=0.01)  # type: ignore[union-attr,call-arg]
    return figure


def species_sheet(images: ImageSet, species: Sequence[int] = (0, 1, 2), each: int = 8) -> Figure:
    """Some pictures of each of some species, a row a species with its name.

    Args:
        images: labelled.
        species: classes to show, numbers below the number of classes.
        each: pictures a class, or as many as there are.
    """
    unknown = [number for number in species if not 0 <= number < len(images.classes)]
    if unknown:
        raise ValueError(
            f"species {unknown} are none of the {len(images.classes)} classes of {images.name!r}, numbered from 0"
        )
    batches = [images.images[(images.labels == number).nonzero()[:each, 0]] for number in species]
    return contact_sheet(batches, rows=[images.classes[number] for number in species])


def heat_overlay(images: Tensor, maps: Tensor, titles: Sequence[str] | None = None, columns: int = 6) -> Figure:
    """Heat maps over their grey pictures, each map from its own least to its own largest value.

    Args:
        images: (N, 3, H, W) uint8 or float in [0, 1].
        maps: (N, h, w), enlarged to the pictures' size.
        titles: one a picture.
        columns: pictures a row.
    """
    return contact_sheet(overlay(images, maps), titles, columns=columns)


def overlay(images: Tensor, maps: Tensor) -> Tensor:
    """(N, 3, H, W) float: the picture in grey, coloured (inferno) the more the hotter the map is there."""
    import matplotlib

    pixels = images.float() / 255 if not images.is_floating_point() else images
    heat = F.interpolate(
        normalize_map(maps.float())[:, None], images.shape[-2:], mode="bilinear", align_corners=False
    )  # (N, 1, H, W)
    grey = pixels.mean(dim=1, keepdim=True) * 0.9
    table = grey.new_tensor(np.asarray(matplotlib.colormaps["inferno"](np.linspace(0.15, 1, 256)))[:, :3])
    colour = table[(heat[:, 0] * 255).long().cpu()].permute(0, 3, 1, 2)  # (N, 3, H, W)
    opacity = HEAT_OPACITY * heat
    return (grey * (1 - opacity) + colour.to(grey) * opacity).clamp(0, 1)


def as_array(image: Tensor) -> NDArray[np.uint8]:
    """(3, H, W) uint8, or float in [0, 1], as an (H, W, 3) uint8 array."""
    pixels = image if not image.is_floating_point() else (image.detach().clamp(0, 1) * 255).round()
    return np.ascontiguousarray(pixels.permute(1, 2, 0).cpu().numpy().astype(np.uint8))
