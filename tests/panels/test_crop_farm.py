"""The crop farm panel: what is shown is what would be trained on, every control moves it, and it is in time."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch
from PIL import Image

from fgssl_edu.data.single_image import Farm, Photograph, crop_set
from fgssl_edu.nets import build_encoder
from fgssl_edu.panels.canvas import tile
from fgssl_edu.panels.crop_farm import CropFarm, numbers


def stripes(name: str = "stripes") -> Photograph:
    pixels = torch.zeros(120, 200, 3, dtype=torch.uint8)
    pixels[:, ::8] = 255
    pixels[40:80, :, 0] = 200
    return Photograph(name, Image.fromarray(pixels.numpy()), "made here", "none")


@pytest.fixture(scope="module")
def panel() -> CropFarm:
    encoders = {"untrained": build_encoder("alexnet_small", seed=0), "other": build_encoder("alexnet_small", seed=1)}
    return CropFarm([stripes(), "china"], encoders, size=64)


def test_the_crops_shown_are_those_that_would_be_trained_on(panel: CropFarm, monkeypatch: pytest.MonkeyPatch):
    seen = []
    monkeypatch.setattr("fgssl_edu.panels.crop_farm.tile", lambda image, side: seen.append(image) or tile(image, side))
    panel.draw(**panel.values)
    crops = crop_set(stripes(), 24, 64, seed=0).images
    shown = [image for image in seen if image.shape[-1] == 64][:24]
    assert all((255 * a - b.float()).abs().max() <= 0.51 for a, b in zip(shown, crops, strict=True))


def test_numbers_are_those_of_the_draws():
    source = stripes()
    found = numbers(source, Farm(), 0, 64)
    assert 0.25 < found.black < 0.34
    assert 0.01 < found.shown < 60 * 60 / (120 * 200) / 2  # half the patch's share at most: the margin is cut off
    assert found.magnified == pytest.approx(64 / (found.shown * 120 * 200) ** 0.5)
    assert numbers(source, Farm(shear=False), 0, 64).black == 0


def test_every_control_changes_the_picture(panel: CropFarm):
    seen = [panel.picture()]
    moves = [{"crop": 7}, {"draw": 1}, {"least_area": 0.9}, {"photograph": "china"}]
    moves += [{name: False} for name in ("patch", "zoom", "rotate", "shear", "jitter")] + [{"flip": True}]
    for move in moves:
        panel.set(**move)
        seen.append(panel.picture())
    assert len(set(seen)) == len(moves) + 1


def test_filters_are_left_out_where_there_is_no_network():
    bare = CropFarm([stripes()])
    assert not bare.filters and len(bare.photographs) == 1


def test_a_photograph_may_be_a_file(tmp_path: Path):
    stripes().picture.save(tmp_path / "mine.png")
    panel = CropFarm([str(tmp_path / "mine.png")])
    assert list(panel.photographs) == ["mine"]
    with pytest.raises(ValueError, match="choose one of mine"):
        panel.set(photograph="china")


def test_mistakes_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        CropFarm([])
    with pytest.raises(ValueError, match="nowhere"):
        CropFarm(["nowhere.jpg"])


def test_pictures_follow_the_controls_in_time(panel: CropFarm):
    seconds = []
    for i in range(22):
        start = time.process_time()
        panel.set(draw=i + 5)
        seconds.append(time.process_time() - start)
    assert sorted(seconds[2:])[18] < 0.1  # as promised where only pictures change; 40 ms were seen
