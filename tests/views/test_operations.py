"""Every operation on a batch, another parameter per image, does to each image what torchvision does to it alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as reference

from fgssl_edu import views

EXACT = 2e-6  # float32: some tens of roundings of numbers up to 1
BATCH = 6


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def images() -> Tensor:
    """Random pixels, a flat grey and a black image: where hue and contrast have no direction of their own."""
    images = draw(BATCH, 3, 24, 20)
    images[-2], images[-1] = 0.4, 0.0
    return images


def assert_like_torchvision(ours: Tensor, theirs: list[Tensor]) -> None:
    torch.testing.assert_close(ours, torch.stack(theirs), rtol=0, atol=EXACT)


@pytest.mark.parametrize("size", [7, 16, 24, 45])  # down, mixed and up
@pytest.mark.parametrize("mirrored", [False, True])
def test_crop_resize(images: Tensor, size: int, mirrored: bool) -> None:
    box = torch.tensor([[0, 0, 24, 20], [3, 2, 20, 11], [23, 19, 1, 1], [5, 0, 7, 20], [10, 9, 14, 11], [1, 1, 5, 3]])
    flip = torch.tensor([True, False, True, True, False, True]) if mirrored else None
    expected = []
    for i, image in enumerate(images):
        top, left, height, width = box[i].tolist()
        crop = reference.resized_crop(image, top, left, height, width, [size, size], antialias=True)
        expected.append(reference.horizontal_flip(crop) if mirrored and flip[i] else crop)
    assert_like_torchvision(views.crop_resize(images, box, size, flip), expected)


def test_crop_resize_of_bytes_is_within_rounding_of_torchvision_on_bytes() -> None:
    images = (draw(4, 3, 64, 64) * 256).to(torch.uint8)
    box = torch.tensor([[0, 0, 64, 64], [10, 20, 40, 30], [5, 5, 20, 20], [30, 1, 34, 60]])
    ours = views.crop_resize(images, box, 32)
    theirs = [reference.resized_crop(image, *b.tolist(), [32, 32]) for image, b in zip(images, box, strict=True)]
    assert (ours * 255 - torch.stack(theirs)).abs().max() <= 1.01  # torchvision rounds bytes, twice for two axes


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_colour_factors(images: Tensor, name: str) -> None:
    factor = torch.tensor([0.0, 0.3, 1.0, 1.4, 2.0, 1.7])
    theirs = getattr(reference, f"adjust_{name}")
    ours = getattr(views, f"adjust_{name}")(images, factor)
    assert_like_torchvision(ours, [theirs(image, f) for image, f in zip(images, factor.tolist(), strict=True)])
    assert torch.equal(ours[2], images[2])  # factor 1 changes no bit, so that unjittered images need no mask


@pytest.mark.parametrize("turn", [-0.5, -0.21, 0.0, 0.04, 0.3, 0.5])
def test_hue(images: Tensor, turn: float) -> None:
    corners = torch.tensor(
        [[i >> 2 & 1, i >> 1 & 1, i & 1] for i in range(8)]
    ).float()  # the cube's corners: ties of channels
    images = torch.cat([images, corners.view(8, 3, 1, 1).expand(8, 3, 24, 20), images.round(decimals=1)])
    ours = views.adjust_hue(images, torch.full((len(images),), turn))
    assert_like_torchvision(ours, [reference.adjust_hue(image, turn) for image in images])


def test_hue_turns_each_image_by_its_own_amount(images: Tensor) -> None:
    turns = torch.linspace(-0.4, 0.4, BATCH)
    alone = [views.adjust_hue(images[i : i + 1], turns[i : i + 1])[0] for i in range(BATCH)]
    assert_like_torchvision(views.adjust_hue(images, turns), alone)


def test_flip_grayscale_and_solarize_change_the_chosen_images_only(images: Tensor) -> None:
    chosen = torch.tensor([True, False, True, False, True, False])
    for ours, theirs in [
        (views.flip, reference.horizontal_flip),
        (views.grayscale, lambda image: reference.rgb_to_grayscale(image, num_output_channels=3)),
        (views.solarize, lambda image: reference.solarize(image, 0.5)),
    ]:
        expected = [theirs(image) if c else image for image, c in zip(images, chosen, strict=True)]
        assert_like_torchvision(ours(images, chosen), expected)
        for everywhere in (torch.zeros(BATCH, dtype=torch.bool), torch.ones(BATCH, dtype=torch.bool)):
            expected = [theirs(image) if everywhere[0] else image for image in images]
            assert_like_torchvision(ours(images, everywhere), expected)


@pytest.mark.parametrize("kernel", [3, 5, 23])
def test_gaussian_blur(images: Tensor, kernel: int) -> None:
    sigma = torch.tensor([0.1, 0.5, 1.0, 1.7, 2.0, 5.0])
    expected = [
        reference.gaussian_blur(image, [kernel, kernel], [s, s])
        for image, s in zip(images, sigma.tolist(), strict=True)
    ]
    assert_like_torchvision(views.gaussian_blur(images, sigma, kernel), expected)


def test_gaussian_noise(images: Tensor) -> None:
    std = torch.linspace(0, 0.5, BATCH)
    expected, noise = [], []
    for i, image in enumerate(images):
        torch.manual_seed(i)
        expected.append(reference.gaussian_noise(image, mean=0.0, sigma=std[i].item()))
        torch.manual_seed(i)
        noise.append(torch.randn_like(image))
    assert_like_torchvision(views.gaussian_noise(images, std, torch.stack(noise)), expected)


def test_cutout(images: Tensor) -> None:
    box = torch.tensor([[0, 0, 24, 20], [3, 2, 5, 6], [0, 0, 1, 1], [23, 19, 1, 1], [4, 0, 2, 20], [1, 1, 3, 3]])
    expected = [reference.erase(image, *b.tolist(), v=torch.zeros(1)) for image, b in zip(images, box, strict=True)]
    assert_like_torchvision(views.cutout(images, box), expected)


def test_quarter_turn() -> None:
    images, turns = draw(5, 3, 9, 9), torch.tensor([0, 1, 2, 3, 5])
    expected = [reference.rotate(image, 90.0 * int(turn)) for image, turn in zip(images, turns, strict=True)]
    assert_like_torchvision(views.quarter_turn(images, turns), expected)


def test_quarter_turn_refuses_images_that_are_not_square(images: Tensor) -> None:
    with pytest.raises(ValueError, match="24 x 20"):
        views.quarter_turn(images, torch.zeros(BATCH, dtype=torch.long))


def test_color_drop_keeps_one_channel_and_puts_noise_into_the_others(images: Tensor) -> None:
    keep, noise = torch.tensor([0, 1, 2, 0, 1, 2]), draw(BATCH, 3, 24, 20, seed=1)
    dropped = views.color_drop(images, keep, noise)
    for i, channel in enumerate(keep.tolist()):
        others = [c for c in range(3) if c != channel]
        assert torch.equal(dropped[i, channel], images[i, channel])
        assert torch.equal(dropped[i, others], noise[i, others])
    assert (views.color_drop(images, keep)[0, 1:] == 0.5).all()


def test_sobel_is_zero_on_flat_pictures_one_at_a_full_step_and_turns_with_the_picture() -> None:
    step = torch.zeros(1, 3, 8, 8)
    step[..., 4:] = 1
    edges = views.sobel(step)
    torch.testing.assert_close(edges[0, :, 4, 3:5], torch.full((3, 2), 0.9999))  # torchvision's grey of white is .9999
    assert edges[0, :, :, [0, 1, 2, 5, 6, 7]].max() < 1e-6
    torch.testing.assert_close(views.sobel(step.rot90(1, (2, 3))), edges.rot90(1, (2, 3)))


def test_bytes_and_floats_give_the_same_views() -> None:
    images = (draw(4, 3, 12, 12) * 256).to(torch.uint8)
    factor = torch.tensor([0.5, 0.9, 1.2, 1.5])
    for change in (views.adjust_brightness, views.adjust_contrast, views.adjust_saturation, views.adjust_hue):
        assert torch.equal(change(images, factor - 1), change(views.as_float(images), factor - 1))
    assert views.as_float(images).max() <= 1


def test_no_operation_writes_into_its_input(images: Tensor) -> None:
    before, ones, chosen = images.clone(), torch.full((BATCH,), 0.7), torch.ones(BATCH, dtype=torch.bool)
    box = torch.tensor([[2, 2, 9, 9]]).expand(BATCH, 4)
    for change in (views.adjust_brightness, views.adjust_contrast, views.adjust_saturation, views.adjust_hue):
        change(images, ones)
    for change in (views.grayscale, views.solarize, views.flip):
        change(images, chosen)
    (
        views.crop_resize(images, box, 8),
        views.cutout(images, box),
        views.gaussian_blur(images, ones, 3),
        views.sobel(images),
    )
    views.gaussian_noise(images, ones, before)
    assert torch.equal(images, before)


def test_mistakes_are_named(images: Tensor) -> None:
    with pytest.raises(ValueError, match="int64"):
        views.as_float(images.long())
    with pytest.raises(ValueError, match="kernel=4"):
        views.gaussian_blur(images, torch.ones(BATCH), 4)
