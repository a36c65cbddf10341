"""An open set that lies in shards, larger than memory: a sample to look at, and lists of what was chosen from it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from fgssl_edu import config, coreset
from fgssl_edu.coreset import Coreset
from fgssl_edu.data.image_set import UNLABELLED, ImageSet
from fgssl_edu.data.open_set import OpenSet
from fgssl_edu.data.shards import INDEX, Index, read_index, read_pictures
from fgssl_edu.runs import named_data

SHARDS, LISTED = "shards:", named_data.LISTED  # a folder of shards, or a list that was chosen from one before
SAMPLE = 20_000  # pictures that a lesson looks at
GROUP = "open"


def named(open_set: str) -> bool:
    """Whether an open set is one of those that lie in shards."""
    return open_set.startswith((SHARDS, LISTED))


def place(open_set: str) -> Path:
    """The file or the folder that an open set of this kind names; of a data set in shards its train."""
    path = Path(open_set.partition(":")[2]).expanduser().resolve()
    inside = path / "train"
    return inside if (inside / INDEX).is_file() and not (path / INDEX).is_file() else path


def identity(open_set: str) -> str:
    """A digest of the shards, or a list's content; empty for other open sets. ValueError where there is none."""
    if open_set.startswith(LISTED):
        listed_before(place(open_set))
        return place(open_set).read_text(encoding="utf-8")
    return read_index(place(open_set)).digest if named(open_set) else ""


def sample(settings: config.Settings, most: int | None = None) -> OpenSet:
    """So many first pictures of the shards, or `SAMPLE`, of which nobody knows what is relevant.

    They are a random sample where this package wrote the shards.
    """
    at = place(settings.open_set)
    index = listed_before(at)[0] if settings.open_set.startswith(LISTED) else read_index(at)
    count = min(most or SAMPLE, index.total)
    unknown = torch.full((count,), UNLABELLED)
    images = ImageSet(
        images=read_pictures(index, torch.arange(count), settings.image_size),
        labels=unknown,
        classes=(),
        name=index.source["name"],
        provenance=index.source["provenance"],
        licence=index.source["licence"],
    )
    return OpenSet(images, torch.zeros(count, dtype=torch.bool), torch.zeros_like(unknown), (GROUP,))


def source_of(index: Index) -> dict[str, str]:
    """What a list says of the shards that it was chosen from."""
    return {"shards": str(index.folder.resolve()), "digest": index.digest, "pictures": index.source["provenance"]}


def keep(path: Path, index: Index, chosen: Coreset, provenance: Mapping[str, Any]) -> Path:
    """Write a choice with where each picture lies: its shard, and its place in it."""
    starts = torch.tensor([index.starts[shard.name] for shard in index.shards])
    numbers = torch.searchsorted(starts, chosen.indices, right=True) - 1
    within = (chosen.indices - starts[numbers]).tolist()
    names = [f"{index.shards[number].name}/{row}" for number, row in zip(numbers.tolist(), within, strict=True)]
    return coreset.save(path, chosen, index.total, provenance, names)


def listed_before(path: Path, choice: str | None = None) -> tuple[Index, Coreset]:
    """The shards and the choice of a list.

    Raises:
        ValueError: it holds another choice than the one wanted, was not chosen from shards, or they are others now.
    """
    chosen, provenance = coreset.load(path)
    if "shards" not in provenance:
        raise ValueError(f"{path} was not chosen from shards; give its open set itself, {provenance.get('open_set')}")
    if choice not in (None, provenance["choice"]):
        raise ValueError(f"{path} holds the choice {provenance['choice']!r}, and the arm trains on {choice!r}")
    index = read_index(Path(provenance["shards"]))
    if index.digest != provenance["digest"]:
        raise ValueError(f"{path} was chosen from other shards than those that are in {index.folder} now; choose again")
    return index, chosen
