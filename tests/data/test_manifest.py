"""What a manifest proves: missing, changed and stray files, and the same file in train and test."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_archives import picture, rows_of

from fgssl_edu.data import catalog, manifest


def listed(folder: Path) -> Path:
    rows = []
    for name, split in (("a.png", "train"), ("b.png", "train"), ("c.png", "test"), ("d.png", "test")):
        (folder / name).write_bytes(name.encode())
        rows.append({"path": name, "label": "x, y", "split": split, "box_x": 1.5})
    manifest.write_manifest(folder, rows)
    return folder


def test_a_manifest_that_was_just_written_verifies(tmp_path):
    found = manifest.verify(listed(tmp_path))
    assert found == manifest.Verification(4, (), (), ()) and str(found) == "4 images, as manifest.csv says"
    assert (tmp_path / "manifest.csv").read_text().splitlines()[0] == "path,label,split,sha256,box_x"


def test_missing_changed_and_stray_files_are_named(tmp_path):
    listed(tmp_path)
    (tmp_path / "a.png").unlink()
    (tmp_path / "c.png").write_bytes(b"C.png")
    (tmp_path / "e.jpg").write_bytes(b"e")
    found = manifest.verify(tmp_path)
    assert (
        found.problems[0] == "a.png: missing"
        and found.problems[1].startswith("c.png: changed")
        and len(found.problems) == 2
    )
    assert found.stray == ("e.jpg",) and "not as manifest.csv says" in str(found)


def test_a_folder_without_a_manifest_cannot_be_verified(tmp_path):
    with pytest.raises(ValueError, match="manifest.csv does not exist"):
        manifest.verify(tmp_path / "nowhere")


def test_the_same_picture_in_train_and_test_is_reported(tmp_path):
    listed(tmp_path)
    (tmp_path / "d.png").write_bytes((tmp_path / "b.png").read_bytes())
    assert manifest.verify(tmp_path).duplicates == (("d.png", "b.png"),)


@pytest.mark.parametrize(("name", "images"), [("birds", 2313), ("flowers", 900), ("signs", 3612), ("single", 4)])
def test_real_photographs_are_as_their_manifests_say(photographs, name, images):
    assert manifest.verify(photographs / name) == manifest.Verification(images, (), (), ())


def test_boxes_bring_the_sizes_of_their_pictures_and_become_the_foreground(tmp_path):
    rows = []
    for i, split in enumerate(("train", "test")):
        (tmp_path / f"{i}.jpg").write_bytes(picture(i, size=(80, 40)))
        box = dict(zip(manifest.BOX, (30, 10, 20, 20), strict=True))
        rows.append({"path": f"{i}.jpg", "label": "a", "split": split, **box})
    manifest.write_manifest(tmp_path, rows)
    first = rows_of(tmp_path)[0]
    assert (first["width"], first["height"], first["box_x"]) == ("80", "40", "30")
    foreground = catalog.load(f"folder:{tmp_path}", image_size=40).train.foreground[0]  # the square begins at x = 20
    assert int(foreground.sum()) == 255 * 400 and bool((foreground[10:30, 10:30] == 255).all())


def test_a_box_needs_a_picture(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"a\.jpg: not an image"):
        manifest.write_manifest(tmp_path, [{"path": "a.jpg", **dict.fromkeys(manifest.BOX, 1)}])
