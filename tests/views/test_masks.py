"""Masks: exact counts, the law of each kind, and that they depend on the draws of their own image alone."""

from __future__ import annotations

import math

import pytest
import torch

from fgssl_edu import draws
from fgssl_edu.views import masks

INDEX = torch.arange(12)


def drawn(kind: str, ratio: float = 0.75, side: int = 8, index: torch.Tensor = INDEX, **more) -> torch.Tensor:
    return masks.draw_mask(3, 5, index, "view0", kind, side, ratio, **more)


@pytest.mark.parametrize(("patches", "ratio", "hidden"), [(196, 0.75, 147), (64, 0.75, 48), (64, 0.9, 58), (7, 0.5, 4)])
def test_as_many_are_hidden_as_in_maes_code(patches: int, ratio: float, hidden: int):
    assert masks.hidden_count(patches, ratio) == hidden == patches - int(patches * (1 - ratio))


def test_a_count_is_not_lost_to_rounding():
    assert int(100 * (1 - 0.9)) == 9  # the trap
    assert masks.hidden_count(100, 0.9) == 90


@pytest.mark.parametrize("kind", [kind for kind in masks.MASKS if kind != "squares"])
@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.75, 0.9])
@pytest.mark.parametrize("side", [4, 8, 14])
def test_every_image_hides_the_same_number_of_patches(kind: str, ratio: float, side: int):
    mask = drawn(kind, ratio, side)
    assert mask.shape == (12, side**2) and mask.dtype == torch.bool
    assert set(mask.sum(dim=1).tolist()) == {masks.hidden_count(side**2, ratio)}


def test_simmim_hides_thirty_of_forty_nine_squares_whole():
    mask = drawn("squares", 0.6, side=14)
    assert set(mask.sum(dim=1).tolist()) == {30 * 4}
    cells = mask.view(-1, 7, 2, 7, 2)
    assert torch.equal(cells.amax(dim=(2, 4)), cells.amin(dim=(2, 4)))  # a square is hidden or it is not
    assert set(drawn("squares", 0.6, side=8, cell=4).sum(dim=1).tolist()) == {3 * 16}  # ceil(.6 x 4)


@pytest.mark.parametrize("kind", ["random", "squares", "blocks"])
def test_a_mask_depends_on_its_own_image_alone(kind: str):
    whole = drawn(kind)
    assert torch.equal(drawn(kind, index=INDEX.flip(0)), whole.flip(0))
    assert torch.equal(drawn(kind, index=INDEX[4:6]), whole[4:6])
    assert len({tuple(row.tolist()) for row in whole}) == len(INDEX)  # and differs between images
    assert not torch.equal(masks.draw_mask(3, 6, INDEX, "view0", kind, 8, 0.75), whole)


def test_every_patch_is_hidden_as_often_as_any_other_by_random_masks():
    count = 2000
    share = drawn("random", index=torch.arange(count)).float().mean(dim=0)
    assert (share - 0.75).abs().max() < 4 * math.sqrt(0.75 * 0.25 / count)


def test_the_least_noise_stays_visible():
    noise = torch.tensor([[0.9, 0.1, 0.5, 0.3]])
    assert masks.hide(noise, 2).tolist() == [[True, False, True, False]]
    assert masks.visible(masks.hide(noise, 2)).tolist() == [[1, 3]]


def test_visible_and_hidden_patches_make_the_whole():
    mask = drawn("random")
    kept = masks.visible(mask)
    assert kept.shape == (12, 16) and (kept.diff(dim=1) > 0).all()
    assert not mask.gather(1, kept).any()


def test_a_block_is_a_rectangle_and_only_the_last_one_is_cut():
    once = torch.zeros(1, masks.BLOCKS, 4)
    once[..., 1] = 0.5  # square
    once[0, 0] = torch.tensor([1.0, 0.5, 0.0, 0.0])  # all of the count: 6 x 6, at the top left
    mask = masks.block_mask(once, 8, 36).view(8, 8)
    assert mask[:6, :6].all() and mask.sum() == 36
    second = once.clone()
    second[0, 0, 0], second[0, 1] = 0.45, torch.tensor([1.0, 0.5, 1.0, 1.0])
    mask = masks.block_mask(second, 8, 36).view(8, 8)
    assert mask[:4, :4].all() and mask[4:, 3:].all() and mask.sum() == 36  # of the second, 6 x 6, the lower part


def test_blocks_hide_what_lies_together():
    far = {kind: masks.mean_distance(drawn(kind, index=torch.arange(200)), 8).mean().item() for kind in masks.MASKS}
    assert far["blocks"] > far["squares"] > far["random"] > far["grid"] > 1


def test_blocks_have_bei_ts_shapes():
    draws_ = draws.uniform(0, 0, torch.arange(500), "blocks", 4).view(500, 1, 4)
    draws_[:, 0, 0] = 1  # all of the count in one block
    mask = masks.block_mask(draws_, 40, 400).view(-1, 40, 40)
    high, wide = (mask.any(dim=axis).sum(dim=1).float() for axis in (2, 1))
    whole = high * wide < 440  # in the others whole patches made the block too small, and it was filled up elsewhere
    ratio = (high / wide)[whole].log()
    assert whole.float().mean() > 0.3
    assert ratio.abs().max() <= math.log(1 / 0.3) + 0.1 and ratio.mean().abs() < 0.15
    assert ratio.std().item() == pytest.approx(math.log(1 / 0.3) / math.sqrt(3), rel=0.15)  # uniform


def test_a_grid_keeps_one_of_four_and_half_of_it_is_a_chessboard():
    kept = ~masks.grid_mask(8, 48).view(8, 8)
    assert (kept.view(4, 2, 4, 2).sum(dim=(1, 3)) == 1).all()
    assert torch.equal(kept, kept.roll((2, 2), dims=(0, 1)))
    board = masks.grid_mask(8, 32).view(8, 8)
    assert (board != board.roll(1, dims=0)).all() and (board != board.roll(1, dims=1)).all()


def test_the_centre_is_hidden_first():
    assert torch.equal(masks.centre_mask(4, 4).view(4, 4).nonzero(), torch.tensor([[1, 1], [1, 2], [2, 1], [2, 2]]))


def test_the_distance_of_what_is_hidden():
    one = torch.zeros(1, 9, dtype=torch.bool).index_fill(1, torch.tensor([4]), True)
    assert masks.mean_distance(one, 3).item() == 1.0
    corner = torch.ones(1, 9, dtype=torch.bool).index_fill(1, torch.tensor([0]), False)
    by_hand = (2 * (1 + 2 + math.sqrt(5)) + math.sqrt(2) + math.sqrt(8)) / 8
    assert masks.mean_distance(corner, 3).item() == pytest.approx(by_hand)


@pytest.mark.parametrize(
    ("kind", "ratio", "more", "complaint"),
    [
        ("block", 0.75, {}, "did you mean 'blocks'"),
        ("random", 0.995, {}, "one stay visible"),
        ("random", 0.0, {}, "at least one must be hidden"),
        ("squares", 0.6, {"cell": 3}, "choose a divisor of 8"),
        ("squares", 0.95, {"cell": 4}, "hides 4 of 4 cells"),
    ],
)
def test_masks_that_cannot_be_are_refused(kind: str, ratio: float, more: dict, complaint: str):
    with pytest.raises(ValueError, match=complaint):
        drawn(kind, ratio, **more)
