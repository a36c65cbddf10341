"""The crop farm: its law, its order, its switches, and that crop i is crop i everywhere."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as vision

from fgssl_edu.data import single_image
from fgssl_edu.data.single_image import (
    FARMS,
    Farm,
    Photograph,
    crop_set,
    crop_sizes,
    crops,
    from_root,
    make,
    open_photograph,
    plan,
)
from fgssl_edu.views.color import as_float

STEPS = ("patch", "zoom", "rotate", "shear", "jitter")
PLAIN = Farm(patch=False, zoom=False, rotate=False, shear=False, jitter=False)
INDEX = torch.arange(400)


def painted(width: int = 160, height: int = 120) -> Photograph:
    """Red grows to the right, green downwards, blue is noise: a crop tells where it is from."""
    across = torch.linspace(0, 255, width).expand(height, width)
    down = torch.linspace(0, 255, height)[:, None].expand(height, width)
    noise = 255 * torch.rand(height, width, generator=torch.Generator().manual_seed(0))
    pixels = torch.stack([across, down, noise], dim=2).byte()
    return Photograph("painted", Image.fromarray(pixels.numpy()), "made here", "none")


def white() -> Photograph:
    return Photograph("white", Image.new("RGB", (160, 120), "white"), "made here", "none")


def test_the_first_crop_is_a_square_of_half_the_shorter_side():
    drawn = plan(painted(), INDEX, 0, Farm())
    left, top, side = drawn.patch.unbind(dim=1)
    assert side.unique().tolist() == [60]
    assert left.min() == 0 and left.max() == 100 and top.min() == 0 and top.max() == 60  # all places, the last included


def test_a_crop_lies_in_its_patch_and_has_the_area_and_shape_that_were_asked_for():
    drawn = plan(painted(2560, 1920), torch.arange(4000), 0, Farm())
    left, top, wide, high = drawn.box.unbind(dim=1)
    x, y, side = drawn.patch.unbind(dim=1)
    assert side.unique().tolist() == [960]  # the size of the paper's first picture
    assert bool(((left >= x) & (top >= y) & (left + wide <= x + side) & (top + high <= y + side)).all())
    share, ratio = wide * high / 960**2, wide / high
    assert share.min() >= 0.99 / 500 and math.isclose(math.sqrt(960**2 / 500), 42.9, abs_tol=0.05)
    assert 0.74 < ratio.min() < 0.76 and 1.31 < ratio.max() < 1.35
    assert 0.42 < share.median() < 0.52  # uniform, less what does not fit


def test_what_does_not_fit_is_tried_again_and_never_replaced_by_the_centre():
    """Of areas from .98 on, 1 try in 50 fits: torchvision would take the whole patch for 4 of 5."""
    sizes = crop_sizes(torch.arange(500), seed=0, side=1000, least_area=0.98)
    assert bool((sizes <= 1000).all()) and bool((sizes > 0).all())
    area, whole = sizes.prod(dim=1) / 1e6, (sizes == 1000).all(dim=1)
    assert area.min() >= 0.979 and whole.float().mean() < 0.02
    assert sizes[:, 0].unique().numel() > 10


def test_a_try_fails_in_one_case_of_eight_so_that_the_fallback_would_never_be_seen():
    ratio = torch.exp(torch.linspace(math.log(3 / 4), math.log(4 / 3), 20001, dtype=torch.float64))
    fails = 1 - (1 / torch.maximum(ratio, 1 / ratio)).mean()  # area uniform up to 1
    assert fails.item() == pytest.approx(1 - 0.25 / math.log(4 / 3), abs=1e-4)  # .131
    assert fails**10 < 2e-9


def test_crop_i_is_the_same_in_any_set_block_or_order(monkeypatch: pytest.MonkeyPatch):
    whole = crop_set(painted(), 20, 24, seed=3).images
    assert torch.equal(crop_set(painted(), 7, 24, seed=3).images, whole[:7])
    backwards = make(painted(), plan(painted(), torch.tensor([19, 4]), 3, Farm()), 24)
    assert torch.equal(backwards, whole[[19, 4]])
    monkeypatch.setattr(single_image, "BLOCK", 6)
    assert [len(block) for block in crops(painted(), 20, 24, 3)] == [6, 6, 6, 2]
    assert torch.equal(torch.cat(list(crops(painted(), 20, 24, 3))), whole)
    assert not torch.equal(crop_set(painted(), 20, 24, seed=4).images, whole)


@pytest.mark.parametrize("step", STEPS)
def test_a_switch_takes_its_step_away_and_no_other(step: str):
    whole, less = (plan(painted(), INDEX, 0, farm) for farm in (Farm(), dataclasses.replace(Farm(), **{step: False})))
    same = {
        "patch": torch.equal(whole.patch, less.patch),
        "zoom": torch.equal(whole.box[:, 2:], less.box[:, 2:]),
        "rotate": torch.equal(whole.angle, less.angle),
        "shear": torch.equal(whole.shear, less.shear),
        "jitter": all(torch.equal(whole.colours[name], less.colours[name]) for name in whole.colours),
    }
    moved = {"patch", "zoom"} if step == "patch" else {step}  # a larger patch has larger parts
    assert {name for name, kept in same.items() if not kept} == moved


def test_switched_off_steps_do_nothing():
    drawn = plan(painted(), INDEX, 0, PLAIN)
    assert drawn.box.unique(dim=0).tolist() == [[20, 0, 120, 120]]  # the middle square
    assert not drawn.angle.any() and not drawn.shear.any() and not drawn.black().any() and not drawn.flip.any()
    factors = {name: values.unique().tolist() for name, values in drawn.colours.items()}
    assert factors == {"brightness": [1.0], "contrast": [1.0], "saturation": [1.0], "hue": [0.0]}
    assert len(make(painted(), plan(painted(), torch.arange(3), 0, PLAIN), 30).unique(dim=0)) == 1
    flipped = plan(painted(), INDEX, 0, Farm(flip=True)).flip.float().mean()
    assert 0.4 < flipped < 0.6


def test_half_of_the_crops_change_their_colours_within_bounds():
    colours = plan(painted(), torch.arange(4000), 0, Farm()).colours
    changed = colours["brightness"] != 1
    assert 0.47 < changed.float().mean() < 0.53
    assert torch.equal(changed, colours["saturation"] != 1) and torch.equal(changed, colours["hue"] != 0)
    for name, (low, high) in {"brightness": (0.6, 1.4), "contrast": (0.6, 1.4), "hue": (-0.1, 0.1)}.items():
        assert colours[name].min() >= low and colours[name].max() <= high
        assert colours[name].max() - colours[name].min() > 0.95 * (high - low)


def test_rotation_and_shear_are_torchvisions():
    drawn = plan(painted(), torch.arange(6), 0, Farm())
    images = torch.rand(6, 3, 90, 90, generator=torch.Generator().manual_seed(1))
    turned = single_image._turned(images, drawn)
    for image, angle, shear, found in zip(images, drawn.angle, drawn.shear, turned, strict=True):
        theirs = vision.affine(
            image, float(angle), [0, 0], 1.0, [float(shear), 0.0], interpolation=InterpolationMode.BILINEAR
        )
        torch.testing.assert_close(found, theirs, atol=1e-4, rtol=0)


def test_the_steps_come_in_the_papers_order():
    """Patch, part, resized with a margin, turned, centre, colours: the same by torchvision and Pillow, step by step."""
    source, size = painted(), 32
    drawn = plan(source, torch.arange(5), 0, Farm())
    ours = make(source, drawn, size)
    for i in range(5):
        left, top, wide, high = drawn.box[i].tolist()
        image = source.picture.crop((left, top, left + wide, top + high)).resize((45, 45), Image.Resampling.BICUBIC)
        image = as_float(vision.pil_to_tensor(image))
        angle, shear = float(drawn.angle[i]), float(drawn.shear[i])
        image = vision.affine(image, angle, [0, 0], 1.0, [shear, 0.0], interpolation=InterpolationMode.BILINEAR)
        image = vision.center_crop(image, [size, size])
        for name in ("brightness", "contrast", "saturation", "hue"):
            image = getattr(vision, f"adjust_{name}")(image, float(drawn.colours[name][i]))
        assert (ours[i].float() - 255 * image).abs().max() <= 1.01


def test_black_corners_are_foretold_by_the_angles_alone():
    drawn = plan(white(), torch.arange(600), 0, Farm(jitter=False))
    pictures = make(white(), drawn, 64)
    seen = (pictures[:, 0] < 255).flatten(1).any(dim=1)
    assert (seen != drawn.black()).float().mean() < 0.01  # a corner of a hundredth of a pixel is not seen
    assert 0.25 < drawn.black().float().mean() < 0.34  # .294 of 4,000
    assert (pictures[:, 0] < 255).float().mean() < 0.004


def test_the_margin_is_enough_for_a_turn_and_not_for_a_shear():
    many = torch.arange(4000)
    assert not plan(white(), many, 0, Farm(shear=False)).black().any()
    assert 0.2 < plan(white(), many, 0, Farm(rotate=False)).black().float().mean() < 0.32
    whole = Farm(rotate=False, shear=False)
    assert not plan(white(), many, 0, whole).black().any()


def test_the_outline_of_a_crop_is_where_its_pixels_are_from():
    source = painted()
    drawn = plan(source, torch.arange(12), 0, Farm(jitter=False))
    pictures, middle = make(source, drawn, 33), drawn.outlines().mean(dim=1)  # (12, 2) x and y
    for picture, (x, y) in zip(pictures, middle.tolist(), strict=True):
        assert picture[0, 16, 16].item() == pytest.approx(255 * x / 160, abs=4)
        assert picture[1, 16, 16].item() == pytest.approx(255 * y / 120, abs=4)
    first = plan(source, INDEX, 0, Farm(rotate=False, shear=False, jitter=False))
    sides = first.outlines()[:, 2] - first.outlines()[:, 0]
    assert torch.allclose(sides, first.box[:, 2:].double() / math.sqrt(2))


@pytest.mark.parametrize("name", ["china", "flower"])
def test_photographs_that_ship_with_scikit_learn(name: str):
    images = crop_set(name, 4, 32, seed=0)
    assert images.images.shape == (4, 3, 32, 32) and images.labels.tolist() == [-1] * 4
    assert "CC BY 2.0" in images.licence and "flickr.com" in images.provenance and "seed 0" in images.provenance
    assert open_photograph(name).pixels.shape == (3, 427, 640)


def test_provenance_says_which_steps_were_left_out():
    assert "without" not in crop_set(painted(), 2, 16, 0).provenance
    assert "without rotate, shear, jitter" in crop_set(painted(), 2, 16, 0, FARMS["one_image_upright"]).provenance


def test_any_picture_may_be_the_one(tmp_path: Path):
    painted().picture.save(tmp_path / "mine.png")
    images = crop_set(str(tmp_path / "mine.png"), 3, 16, seed=0)
    assert "mine.png" in images.provenance and images.licence == "yours to know"
    assert torch.equal(images.images, crop_set(painted(), 3, 16, seed=0).images)


def test_real_photographs(photographs: Path):
    found = sorted((photographs / "single").glob("*.jpg"))
    assert found
    for path in found:
        images = crop_set(str(path), 3, 32, seed=0)
        assert images.images.float().std() > 5


@pytest.mark.parametrize("content", [b"", b"no picture", None])
def test_what_is_no_picture_is_refused(tmp_path: Path, content: bytes | None):
    path = tmp_path / "broken.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"broken\.jpg.*(missing|empty|not an image).*china or flower"):
        open_photograph(str(path))


def test_mistakes_are_refused(tmp_path: Path):
    Image.new("RGB", (63, 500)).save(tmp_path / "thin.png")
    with pytest.raises(ValueError, match="63 x 500 px.*at least 64"):
        open_photograph(str(tmp_path / "thin.png"))
    with pytest.raises(ValueError, match="crops=0"):
        crop_set(painted(), 0, 32, seed=0)
    with pytest.raises(ValueError, match="size=2.5"):
        crop_set(painted(), 4, 2.5, seed=0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="least_area=1.5"):
        Farm(least_area=1.5)


def test_a_path_is_taken_from_the_root_and_a_shipped_name_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert from_root("mine.png") == str(tmp_path / "mine.png")
    assert from_root("china") == "china" and from_root(None) is None and from_root("") == ""
