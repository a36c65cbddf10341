"""Readers of what data sets bring along: text lists, MATLAB files, VOC annotations.

torchvision's own readers are not used: they unpack without limits, want layouts of their own, and give pictures where a
manifest needs paths; the lists are a line of code each.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from fgssl_edu.data.manifest import BOX


def lines(path: Path) -> list[str]:
    """The lines of a text file that are not empty, without white space at their ends."""
    return [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]


def mat(path: Path) -> dict[str, Any]:
    """The variables of a MATLAB file, as arrays without axes of length 1; ValueError for another file."""
    from scipy.io import loadmat  # comes with scikit-learn

    try:
        return loadmat(path, squeeze_me=True)
    except FileNotFoundError:
        raise
    except Exception as error:  # a reader that is fed with damaged bytes raises nearly anything
        raise ValueError(f"{path.name}: no MATLAB file that can be read ({error}); fetch it again") from error


def located(folder: Path, pattern: str) -> dict[str, str]:
    """Where files lie, by their bare names: {name: path relative to the folder}; ValueError for a name used twice."""
    found: dict[str, str] = {}
    for path in sorted(folder.rglob(pattern)):
        if path.name in found:
            raise ValueError(f"{path.name} lies in two places: not the published archives")
        found[path.name] = path.relative_to(folder).as_posix()
    return found


def corners(left: float, top: float, right: float, bottom: float, first: int = 0) -> dict[str, object]:
    """A box from its corners as the manifest's columns.

    Args:
        left, top, right, bottom: pixels.
        first: number of the first pixel; 1 (MATLAB's) means that right and bottom lie inside of the box.
    """
    box = (left - first, top - first, right - left + first, bottom - top + first)
    return dict(zip(BOX, (f"{value:g}" for value in box), strict=True))


def voc_box(path: Path) -> dict[str, object]:
    """The box of the first object of a VOC annotation (XML); an empty one where there is none."""
    try:
        box = ElementTree.parse(path).find("object/bndbox")
    except ElementTree.ParseError as error:
        raise ValueError(f"{path.name}: no annotation that can be read ({error})") from error
    if box is None:
        return dict.fromkeys(BOX, "")
    left, top, right, bottom = (float(box.findtext(name, "nan")) for name in ("xmin", "ymin", "xmax", "ymax"))
    return corners(left, top, right, bottom)
