"""Every set with archives but CUB: archives of the published make, served from here, become a manifest and load."""

from __future__ import annotations

import json

import fine_grained_archives
import numpy as np
import open_set_archives
import pytest
from PIL import Image
from small_archives import rows_of

from fgssl_edu.data import catalog, manifest, sources
from fgssl_edu.data.fetch.obtain import FIRST_SEEN
from fgssl_edu.paths import data_dir

SETS = {**fine_grained_archives.SETS, **open_set_archives.SETS}


@pytest.mark.parametrize("name", SETS)
def test_the_published_archives_become_the_rows_of_a_manifest(ready, name):
    small = SETS[name]()
    get, served = ready(name, small)
    folder = get()
    assert folder == data_dir() / name.split()[0] and not folder.with_name(f"{folder.name}.archives").exists()
    rows = rows_of(folder)
    added = {"sha256", *(manifest.FRAME if small.boxes else ())}
    assert [{key: value for key, value in row.items() if key not in added} for row in rows] == small.rows
    assert added <= set(rows[0]) and manifest.verify(folder) == manifest.Verification(len(rows), (), (), ())
    unpublished = {a.file for a in sources.find(name.split()[0]).archives if not a.checksum} & set(small.files)
    notes = data_dir() / FIRST_SEEN
    noted = json.loads(notes.read_text()) if notes.exists() else {}
    assert noted.keys() == {f"{folder.name}/{file}" for file in unpublished}
    asked = [one.asked for one in served.values()]
    assert get() == folder and [one.asked for one in served.values()] == asked == [[""]] * len(asked)


@pytest.mark.parametrize("name", SETS)
def test_it_loads_by_name_with_its_labels_and_boxes(ready, name):
    small = SETS[name]()
    get, _ = ready(name, small)
    get()
    splits = catalog.load(name.split()[0], image_size=16)
    assert not splits.notes and "; " not in splits.train.provenance and splits.train.licence
    for split, images in (("train", splits.train), ("test", splits.test)):
        expected = [(row["path"], row["label"]) for row in small.rows if (row["split"] == "test") == (split == "test")]
        names = (*images.classes, "")  # -1 is unlabelled
        found = [(path, names[label]) for path, label in zip(images.paths, images.labels.tolist(), strict=True)]
        assert found == expected
        assert (images.foreground is not None) == small.boxes
        if images.foreground is not None:
            assert bool(images.foreground.flatten(1).any(dim=1).all()) and not bool((images.foreground == 255).all())


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("which", [0, -1], ids=["first", "last"])
def test_an_archive_that_is_cut_short_leaves_no_folder(ready, tmp_path, name, which):
    small = SETS[name]()
    get, served = ready(name, small)
    file = sorted(small.files)[which]
    half = small.files[file][: len(small.files[file]) // 2]
    if file in served:
        served[file].content = half
    else:
        (tmp_path / "mine" / file).write_bytes(half)
    published = {archive.file: archive.checksum for archive in sources.find(name.split()[0]).archives}[file]
    with pytest.raises(ValueError) as error:
        get()
    assert not published or "published" in str(error.value)
    left = [path.name for path in data_dir().iterdir()] if data_dir().exists() else []
    assert set(left) <= {f"{name.split()[0]}.archives"}
    assert not published or file not in [path.name for path in data_dir().rglob("*")]


@pytest.mark.parametrize("name", SETS)
def test_other_numbers_than_the_published_are_refused(ready, name):
    small = SETS[name]()
    sizes = small.sizes()
    split = "train" if sizes["train"] else "unlabelled"
    get, _ = ready(name, small, **{split: int(sizes[split]) + 1})
    with pytest.raises(ValueError, match=f"{name.split()[0]}: .* were found, .* classes are published"):
        get()
    assert not (data_dir() / name.split()[0]).exists()


def test_of_aircraft_the_banner_is_never_seen(ready):
    get, _ = ready("aircraft", SETS["aircraft"]())
    path = get() / "images" / "1234567.jpg"
    train = catalog.load("aircraft", image_size=40).train
    with Image.open(path) as image:  # 60 x 60 px, of which 60 x 40 are photograph
        square = np.asarray(image.crop((10, 0, 50, 40)))
    assert train.paths[0] == "images/1234567.jpg"
    assert (train.images[0].permute(1, 2, 0).numpy() == square).all()


def test_frames_of_one_sign_share_a_track_that_no_other_sign_has(ready):
    get, _ = ready("gtsrb", SETS["gtsrb"]())
    tracks: dict[str, set[str]] = {}
    for row in rows_of(get()):
        if row["split"] == "train":
            tracks.setdefault(row["track"], set()).add(row["label"])
    assert len(tracks) == 4 and all(len(labels) == 1 for labels in tracks.values())
    assert "no horizontal flip" in sources.find("gtsrb").remark
