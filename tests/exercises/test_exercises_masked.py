"""The checks of the lesson `masked` accept right answers and name what a wrong one breaks."""

from __future__ import annotations

import torch

from fgssl_edu.exercises.masked import check_masked_loss, check_random_masking
from fgssl_edu.losses import mae_loss, unpatchify
from fgssl_edu.losses.masked import normalize_patches
from fgssl_edu.views.masks import hidden_count, hide, visible


def masking(noise, ratio):
    order = noise.argsort(dim=1)
    return order[:, : int(noise.shape[1] * (1 - ratio))], order.argsort(dim=1)


def by_mask(noise, ratio):
    """As the library: places in rising order."""
    mask = hide(noise, hidden_count(noise.shape[1], ratio))
    return visible(mask), mask.to(torch.uint8).argsort(dim=1, stable=True).argsort(dim=1)


def loss(patches, guess, mask):
    error = (guess - normalize_patches(patches)).square().mean(dim=2)
    return (error * mask).sum() / mask.sum()


def library(patches, guess, mask):
    """The library's takes pictures: 12 values are a patch of 2 px; six patches are no square, so nine are given."""
    filled = [torch.cat([each, each[:, :3]], dim=1) for each in (patches, guess)]
    return mae_loss(unpatchify(filled[0], 2), filled[1], torch.cat([mask, torch.zeros_like(mask[:, :3])], dim=1), 2)


def squared(patches, guess):
    return (guess - normalize_patches(patches)).square().mean(dim=2)


def biased(patches):
    return (patches - patches.mean(2, keepdim=True)) / (patches.var(2, keepdim=True, correction=0) + 1e-6).sqrt()


def whole(patches):
    return (patches - patches.mean()) / patches.std()


RIGHT = [
    (check_random_masking, masking),
    (check_random_masking, by_mask),
    (check_masked_loss, loss),
    (check_masked_loss, library),
    (check_masked_loss, lambda p, g, m: squared(p, g)[m].mean()),
]
WRONG = [
    (check_random_masking, lambda n, r: masking(n, r)[0], "two tensors"),
    (check_random_masking, lambda n, r: masking(-n, r), "the least noise"),
    (check_random_masking, lambda n, r: (masking(n[:1], r)[0].expand(3, -1), masking(n, r)[1]), "by itself"),
    (check_random_masking, lambda n, r: masking(n, 0.75), "is `ratio` hidden"),
    (check_random_masking, lambda n, r: masking(n, 1 - r), "three quarters hidden"),
    (check_random_masking, lambda n, r: (masking(n, r)[0], n.argsort(dim=1)), "the inverse of the order"),
    (check_random_masking, lambda n, r: (masking(n, r)[0], torch.zeros_like(n).long()), "every number"),
    (check_random_masking, lambda n, r: (masking(n, r)[0].int(), masking(n, r)[1]), "int64"),
    (check_masked_loss, lambda p, g, m: squared(p, g) * m, "one number"),
    (check_masked_loss, lambda p, g, m: ((g - biased(p)).square().mean(2) * m).sum() / m.sum(), "biased variance"),
    (check_masked_loss, lambda p, g, m: squared(p, g).mean(), "only hidden patches count"),
    (check_masked_loss, lambda p, g, m: (squared(p, g) * m).mean(), "divide by the number of hidden"),
    (check_masked_loss, lambda p, g, m: (squared(p, g) * m).sum(), "should lose 11/12"),
    (check_masked_loss, lambda p, g, m: (g - p).square().mean(2)[m].mean(), "should lose 11/12"),
    (check_masked_loss, lambda p, g, m: squared(p, g.detach())[m].mean(), "no gradient reaches the guess"),
]


def test_a_patch_of_one_grey_is_thought_of():
    def divides(patches, guess, mask):
        deviation = patches.std(dim=2, keepdim=True)
        return (guess - (patches - patches.mean(2, keepdim=True)) / deviation).square().mean(dim=2)[mask].mean()

    assert "a patch of one grey" in check_masked_loss(divides).message


def test_one_mean_for_all_patches_is_not_theirs():
    def together(patches, guess, mask):
        target = whole(patches) * ((11 / 12) / whole(patches).square().mean()).sqrt()
        return ((guess - target).square().mean(dim=2) * mask).sum() / mask.sum()

    message = check_masked_loss(together).message
    assert "its own mean" in message or "11/12" in message or "still .9167" in message
