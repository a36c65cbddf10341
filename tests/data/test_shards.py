"""Shards: the layout that other programs read, bytes that repeat, and damage that is named."""

from __future__ import annotations

import io
import json
import logging
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fgssl_edu.data import shard_writing
from fgssl_edu.data.birds import bird_set
from fgssl_edu.data.decode import read_square
from fgssl_edu.data.shard_writing import Sample, encode, index_shards, write_shards
from fgssl_edu.data.shards import INDEX, TABLE, read_index, read_pictures, read_shard

wds = pytest.importorskip("webdataset")
SIDE, COUNT, PER_SHARD = 32, 10, 4
CLASSES = ("crow", "jay", "wren")


def samples(count: int = COUNT) -> list[Sample]:
    """Rendered birds; every third has no label."""
    pictures = bird_set(count, size=SIDE, seed=0).images
    return [Sample(picture, i % 3 - 1, {"path": f"{i}.png"} if i % 2 else {}) for i, picture in enumerate(pictures)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_shards(samples(), tmp_path / "set", PER_SHARD, classes=CLASSES, size=SIDE, source={"licence": "MIT"})
    return tmp_path / "set"


def jpeg(width: int, height: int, orientation: int = 1, mode: str = "RGB") -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    Image.fromarray(noise).resize((width, height)).convert(mode).save(file, "JPEG", exif=exif)
    return file.getvalue()


def test_the_index_says_what_is_there_and_each_shard_gives_its_part(folder: Path):
    index = read_index(folder)
    assert [(shard.name, shard.images) for shard in index.shards] == [
        ("000000.tar", 4),
        ("000001.tar", 4),
        ("000002.tar", 2),
    ]
    assert (index.total, index.size, index.classes, index.source["licence"]) == (COUNT, SIDE, CLASSES, "MIT")
    assert sorted(path.name for path in folder.iterdir()) == [*(s.name for s in index.shards), TABLE, INDEX]
    pictures = torch.stack([sample.picture for sample in samples()]).float()
    for first, shard in zip((0, 4, 8), index.shards, strict=True):
        images, position, labels = read_shard(folder, shard.name, SIDE)
        assert position.tolist() == list(range(first, first + shard.images))
        assert labels.tolist() == [i % 3 - 1 for i in position.tolist()]
        assert (images.float() - pictures[position]).abs().mean() < 3  # grey levels lost by JPEG
    with pytest.raises(ValueError, match="no shard '000009.tar'; there are 3"):
        read_shard(folder, "000009.tar", SIDE)


def test_some_pictures_are_read_in_the_order_asked_for_from_their_shards_alone(folder: Path):
    index = read_index(folder)
    (folder / "000001.tar").unlink()  # positions 4 to 7
    wanted = torch.tensor([9, 0, 3, 0])
    whole = torch.cat([read_shard(index, name, SIDE)[0] for name in ("000000.tar", "000002.tar")])
    assert torch.equal(read_pictures(index, wanted, SIDE), whole[[5, 0, 3, 0]])
    assert read_pictures(index, wanted[:0], SIDE).shape == (0, 3, SIDE, SIDE)
    with pytest.raises(ValueError, match="000001.tar: missing"):
        read_pictures(index, torch.tensor([4]), SIDE)
    with pytest.raises(ValueError, match="has the positions 0 to 9"):
        read_pictures(index, torch.tensor([10]), SIDE)


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # webdataset leaves files to the collector
def test_webdataset_reads_the_same_pictures_and_labels(folder: Path):
    urls = [str(path) for path in sorted(folder.glob("*.tar"))]
    found = list(wds.WebDataset(urls, shardshuffle=False).decode("pil"))
    assert [int(sample["__key__"]) for sample in found] == list(range(COUNT))
    assert [sample.get("cls", -1) for sample in found] == [i % 3 - 1 for i in range(COUNT)]
    assert found[3]["json"] == {"path": "3.png"} and "json" not in found[2]
    ours = torch.cat([read_shard(folder, Path(url).name, SIDE)[0] for url in urls])
    theirs = np.stack([np.asarray(sample["jpg"]) for sample in found]).transpose(0, 3, 1, 2)
    assert np.array_equal(ours.numpy(), theirs)


def test_the_same_samples_give_the_same_bytes(folder: Path, tmp_path: Path):
    write_shards(
        iter(samples()), tmp_path / "again" / "set", PER_SHARD, classes=CLASSES, size=SIDE, source={"licence": "MIT"}
    )
    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / "set" / path.name).read_bytes()


def test_an_upright_jpeg_passes_through_and_others_are_encoded():
    fine, grey = jpeg(48, 40), jpeg(48, 40, mode="L")
    assert encode(fine, None) == fine and encode(jpeg(40, 40), 40) == jpeg(40, 40) and encode(grey, None) == grey
    turned, print_colours = jpeg(48, 40, orientation=6), jpeg(48, 40, mode="CMYK")
    for file, size, shape in ((fine, 40, (40, 40)), (turned, None, (40, 48)), (print_colours, None, (48, 40))):
        with Image.open(io.BytesIO(encode(file, size))) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", shape)
            assert image.getexif().get(0x0112, 1) == 1


def test_pictures_kept_as_they_are_come_out_as_a_folder_s_would(tmp_path: Path):
    files = [jpeg(80, 60), jpeg(50, 90)]
    write_shards([Sample(file) for file in files], tmp_path / "set")
    index = read_index(tmp_path / "set")
    assert index.size is None and index.classes == ()
    images, _, labels = read_shard(index, "000000.tar", 24)
    assert labels.tolist() == [-1, -1]
    for image, file in zip(images, files, strict=True):
        assert np.array_equal(image.numpy(), read_square(file, 24).transpose(2, 0, 1))


def test_shards_of_another_program_get_an_index(tmp_path: Path):
    with tarfile.open(tmp_path / "birds-1.tar", "w") as tar:
        content = {"a/x.1.jpg": b"no picture of this set", "a/x.jpeg": jpeg(40, 40), "a/x.cls": b"2", "a/x.txt": b"jay"}
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    index = index_shards(tmp_path, size=40)
    assert (index.total, index.classes) == (1, ("0", "1", "2"))
    assert read_shard(index, "birds-1.tar", 40)[2].tolist() == [2]
    with pytest.raises(ValueError, match="a label is 2, but there are only 2 classes"):
        index_shards(tmp_path, classes=("a", "b"))


@pytest.mark.parametrize("damage", ["flipped bit", "truncated", "missing"])
def test_a_damaged_shard_is_named_and_refused_or_skipped(damage: str, folder: Path, caplog: pytest.LogCaptureFixture):
    path = folder / "000001.tar"
    content = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    else:
        content[700] ^= 1
        path.write_bytes(content if damage == "flipped bit" else content[:5000])
    words = {"flipped bit": "damaged", "truncated": "truncated or changed: 5,000 bytes", "missing": "missing"}[damage]
    with pytest.raises(ValueError, match=f"000001.tar: {words}"):
        read_shard(folder, path.name, SIDE)
    with caplog.at_level(logging.WARNING):
        images, position, labels = read_shard(folder, path.name, SIDE, on_bad="skip")
    assert images.shape == (0, 3, SIDE, SIDE) and len(position) == len(labels) == 0
    assert f"000001.tar: {words}" in caplog.text
    assert len(read_shard(folder, "000000.tar", SIDE)[0]) == 4


@pytest.mark.parametrize(("content", "reason"), [(b"not a picture", "cannot be decoded"), (None, "40 x 40 px")])
def test_a_bad_picture_is_named_and_refused_or_skipped(
    content: bytes | None,
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    whole, bad = jpeg(SIDE, SIDE), content or jpeg(40, 40)
    monkeypatch.setattr(shard_writing, "encode", lambda picture, *_: picture)  # as a careless program would
    write_shards([Sample(whole), Sample(bad), Sample(whole, 0)], tmp_path / "set", size=SIDE)
    with pytest.raises(ValueError, match=f"000000.tar, picture 1: .*{reason}"):
        read_shard(tmp_path / "set", "000000.tar", SIDE)
    images, position, labels = read_shard(tmp_path / "set", "000000.tar", SIDE, on_bad="skip")
    assert position.tolist() == [0, 2] and labels.tolist() == [-1, 0] and torch.equal(images[0], images[1])
    assert "picture 1" in caplog.text
    with pytest.raises(ValueError, match="on_bad='drop'"):
        read_shard(tmp_path / "set", "000000.tar", SIDE, on_bad="drop")


def test_an_unreadable_picture_is_refused_by_its_path_and_nothing_is_left(tmp_path: Path):
    broken = [*samples(5), Sample(jpeg(40, 40)[:900], about={"path": "wren/7.jpg"})]
    with pytest.raises(ValueError, match=r"wren/7\.jpg: cannot be decoded"):
        write_shards(broken, tmp_path / "set", 2)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="no pictures"):
        write_shards([], tmp_path / "set")
    with pytest.raises(ValueError, match="32 x 32 px, but size=40"):
        write_shards(samples(1), tmp_path / "set", size=40)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_refused_and_what_a_killed_writer_left_is_cleared(folder: Path, tmp_path: Path):
    with pytest.raises(ValueError, match="is there already and not empty"):
        write_shards(samples(), folder)
    (tmp_path / ".new.partial").mkdir()
    (tmp_path / ".new.partial" / "000007.tar").write_bytes(b"half")
    assert write_shards(samples(2), tmp_path / "new").total == 2
    assert not (tmp_path / ".new.partial").exists() and not (tmp_path / "new" / "000007.tar").exists()


def test_without_webdataset_writing_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "webdataset", None)
    with pytest.raises(ValueError, match=r'pip install "fgssl-edu\[shards\]"'):
        write_shards(samples(1), tmp_path / "set")


def test_no_index_and_a_damaged_index_are_told_apart(folder: Path, tmp_path: Path):
    with pytest.raises(ValueError, match="name one of the sets in it: .*set$"):
        read_index(tmp_path)
    with pytest.raises(ValueError, match="make one with `fgssl data shards`"):
        read_index(tmp_path / "nothing")
    path = folder / INDEX
    found = json.loads(path.read_text())
    for name, value in (("format", "2"), ("total", 9), ("shards", found["shards"][:2]), ("classes", None)):
        path.write_text(json.dumps({**found, name: value}))
        with pytest.raises(ValueError, match=rf"{INDEX} is damaged"):
            read_index(folder)
    path.write_text(json.dumps(found)[:200])
    with pytest.raises(ValueError, match=rf"{INDEX} is damaged"):
        read_index(folder)
    path.write_text(json.dumps(found))
    (folder / TABLE).write_bytes((folder / TABLE).read_bytes()[:-1] + b"\1")
    with pytest.raises(ValueError, match=f"{TABLE} is not the one"):
        read_index(folder)
