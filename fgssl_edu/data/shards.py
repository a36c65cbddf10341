"""Pictures in tar shards, in webdataset's layout, with an index that says what every shard should hold.

A set is a folder: `000000.tar`, `000001.tar`, ... with members `KEY.jpg`, `KEY.cls` (the class, where it is known) and
`KEY.json` (what else is known); `pictures.npy`, where in its shard each picture begins, and its label; `shards.json`,
written last. The position of a picture in the set is its row in that table. Other programs read the tars as webdataset.
Here a shard is read in one piece, compared with its checksum and cut by the table: to go through a tar's headers takes
longer than to decode small pictures. `shard_writing` makes such sets.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torchvision.io import ImageReadMode, decode_jpeg

from fgssl_edu.data.decode import read_square

LOGGER = logging.getLogger(__name__)
FORMAT = "fgssl_edu shards 1"
INDEX, TABLE = "shards.json", "pictures.npy"
PLACE = np.dtype([("offset", "<i8"), ("bytes", "<i4"), ("label", "<i4")])  # of a picture in its shard


@dataclass(frozen=True)
class Shard:
    """What a tar should hold."""

    name: str
    images: int
    bytes: int
    sha256: str


@dataclass(frozen=True, eq=False)
class Index:
    """What a set of shards should hold."""

    folder: Path
    shards: tuple[Shard, ...]
    classes: tuple[str, ...]
    size: int | None  # side in px, where every picture is a square JPEG of that side
    source: Mapping[str, str]  # name, provenance, licence
    digest: str  # of shards.json, which holds the digests of all else

    @property
    def total(self) -> int:
        """Pictures in all shards."""
        return sum(shard.images for shard in self.shards)

    @cached_property
    def starts(self) -> dict[str, int]:
        """Position in the set of each shard's first picture."""
        ends = np.cumsum([shard.images for shard in self.shards]).tolist()
        return {shard.name: end - shard.images for shard, end in zip(self.shards, ends, strict=True)}

    @property
    def places(self) -> np.ndarray:
        """The table of all pictures, (N,) of `PLACE`, left on disk; not kept, or all that was read of it would be."""
        return np.load(self.folder / TABLE, mmap_mode="r")  # type: ignore[no-any-return]

    def shard(self, name: str) -> Shard:
        """A shard by its name; ValueError where there is none of that name."""
        for shard in self.shards:
            if shard.name == name:
                return shard
        raise ValueError(f"{self.folder}: no shard {name!r}; there are {len(self.shards)}: {self.shards[0].name} ...")


def read_index(folder: Path) -> Index:
    """The index of a set of shards; the shards themselves are not looked at.

    Raises:
        ValueError: there is none, or it is damaged; says what to do.
    """
    path = folder / INDEX
    if not path.is_file():
        inside = [str(part) for part in sorted(folder.glob("*")) if (part / INDEX).is_file()]
        hint = f"name one of the sets in it: {', '.join(inside)}" if inside else "make one with `fgssl data shards`"
        raise ValueError(f"{folder} holds no {INDEX}, so it is no set of shards; {hint}")
    try:
        content = path.read_bytes()
        found = json.loads(content)
        if found["format"] != FORMAT:
            raise ValueError(f"its format is {found['format']!r}, not {FORMAT!r}")
        shards = tuple(Shard(**shard) for shard in found["shards"])
        digest = hashlib.sha256(content).hexdigest()
        index = Index(folder, shards, tuple(found["classes"]), found["size"], found["source"], digest)
        with (folder / TABLE).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != found[TABLE]:
                raise ValueError(f"{TABLE} is not the one that it was written with")
        if not index.total == found["total"] == len(index.places):
            raise ValueError(f"it counts {found['total']} pictures, its shards {index.total}")
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise ValueError(f"{path} is damaged ({error}); copy the set again, or make it again") from error
    return index


def read_shard(folder: Path | Index, name: str, size: int, on_bad: str = "raise") -> tuple[Tensor, Tensor, Tensor]:
    """The pictures of one shard, decoded.

    Args:
        folder: of the set, or its index.
        name: of the shard.
        size: side of the square pictures wanted, px.
        on_bad: "raise", or "skip": what is missing or damaged is left out, and named in a warning of the log.

    Returns:
        images (n, 3, size, size) uint8, positions in the set (n,) int64, labels (n,) int64, -1 = unlabelled.

    Raises:
        ValueError: what is missing or damaged, by name.
    """
    check_on_bad(on_bad)
    index = folder if isinstance(folder, Index) else read_index(folder)
    shard = index.shard(name)
    start = index.starts[name]
    images: list[Tensor] = []
    kept: list[int] = []
    try:
        files = read_files(index, shard)
    except ValueError as error:
        refuse_or_tell(str(error), on_bad)
        files = []
    for position, file in enumerate(files, start):
        try:
            images.append(decode_square(file, size, index.size))
            kept.append(position)
        except ValueError as error:
            refuse_or_tell(f"{index.folder / name}, picture {position - start}: {error}", on_bad)
    pictures = torch.stack(images) if images else torch.empty(0, 3, size, size, dtype=torch.uint8)
    labels = torch.from_numpy(index.places["label"][kept].astype(np.int64))
    return pictures, torch.tensor(kept, dtype=torch.int64), labels


def read_pictures(index: Index, positions: Tensor, size: int) -> Tensor:
    """Some pictures of a set, from the shards that hold them alone.

    Args:
        index: of the set.
        positions: (n,) int64, in any order.
        size: side of the square pictures wanted, px.

    Returns:
        (n, 3, size, size) uint8, in the order of the positions.

    Raises:
        ValueError: a position that the set does not have; what is missing or damaged, by name.
    """
    if len(positions) and not 0 <= int(positions.min()) <= int(positions.max()) < index.total:
        raise ValueError(f"{index.folder} has the positions 0 to {index.total - 1}, not all of those asked for")
    images = torch.empty(len(positions), 3, size, size, dtype=torch.uint8)
    for shard in index.shards:
        start = index.starts[shard.name]
        mine = torch.nonzero((positions >= start) & (positions < start + shard.images))[:, 0].tolist()
        files = read_files(index, shard) if mine else []
        for place in mine:
            which = int(positions[place]) - start
            try:
                images[place] = decode_square(files[which], size, index.size)
            except ValueError as error:
                raise ValueError(f"{index.folder / shard.name}, picture {which}: {error}") from error
    return images


def check_on_bad(on_bad: str) -> None:
    """Refuse what is neither "raise" nor "skip"."""
    if on_bad not in ("raise", "skip"):
        raise ValueError(f"on_bad={on_bad!r}: use 'raise' or 'skip'")


def refuse_or_tell(problem: str, on_bad: str) -> None:
    """Raise a problem as ValueError, or log that what it names is skipped."""
    if on_bad == "raise":
        raise ValueError(problem)
    LOGGER.warning("skipped: %s", problem)


def outside(index: Index, shard: Shard) -> str | None:
    """What is wrong with a shard as far as can be told without reading it; None where nothing is."""
    path = index.folder / shard.name
    if not path.is_file():
        return "missing"
    length = path.stat().st_size
    return None if length == shard.bytes else f"truncated or changed: {length:,} bytes instead of {shard.bytes:,}"


def read_files(index: Index, shard: Shard) -> list[Tensor]:
    """The pictures' files of a shard in order, each (bytes,) uint8, parts of one tensor.

    Raises:
        ValueError: the shard is missing, of another length, or not what the index was written for.
    """
    path = index.folder / shard.name
    problem = outside(index, shard)
    content = np.fromfile(path, dtype=np.uint8) if problem is None else np.empty(0, dtype=np.uint8)
    if problem is None and hashlib.sha256(content.data).hexdigest() != shard.sha256:
        problem = f"damaged: its content is not what {INDEX} was written for"
    if problem is not None:
        raise ValueError(f"{path}: {problem}. Copy it again, or make the set again")
    start, whole = index.starts[shard.name], torch.from_numpy(content)
    rows = index.places[start : start + shard.images].tolist()
    return [whole[offset : offset + length] for offset, length, _ in rows]


def decode_square(file: Tensor, size: int, stored: int | None) -> Tensor:
    """One picture as (3, size, size) uint8; ValueError says what is wrong with it.

    Args:
        file: its content, (bytes,) uint8.
        size: side wanted, px; the central square is resized to it, see `decode.read_square`.
        stored: side where the picture is known to be a square JPEG: it is then not resized.
    """
    if size != stored:
        return torch.from_numpy(read_square(file.numpy().tobytes(), size).transpose(2, 0, 1).copy())
    try:
        found: Tensor = decode_jpeg(file, mode=ImageReadMode.RGB)
    except RuntimeError as error:
        raise ValueError(f"cannot be decoded ({str(error).splitlines()[0]})") from error
    if found.shape != (3, size, size):
        raise ValueError(f"{found.shape[2]} x {found.shape[1]} px, though {INDEX} says {stored}")
    return found
