"""Mapped sets: the same pixels, read when they are used; whole or absent; damage told when they are opened."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from fgssl_edu.data.loader import Loader
from fgssl_edu.data.mapped import INDEX, LABELS, PIXELS, MappedImages, write_map

COUNT, SIDE = 23, 8
IMAGES = torch.randint(0, 256, (COUNT, 3, SIDE, SIDE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
KNOWN = torch.arange(COUNT) % 3 - 1


def parts(size: int = 5):
    return zip(IMAGES.split(size), KNOWN.split(size), strict=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_map(parts(), tmp_path / "set", size=SIDE, classes=("crow", "jay"), source={"licence": "MIT"})
    return tmp_path / "set"


def test_pixels_labels_and_batches_are_those_of_memory(folder: Path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images = MappedImages(folder)
    assert torch.equal(images.images, IMAGES) and torch.equal(images.labels, KNOWN) and images.count == COUNT
    assert images.classes == ("crow", "jay") and images.source["licence"] == "MIT"
    assert torch.equal(images.take(torch.tensor([20, 3, 3])), IMAGES[[20, 3, 3]])
    ours, memory = images.loader(4, seed=1), Loader(IMAGES, 4, seed=1)
    for _ in range(12):
        a, b = next(ours), next(memory)
        assert torch.equal(a.images, b.images) and torch.equal(a.index, b.index)
    assert ours.state_dict() == memory.state_dict()
    assert np.array_equal(np.load(folder / PIXELS), IMAGES.numpy())  # any program can read it


def test_nothing_is_read_until_it_is_used(folder: Path, monkeypatch: pytest.MonkeyPatch):
    """The pixels are the file's: what is written to it afterwards is what a batch has."""
    images = MappedImages(folder)
    with (folder / PIXELS).open("r+b") as file:
        file.seek(-3 * SIDE * SIDE, 2)
        file.write(bytes(3 * SIDE * SIDE))
    assert not images.take(torch.tensor([COUNT - 1])).any()


def test_writing_to_the_tensor_does_not_reach_the_disk(folder: Path):
    MappedImages(folder).images.zero_()
    assert torch.equal(MappedImages(folder).images, IMAGES)


def test_the_identity_holds_shape_and_digest(folder: Path, tmp_path: Path):
    first = MappedImages(folder).identity()
    assert first[:4] == [COUNT, 3, SIDE, SIDE]
    write_map(
        ((image, label) for image, label in parts(9)),
        tmp_path / "same" / "set",
        size=SIDE,
        classes=("crow", "jay"),
        source={"licence": "MIT"},
    )
    assert MappedImages(tmp_path / "same" / "set").identity() == first
    write_map([(IMAGES.flip(0), KNOWN)], tmp_path / "other", size=SIDE)
    assert MappedImages(tmp_path / "other").identity() != first


def test_what_fails_leaves_nothing(tmp_path: Path):
    def failing():
        yield IMAGES[:5], KNOWN[:5]
        raise ValueError("picture 6 is bad")

    with pytest.raises(ValueError, match="picture 6"):
        write_map(failing(), tmp_path / "set", size=SIDE)
    with pytest.raises(ValueError, match="no pictures"):
        write_map([], tmp_path / "set", size=SIDE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["index", "format", "shorter", "missing", "total", "labels"])
def test_damage_is_told_when_a_set_is_opened(damage: str, folder: Path):
    path = folder / INDEX
    about = json.loads(path.read_text())
    if damage == "index":
        path.write_text(path.read_text()[:40])
    elif damage in ("format", "total"):
        path.write_text(json.dumps({**about, damage: 7}))
    elif damage == "shorter":
        (folder / PIXELS).write_bytes((folder / PIXELS).read_bytes()[:-100])
    elif damage == "missing":
        (folder / PIXELS).unlink()
    else:
        np.save(folder / LABELS, KNOWN[:4].numpy())
    with pytest.raises(ValueError, match=f"{INDEX} is damaged"):
        MappedImages(folder)


def test_no_set_is_told_with_what_to_do(folder: Path, tmp_path: Path):
    with pytest.raises(ValueError, match="name one of the sets in it: .*set$"):
        MappedImages(tmp_path)
    with pytest.raises(ValueError, match="make one with `fgssl data map`"):
        MappedImages(tmp_path / "nothing")
    with pytest.raises(ValueError, match="is there already and not empty"):
        write_map(parts(), folder, size=SIDE)
