"""Folders of photographs: layouts, formats, and everything that may be wrong with them."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fgssl_edu.data.folder import load_folder, stray_images

RED, GREEN, BLUE = (200, 30, 30), (30, 200, 30), (30, 30, 200)


def picture(
    path: Path, color: object = RED, size: tuple[int, int] = (20, 14), mode: str = "RGB", **options: object
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, color).save(path, **options)
    return path


def photograph(path: Path, size: tuple[int, int] = (60, 40)) -> Path:
    """A JPEG with enough in it to be cut off in the middle."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, quality=95)
    return path


def class_folder(root: Path, counts: dict[str, int]) -> Path:
    for name, count in counts.items():
        for i in range(count):
            picture(root / name / f"{i}.png", color=(10 * i, 50, 50))
    return root


def manifest(
    root: Path, rows: list[tuple[str, str, str]], header: tuple[str, ...] = ("path", "label", "split")
) -> Path:
    with (root / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return root


def colors(images: torch.Tensor) -> list[tuple[int, ...]]:
    return [tuple(pixel.tolist()) for pixel in images[:, :, images.shape[-1] // 2, images.shape[-1] // 2]]


# ---- layouts


def test_a_manifest_names_the_pixels_that_are_no_part_of_the_photograph(tmp_path):
    for name in ("a.png", "b.png"):
        image = Image.new("RGB", (40, 40), GREEN)
        image.paste(RED, (0, 20, 40, 40))
        image.save(tmp_path / name)
    rows = [("a.png", "x", "train", "20"), ("b.png", "x", "test", "")]
    splits = load_folder(manifest(tmp_path, rows, ("path", "label", "split", "cut_bottom")), 8)
    assert bool((splits.train.images[0, 0] < 100).all()) and bool((splits.test.images[0, 0, -3:] > 100).all())
    manifest(tmp_path, [("a.png", "x", "train", "-1")], ("path", "label", "split", "cut_bottom"))
    with pytest.raises(ValueError, match=r"a\.png: cut_bottom '-1' in manifest\.csv; write a number of pixels"):
        load_folder(tmp_path, 8)


def test_class_folders_are_split_75_25_in_every_class_by_seed(tmp_path):
    class_folder(tmp_path, {"wren": 8, "robin": 4, "lone": 1, "pair": 2})
    splits = load_folder(tmp_path, image_size=8)
    assert splits.train.classes == ("lone", "pair", "robin", "wren") and splits.train.size == 8
    assert torch.bincount(splits.train.labels, minlength=4).tolist() == [1, 1, 3, 6]
    assert torch.bincount(splits.test.labels, minlength=4).tolist() == [0, 1, 1, 2]
    assert not set(splits.train.paths) & set(splits.test.paths)
    assert load_folder(tmp_path, 8).test.paths == splits.test.paths
    assert any(load_folder(tmp_path, 8, seed=s).test.paths != splits.test.paths for s in (1, 2, 3))


def test_train_and_test_folders_share_their_classes(tmp_path):
    class_folder(tmp_path / "train", {"b": 2, "a": 3})
    class_folder(tmp_path / "test", {"b": 1, "c": 1})
    (tmp_path / "val").mkdir()
    splits = load_folder(tmp_path, 8)
    assert splits.train.classes == splits.test.classes == ("a", "b", "c")
    assert splits.train.labels.tolist() == [0, 0, 0, 1, 1] and splits.test.labels.tolist() == [1, 2]
    assert splits.test.paths == ("test/b/0.png", "test/c/0.png") and splits.notes == (
        "ignored: val/ beside train/ and test/",
    )


def test_the_manifest_wins_and_an_empty_label_means_unlabelled(tmp_path):
    for name, color in (("x/1.png", RED), ("x/2.png", GREEN), ("y/3.png", BLUE), ("4.png", RED)):
        picture(tmp_path / name, color)
    manifest(
        tmp_path,
        [
            ("y/3.png", "blue", "test"),
            ("x/2.png", "green", "train"),
            ("x/1.png", "", "unlabelled"),
            ("4.png", "red", "single"),
        ],
    )
    splits = load_folder(tmp_path, 8)
    assert splits.train.classes == ("blue", "green", "red")
    assert splits.train.labels.tolist() == [1, -1, 2] and splits.test.labels.tolist() == [0]
    assert colors(splits.train.images) == [GREEN, RED, RED] and colors(splits.test.images) == [BLUE]


def test_a_set_without_test_images_has_an_empty_test(tmp_path):
    picture(tmp_path / "a.png")
    splits = load_folder(manifest(tmp_path, [("a.png", "", "unlabelled")]), 8)
    assert len(splits.test) == 0 and splits.train.labels.tolist() == [-1] and splits.train.classes == ()


def test_what_is_not_known_is_absent(tmp_path):
    train = load_folder(class_folder(tmp_path, {"a": 2}), 8).train
    assert train.coarse is None and train.coarse_classes == () and train.parts is None and train.factors is None


def test_a_manifest_of_a_spreadsheet_is_read(tmp_path):
    picture(tmp_path / "Müller" / "Zaunkönig 1.PNG")
    text = "path,label,split,sha256\r\nMüller/Zaunkönig 1.PNG, Zaunkönig ,train,0\r\n"
    (tmp_path / "manifest.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert load_folder(tmp_path, 8).train.classes == ("Zaunkönig",)


# ---- what may be wrong


def spoiled(root: Path) -> Path:
    class_folder(root, {"good": 4, "better": 4})
    (root / "good" / "zero.jpg").touch()
    (root / "good" / "letter.jpg").write_text("Dear reader, this is no picture.")
    (root / "good" / "notes.txt").write_text("notes")
    whole = photograph(root / "better" / "cut.jpg").read_bytes()
    (root / "better" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    png = (root / "better" / "0.png").read_bytes()
    (root / "better" / "cut.png").write_bytes(png[: len(png) // 2])
    (root / "hollow").mkdir()
    picture(root / "loose.png")
    (root / "README.md").write_text("about this folder")
    (root / "good" / ".hidden").write_text("")
    (root / "good" / "Thumbs.db").write_text("")
    return root


BAD = (
    "good/zero.jpg: empty file",
    "good/letter.jpg: not an image",
    "good/notes.txt: not an image",
    "better/cut.jpg: cannot be decoded",
    "better/cut.png: cannot be decoded",
    "hollow/: a class without images",
    "loose.png: an image outside",
)


def test_everything_wrong_is_named_in_one_error(tmp_path):
    with pytest.raises(ValueError, match="7 problems, nothing was loaded") as error:
        load_folder(spoiled(tmp_path), 8)
    for name in (*BAD, "on_bad='skip'"):
        assert name in str(error.value)
    for innocent in ("README", "hidden", "Thumbs", "good/0.png"):
        assert innocent not in str(error.value)


def test_skipping_loads_the_rest_and_tells_what_was_skipped(tmp_path, caplog):
    splits = load_folder(spoiled(tmp_path), 8, on_bad="skip")
    assert len(splits.train) + len(splits.test) == 8 and splits.train.classes == ("better", "good")
    assert len(splits.notes) == 7 and all(any(f"skipped: {bad}" in note for note in splits.notes) for bad in BAD)
    assert len(caplog.records) == 1 and "7 notes" in caplog.text and "good/zero.jpg" in caplog.text
    for images in (splits.train, splits.test):
        for i, name in enumerate(images.paths):
            assert colors(images.images[i : i + 1]) == [(10 * int(Path(name).stem), 50, 50)] and name.startswith(
                images.classes[images.labels[i]]
            )


def test_a_manifest_row_without_a_file_and_other_bad_rows_are_named(tmp_path):
    picture(tmp_path / "a.png")
    rows = [("a.png", "a", "train"), ("b.png", "b", "train"), ("a.png", "a", "test"), ("../c.png", "c", "train")]
    rows += [("/d.png", "d", "train"), ("e.png", "e", "validation"), ("", "f", "train")]
    manifest(tmp_path, rows)
    with pytest.raises(ValueError, match="6 problems") as error:
        load_folder(tmp_path, 8)
    for text in (
        "b.png: missing",
        "a.png: more than one row",
        "'../c.png'",
        "'/d.png'",
        "split 'validation'",
        "use train, test, unlabelled",
        "''",
    ):
        assert text in str(error.value)
    assert load_folder(tmp_path, 8, on_bad="skip").train.paths == ("a.png",)


def test_a_file_without_a_row_is_ignored_and_told(tmp_path):
    for name in ("a.png", "b.png", "deep/c.JPG", "d.txt.png", "e.gif"):
        picture(tmp_path / name)
    (tmp_path / "table.txt").write_text("1 2 3")
    splits = load_folder(manifest(tmp_path, [("a.png", "a", "train")]), 8)
    assert splits.train.paths == ("a.png",)
    assert splits.notes == ("ignored: 4 images without a row in manifest.csv: b.png, d.txt.png, e.gif and 1 more",)
    assert stray_images(tmp_path, {"a.png"})[-1] == "deep/c.JPG"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no column path, label, split"),
        (b"path;label;split\na;b;train\n", "no column path"),
        (b"path,split\na,train\n", "no column label"),
        ("path,label,split\nä,b,train\n".encode("utf-16"), "UTF-8"),
    ],
)
def test_a_manifest_that_is_no_table_is_refused(tmp_path, content, message):
    (tmp_path / "manifest.csv").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load_folder(tmp_path, 8)


def test_a_folder_without_images_is_refused_either_way(tmp_path):
    for on_bad in ("raise", "skip"):
        with pytest.raises(ValueError, match="no class folders"):
            load_folder(tmp_path, 8, on_bad=on_bad)
    (tmp_path / "wren").mkdir()
    for on_bad in ("raise", "skip"):
        with pytest.raises(ValueError, match="wren/: a class without images"):
            load_folder(tmp_path, 8, on_bad=on_bad)
    manifest(tmp_path, [])
    with pytest.raises(ValueError, match="no images in it"):
        load_folder(tmp_path, 8)


def test_mistaken_arguments_are_refused_with_what_to_do(tmp_path):
    picture(tmp_path / "file.png")
    for path, options, message in (
        (tmp_path / "nowhere", {}, "does not exist"),
        (tmp_path / "file.png", {}, "a file; name a folder"),
        (tmp_path, {}, "no class folders .1 files"),
        (tmp_path, {"on_bad": "ignore"}, "on_bad='ignore': use 'raise' or 'skip'"),
        (tmp_path, {"image_size": 0}, "image_size=0: use 4 to"),
    ):
        with pytest.raises(ValueError, match=message):
            load_folder(path, **options)
    class_folder(tmp_path / "alone" / "train", {"a": 1})
    with pytest.raises(ValueError, match="train/ stands alone"):
        load_folder(tmp_path / "alone")


def test_a_picture_made_to_exhaust_the_memory_is_a_problem_like_any_other(tmp_path, monkeypatch):
    class_folder(tmp_path, {"a": 2})
    picture(tmp_path / "a" / "vast.png", size=(200, 100))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 15_000)
    with pytest.raises(ValueError, match=r"a/vast.png: cannot be decoded .*decompression bomb"):
        load_folder(tmp_path, 8)


# ---- real photographs


@pytest.mark.parametrize(
    ("name", "train", "test", "classes"),
    [
        ("flowers", 660, 240, 12),
        ("openset", 4323, 0, 0),
        ("single", 4, 0, 4),
        ("signs", 2580, 1032, 43),
        ("birds", 1200, 1113, 40),
    ],
)
def test_real_photographs_load(photographs, name, train, test, classes):
    splits = load_folder(photographs / name, image_size=32)
    assert len(splits.train.classes) == classes
    assert (len(splits.train), len(splits.test)) == (train, test) and not splits.notes
    assert (splits.train.labels == -1).all() == (name == "openset")
    deviation = splits.train.images[:500].float().std()
    assert 30 < deviation < 120  # neither blank nor noise


def test_real_photographs_without_a_manifest_agree_with_it(photographs, tmp_path):
    copy = tmp_path / "flowers"
    for split in ("train", "test"):
        for label in ("bluebell", "buttercup"):
            shutil.copytree(photographs / "flowers" / split / label, copy / split / label)
    splits, full = load_folder(copy, 16), load_folder(photographs / "flowers", 16)
    where = {path: i for i, path in enumerate(full.train.paths)}
    same = torch.tensor([where[path] for path in splits.train.paths])
    assert torch.equal(splits.train.images, full.train.images[same])
