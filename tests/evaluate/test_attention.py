"""Energy, lift and pointing on masks: uniform, blank, oracle and opposite maps."""

from __future__ import annotations

import pytest
import torch

from fgssl_edu.evaluate.attention import class_maps, foreground_energy, part_energy, part_lift, part_mask, pointing
from fgssl_edu.evaluate.probe import LinearClassifier
from fgssl_edu.nets.encoders import build_encoder

PARTS = torch.zeros(6, 32, 32, dtype=torch.uint8)
PARTS[:, 8:16, 8:16] = 1  # a part on a sixteenth of the picture
PARTS[:, 16:24, 16:24] = 2
WANTED = torch.zeros(6, 3, dtype=torch.bool)
WANTED[:, 1] = True


def test_mask_holds_the_wanted_parts_of_each_image():
    wanted = WANTED.clone()
    wanted[0] = torch.tensor([False, True, True])
    mask = part_mask(PARTS, wanted)
    assert mask[0].sum() == 128 and mask[1].sum() == 64 and mask[1, 10, 10] == 1 and mask[1, 20, 20] == 0


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_a_map_that_prefers_no_place_is_exactly_chance(value: float):
    maps = torch.full((6, 7, 7), value)  # 7 does not divide 32
    assert part_lift(maps, PARTS, WANTED).value == pytest.approx(1, abs=1e-12)
    assert part_energy(maps, PARTS, WANTED).value == pytest.approx(1 / 16)
    assert pointing(maps, PARTS, WANTED).value == pytest.approx(1 / 16)
    assert part_energy(maps, PARTS, WANTED).protocol["chance"] == pytest.approx(1 / 16)
    assert part_energy(maps, PARTS, WANTED).protocol["blank_maps"] == (6 if value == 0 else 0)


def test_oracle_and_opposite_maps():
    oracle = (PARTS == 1).float()
    assert part_energy(oracle, PARTS, WANTED).value == 1 and part_lift(oracle, PARTS, WANTED).value == pytest.approx(16)
    assert pointing(oracle, PARTS, WANTED).value == 1
    opposite = (PARTS == 2).float()
    assert part_energy(opposite, PARTS, WANTED).value == 0 and pointing(opposite, PARTS, WANTED).value == 0


def test_random_maps_are_near_chance():
    maps = torch.rand(6, 8, 8, generator=torch.Generator().manual_seed(0))
    assert abs(part_lift(maps, PARTS, WANTED).value - 1) < 0.5  # six maps of 64 cells


def test_soft_foreground_counts_by_its_coverage():
    foreground = torch.full((6, 32, 32), 51, dtype=torch.uint8)  # a fifth
    assert foreground_energy(torch.rand(6, 4, 4), foreground).value == pytest.approx(0.2)


def test_images_without_the_part_are_dropped_and_counted():
    parts = PARTS.clone()
    parts[:2] = 0
    score = part_energy(torch.ones(6, 4, 4), parts, WANTED)
    assert score.value == pytest.approx(1 / 16) and score.protocol["dropped_images"] == 2
    with pytest.raises(ValueError, match="no image shows"):
        part_energy(torch.ones(6, 4, 4), torch.zeros_like(parts), WANTED)
    with pytest.raises(ValueError, match="negative"):
        part_energy(-torch.ones(6, 4, 4), PARTS, WANTED)


def test_class_map_of_a_linear_head_is_its_weights_on_the_map():
    encoder = build_encoder("resnet10", seed=0)
    weight = torch.randn(3, encoder.dim, generator=torch.Generator().manual_seed(0))
    images = torch.randint(0, 256, (5, 3, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    target = torch.tensor([0, 1, 2, 0, 1])
    maps = class_maps(encoder, LinearClassifier(weight, torch.zeros(3), 1.0), images, target, size=40, batch=2)
    assert encoder.training
    with torch.no_grad():
        encoder.eval()
        from fgssl_edu.views import resized

        feature_map = encoder.feature_map(resized(images, 40))
    expected = torch.einsum("bchw,bc->bhw", feature_map, weight[target]).relu() / feature_map[0, 0].numel()
    assert torch.allclose(maps, expected, atol=1e-5)
