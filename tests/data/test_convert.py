"""A data set as shards: the same pictures, labels and classes, mixed, and nothing left of what failed."""

from __future__ import annotations

import json
import logging
import tarfile
from pathlib import Path

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from fgssl_edu import cli
from fgssl_edu.data.catalog import load
from fgssl_edu.data.convert import to_map, to_shards
from fgssl_edu.data.mapped import MappedImages
from fgssl_edu.data.shards import read_index, read_shard

pytest.importorskip("webdataset")
COLOURS = {"jay": (20, 40, 200), "crow": (10, 10, 10)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Photographs of plain colour: eight a class, two of them for testing."""
    for split, count in (("train", 6), ("test", 2)):
        for name, colour in COLOURS.items():
            (tmp_path / "photos" / split / name).mkdir(parents=True)
            for i in range(count):
                picture = Image.new("RGB", (40 + i, 30), colour)
                picture.save(tmp_path / "photos" / split / name / f"{i}.{'png' if i % 2 else 'jpg'}")
    return tmp_path / "photos"


def test_a_folder_keeps_its_splits_classes_and_labels_and_is_mixed(folder: Path, tmp_path: Path):
    sets = to_shards(f"folder:{folder}", tmp_path / "out", size=16, per_shard=5)
    assert {split: index.total for split, index in sets.items()} == {"train": 12, "test": 4}
    assert sets["train"].classes == sets["test"].classes == ("crow", "jay")
    assert sets["test"].source["name"] == "photos/test"
    labels = []
    for shard in sets["train"].shards:
        images, _, found = read_shard(sets["train"], shard.name, 16)
        labels += found.tolist()
        for image, label in zip(images, found.tolist(), strict=True):
            colour = torch.tensor(COLOURS[sets["train"].classes[label]])
            assert (image.flatten(1).float().mean(1) - colour).abs().max() < 3
    assert sorted(labels) == [0] * 6 + [1] * 6 != labels


def test_columns_of_the_manifest_go_with_their_picture(tmp_path: Path):
    (tmp_path / "open").mkdir()
    rows = ["path,label,split,group"]
    for i, group in enumerate(("bird", "chair", "bird")):
        Image.new("RGB", (20, 20), (80 * i, 0, 0)).save(tmp_path / "open" / f"{i}.jpg")
        rows.append(f"{i}.jpg,,unlabelled,{group}")
    (tmp_path / "open" / "manifest.csv").write_text("\n".join(rows))
    sets = to_shards(f"folder:{tmp_path / 'open'}", tmp_path / "out")
    assert list(sets) == ["train"] and sets["train"].classes == ()
    with tarfile.open(tmp_path / "out" / "train" / "000000.tar") as tar:
        told = [json.loads(tar.extractfile(name).read()) for name in tar.getnames() if name.endswith("json")]
    assert sorted((each["path"], each["group"]) for each in told) == [
        ("0.jpg", "bird"),
        ("1.jpg", "chair"),
        ("2.jpg", "bird"),
    ]


@pytest.mark.parametrize("size", [None, 16])
def test_a_banner_that_the_manifest_tells_of_is_cut_off(size: int | None, tmp_path: Path):
    (tmp_path / "planes").mkdir()
    picture = Image.new("RGB", (30, 40), (200, 30, 30))
    picture.paste((255, 255, 255), (0, 30, 30, 40))  # the lowest ten rows
    picture.save(tmp_path / "planes" / "0.png")
    (tmp_path / "planes" / "manifest.csv").write_text("path,label,split,cut_bottom\n0.png,jet,train,10\n")
    index = to_shards(f"folder:{tmp_path / 'planes'}", tmp_path / "out", size)["train"]
    shown, _, _ = read_shard(index, "000000.tar", 16)
    mapped = to_map(f"folder:{tmp_path / 'planes'}", tmp_path / "map", 16)["train"].take(torch.tensor([0]))
    assert shown[0, 1].max() < 60 and mapped[0, 1].max() < 60  # of white the second channel has 255


def test_rendered_birds_are_those_of_the_catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("fgssl_edu.data.catalog.TRAIN_BIRDS", 48)
    monkeypatch.setattr("fgssl_edu.data.catalog.TEST_BIRDS", 24)
    sets = to_shards("birds", tmp_path / "out", size=32)
    assert sets["train"].size == 32 and sets["train"].classes == load("birds", image_size=32).train.classes
    labels = read_shard(sets["train"], "000000.tar", 32)[2]
    assert labels.bincount().tolist() == [2] * 24


@pytest.mark.parametrize(
    ("dataset", "size", "words"),
    [
        ("brids", None, "Did you mean 'birds'"),
        ("birds", 3, "size=3: use 4 to 2048"),
        ("folder:nowhere", None, "nowhere does not"),
    ],
)
def test_what_cannot_be_converted_is_refused(dataset: str, size: int | None, words: str, tmp_path: Path):
    with pytest.raises(ValueError, match=words):
        to_shards(dataset, tmp_path / "out", size)
    assert list(tmp_path.iterdir()) == []


def test_a_bad_photograph_is_refused_by_name_or_left_out(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    (folder / "test" / "jay" / "1.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match="test/jay/1.png: not an image"):
        to_shards(f"folder:{folder}", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with caplog.at_level(logging.WARNING):
        sets = to_shards(f"folder:{folder}", tmp_path / "out", on_bad="skip")
    assert (sets["train"].total, sets["test"].total) == (12, 3) and "test/jay/1.png" in caplog.text
    with pytest.raises(ValueError, match="is there already and not empty"):
        to_shards(f"folder:{folder}", tmp_path / "out")


def test_the_command_says_what_it_wrote(folder: Path, tmp_path: Path):
    done = CliRunner().invoke(cli.app, ["data", "shards", f"folder:{folder}", str(tmp_path / "out"), "--size", "16"])
    assert done.exit_code == 0 and "train: 12 pictures in 1 shard," in done.stdout
    assert read_index(tmp_path / "out" / "test").total == 4


def test_a_mapped_folder_has_the_pixels_of_the_folder_itself(folder: Path, tmp_path: Path):
    sets = to_map(f"folder:{folder}", tmp_path / "out", 16)
    memory = load(f"folder:{folder}", image_size=16)
    for mapped, images in ((sets["train"], memory.train), (sets["test"], memory.test)):
        rows = sorted(zip(mapped.labels.tolist(), mapped.images.flatten(1).tolist(), strict=True))
        assert rows == sorted(zip(images.labels.tolist(), images.images.flatten(1).tolist(), strict=True))
        assert mapped.classes == images.classes


def test_shards_can_be_mapped_and_damaged_ones_left_out(folder: Path, tmp_path: Path):
    shards = to_shards(f"folder:{folder}", tmp_path / "shards", size=16, per_shard=5)
    sets = to_map(f"shards:{tmp_path / 'shards'}", tmp_path / "out", 16)
    assert torch.equal(sets["train"].images[:5], read_shard(shards["train"], "000000.tar", 16)[0])
    assert sets["test"].source["name"] == "photos/test" and sets["test"].count == 4
    (tmp_path / "shards" / "train" / "000001.tar").unlink()
    with pytest.raises(ValueError, match="000001.tar: missing"):
        to_map(f"shards:{tmp_path / 'shards'}", tmp_path / "again", 16)
    assert not (tmp_path / "again").exists()
    only = to_map(f"shards:{tmp_path / 'shards' / 'train'}", tmp_path / "again", 16, on_bad="skip")
    assert {split: images.count for split, images in only.items()} == {"train": 7}


def test_the_map_command_says_what_it_wrote(tmp_path: Path, folder: Path):
    done = CliRunner().invoke(cli.app, ["data", "map", f"folder:{folder}", str(tmp_path / "out"), "--size", "16"])
    assert done.exit_code == 0 and "train: 12 pictures of 16 px, 0.0 MB" in done.stdout
    assert MappedImages(tmp_path / "out" / "test").count == 4
