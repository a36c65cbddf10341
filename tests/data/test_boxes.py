"""Boxes of photographs as foregrounds: through the central square, clipped, and absent where the folder knows none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from fgssl_edu.data import catalog
from fgssl_edu.data.boxes import box_masks

HEAD = "path,width,height,bbox_x,bbox_y,bbox_w,bbox_h\n"


def folder(path: Path, annotations: str | None) -> str:
    for split in ("train", "test"):
        for name in ("a", "b"):
            (path / split / name).mkdir(parents=True)
            Image.new("RGB", (80, 40), "white").save(path / split / name / "1.png")
    if annotations is not None:
        (path / "annotations.csv").write_text(annotations)
    return f"folder:{path}"


def rows(box: str) -> str:
    return HEAD + "".join(f"{split}/{name}/1.png,80,40,{box}\n" for split in ("train", "test") for name in "ab")


def test_a_box_goes_through_the_central_square() -> None:
    mask = box_masks(torch.tensor([[80.0, 40, 30, 10, 20, 20]]), size=40)[0]  # the square begins at x = 20
    assert mask.shape == (40, 40) and int(mask.sum()) == 255 * 400
    assert bool((mask[10:30, 10:30] == 255).all())


def test_a_box_that_leaves_the_picture_is_cut_and_half_pixels_count_half() -> None:
    outside = box_masks(torch.tensor([[40.0, 40, -10, 0, 20, 400]]), size=40)[0]
    assert int(outside.sum()) == 255 * 10 * 40
    half = box_masks(torch.tensor([[40.0, 40, 0.5, 0, 1, 1]]), size=40)[0]
    assert half[0, :3].tolist() == [128, 128, 0]


def test_a_folder_with_boxes_has_a_foreground_and_no_parts(tmp_path: Path) -> None:
    splits = catalog.load(folder(tmp_path, rows("30,10,20,20")), image_size=32)
    for images in (splits.train, splits.test):
        assert images.foreground is not None and images.parts is None
        assert images.foreground.float().mean() / 255 == pytest.approx(0.25, abs=0.01)  # a quarter of the square


@pytest.mark.parametrize("annotations", [None, "path,note\n", HEAD + "train/a/1.png,80,40,1,1,5,5\n"])
def test_without_a_box_for_every_picture_there_is_no_foreground(tmp_path: Path, annotations: str | None) -> None:
    assert catalog.load(folder(tmp_path, annotations), image_size=32).train.foreground is None


def test_a_box_that_is_no_number_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a/1\.png"):
        catalog.load(folder(tmp_path, rows("left,10,20,20")), image_size=32)


def test_boxes_of_real_birds_hold_their_birds(photographs: Path) -> None:
    train = catalog.load(f"folder:{photographs / 'birds'}", image_size=48).train
    assert train.foreground is not None
    share = train.foreground.float().mean(dim=(1, 2)) / 255
    assert 0.2 < float(share.mean()) < 0.7 and float(share.min()) > 0  # CUB's birds fill about two fifths


def test_a_box_of_a_picture_that_is_cut_goes_through_the_square_of_what_is_left(tmp_path: Path) -> None:
    for name in ("a", "b"):
        Image.new("RGB", (40, 60), "white").save(tmp_path / f"{name}.png")
    head = "path,label,split,width,height,box_x,box_y,box_width,box_height,cut_bottom\n"
    body = "".join(f"{name}.png,x,{split},40,60,0,0,40,20,20\n" for name, split in (("a", "train"), ("b", "test")))
    (tmp_path / "manifest.csv").write_text(head + body)
    foreground = catalog.load(f"folder:{tmp_path}", image_size=40).train.foreground
    assert foreground is not None  # what is left is square: the box is its upper half
    assert bool((foreground[0, :20] == 255).all()) and not foreground[0, 20:].any()
