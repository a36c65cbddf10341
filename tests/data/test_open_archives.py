"""What only single open sets have: bytes that become pictures, archives in archives, links, groups that are known."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from fine_grained_archives import Small
from open_set_archives import BIRD, DOG, SETS, imagenet1k, planes
from PIL import Image
from small_archives import data_script, inside, lines, picture, rows_of, tar_file

from fgssl_edu.data import manifest, sources
from fgssl_edu.data.fetch import records, write_pictures
from fgssl_edu.data.open_set import load_open_set
from fgssl_edu.paths import data_dir


def pixels(path: Path) -> np.ndarray:
    """(3, H, W) uint8 of a file."""
    with Image.open(path) as image:
        return np.asarray(image).transpose(2, 0, 1)


@pytest.mark.parametrize(("name", "side"), [("cifar10", 32), ("cifar100", 32), ("stl10", 96)])
def test_bytes_become_pictures_without_loss(ready, name, side):
    folder = ready(name, SETS[name]())[0]()
    place: dict[str, int] = {}
    for row in rows_of(folder):
        number = place[row["split"]] = place.get(row["split"], -1) + 1
        assert (pixels(folder / row["path"]) == planes(row["split"], number, side)).all()
    assert not [name for name in inside(folder) if not name.endswith((".png", ".csv"))]


@pytest.mark.parametrize(
    ("name", "tested", "side", "where"),
    [
        ("cifar10", {"cifar-10-batches-bin/test_batch.bin": b"\0{}"}, 32, (0, slice(None))),
        ("stl10", {"stl10_binary/test_X.bin": b"{}", "stl10_binary/test_y.bin": b"\1"}, 96, (slice(None), 0)),
    ],
)
def test_red_at_first_is_the_upper_edge_in_cifar_and_the_left_edge_in_stl10(ready, name, tested, side, where):
    stripe = np.zeros((3, side, side), dtype=np.uint8)
    stripe[(0, *where)] = 255
    raw = bytes([255] * side) + bytes(3 * side * side - side)
    small = SETS[name]()
    ((archive, content),) = small.files.items()
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar}
    files |= {file: bytes_.replace(b"{}", raw) for file, bytes_ in tested.items()}
    folder = ready(name, Small({archive: tar_file(files)}, small.rows), test=1)[0]()
    assert [(pixels(path) == stripe).all() for path in (folder / "test").rglob("*.png")] == [True]


@pytest.mark.parametrize("size", [0, 7])
def test_a_file_that_is_no_whole_number_of_records_is_refused(tmp_path, size):
    (tmp_path / "a.bin").write_bytes(bytes(size))
    with pytest.raises(ValueError, match=f"a.bin: {size} bytes are no whole number of records of 3 bytes"):
        records(tmp_path / "a.bin", 3)


def test_records_and_pictures_by_hand(tmp_path):
    (tmp_path / "a.bin").write_bytes(bytes(range(6)))
    assert records(tmp_path / "a.bin", 3).tolist() == [[0, 1, 2], [3, 4, 5]]
    rows = write_pictures(tmp_path, "train", np.arange(6, dtype=np.uint8).reshape(2, 3, 1, 1), ["x", ""])
    assert rows == [
        {"path": "train/x/000000.png", "label": "x", "split": "train"},
        {"path": "train/000001.png", "label": "", "split": "train"},
    ]
    assert pixels(tmp_path / "train" / "000001.png").ravel().tolist() == [3, 4, 5]


def test_a_class_that_no_list_names_is_refused(ready):
    top = "cifar-100-binary"
    files = {f"{top}/coarse_label_names.txt": lines("fish"), f"{top}/fine_label_names.txt": lines("trout")}
    files |= {f"{top}/{split}.bin": bytes([0, 1]) + planes(split, 0, 32).tobytes() for split in ("train", "test")}
    small = SETS["cifar100"]()
    get, _ = ready("cifar100", Small({"cifar-100-binary.tar.gz": tar_file(files)}, small.rows))
    with pytest.raises(ValueError, match="cifar100: its lists are not as they were published"):
        get()
    assert inside(data_dir()) == ["cifar100.archives/cifar-100-binary.tar.gz"]


def test_an_archive_inside_of_an_archive_is_not_trusted_either(ready):
    small = imagenet1k()
    hostile = tar_file({"../../n01440764_1.JPEG": picture(1)}, "w")
    files = {**small.files, "ILSVRC2012_img_train.tar": tar_file({"n01440764.tar": hostile}, "w")}
    with pytest.raises(ValueError, match="n01440764.tar: refused, .* points out of the folder"):
        ready("imagenet1k", Small(files, small.rows))[0]()
    assert inside(data_dir()) == []


def test_a_hierarchy_that_goes_in_circles_ends():
    below = data_script("imagenet1k").below
    known = [
        {"ILSVRC2012_ID": n, "WNID": f"n{n}", "num_children": len(children), "children": np.array(children)}
        for n, children in ((1, [2, 3]), (2, [1]), (3, []))
    ]
    assert below(known, "n2") == {"n1", "n2", "n3"} and below(known, "n3") == {"n3"} and below(known, "n9") == set()


@pytest.mark.parametrize("name", ["cifar10", "imagenet1k", "inat21mini"])
def test_as_an_open_set_it_is_known_which_pictures_show_birds(ready, name):
    folder = ready(name, SETS[name]())[0]()
    pool = load_open_set(f"folder:{folder}", image_size=16)
    expected = [row["group"] == "bird" for row in rows_of(folder) if row["split"] != "test"]
    assert pool.relevant.tolist() == expected and 0 < sum(expected) < len(expected)
    assert pool.images.classes == () and bool((pool.images.labels == -1).all())


@pytest.fixture
def hundred(ready, publish, monkeypatch):
    """An imagenet1k on disk, and a function that makes imagenet100 of it."""
    whole = ready("imagenet1k", imagenet1k())[0]()
    publish("imagenet100", {}, classes=2, train=3, test=2)
    return whole, data_script("imagenet100").main


def test_imagenet100_is_the_list_of_cmc_as_links_into_imagenet1k(hundred):
    whole, main = hundred
    folder = main()
    expected = [row for row in rows_of(whole) if row["label"] in (BIRD, DOG)]
    assert rows_of(folder) == expected and len(expected) == 5
    assert all((folder / row["path"]).samefile(whole / row["path"]) for row in expected)
    assert manifest.verify(folder) == manifest.Verification(5, (), (), ())


def test_the_list_of_imagenet100_is_the_published_file():
    classes = data_script("imagenet100").CLASSES.read_text().split()
    content = "".join(f"{name}\n" for name in classes).encode()  # whatever ends lines here
    assert len(set(classes)) == 100
    assert hashlib.sha256(content).hexdigest() == "79f3f1552ccc478ce24bd934b4573625db584ddc1f4643ae23c994a94cb11397"


def test_where_links_cannot_be_it_is_copied(hundred, monkeypatch):
    whole, main = hundred

    def refuse(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    path = next(iter(rows_of(main())))["path"]
    copy = data_dir() / "imagenet100" / path
    assert copy.read_bytes() == (whole / path).read_bytes() and not copy.samefile(whole / path)


def test_imagenet100_of_an_imagenet1k_elsewhere_and_of_none(hundred, tmp_path):
    whole, main = hundred
    elsewhere = whole.rename(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="holds no imagenet1k, .* run `fgssl data get imagenet1k` first"):
        main()
    folder = main(given=elsewhere)
    assert len(rows_of(folder)) == 5


def test_a_picture_that_imagenet1k_has_lost_leaves_no_imagenet100(hundred):
    whole, main = hundred
    (whole / "train" / DOG / f"{DOG}_3.JPEG").unlink()
    with pytest.raises(ValueError, match=f"{DOG}_3.JPEG is missing; `fgssl data verify imagenet1k`"):
        main()
    assert [path.name for path in data_dir().iterdir()] == ["imagenet1k"]


def test_a_set_that_is_made_from_another_has_nothing_to_fetch():
    source = sources.find("imagenet100")
    assert (source.archives, source.how, source.download) == ((), "made here", "nothing")


def test_the_photographers_of_pass_stay_with_their_pictures(ready):
    folder = ready("pass", SETS["pass"]())[0]()
    assert (folder / "pass_metadata.csv").read_text().startswith("unickname,hash\nsomeone,")
