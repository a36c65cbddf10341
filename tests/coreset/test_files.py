"""A selection is read back as it was saved, or refused with the reason."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch

from fgssl_edu import coreset

PROVENANCE = {"open_set": "birds_open", "encoder": "resnet10", "k": 2, "tau": 0.95, "seed": 0}


def chosen() -> coreset.Coreset:
    features = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    return coreset.select_coreset(features, features[:3], budget=20, tau=0.1)


def test_a_selection_is_read_back_as_it_was_saved(tmp_path: Path):
    saved = chosen()
    path = coreset.save(tmp_path / "deep" / "coreset.csv", saved, 50, PROVENANCE)
    found, provenance = coreset.load(path, count=50)
    assert torch.equal(found.indices, saved.indices) and torch.equal(found.rounds, saved.rounds)
    assert torch.equal(found.values, saved.values) and found.stopped is saved.stopped
    assert torch.equal(found.similarity, saved.similarity) and len(found.similarity) == len(found)
    assert found.indices.dtype == torch.int64 and found.values.dtype == torch.float64
    assert provenance == PROVENANCE


def test_baselines_without_rounds_are_saved_too(tmp_path: Path):
    saved = coreset.random_selection(9, 4)
    found, _ = coreset.load(coreset.save(tmp_path / "random.csv", saved, 9, PROVENANCE))
    assert torch.equal(found.indices, saved.indices) and len(found.values) == 0


def test_a_selection_without_provenance_or_with_impossible_positions_is_not_written(tmp_path: Path):
    with pytest.raises(ValueError, match="provenance is empty"):
        coreset.save(tmp_path / "a.csv", chosen(), 50, {})
    with pytest.raises(ValueError, match=r"lie in 0\.\.9"):
        coreset.save(tmp_path / "a.csv", chosen(), 10, PROVENANCE)
    assert not list(tmp_path.iterdir())


def test_what_is_no_whole_selection_is_refused(tmp_path: Path):
    path = tmp_path / "coreset.csv"
    with pytest.raises(ValueError, match="does not exist"):
        coreset.load(path)
    coreset.save(path, chosen(), 50, PROVENANCE)
    with pytest.raises(ValueError, match="from 50 images, not from 60"):
        coreset.load(path, count=60)
    whole = path.read_text()
    about, names, *rows = whole.splitlines(keepends=True)
    for broken in (
        "",
        whole[: len(whole) // 2],
        "".join([about, names, *rows[:-1]]),
        "[]",
        "null",
        '{"format": "other"}',
        "".join(rows),
        about + names + "".join(f"{row},0,," + chr(10) for row in "aaaaaaaaaaaaaaaaaaaa"),
        about + names + rows[0] * 20,
    ):
        path.write_text(broken)
        with pytest.raises(ValueError, match="not a whole coreset"):
            coreset.load(path)


def test_the_table_is_read_by_any_program_that_skips_comments(tmp_path: Path):
    saved = chosen()
    names = [f"of, {index}" for index in saved.indices.tolist()]  # a name may hold a comma
    odd = ["two\nlines", "\udcff"]  # the second is what Python makes of a byte that is no UTF-8
    path = coreset.save(tmp_path / "coreset.csv", saved, 50, PROVENANCE, [*odd, *names[2:]])
    assert torch.equal(coreset.load(path)[0].indices, saved.indices)
    path = coreset.save(tmp_path / "coreset.csv", saved, 50, PROVENANCE, names)
    with path.open() as file:
        assert json.loads(file.readline().removeprefix("#"))["provenance"] == PROVENANCE
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["index", "round", "similarity", "picture"] and [row["picture"] for row in rows] == names
    assert [int(row["index"]) for row in rows] == saved.indices.tolist()
    assert torch.equal(torch.tensor([float(row["similarity"]) for row in rows]), saved.similarity)
    with pytest.raises(ValueError, match="shorter"):
        coreset.save(path, saved, 50, PROVENANCE, names[:3])
