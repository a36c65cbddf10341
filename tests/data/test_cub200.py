"""The CUB-200-2011 script, on a small archive of the same make, served from this machine."""

from __future__ import annotations

import runpy
from types import ModuleType

import pytest
from small_archives import data_script, lines, picture, rows_of, tar_file

from fgssl_edu.data import catalog, manifest
from fgssl_edu.data.image_set import Splits
from fgssl_edu.paths import data_dir, data_scripts_dir

FILE = "CUB_200_2011.tgz"
CLASSES = ("001.Black_footed_Albatross", "002.Laysan_Albatross")
PER_CLASS, TRAINED = 5, 3
SIZES = {"classes": 2, "train": 6, "test": 4}


@pytest.fixture
def cub200() -> ModuleType:
    return data_script("cub200")


def archive(without: str = "", instead: dict[str, str] | None = None) -> bytes:
    """The layout of the published archive: five tables, images/, and a file outside of the top folder."""
    names = [f"{label}/bird_{i}.jpg" for label in CLASSES for i in range(PER_CLASS)]
    keys = range(1, len(names) + 1)
    tables = {
        "images.txt": [f"{k} {name}" for k, name in zip(keys, names, strict=True)],
        "classes.txt": [f"{i} {label}" for i, label in enumerate(CLASSES, 1)],
        "image_class_labels.txt": [f"{k} {(k - 1) // PER_CLASS + 1}" for k in keys],
        "train_test_split.txt": [f"{k} {int((k - 1) % PER_CLASS < TRAINED)}" for k in keys],
        "bounding_boxes.txt": [f"{k} {k}.0 2.0 20.0 20.5" for k in keys],
        "parts/part_locs.txt": [f"{k} 1 312.0 182.0 1" for k in keys],
    }
    files = {f"CUB_200_2011/{name}": lines(*text) for name, text in tables.items()}
    files |= {f"CUB_200_2011/images/{name}": picture(k) for k, name in zip(keys, names, strict=True)}
    files |= {"attributes.txt": b"1 has_bill_shape::curved\n"}
    files |= {f"CUB_200_2011/{name}": text.encode() for name, text in (instead or {}).items()}
    return tar_file({name: files[name] for name in files if not without or not name.endswith(without)})


def test_the_archive_becomes_a_folder_with_a_manifest(cub200, publish, monkeypatch):
    monkeypatch.setattr("fgssl_edu.data.fetch.downloads.CHUNK_BYTES", 100)
    served = publish("cub200", {FILE: archive()}, **SIZES)[FILE]
    served.cuts = [500]
    folder = cub200.main()
    assert folder == data_dir() / "cub200" and [path.name for path in data_dir().iterdir()] == ["cub200"]
    rows = rows_of(folder)
    assert len(rows) == 10 and set(rows[0]) == {"path", "label", "split", "sha256", *manifest.FRAME, *manifest.BOX}
    assert rows[6]["path"] == "images/002.Laysan_Albatross/bird_1.jpg" and rows[6]["label"] == CLASSES[1]
    assert [row["split"] for row in rows] == ["train", "train", "train", "test", "test"] * 2
    assert [float(rows[6][name]) for name in manifest.BOX] == [7.0, 2.0, 20.0, 20.5]
    assert (folder / "parts" / "part_locs.txt").is_file() and not (folder / "attributes.txt").exists()
    assert manifest.verify(folder) == manifest.Verification(10, (), (), ()) and served.asked == ["", "bytes=500-"]


def test_it_loads_by_name_once_it_is_there(cub200, publish):
    with pytest.raises(ValueError, match="run `fgssl data get cub200` first"):
        catalog.load("cub200")
    publish("cub200", {FILE: archive()}, **SIZES)
    cub200.main()
    splits = catalog.load("cub200", image_size=16)
    assert isinstance(splits, Splits) and (len(splits.train), len(splits.test)) == (6, 4) and not splits.notes
    assert splits.train.classes == CLASSES and splits.train.name == "cub200" and splits.test.coarse is None
    assert splits.train.foreground is not None and splits.train.foreground.any()
    assert "Wah" in splits.train.provenance and "non-commercial" in splits.train.licence


def test_an_archive_that_the_user_has_is_used_and_stays(cub200, publish, tmp_path):
    served = publish("cub200", {FILE: archive()}, **SIZES)[FILE]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / FILE).write_bytes(served.content)
    assert cub200.main(tmp_path / "birds", tmp_path / "mine") == tmp_path / "birds"
    assert served.asked == [] and (tmp_path / "mine" / FILE).read_bytes() == served.content


@pytest.mark.parametrize(
    ("without", "instead", "message"),
    [
        ("classes.txt", {}, "classes.txt is missing"),
        ("bird_3.jpg", {}, "missing: .*bird_3.jpg"),
        ("", {"train_test_split.txt": "".join(f"{k} 1\n" for k in range(1, 11))}, "10 train, 2 classes were found"),
        ("", {"train_test_split.txt": "1 1\n"}, "do not list the same images"),
        ("", {"classes.txt": "1 one\n"}, r"classes \['2'\]"),
        ("", {"images.txt": ""}, "do not list the same images"),
    ],
)
def test_an_incomplete_archive_leaves_no_folder(cub200, publish, tmp_path, without, instead, message):
    publish("cub200", {FILE: archive(without, instead)}, **SIZES)
    with pytest.raises(ValueError, match=message):
        cub200.main(tmp_path / "birds")
    assert [path.name for path in tmp_path.iterdir()] == ["birds.archives"]  # whole, verified: no second download


def test_run_as_a_script_it_tells_what_is_there(cub200, publish, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["cub200.py"])
    publish("cub200", {FILE: archive()}, **SIZES)
    runpy.run_path(str(data_scripts_dir() / "cub200.py"), run_name="__main__")
    assert capsys.readouterr().out == f"{data_dir() / 'cub200'}: 10 images, as manifest.csv says\n"
    monkeypatch.setattr("sys.argv", ["cub200.py", "--from", "nowhere"])
    with pytest.raises(SystemExit, match="there is no such folder"):
        (data_dir() / "cub200").rename(data_dir() / "old")
        runpy.run_path(str(data_scripts_dir() / "cub200.py"), run_name="__main__")
