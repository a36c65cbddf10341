"""Attention as maps, the mass that is shown, and patches as colours, on inputs whose answer is known."""

from __future__ import annotations

import pytest
import torch

from fgssl_edu import draws
from fgssl_edu.explain.attention import (
    components,
    first_component_mask,
    heaviest,
    looked_at,
    mask_iou,
    patch_colours,
    self_attention,
)
from fgssl_edu.nets import build_encoder


def numbers(*shape: int, purpose: str = "numbers") -> torch.Tensor:
    return draws.uniform(0, 0, torch.arange(shape[0]), purpose, int(torch.tensor(shape[1:]).prod())).view(shape)


def pictures(count: int = 2, side: int = 32) -> torch.Tensor:
    return (numbers(count, 3, side, side) * 255).byte()


def test_rows_of_the_attention_sum_to_one_and_the_encoder_is_left_as_it_was():
    encoder = build_encoder("vit_mini", seed=0).train()
    attention = self_attention(encoder, pictures(), size=16)
    assert attention.shape == (2, 3, 17, 17) and encoder.training
    torch.testing.assert_close(attention.sum(dim=3), torch.ones(2, 3, 17))
    whole = self_attention(encoder, pictures())
    assert whole.shape == (2, 3, 65, 65) and torch.equal(whole[:1], self_attention(encoder, pictures()[:1]))


def test_a_map_has_rows_first_and_a_query_is_counted_row_by_row():
    attention = torch.zeros(1, 1, 7, 7)
    attention[0, 0, 0, 1 + 4] = 0.9  # CLS looks at patch 4: second of 2 rows, second of 3 columns
    attention[0, 0, 1 + 2, 1 + 5] = 0.7  # patch 2 looks at patch 5
    assert looked_at(attention, (2, 3))[0, 0].nonzero().tolist() == [[1, 1]]
    assert looked_at(attention, (2, 3), query=2)[0, 0].nonzero().tolist() == [[1, 2]]


def test_a_network_that_matches_colours_looks_at_the_bright_patch():
    """Queries and keys that are the patch itself: the bright patch asks for the bright patch, where it lies."""
    encoder = build_encoder("vit_mini", seed=0)
    images = torch.zeros(1, 3, 16, 16, dtype=torch.uint8)
    images[:, :, 8:12, 4:8] = 255  # row 2, column 1 of the grid
    with torch.no_grad():
        encoder.entry.weight.copy_(encoder.entry.weight.abs())
        encoder.pos_embed.zero_()
        eye = torch.eye(96)
        encoder.blocks[-1].attn.qkv.weight[:192] = torch.cat([eye, eye])
    maps = looked_at(self_attention(encoder, images), (4, 4), query=2 * 4 + 1)
    assert all(int(each.argmax()) == 9 for each in maps[0])


def test_a_query_that_is_no_patch_or_another_grid_is_refused():
    attention = torch.rand(1, 1, 7, 7)
    for grid, query in (((2, 3), 6), ((2, 3), -1), ((3, 3), None)):
        with pytest.raises(ValueError, match="grid"):
            looked_at(attention, grid, query)


def test_the_heaviest_patches_hold_the_mass_and_one_fewer_would_not():
    maps = numbers(5, 2, 4, 4)
    for mass in (0.1, 0.6, 0.95):
        kept = heaviest(maps, mass)
        held = (maps * kept).sum(dim=(2, 3)) / maps.sum(dim=(2, 3))
        assert (held >= mass - 1e-6).all()
        least = maps.masked_fill(~kept, torch.inf).amin(dim=(2, 3))
        assert (held - least / maps.sum(dim=(2, 3)) < mass).all()
    assert heaviest(maps, 1.0).all()
    assert heaviest(torch.tensor([[0.5, 0.3], [0.2, 0.0]]), 0.6).tolist() == [[True, True], [False, False]]
    assert heaviest(torch.zeros(2, 2)).sum() == 1  # a map of nothing still shows a place
    with pytest.raises(ValueError, match="mass"):
        heaviest(maps, 0.0)


def test_components_are_those_of_a_line_and_do_not_depend_on_where_it_lies():
    steps = torch.arange(12.0) ** 2 / 50  # the last is the farthest from the mean
    direction = torch.tensor([0.6, 0.0, 0.8])
    line = steps[:, None] * direction + 5
    along = components(line)
    torch.testing.assert_close(along[:, 0], steps - steps.mean(), atol=1e-5, rtol=0)
    assert along[:, 1:].abs().max() < 1e-4 and components(line[:, :2]).shape == (12, 3)
    turn = torch.linalg.qr(numbers(3, 3)).Q
    torch.testing.assert_close(components(line @ turn)[:, 0], along[:, 0], atol=1e-5, rtol=0)


def object_maps() -> tuple[torch.Tensor, torch.Tensor]:
    """Two pictures of 6 x 6 patches with an object of one kind inside, on a background of another."""
    true = torch.zeros(2, 6, 6, dtype=torch.bool)
    true[0, 1:4, 2:5] = True
    true[1, 2:5, 1:3] = True
    kinds = torch.tensor([[4.0, 0, 0, 0], [0, 3.0, 0, 0]])
    return kinds[true.long()].permute(0, 3, 1, 2) + 0.1 * numbers(2, 4, 6, 6), true


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_first_component_finds_the_object_whatever_its_sign(sign: float):
    maps, true = object_maps()
    assert torch.equal(first_component_mask(sign * maps), true)


def test_colours_are_black_off_the_mask_and_span_the_range_on_it():
    maps, true = object_maps()
    colours = patch_colours(maps, true)
    assert colours.shape == (2, 3, 6, 6) and not colours.permute(0, 2, 3, 1)[~true].any()
    on = colours.permute(0, 2, 3, 1)[true]
    assert torch.allclose(on.amin(dim=0), torch.zeros(3)) and torch.allclose(on.amax(dim=0), torch.ones(3))
    assert not torch.equal(patch_colours(maps), colours)
    assert not patch_colours(maps, torch.zeros_like(true)).any()
    assert not patch_colours(torch.ones(1, 4, 2, 2)).any()  # patches that are all the same have no colour


def test_overlap_is_one_for_the_object_and_its_area_for_the_whole_picture():
    true = torch.zeros(1, 8, 8, dtype=torch.uint8)
    true[0, 2:6, 4:8] = 255
    mask = torch.zeros(1, 4, 4, dtype=torch.bool)
    mask[0, 1:3, 2:4] = True
    assert mask_iou(mask, true).tolist() == [1.0]
    assert mask_iou(torch.ones_like(mask), true).tolist() == [16 / 64]
    assert mask_iou(torch.zeros_like(mask), true).tolist() == [0.0]
    mask[0, 0] = True  # four patches of 4 px more: 16 of 32
    assert mask_iou(mask, true).tolist() == [16 / 32]
