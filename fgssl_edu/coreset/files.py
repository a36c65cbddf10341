"""A selection on disk: which images, from which set, chosen how. Features may be gone; the list can still be used."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from fgssl_edu import paths
from fgssl_edu.coreset.select import Coreset

FORMAT = "fgssl_edu coreset 1"  # in every file: what tells ours from another program's


def save(path: Path, coreset: Coreset, count: int, provenance: Mapping[str, object]) -> Path:
    """Write a selection as JSON; it appears whole or not at all.

    Args:
        path: of the file, "coreset.json" say; its folder is made if need be.
        coreset: what was chosen.
        count: images in the pool it was chosen from.
        provenance: what it takes to choose it again: name of the pool, encoder, method, k, budget, tau, seed. Anything
            JSON can hold; at least one entry.
    """
    if not provenance:
        raise ValueError("provenance is empty: say at least which open set the positions belong to")
    content = {
        "format": FORMAT,
        "provenance": dict(provenance),
        "count": count,
        "stopped": coreset.stopped,
        "values": coreset.values.tolist(),
        "rounds": coreset.rounds.tolist(),
        "indices": coreset.indices.tolist(),
    }
    _check(path, content)
    return paths.atomic_write(path, json.dumps(content, allow_nan=False))


def load(path: Path, count: int | None = None) -> tuple[Coreset, dict[str, Any]]:
    """Read a selection back.

    Args:
        path: of the file.
        count: images in the pool it is meant for; another number is refused. None to take any.

    Returns:
        The selection as it was saved, and its provenance.

    Raises:
        ValueError: no such file, damaged, of another program, or from a pool of another size.
    """
    if not path.is_file():
        raise ValueError(f"{path} does not exist: make the selection first and save it there")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']!r}, not {FORMAT!r}")
        _check(path, content)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a whole coreset ({error}); make the selection again") from error
    if count is not None and count != content["count"]:
        raise ValueError(f"{path} was chosen from {content['count']} images, not from {count}: it is of another set")
    coreset = Coreset(
        torch.tensor(content["indices"], dtype=torch.int64),
        torch.tensor(content["rounds"], dtype=torch.int64),
        torch.tensor(content["values"], dtype=torch.float64),
        bool(content["stopped"]),
    )
    return coreset, content["provenance"]


def _check(path: Path, content: Mapping[str, Any]) -> None:
    indices, rounds, count = content["indices"], content["rounds"], content["count"]
    if len(indices) != len(rounds):
        raise ValueError(f"{path}: {len(indices)} images and the rounds of {len(rounds)}")
    if len(set(indices)) != len(indices) or (indices and not 0 <= min(indices) <= max(indices) < count):
        raise ValueError(f"{path}: positions should each come once and lie in 0..{count - 1}")
