"""Photographs become stored pixels: formats, orientation, and the cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fgssl_edu.data.decode import decode, read_square
from fgssl_edu.paths import cache_dir

RED, GREEN, BLUE = (200, 30, 30), (30, 200, 30), (30, 30, 200)


def picture(
    path: Path, color: object = RED, size: tuple[int, int] = (20, 14), mode: str = "RGB", **options: object
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, color).save(path, **options)
    return path


def colors(images: torch.Tensor) -> list[tuple[int, ...]]:
    return [tuple(pixel.tolist()) for pixel in images[:, :, images.shape[-1] // 2, images.shape[-1] // 2]]


def three(folder: Path) -> list[str]:
    return [picture(folder / f"{i}.png", (10 * i, 50, 50)).name for i in range(3)]


# ---- pictures


def test_mixed_sizes_become_one_square_centre(tmp_path):
    wide = Image.new("RGB", (90, 30), BLUE)
    wide.paste(Image.new("RGB", (30, 30), RED), (30, 0))
    wide.save(tmp_path / "wide.png")
    square = read_square(tmp_path / "wide.png", 16)
    assert square.shape == (16, 16, 3) and square.dtype == np.uint8
    assert (square[:, 2:-2] == np.array(RED)).all()
    assert (
        np.abs(square.astype(int) - RED).max() < 60
    )  # blue just outside of the square touches its edge, as in a crop after a resize


def test_the_long_side_is_never_stretched(tmp_path):
    picture(tmp_path / "line.png", RED, size=(30_000, 1))
    assert (read_square(tmp_path / "line.png", 64) == np.array(RED)).all()


def test_a_picture_of_one_pixel_becomes_a_plain_square(tmp_path):
    assert (read_square(picture(tmp_path / "dot.png", GREEN, size=(1, 1)), 8) == np.array(GREEN)).all()


@pytest.mark.parametrize(
    ("mode", "color", "suffix", "expected"),
    [
        ("L", 90, "png", (90, 90, 90)),
        ("1", 1, "png", (255, 255, 255)),
        ("LA", (90, 255), "png", (90, 90, 90)),
        ("RGBA", (*RED, 255), "png", RED),
        ("RGBA", (*RED, 0), "png", (255, 255, 255)),  # transparent: white, not the hidden colour
        ("CMYK", (0, 255, 255, 0), "jpg", (255, 0, 0)),
        ("P", 0, "gif", (0, 0, 0)),
        ("I;16", 256 * 77, "png", (77, 77, 77)),
        ("RGB", BLUE, "webp", BLUE),
        ("RGB", BLUE, "JPG", BLUE),
    ],
)
def test_every_pixel_format_becomes_rgb(tmp_path, mode, color, suffix, expected):
    got = read_square(picture(tmp_path / f"x.{suffix}", color, mode=mode), 8)[4, 4].astype(int)
    assert np.abs(got - expected).max() <= 6  # JPEG and WebP round


def test_floating_point_pictures_are_refused(tmp_path):
    with pytest.raises(ValueError, match="8 bits"):
        read_square(picture(tmp_path / "x.tif", 0.5, mode="F"), 8)


def test_a_turned_photograph_is_stored_upright(tmp_path):
    image = Image.new("RGB", (40, 40), BLUE)
    image.paste(Image.new("RGB", (40, 20), RED), (0, 0))  # red on top
    exif = Image.Exif()
    for orientation, red_side in ((1, np.s_[:3, 4]), (3, np.s_[-3:, 4]), (6, np.s_[4, -3:]), (8, np.s_[4, :3])):
        exif[0x0112] = orientation
        image.save(tmp_path / "x.jpg", exif=exif, quality=95, subsampling=0)
        square = read_square(tmp_path / "x.jpg", 8).astype(int)
        assert np.abs(square[red_side] - RED).max() < 25, orientation


def test_quick_decoding_looks_like_exact_decoding(tmp_path, photographs):
    path = photographs / "single" / "flower_libjxl.jpg"
    with Image.open(path) as image:
        side = min(image.size)
        left, top = (image.width - side) / 2, (image.height - side) / 2
        exact = np.asarray(
            image.resize((64, 64), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))
        ).astype(int)
    assert np.abs(read_square(path, 64) - exact).mean() < 0.5  # of 255


# ---- cache


def test_unchanged_pictures_come_from_the_cache_and_a_changed_one_does_not(tmp_path, monkeypatch):
    names = three(tmp_path)
    first, _ = decode(tmp_path, names, 8)
    with monkeypatch.context() as patched:
        patched.setattr("fgssl_edu.data.decode.read_square", lambda *_: pytest.fail("decoded again"))
        again, _ = decode(tmp_path, names, 8)
    assert torch.equal(first, again)
    picture(tmp_path / "1.png", BLUE, size=(31, 17))
    changed, _ = decode(tmp_path, names, 8)
    assert colors(changed)[1] == BLUE and torch.equal(changed[[0, 2]], first[[0, 2]])


def test_the_cache_holds_one_state_of_a_folder_and_no_broken_one(tmp_path, own_home):
    names = three(tmp_path)
    first, _ = decode(tmp_path, names, 8)
    picture(tmp_path / "1.png", BLUE, size=(31, 17))
    decode(tmp_path, names, 8)
    decode(tmp_path, names, 16)
    kept = sorted((own_home / "cache" / "photographs").iterdir())
    assert sorted(path.stat().st_size for path in kept) == [3 * 3 * 8 * 8, 3 * 3 * 16 * 16]
    for path in kept:
        path.write_bytes(path.read_bytes()[:-1])
    assert colors(decode(tmp_path, names, 8)[0])[1] == BLUE


def test_a_cache_that_cannot_be_written_is_only_told(tmp_path, own_home, caplog):
    (own_home / "cache").write_text("a file where the folder should be")
    assert len(decode(tmp_path, three(tmp_path), 8)[0]) == 3 and "not kept" in caplog.text


@pytest.mark.parametrize("size", [(120, 90), (2400, 1800)])  # the second is decoded at a fraction of its size
def test_a_banner_at_the_lower_edge_is_cut_off(tmp_path, size):
    width, height = size
    banner = height // 9  # 10 and 200 px
    image = Image.new("RGB", size, GREEN)
    image.paste(RED, (0, height - banner, width, height))
    image.save(tmp_path / "x.jpg", quality=95)
    plain = read_square(tmp_path / "x.jpg", 32).astype(int)
    assert np.abs(plain[-1] - RED).max() < 40 and np.abs(plain[0] - GREEN).max() < 5
    cut = read_square(tmp_path / "x.jpg", 32, cut_bottom=banner).astype(int)
    assert np.abs(cut[:-1] - GREEN).max() < 10 and np.abs(cut[-1] - GREEN).max() < 30  # of JPEG's blocks at the edge


def test_pictures_with_another_cut_are_decoded_again(tmp_path):
    names = three(tmp_path)
    first, _ = decode(tmp_path, names, 8)
    cut, _ = decode(tmp_path, names, 8, {names[0]: 1})
    assert len(list((cache_dir() / "photographs").glob("*.uint8"))) == 1 and cut.shape == first.shape
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("fgssl_edu.data.decode.read_square", lambda *_: pytest.fail("decoded again"))
        decode(tmp_path, names, 8, {names[0]: 1})


def test_of_a_picture_that_is_all_banner_a_line_is_left(tmp_path):
    assert (read_square(picture(tmp_path / "a.png", RED, size=(9, 9)), 4, cut_bottom=20) == np.array(RED)).all()
