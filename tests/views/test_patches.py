"""Tiles: where they are cut, how far apart, and that each trick does what it is called and nothing else."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from fgssl_edu import draws
from fgssl_edu.views.patches import (
    TILES,
    Tiling,
    cut_tiles,
    drop_colors,
    normalize_tiles,
    tile_corners,
)
from fgssl_edu.views.presets import VIEWS, scaled

WHOLE = scaled(VIEWS["mild"], 0.0)  # the picture itself
OPEN = Tiling(WHOLE, tile=6, gap=0, jitter=0, per_tile_norm=False, gray=0.0, color_drop=0.0)


def pictures(count: int = 4, side: int = 18) -> torch.Tensor:
    return (draws.uniform(1, 0, torch.arange(count), "pictures", 3 * side * side) * 256).byte().view(-1, 3, side, side)


def offsets(count: int = 400) -> torch.Tensor:
    return draws.uniform(0, 0, torch.arange(count), "offsets", 2 * TILES).view(count, TILES, 2)


def between(corners: torch.Tensor, tile: int) -> torch.Tensor:
    """Empty pixels between any two tiles of a grid, (B, 36): the larger of both axes."""
    first, second = torch.triu_indices(TILES, TILES, offset=1)
    return ((corners[:, first] - corners[:, second]).abs() - tile).amax(dim=2)


@pytest.mark.parametrize(("tile", "gap", "jitter"), [(96, 48, 7), (14, 2, 1), (14, 4, 1), (64, 11, 5), (5, 0, 0)])
def test_tiles_are_at_least_gap_less_twice_the_jitter_apart(tile: int, gap: int, jitter: int):
    corners = tile_corners(offsets(), tile, gap, jitter)
    found = between(corners, tile)
    assert int(found.min()) == gap - 2 * jitter  # 34 in the paper; and 400 draws reach it
    assert int(corners.min()) >= 0 and int(corners.max()) + tile <= 3 * (tile + gap)
    assert set((corners - tile_corners(torch.full((400, 9, 2), 0.5), tile, gap, 0)).unique().tolist()) == set(
        range(-jitter, jitter + 1)
    )


def test_jitter_that_makes_tiles_overlap_is_refused():
    with pytest.raises(ValueError, match="jitter=2 px each way in a gap of 3"):
        tile_corners(offsets(), 14, 3, 2)


def test_tiles_without_a_gap_are_the_picture():
    images = pictures()
    tiles = OPEN(images, 0, 0, torch.arange(4))
    rows = [torch.cat([tiles[:, 3 * row + column] for column in range(3)], dim=3) for row in range(3)]
    assert torch.allclose(torch.cat(rows, dim=2), images.float() / 255, atol=1e-6)


def test_cut_tiles_by_hand():
    image = torch.arange(36.0).view(1, 1, 6, 6).repeat(2, 3, 1, 1)
    corners = torch.tensor([[[0, 0], [4, 3]], [[1, 2], [2, 1]]])
    tiles = cut_tiles(image, corners, 2)
    assert tiles.shape == (2, 2, 3, 2, 2)
    assert tiles[0, 1, 0].tolist() == [[27, 28], [33, 34]] and tiles[1, 0, 2].tolist() == [[8, 9], [14, 15]]


def test_normalised_tiles_have_mean_0_and_deviation_1_in_each_channel():
    tiles = normalize_tiles(torch.rand(5, 9, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.5)
    assert tiles.mean(dim=(-2, -1)).abs().max() < 1e-5
    assert (tiles.std(dim=(-2, -1), correction=0) - 1).abs().max() < 1e-4
    brighter = normalize_tiles(0.5 * tiles + 0.3)
    assert torch.allclose(brighter, tiles, atol=1e-4)  # what brightness and contrast did is gone
    assert normalize_tiles(torch.full((1, 3, 4, 4), 0.7)).abs().max() == 0


def test_a_dropped_colour_keeps_one_channel_less_its_mean():
    tiles = torch.rand(6, 9, 3, 24, 24, generator=torch.Generator().manual_seed(1))
    keep, chosen = torch.tensor([0, 1, 2, 0, 1, 2]), torch.tensor([True] * 5 + [False])
    noise = draws.uniform(0, 0, torch.arange(6), "noise", 3 * 24 * 24).view(6, 3, 24, 24)
    found = drop_colors(tiles, keep, noise, chosen)
    assert torch.equal(found[5], tiles[5])
    for i in range(5):
        kept = tiles[i, :, keep[i]]
        left = found[i, :, keep[i]] - 0.5
        assert torch.allclose(left, kept - kept.mean(dim=(1, 2), keepdim=True), atol=1e-6)
        for other in {0, 1, 2} - {int(keep[i])}:
            faint = found[i, :, other] - 0.5
            assert 0 < faint.abs().max() <= 0.01 + 1e-6
            together = torch.stack([left.flatten(), faint.flatten()])
            assert torch.corrcoef(together)[0, 1].abs() < 0.05


@pytest.mark.parametrize(
    "change",
    [
        {"gap": 4},
        {"gap": 4, "jitter": 2},
        {"per_tile_norm": True},
        {"gray": 1.0},
        {"color_drop": 1.0},
        {"channel_jitter": 2},
        {"lens": 0.1},
    ],
)
def test_every_switch_changes_the_tiles_and_no_draw_of_another(change: dict):
    index = torch.arange(4)
    found = dataclasses.replace(OPEN, **change)(pictures(), 0, 0, index)
    if "gap" in change:
        assert found.shape == (4, 9, 3, 6, 6)
        return
    before = OPEN(pictures(), 0, 0, index)
    assert not torch.allclose(found, before, atol=0.01)
    if "per_tile_norm" in change:
        assert torch.allclose(found, normalize_tiles(before), atol=1e-4)
    if "lens" in change:
        assert torch.allclose(found[:, :, 1], before[:, :, 1], atol=1e-5)  # green stays
    if "gray" in change:
        assert torch.allclose(found[:, :, 0], found[:, :, 2], atol=1e-6)


def test_channels_move_by_themselves_and_beyond_the_border_its_pixels_repeat():
    tiling = dataclasses.replace(OPEN, gap=2, channel_jitter=2)
    index = torch.arange(300)
    corners = tiling.corners(0, 0, index)  # (300, 9, 3, 2)
    moves = corners - dataclasses.replace(tiling, channel_jitter=0).corners(0, 0, index)[:, :, None]
    assert set(moves.unique().tolist()) == {-2, -1, 0, 1, 2}
    assert not torch.equal(moves[:, :, 0], moves[:, :, 2]) and not torch.equal(moves[:, 0], moves[:, 1])
    images = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    found = cut_tiles(images, torch.tensor([[[[-1, 0], [2, 3], [4, 5]]]]), 3)[0, 0]
    assert torch.equal(found[0], images[0, 0, [0, 0, 1]][:, :3])
    assert torch.equal(found[1], images[0, 1, 2:5, 3:6])
    assert torch.equal(found[2], images[0, 2, [4, 5, 5]][:, [5, 5, 5]])


def test_a_picture_has_the_same_tiles_in_any_batch():
    tiling = Tiling(VIEWS["mild"], tile=6, gap=2, jitter=1, per_tile_norm=True, gray=0.3, color_drop=0.5)
    whole = tiling(pictures(), 3, 7, torch.arange(4))
    alone = tiling(pictures()[2:3], 3, 7, torch.tensor([2]))
    assert torch.allclose(whole[2], alone[0], atol=1e-4)
    assert not torch.allclose(whole[2], tiling(pictures(), 3, 8, torch.arange(4))[2], atol=0.01)
