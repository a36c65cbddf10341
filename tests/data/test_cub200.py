"""The CUB-200-2011 script, on a small archive of the same make, served from this machine."""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import io
import runpy
import tarfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from fgssl_edu.data import catalog, fetch
from fgssl_edu.data.image_set import Splits
from fgssl_edu.paths import data_dir, data_scripts_dir

CLASSES = ("001.Black_footed_Albatross", "002.Laysan_Albatross")
PER_CLASS, TRAINED = 5, 3


@pytest.fixture
def cub200() -> ModuleType:
    spec = importlib.util.spec_from_file_location("cub200", data_scripts_dir() / "cub200.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def jpeg(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (30, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer := io.BytesIO(), "jpeg")
    return buffer.getvalue()


def archive(without: str = "", instead: dict[str, str] | None = None) -> bytes:
    """The layout of the published archive: five tables, images/, and a file outside of the top folder."""
    names = [f"{label}/bird_{i}.jpg" for label in CLASSES for i in range(PER_CLASS)]
    keys = range(1, len(names) + 1)
    tables = {
        "images.txt": [f"{k} {name}" for k, name in zip(keys, names, strict=True)],
        "classes.txt": [f"{i} {label}" for i, label in enumerate(CLASSES, 1)],
        "image_class_labels.txt": [f"{k} {(k - 1) // PER_CLASS + 1}" for k in keys],
        "train_test_split.txt": [f"{k} {int((k - 1) % PER_CLASS < TRAINED)}" for k in keys],
        "bounding_boxes.txt": [f"{k} 6{k}.0 27.0 325.0 304.5" for k in keys],
        "parts/part_locs.txt": [f"{k} 1 312.0 182.0 1" for k in keys],
    }
    files = {f"CUB_200_2011/{name}": "\n".join(lines).encode() + b"\n" for name, lines in tables.items()}
    files |= {f"CUB_200_2011/images/{name}": jpeg(k) for k, name in zip(keys, names, strict=True)}
    files |= {"attributes.txt": b"1 has_bill_shape::curved\n"}
    files |= {f"CUB_200_2011/{name}": text.encode() for name, text in (instead or {}).items()}
    with tarfile.open(fileobj=(buffer := io.BytesIO()), mode="w:gz") as tar:
        for name, content in files.items():
            if without and name.endswith(without):
                continue
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def test_the_archive_becomes_a_folder_with_a_manifest(cub200, serve):
    served = serve(archive(), name="CUB_200_2011.tgz", cuts=[500])
    folder = cub200.main(served.url, served.md5)
    assert folder == data_dir() / "cub200" and [path.name for path in data_dir().iterdir()] == ["cub200"]
    with (folder / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 10 and set(rows[0]) == {"path", "label", "split", "sha256", *cub200.BOX}
    assert rows[6]["path"] == "images/002.Laysan_Albatross/bird_1.jpg" and rows[6]["label"] == CLASSES[1]
    assert [row["split"] for row in rows] == ["train", "train", "train", "test", "test"] * 2
    assert [float(rows[6][name]) for name in cub200.BOX] == [67.0, 27.0, 325.0, 304.5]
    assert (folder / "parts" / "part_locs.txt").is_file() and not (folder / "attributes.txt").exists()
    assert fetch.verify(folder) == fetch.Verification(10, (), (), ())


def test_it_loads_by_name_once_it_is_there(cub200, serve):
    with pytest.raises(ValueError, match="run `fgssl data get cub200` first"):
        catalog.load("cub200")
    served = serve(archive())
    cub200.main(served.url, served.md5)
    splits = catalog.load("cub200", image_size=16)
    assert isinstance(splits, Splits) and (len(splits.train), len(splits.test)) == (6, 4) and not splits.notes
    assert splits.train.classes == CLASSES and splits.train.name == "cub200" and splits.test.coarse is None
    assert "Wah" in splits.train.provenance and "non-commercial" in splits.train.licence


def test_a_second_run_does_nothing(cub200, serve):
    served = serve(archive())
    folder = cub200.main(served.url, served.md5)
    stamp = (folder / "manifest.csv").stat().st_mtime_ns
    assert cub200.main(served.url, served.md5) == folder
    assert len(served.asked) == 1 and (folder / "manifest.csv").stat().st_mtime_ns == stamp


def test_an_archive_that_lies_there_already_is_used(cub200, tmp_path):
    content = archive()
    (tmp_path / "CUB_200_2011.tgz").write_bytes(content)
    md5 = hashlib.md5(content).hexdigest()
    assert cub200.main("http://127.0.0.1:9/CUB_200_2011.tgz", md5, tmp_path / "birds") == tmp_path / "birds"


@pytest.mark.parametrize(
    ("without", "instead", "message"),
    [
        ("classes.txt", {}, "classes.txt is missing"),
        ("bird_3.jpg", {}, "bird_3.jpg.*missing"),
        ("", {"train_test_split.txt": "1 1\n"}, "do not list the same images"),
        ("", {"classes.txt": "1 one\n"}, r"classes \['2'\]"),
        ("", {"images.txt": ""}, "do not list the same images"),
    ],
)
def test_an_incomplete_archive_leaves_no_folder(cub200, serve, tmp_path, without, instead, message):
    served = serve(archive(without, instead), name="CUB_200_2011.tgz")
    with pytest.raises(ValueError, match=message):
        cub200.main(served.url, served.md5, tmp_path / "birds")
    assert [path.name for path in tmp_path.iterdir()] == ["CUB_200_2011.tgz"]  # whole and verified: no second download


def test_a_wrong_checksum_leaves_nothing(cub200, serve, tmp_path):
    served = serve(archive())
    with pytest.raises(ValueError, match="not the published file"):
        cub200.main(served.url, "0" * 32, tmp_path / "birds")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_ones_own_is_not_overwritten_and_nothing_is_downloaded(cub200, serve, tmp_path):
    (tmp_path / "birds").mkdir()
    (tmp_path / "birds" / "mine.txt").write_text("mine")
    served = serve(archive())
    with pytest.raises(ValueError, match="in the way"):
        cub200.main(served.url, served.md5, tmp_path / "birds")
    assert served.asked == [] and (tmp_path / "birds" / "mine.txt").read_text() == "mine"


def test_run_as_a_script_it_tells_what_is_there(cub200, serve, capsys):
    served = serve(archive())
    folder = cub200.main(served.url, served.md5)
    capsys.readouterr()
    runpy.run_path(str(data_scripts_dir() / "cub200.py"), run_name="__main__")
    assert capsys.readouterr().out == f"{folder}: 10 images, as manifest.csv says\n"


def test_the_table_of_sources_and_the_script_agree(cub200):
    with Path(data_scripts_dir() / "sources.csv").open(encoding="utf-8") as file:
        source = {row["name"]: row for row in csv.DictReader(file)}["cub200"]
    assert (source["url"], source["md5"], int(source["bytes"])) == (cub200.URL, cub200.MD5, cub200.BYTES)
    assert (source["classes"], source["train"], source["test"]) == ("200", "5994", "5794") and source[
        "script"
    ] == "cub200.py"
    assert all(source.values()) and None not in source
