"""Losses of masked images: landmarks by hand, the order of pixels, and that visible patches teach nothing."""

from __future__ import annotations

import pytest
import torch

from fgssl_edu import draws
from fgssl_edu.losses import mae_loss, patchify, simmim_loss, unpatchify
from fgssl_edu.losses.masked import normalize_patches, patch_statistics
from fgssl_edu.views.masks import draw_mask

INDEX = torch.arange(3)


def pictures(side: int = 16, count: int = 3) -> torch.Tensor:
    return draws.uniform(0, 0, torch.arange(count), "pictures", 3 * side**2).view(count, 3, side, side)


def masks(ratio: float = 0.75, side: int = 4) -> torch.Tensor:
    return draw_mask(0, 0, INDEX, "view0", "random", side, ratio)


def test_patches_go_row_by_row_and_their_pixels_row_column_channel():
    image = torch.arange(2 * 4 * 6).view(1, 2, 4, 6).float()
    patches = patchify(image, 2)
    assert patches.shape == (1, 6, 8)
    assert patches[0, 1].tolist() == [image[0, c, i, j].item() for i in (0, 1) for j in (2, 3) for c in (0, 1)]
    assert torch.equal(patches[0, 3], patchify(image[:, :, 2:, :2], 2)[0, 0])  # the second row of patches begins


def test_unpatchify_is_the_inverse():
    assert torch.equal(unpatchify(patchify(pictures(), 4), 4), pictures())


def test_zeros_for_normalised_patches_lose_all_but_one_part_of_their_variance():
    loss = mae_loss(pictures(), torch.zeros(3, 16, 48), masks(), 4)
    assert loss.item() == pytest.approx(47 / 48, abs=1e-4)  # eps 1e-6 over a variance of 1/12


def test_a_patch_of_one_grey_has_a_target_of_zero_and_one_of_one_colour_its_hue():
    flat = torch.full((3, 3, 16, 16), 0.7)
    assert mae_loss(flat, torch.zeros(3, 16, 48), masks(), 4).item() == pytest.approx(0, abs=1e-6)
    red = torch.tensor([0.9, 0.3, 0.3])[None, :, None, None].expand(1, 3, 4, 4)
    target = normalize_patches(patchify(red, 4))[0, 0].view(16, 3)
    assert torch.allclose(target, target[:1].expand(16, 3), atol=1e-5) and target[0, 0] > 1 > 0 > target[0, 1]
    assert torch.allclose(target, normalize_patches(patchify(0.5 * red + 0.2, 4))[0, 0].view(16, 3), atol=1e-3)


def test_ones_against_zeros():
    ones, nothing = torch.ones(3, 3, 16, 16), torch.zeros(3, 16, 48)
    assert mae_loss(ones, nothing, masks(), 4, normalize=False).item() == 1.0
    one_patch = torch.zeros(1, 16, dtype=torch.bool).index_fill(1, torch.tensor([5]), True)
    loss = simmim_loss(torch.ones(1, 3, 16, 16).double(), torch.zeros(1, 3, 16, 16).double(), one_patch, 4)
    assert loss.item() == pytest.approx(1 - 1e-5 / 16, abs=1e-7)  # 16 hidden pixels, channels divided out apart


def test_the_variance_is_unbiased_and_its_inverse_gives_the_picture_back():
    patches = patchify(pictures(), 4)
    mean, deviation = patch_statistics(patches)
    assert torch.allclose(deviation.square() - 1e-6, patches.var(dim=2, keepdim=True, unbiased=True))
    assert torch.allclose(normalize_patches(patches) * deviation + mean, patches, atol=1e-6)


def test_the_mean_is_over_hidden_patches_by_hand():
    mask, guess = masks(), draws.normal(0, 0, INDEX, "guess", 16 * 48).view(3, 16, 48)
    target, errors = patchify(pictures(), 4), []
    for image in range(3):
        for place in range(16):
            if mask[image, place]:
                errors.append(((guess[image, place] - target[image, place]) ** 2).mean())
    assert len(errors) == 36
    assert torch.allclose(mae_loss(pictures(), guess, mask, 4, normalize=False), torch.stack(errors).mean())
    pixels = unpatchify(guess, 4)
    errors = (guess - target).abs()[mask].mean()
    assert torch.allclose(simmim_loss(pictures(), pixels, mask, 4), errors, atol=1e-6)


@pytest.mark.parametrize("loss", [mae_loss, simmim_loss])
def test_no_gradient_arrives_at_visible_patches(loss):
    guess = torch.zeros(3, 16, 48, requires_grad=True)
    shown = guess if loss is mae_loss else unpatchify(guess, 4)
    loss(pictures(), shown, masks(), 4).backward()
    assert guess.grad[~masks()].abs().sum() == 0
    assert (guess.grad[masks()].abs().sum(dim=1) > 0).all()


@pytest.mark.parametrize("normalize", [True, False])
def test_gradients_are_those_of_finite_differences(normalize: bool):
    images = pictures(8).double().requires_grad_()
    guess = draws.normal(0, 0, INDEX, "guess", 4 * 48).view(3, 4, 48).double().requires_grad_()
    mask = masks(0.5, side=2)
    assert torch.autograd.gradcheck(lambda i, g: mae_loss(i, g, mask, 4, normalize), (images, guess))


def test_brightness_and_contrast_of_a_patch_do_not_count_when_normalised():
    guess = draws.normal(0, 0, INDEX, "guess", 16 * 48).view(3, 16, 48)
    losses = [mae_loss(x, guess, masks(), 4) for x in (pictures(), 0.5 * pictures() + 0.2)]
    assert torch.allclose(*losses, atol=1e-4)
    raw = [mae_loss(x, guess, masks(), 4, normalize=False) for x in (pictures(), 0.5 * pictures() + 0.2)]
    assert abs(raw[0] - raw[1]) > 1e-3  # the control


def test_half_precision_guesses_are_compared_in_full():
    guess = draws.normal(0, 0, INDEX, "guess", 16 * 48).view(3, 16, 48)
    with torch.autocast("cpu", torch.bfloat16):
        half = mae_loss(pictures(), guess.bfloat16(), masks(), 4)
    assert half.dtype == torch.float32 and torch.allclose(half, mae_loss(pictures(), guess, masks(), 4), atol=1e-2)


def test_pictures_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="16 x 16 px do not divide into patches of 5"):
        patchify(pictures(), 5)


@pytest.mark.parity
def test_lightlys_patches_and_targets_are_ours():
    utils = pytest.importorskip("lightly.models.utils")
    assert torch.equal(utils.patchify(pictures(), 4), patchify(pictures(), 4))
    theirs = utils.normalize_mean_var(patchify(pictures(), 4), dim=-1)
    assert torch.allclose(theirs, normalize_patches(patchify(pictures(), 4)), atol=1e-6)
