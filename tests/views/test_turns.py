"""Turns: exact at right angles, torchvision's at the others, and the marks that a missed middle leaves."""

from __future__ import annotations

import pytest
import torch
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as reference

from fgssl_edu import draws
from fgssl_edu.views.turns import field_size, lit_from_above, turned


def noise(count: int = 3, size: int = 12) -> torch.Tensor:
    return draws.uniform(0, 0, torch.arange(count), "noise", 3 * size * size).view(count, 3, size, size)


@pytest.mark.parametrize(
    ("angle", "expected"),
    [(0, [[0, 1], [2, 3]]), (90, [[1, 3], [0, 2]]), (180, [[3, 2], [1, 0]]), (270, [[2, 0], [3, 1]])],
)
def test_four_pixels_turn_counter_clockwise(angle: int, expected: list):
    picture = torch.tensor([[0, 1], [2, 3]], dtype=torch.uint8).expand(1, 3, 2, 2)
    found = turned(picture, angle, size=2)
    assert torch.equal((found * 255).round(), torch.tensor(expected).float().expand(1, 3, 2, 2))


def test_right_angles_only_move_pixels_and_four_of_them_are_none():
    images = noise()
    once = turned(images, 90, size=12)
    assert torch.equal(once.flatten(2).sort(dim=2).values, images.flatten(2).sort(dim=2).values)
    assert torch.equal(turned(once, 270, size=12), images) and not torch.equal(once, images)


@pytest.mark.parametrize("angle", [45, 30, 200])
def test_other_angles_are_torchvisions(angle: int):
    images, size = noise(size=33), 17  # the middle, where no border is met
    expected = reference.rotate(images, angle, InterpolationMode.BILINEAR)[:, :, 8:25, 8:25]
    assert torch.allclose(turned(images, angle, size), expected, atol=1e-4)  # its grid is rounded elsewhere


def test_the_field_covers_the_middle_at_every_angle():
    assert field_size(32, (0, 90, 180, 270)) == 32
    assert field_size(32, (0, 45)) == 46  # 32 * 1.414
    large = noise(size=66)
    for angle in (0, 45, 90, 135):  # what lies beyond the field is not looked at
        assert torch.allclose(turned(large[:, :, 10:56, 10:56], angle, 32), turned(large, angle, 32), atol=1e-4)
    assert not torch.allclose(turned(large[:, :, 11:55, 11:55], 45, 32), turned(large, 45, 32), atol=1e-2)


def test_a_missed_middle_moves_pixels_by_twice_the_miss():
    """A quarter turn about a point half a pixel off is the exact turn, moved by a pixel, and a black line is left."""
    images = noise()
    exact, missed = turned(images, 90, 12), turned(images, 90, 12, offset=0.5)
    assert torch.allclose(missed[:, :, 1:], exact[:, :, :-1], atol=1e-5) and missed[:, :, 0].max() < 1e-5
    dark = {
        a: [int((turned(images, a, 12, 0.5).amax(dim=(0, 1, d)) < 1e-5).sum()) for d in (3, 2)] for a in (90, 180, 270)
    }
    assert dark == {90: [1, 0], 180: [1, 1], 270: [0, 1]}
    assert torch.equal(turned(images, 0, 12, offset=0.5), images)


def test_a_quarter_pixel_smooths_each_angle_along_other_axes():
    """Half a pixel between two of noise: a quarter of the squared differences along that axis, half across it."""

    def steps(angle: int, axis: int) -> float:
        return float(turned(noise(20, 24), angle, 22, offset=0.25).diff(dim=axis).square().mean())  # without the border

    rough = steps(0, 2)
    found = {angle: [round(4 * steps(angle, axis) / rough) for axis in (2, 3)] for angle in (90, 180, 270)}
    assert found == {90: [1, 2], 180: [1, 1], 270: [2, 1]} and steps(0, 3) / rough == pytest.approx(1, abs=0.05)


def test_light_falls_from_the_top():
    lit = lit_from_above(torch.full((2, 3, 9, 4), 0.5), 0.2)
    assert lit[0, 0, :, 0].tolist() == pytest.approx([0.6 - 0.025 * row for row in range(9)], abs=1e-6)
    assert torch.equal(lit_from_above(noise(), 0.0), noise())


@pytest.mark.parametrize("shape", [(1, 3, 4, 6), (1, 3, 4, 4)])
def test_what_is_no_square_or_too_small_is_refused(shape: tuple):
    with pytest.raises(ValueError, match="only squares"):
        turned(torch.zeros(shape), 90, size=5)
