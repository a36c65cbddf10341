"""Photographs from files to one uint8 tensor: decoded by threads, brought to one square size once, kept in a cache.

Storage is square: of the upright picture (EXIF orientation applied) the central square is resized (bicubic) to the side
`size`. That is the usual "short side to `size`, then centre crop", in one step that an extreme aspect ratio cannot blow
up.
"""

from __future__ import annotations

import hashlib
import io
import logging
import math
import os
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from fgssl_edu.paths import atomic_write, cache_dir

LOGGER = logging.getLogger(__name__)
STORAGE_VERSION = 1  # raise it when `read_square` gives other pixels: cached ones are then not used
THREADS = min(8, os.cpu_count() or 1)
ROOM = 3  # a JPEG is decoded at a fraction of its size that is still ROOM times the stored side: quick, and no aliasing


def read_picture(file: Path | bytes, side: int | None = None) -> Image.Image:
    """Decode one file.

    Args:
        file: its path or its content: JPEG, PNG or any other format that Pillow reads; of an animation the first frame.
        side: pixels that its shorter side is needed at: a JPEG is decoded no larger than that takes. None: full size.

    Returns:
        8-bit RGB, upright; transparent pixels lie on white, 16-bit grey is scaled to 8 bits.

    Raises:
        ValueError: what is wrong with the file.
    """
    if isinstance(file, Path) and not file.is_file():
        raise ValueError("missing")
    if (file.stat().st_size if isinstance(file, Path) else len(file)) == 0:
        raise ValueError("empty file (0 bytes)")
    try:
        with Image.open(file if isinstance(file, Path) else io.BytesIO(file)) as image:
            if side is not None:
                image.draft(None, (ROOM * side, ROOM * side))
            return _rgb(ImageOps.exif_transpose(image))
    except Image.UnidentifiedImageError:
        raise ValueError("not an image") from None
    except Exception as error:  # a decoder that is fed with damaged bytes raises nearly anything
        raise ValueError(f"cannot be decoded ({error})") from error


def read_square(file: Path | bytes, size: int, cut_bottom: int = 0) -> np.ndarray:
    """The central square of one file as (size, size, 3) uint8 RGB; ValueError as `read_picture`.

    Args:
        file: its path, or its content.
        size: side in pixels.
        cut_bottom: rows of the file's pixels at its lower edge that are no part of the photograph.
    """
    picture = read_picture(file, size)
    if cut_bottom:
        with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file) as image:
            scale = max(picture.size) / max(image.size)  # below 1 where a large JPEG was decoded smaller
        kept = max(1, picture.height - math.ceil(cut_bottom * scale))
        picture = picture.crop((0, 0, picture.width, kept))
    width, height = picture.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    square = (left, top, left + side, top + side)
    return np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC, box=square, reducing_gap=3.0))


def _rgb(image: Image.Image) -> Image.Image:
    """Any of Pillow's pixel formats as 8-bit RGB."""
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError(f"pixels of type {image.mode} have no known range; save it with 8 bits a channel")
    if image.has_transparency_data:
        above = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", above.size, "white"), above).convert("RGB")
    return image.convert("RGB")


def decode(
    folder: Path, names: Sequence[str], size: int, cuts: Mapping[str, int] = MappingProxyType({})
) -> tuple[Tensor, dict[int, str]]:
    """Decode files of a folder, or take their pixels from the cache if none of them has changed.

    Args:
        folder: what the names are relative to.
        names: of the files.
        size: side of the stored pictures in pixels.
        cuts: {name: rows of pixels to cut off at its lower edge}.

    Returns:
        images (N, 3, size, size) uint8, and {position: what is wrong} of those that could not be read (theirs are 0).
    """
    kept = _cache_file(folder, names, size, cuts)
    shape = (len(names), 3, size, size)
    if kept.is_file() and kept.stat().st_size == np.prod(shape):
        return torch.from_numpy(np.fromfile(kept, dtype=np.uint8).reshape(shape)), {}
    images = np.zeros(shape, dtype=np.uint8)
    problems: dict[int, str] = {}

    def fill(position: int) -> None:
        try:
            square = read_square(folder / names[position], size, cuts.get(names[position], 0))
            images[position] = square.transpose(2, 0, 1)
        except ValueError as error:
            problems[position] = str(error)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of harmless oddities in metadata ...
        warnings.simplefilter("error", Image.DecompressionBombWarning)  # ... and of pictures made to exhaust the memory
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(fill, range(len(names))))
    if not problems:
        _keep(kept, images)
    return torch.from_numpy(images), problems


def _cache_file(folder: Path, names: Sequence[str], size: int, cuts: Mapping[str, int]) -> Path:
    """Where the pixels are kept: the name changes with any file's name, length, time of change or cut."""
    where = hashlib.blake2b(str(folder.resolve()).encode("utf-8", "surrogateescape"), digest_size=6).hexdigest()
    what = hashlib.blake2b(f"{STORAGE_VERSION}".encode(), digest_size=8)
    for name in names:
        path = folder / name
        stat = path.stat() if path.is_file() else None
        line = f"{name}\0{stat.st_size if stat else None}\0{stat.st_mtime_ns if stat else None}\0"
        line += f"{cuts[name]}\0" if name in cuts else ""
        what.update(line.encode("utf-8", "surrogateescape"))
    return cache_dir() / "photographs" / f"{where}-{size}-{what.hexdigest()}.uint8"


def _keep(path: Path, images: np.ndarray) -> None:
    """Write the cache and drop what an earlier state of the same folder left; failing to write is no error."""
    try:
        atomic_write(path, images.data)  # type: ignore[arg-type]  # tobytes() would hold the set twice
        source_and_size = path.name.rsplit("-", 1)[0]
        for older in path.parent.glob(f"{source_and_size}-*.uint8"):
            if older != path:
                older.unlink(missing_ok=True)
    except OSError as error:
        LOGGER.warning(
            "the decoded pictures are not kept in %s (%s): the next start decodes them again", path.parent, error
        )
