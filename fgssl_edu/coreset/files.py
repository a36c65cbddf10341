"""A selection on disk: which images, from which set, chosen how. Features may be gone; the list can still be used.

A table that any program reads (csv: index, round, similarity, picture), below one line that begins with # and tells in
JSON what belongs to all rows. pandas: read_csv(path, comment="#").
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from fgssl_edu import paths
from fgssl_edu.coreset.select import Coreset

FORMAT = "fgssl_edu coreset 2"  # in every file: what tells ours from another program's
COLUMNS = ("index", "round", "similarity", "picture")


def save(
    path: Path, coreset: Coreset, count: int, provenance: Mapping[str, object], pictures: Sequence[str] = ()
) -> Path:
    """Write a selection; it appears whole or not at all.

    Args:
        path: of the file, "coreset.csv" say; its folder is made if need be.
        coreset: what was chosen.
        count: images in the pool it was chosen from.
        provenance: what it takes to choose it again: name of the pool, encoder, method, k, budget, tau, seed. Anything
            JSON can hold; at least one entry.
        pictures: where each chosen image came from (a file, a place in a shard); empty where it has no name.
    """
    if not provenance:
        raise ValueError("provenance is empty: say at least which open set the positions belong to")
    indices = coreset.indices.tolist()
    _check(path, indices, count)
    about = {
        "format": FORMAT,
        "provenance": dict(provenance),
        "count": count,
        "chosen": len(indices),
        "stopped": coreset.stopped,
        "values": coreset.values.tolist(),
    }
    near = [f"{value:.9g}" for value in coreset.similarity.tolist()]  # as many digits as a float32 has
    text = io.StringIO()
    text.write(f"# {json.dumps(about, allow_nan=False)}\n")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    empty = [""] * len(indices)
    names = [name.encode(errors="backslashreplace").decode() for name in pictures]  # a file's name may be no UTF-8
    table.writerows(zip(indices, coreset.rounds.tolist(), near or empty, names or empty, strict=True))
    return paths.atomic_write(path, text.getvalue())


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
        file = io.StringIO(path.read_text(encoding="utf-8"))
        about = json.loads(file.readline().removeprefix("#"))
        if about["format"] != FORMAT:
            raise ValueError(f"its format is {about['format']!r}, not {FORMAT!r}")
        rows = list(csv.DictReader(file))
        indices = [int(row["index"]) for row in rows]
        if len(indices) != about["chosen"]:
            raise ValueError(f"{len(indices)} rows, {about['chosen']} were chosen")
        _check(path, indices, about["count"])
        coreset = Coreset(
            torch.tensor(indices, dtype=torch.int64),
            torch.tensor([int(row["round"]) for row in rows], dtype=torch.int64),
            torch.tensor(about["values"], dtype=torch.float64),
            bool(about["stopped"]),
            torch.tensor([float(row["similarity"]) for row in rows if row["similarity"]]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a whole coreset ({error}); make the selection again") from error
    if count is not None and count != about["count"]:
        raise ValueError(f"{path} was chosen from {about['count']} images, not from {count}: it is of another set")
    return coreset, about["provenance"]


def _check(path: Path, indices: Sequence[int], count: int) -> None:
    if len(set(indices)) != len(indices) or (indices and not 0 <= min(indices) <= max(indices) < count):
        raise ValueError(f"{path}: positions should each come once and lie in 0..{count - 1}")
