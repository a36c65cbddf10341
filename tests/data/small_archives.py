"""What small archives of the published make are made of, in memory, and the scripts that take them."""

from __future__ import annotations

import csv
import importlib.util
import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import numpy as np
from PIL import Image
from scipy.io import savemat

from fgssl_edu.paths import data_scripts_dir


def data_script(name: str) -> ModuleType:
    """A script of data_scripts/, imported by its path."""
    spec = importlib.util.spec_from_file_location(name, data_scripts_dir() / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def picture(seed: int, size: tuple[int, int] = (40, 30), kind: str = "jpeg", mode: str = "RGB") -> bytes:
    """A small picture of noise in a file format."""
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(buffer := io.BytesIO(), kind)
    return buffer.getvalue()


def tar_file(files: Mapping[str, bytes], mode: str = "w:gz") -> bytes:
    with tarfile.open(fileobj=(buffer := io.BytesIO()), mode=mode) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def zip_file(files: Mapping[str, bytes]) -> bytes:
    with zipfile.ZipFile(buffer := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return buffer.getvalue()


def lines(*words: object) -> bytes:
    """A text file, one line an argument."""
    return "".join(f"{word}\n" for word in words).encode()


def mat(**variables: object) -> bytes:
    """A MATLAB file."""
    savemat(buffer := io.BytesIO(), variables)
    return buffer.getvalue()


def structs(rows: list[dict[str, object]]) -> np.ndarray:
    """MATLAB's array of structs."""
    return np.array([tuple(row.values()) for row in rows], dtype=[(name, object) for name in rows[0]])


def cells(words: list[str]) -> np.ndarray:
    """MATLAB's cell array."""
    found = np.empty(len(words), dtype=object)
    found[:] = words
    return found


def voc(*boxes: tuple[int, int, int, int]) -> bytes:
    """An annotation with an object a box: left, top, right, bottom."""
    objects = "".join(
        f"<object><name>thing</name><action>acting</action><bndbox><xmax>{right}</xmax><xmin>{left}</xmin>"
        f"<ymax>{bottom}</ymax><ymin>{top}</ymin></bndbox></object>"
        for left, top, right, bottom in boxes
    )
    return f"<annotation><folder>x</folder><size><width>0</width></size>{objects}</annotation>".encode()


def rows_of(folder: Path) -> list[dict[str, str]]:
    """The rows of a manifest."""
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def inside(folder: Path) -> list[str]:
    """Every file below a folder."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
