"""What the operations outside of `Augment` are given: one draw an image, the same in any batch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fgssl_edu import views

COUNT, SIDE, SIZE = 3000, 6, 16
INDEX = torch.arange(COUNT)


def turns(index: Tensor, step: int = 0, purpose: str = "v") -> Tensor:
    return views.draw_quarter_turns(0, step, index, purpose)


def channel(index: Tensor, step: int = 0, purpose: str = "v") -> Tensor:
    return views.draw_channel(0, step, index, purpose)


def boxes(index: Tensor, step: int = 0, purpose: str = "v") -> Tensor:
    return views.draw_cutout(0, step, index, purpose, SIDE, SIZE)


def noise(index: Tensor, step: int = 0, purpose: str = "v") -> Tensor:
    return views.draw_noise(0, step, index, purpose, (3, 4, 4))


@pytest.mark.parametrize("draw", [turns, channel, boxes, noise])
def test_an_image_gets_its_own_draw_whatever_the_batch(draw):
    whole, order = draw(INDEX), torch.tensor([2, 77, 1, 2999])
    assert torch.equal(draw(order), whole[order])
    assert len(whole) == COUNT and len(whole.unique(dim=0)) > 2
    for other in (draw(INDEX, step=1), draw(INDEX, purpose="w")):
        assert (other != whole).view(COUNT, -1).any(dim=1).float().mean() > 0.6


@pytest.mark.parametrize(("draw", "kinds"), [(turns, 4), (channel, 3)])
def test_turns_and_channels_are_equally_likely(draw, kinds: int):
    share = torch.bincount(draw(INDEX), minlength=kinds) / COUNT
    assert len(share) == kinds
    assert (share - 1 / kinds).abs().max() < 4 * (1 / kinds * (1 - 1 / kinds) / COUNT) ** 0.5  # 4 standard errors


def test_every_centre_of_a_hole_is_equally_likely_and_holes_may_be_cut():
    box = boxes(INDEX)
    assert (box[:, 2:] == SIDE).all()
    centre = (box[:, :2] + SIDE // 2).long()
    counts = torch.stack([torch.bincount(centre[:, axis], minlength=SIZE) for axis in (0, 1)]) / COUNT
    assert counts.shape == (2, SIZE)
    assert (counts - 1 / SIZE).abs().max() < 4 * (1 / SIZE * (1 - 1 / SIZE) / COUNT) ** 0.5
    black = (views.cutout(torch.ones(COUNT, 1, SIZE, SIZE), box) == 0).sum(dim=(1, 2, 3))
    assert black.max() == SIDE**2 and black.min() == (SIDE // 2) ** 2  # centred in the last corner


def test_noise_is_standard_normal():
    drawn = noise(INDEX)
    assert drawn.shape == (COUNT, 3, 4, 4)
    assert abs(drawn.mean().item()) < 4 / drawn.numel() ** 0.5
    assert abs(drawn.std().item() - 1) < 4 / (2 * drawn.numel()) ** 0.5


def test_the_draws_are_what_the_operations_take():
    images, index = torch.rand(8, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)), INDEX[:8]
    turned = views.quarter_turn(images, turns(index))
    kept = views.color_drop(images, channel(index))
    noisy = views.gaussian_noise(images, torch.full((8,), 0.1), views.draw_noise(0, 0, index, "v", images.shape[1:]))
    for changed in (turned, kept, noisy, views.cutout(images, boxes(index))):
        assert changed.shape == images.shape and not torch.equal(changed, images)
