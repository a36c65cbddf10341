"""Sets by name that are not held in memory: all of them is trained on, their first labelled pictures are scored."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fgssl_edu.data.catalog import load
from fgssl_edu.data.large import open_large
from fgssl_edu.data.mapped import MappedImages, write_map
from fgssl_edu.data.shard_writing import Sample, write_shards
from fgssl_edu.data.stream import StreamedImages

SIDE, COUNT = 16, 30
PIXELS = (torch.arange(COUNT, dtype=torch.uint8) * 8)[:, None, None, None].repeat(1, 3, SIDE, SIDE)
LABELS = torch.arange(COUNT) % 3 - 1  # every third has none
CLASSES = ("crow", "jay")


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    pytest.importorskip("webdataset")
    for split, rows in (("train", slice(0, 24)), ("test", slice(24, 30))):
        samples = [Sample(*pair) for pair in zip(PIXELS[rows], LABELS[rows].tolist(), strict=True)]
        source = {"name": f"birds/{split}", "licence": "MIT"}
        write_shards(samples, tmp_path / "shards" / split, 5, classes=CLASSES, size=SIDE, source=source)
    return tmp_path / "shards"


@pytest.fixture
def mapped(tmp_path: Path) -> Path:
    for split, rows in (("train", slice(0, 24)), ("test", slice(24, 30))):
        write_map([(PIXELS[rows], LABELS[rows])], tmp_path / "mapped" / split, size=SIDE, classes=CLASSES)
    return tmp_path / "mapped"


def test_of_shards_the_first_labelled_pictures_are_scored_and_all_are_trained_on(shards: Path):
    splits = load(f"shards:{shards}", image_size=SIDE, train_images=9)
    known = torch.nonzero(LABELS >= 0)[:, 0]
    assert torch.equal(splits.train.labels, LABELS[known[:9]]) and splits.train.classes == CLASSES
    assert (splits.train.images[:, 0, 0, 0].long() / 8).round().tolist() == known[:9].tolist()
    assert isinstance(splits.stream, StreamedImages) and splits.stream.count == 24
    assert torch.equal(splits.test.labels, LABELS[known[known >= 24]])
    assert (splits.train.name, splits.train.licence) == ("birds/train", "MIT")


def test_of_a_mapped_set_likewise(mapped: Path):
    splits = load(f"mapped:{mapped}", image_size=SIDE, train_images=9, test_images=2)
    assert isinstance(splits.stream, MappedImages) and splits.stream.count == 24
    assert splits.train.labels.tolist() == [0, 1] * 4 + [0] and len(splits.test) == 2
    with pytest.raises(ValueError, match="was mapped at 16 px: set image_size=16, or map it again with --size 24"):
        load(f"mapped:{mapped}", image_size=24)


def test_a_set_alone_has_no_test_pictures_and_without_labels_all_are_a_sample(tmp_path: Path):
    write_map([(PIXELS, torch.full((COUNT,), -1))], tmp_path / "set", size=SIDE)
    splits = load(f"mapped:{tmp_path / 'set'}", image_size=SIDE)
    assert len(splits.train) == COUNT and len(splits.test) == 0 and splits.train.classes == ()


def test_damage_is_refused_or_skipped_and_told_in_the_notes(shards: Path):
    (shards / "train" / "000001.tar").unlink()
    with pytest.raises(ValueError, match="1 of 5 shards are bad: 000001.tar: missing"):
        load(f"shards:{shards}", image_size=SIDE)
    splits = load(f"shards:{shards}", image_size=SIDE, on_bad="skip")
    assert splits.notes == ("skipped: 000001.tar",) and splits.stream is not None and splits.stream.count == 19


def test_what_is_no_such_set_is_told(tmp_path: Path):
    for kind, command in (("shards", "data shards"), ("mapped", "data map")):
        with pytest.raises(ValueError, match=f"make one with `fgssl {command}`"):
            open_large(f"{kind}:{tmp_path / 'nowhere'}", SIDE)
    with pytest.raises(ValueError, match="knobs of rendered birds"):
        load(f"mapped:{tmp_path}", background=1.0)
