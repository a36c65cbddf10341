"""Writing sets of tar shards (see `shards`), and indexing those that other programs wrote. Needs the extra `shards`.

A picture's own bytes are kept where it is an upright JPEG already, of the size that was asked for; else it is encoded.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from fgssl_edu.data.decode import THREADS, read_picture, read_square
from fgssl_edu.data.image_set import UNLABELLED
from fgssl_edu.data.shards import FORMAT, INDEX, PLACE, TABLE, Index, Shard, check_on_bad, read_index, refuse_or_tell
from fgssl_edu.paths import atomic_write, whole_folder

PER_SHARD = 1000  # pictures
BLOCK = 64  # pictures encoded at a time
QUALITY = 95  # of JPEGs that are encoded here, colours at full resolution: species differ in small parts
PICTURES = ("jpg", "jpeg", "png", "webp")  # endings of members that are pictures
ORIENTATION, UPRIGHT = 0x0112, 1  # EXIF
UNKNOWN = {"provenance": "tar shards", "licence": "not known to the program: see what came with them"}


@dataclass(frozen=True)
class Sample:
    """A picture on its way into a shard."""

    picture: Path | bytes | Tensor  # a file, its content, or (3, H, W) uint8
    label: int = UNLABELLED
    about: Mapping[str, object] = field(default_factory=dict)  # becomes KEY.json: path, group ...
    cut_bottom: int = 0  # rows of a file's pixels at its lower edge that are no part of the photograph


def write_shards(
    samples: Iterable[Sample],
    folder: Path,
    per_shard: int = PER_SHARD,
    *,
    classes: tuple[str, ...] = (),
    size: int | None = None,
    source: Mapping[str, str] | None = None,
    on_bad: str = "raise",
) -> Index:
    """Write a set of shards; it appears whole or not at all. The same samples give the same bytes.

    Args:
        samples: in the order of their positions.
        folder: to make; it may exist, if it is empty.
        per_shard: pictures a shard.
        classes: names of the labels; their numbers if empty.
        size: px; every picture becomes a square of that side. None keeps each in its own size.
        source: name, provenance and licence of the pictures.
        on_bad: "raise", or "skip": pictures that cannot be read are left out and named in warnings of the log.

    Raises:
        ValueError: the folder is not empty, there are no samples, a picture cannot be read (named by its path), or
            webdataset is not installed.
    """
    check_on_bad(on_bad)
    if per_shard < 1:
        raise ValueError(f"per_shard={per_shard}: a shard holds at least one picture")
    with whole_folder(folder) as partial:
        stream, written = _members(samples, size, on_bad), 0
        while part := list(islice(stream, per_shard)):
            _write_tar(partial / f"{written // per_shard:06d}.tar", part, written)
            written += len(part)
        index_shards(partial, classes=classes, size=size, source={"name": folder.name} | dict(source or {}))
    return read_index(folder)


def index_shards(
    folder: Path,
    *,
    classes: tuple[str, ...] = (),
    size: int | None = None,
    source: Mapping[str, str] | None = None,
) -> Index:
    """Write the index of the tars in a folder, of whatever program that writes webdataset's layout.

    Args:
        folder: with `*.tar`; positions follow their names' order.
        classes: names of the labels in KEY.cls; their numbers if empty.
        size: px, only if every picture is a square JPEG of that side.
        source: name, provenance and licence of the pictures.

    Raises:
        ValueError: no tars, one that is damaged or has no pictures, a label that is no number or has no name.
    """
    shards, tables = [], []
    for path in sorted(folder.glob("*.tar")):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        tables.append(_places(path))
        shards.append(Shard(path.name, len(tables[-1]), path.stat().st_size, digest))
    if not shards:
        raise ValueError(f"{folder}: no pictures to make shards of")
    places = np.concatenate(tables)
    count = int(places["label"].max()) + 1
    if classes and count > len(classes):
        raise ValueError(f"{folder}: a label is {count - 1}, but there are only {len(classes)} classes")
    table = io.BytesIO()
    np.save(table, places)
    atomic_write(folder / TABLE, table.getvalue())
    about = {
        "format": FORMAT,
        "total": len(places),
        "size": size,
        "classes": classes or [str(label) for label in range(count)],
        "source": {"name": folder.name, **UNKNOWN, **(source or {})},
        TABLE: hashlib.sha256(table.getbuffer()).hexdigest(),
        "shards": [asdict(shard) for shard in shards],
    }
    atomic_write(folder / INDEX, json.dumps(about, indent=1) + "\n")
    return read_index(folder)


def encode(picture: Path | bytes | Tensor, size: int | None, cut_bottom: int = 0) -> bytes:
    """The JPEG that is stored of a picture: its own bytes where they need no change.

    Args:
        picture: a file, its content, or pixels (3, H, W) uint8.
        size: side of a square in pixels; None keeps the picture's own size.
        cut_bottom: rows of a file's pixels at its lower edge that are no part of the photograph.

    Raises:
        ValueError: it cannot be read, or a tensor is not of the size.
    """
    if isinstance(picture, Tensor):
        image = Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy())
        if size is not None and image.size != (size, size):
            raise ValueError(f"{image.width} x {image.height} px, but size={size}")
    else:
        image = read_picture(picture)  # all of it: nothing unreadable enters a shard
        content = picture if isinstance(picture, bytes) else picture.read_bytes()
        if size is not None and (cut_bottom or image.size != (size, size)):
            image = Image.fromarray(read_square(content, size, cut_bottom))
        elif cut_bottom:
            image = image.crop((0, 0, image.width, max(1, image.height - cut_bottom)))
        elif _plain(content):
            return content
    file = io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY, subsampling=0)
    return file.getvalue()


def _plain(picture: bytes) -> bool:
    """Whether a file that can be read is a JPEG that every reader shows alike: grey or RGB, and upright."""
    with Image.open(io.BytesIO(picture)) as image:
        upright = image.getexif().get(ORIENTATION, UPRIGHT) == UPRIGHT
        return image.format == "JPEG" and image.mode in ("L", "RGB") and upright


def _members(samples: Iterable[Sample], size: int | None, on_bad: str) -> Iterator[dict[str, str | bytes]]:
    """What stands in a tar of each sample, by ending; encoded by threads, in the order of the samples."""
    stream, met = iter(samples), 0

    def encoded(sample: Sample) -> bytes | ValueError:
        try:
            return encode(sample.picture, size, sample.cut_bottom)
        except ValueError as error:
            return error

    with ThreadPoolExecutor(THREADS) as pool:
        while block := list(islice(stream, BLOCK)):
            for position, (sample, picture) in enumerate(zip(block, pool.map(encoded, block), strict=True), met):
                if isinstance(picture, ValueError):
                    refuse_or_tell(f"{sample.about.get('path', f'picture {position}')}: {picture}", on_bad)
                    continue
                members: dict[str, str | bytes] = {"jpg": picture}
                if sample.label != UNLABELLED:
                    members["cls"] = str(sample.label).encode()
                if sample.about:
                    members["json"] = json.dumps(dict(sample.about), sort_keys=True).encode()
                yield members
            met += len(block)


def _write_tar(path: Path, samples: list[dict[str, str | bytes]], first: int) -> None:
    """One shard; the key of a picture is its position in the set."""
    try:
        from webdataset import TarWriter
    except ImportError as error:
        missing = "shards are written by webdataset, which is not installed"
        raise ValueError(
            f'{missing}: pip install "fgssl-edu[shards]", or uv sync --extra shards --extra cluster'
        ) from error
    with path.open("wb") as file, TarWriter(file, encoder=False, mtime=0) as tar:
        for position, members in enumerate(samples, first):
            tar.write({"__key__": f"{position:09d}", **members})


def _places(path: Path) -> np.ndarray:
    """Where the pictures of a tar are, (n,) of `PLACE` in their order; a label belongs to the picture of its key."""
    found: dict[str, tuple[int, int]] = {}
    labels: dict[str, int] = {}
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                folder, slash, name = member.name.rpartition("/")
                stem, _, ending = name.partition(".")  # webdataset's rule: the first dot ends the key
                key = folder + slash + stem
                if ending.lower() in PICTURES:
                    found[key] = (member.offset_data, member.size)
                elif ending == "cls":
                    labels[key] = int(tar.extractfile(member).read())  # type: ignore[union-attr]
    except (tarfile.TarError, ValueError, OSError) as error:
        raise ValueError(f"{path}: no readable tar of pictures and labels ({error})") from error
    if not found:
        raise ValueError(f"{path}: no pictures in it ({', '.join(PICTURES)})")
    return np.array([(*place, labels.get(key, UNLABELLED)) for key, place in found.items()], dtype=PLACE)
