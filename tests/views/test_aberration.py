"""Colour fringes: planted where they should be, measured, a leak of a patch's place, and what closes it."""

from __future__ import annotations

import pytest
import torch

from fgssl_edu import draws
from fgssl_edu.views.aberration import aberrate, channel_shifts, projection
from fgssl_edu.views.color import grayscale
from fgssl_edu.views.patches import TILES, cut_tiles, drop_colors, tile_corners

SIDE, TILE = 180, 60
COUNT = 32


def noise_pictures() -> torch.Tensor:
    """Pictures of nothing, (32, 3, 180, 180): spectrum 1/f, the same in all channels but for slight noise."""
    white = draws.normal(0, 0, torch.arange(COUNT), "white", SIDE * SIDE).view(COUNT, SIDE, SIDE)
    rows, columns = torch.fft.fftfreq(SIDE)[:, None], torch.fft.rfftfreq(SIDE)
    spectrum = torch.fft.rfft2(white) / (rows.square() + columns.square()).sqrt().clamp(min=1 / SIDE)
    pink = torch.fft.irfft2(spectrum, s=(SIDE, SIDE))
    pink = pink / pink.std(dim=(1, 2), keepdim=True)
    own = draws.normal(0, 0, torch.arange(COUNT), "own", 3 * SIDE * SIDE).view(COUNT, 3, SIDE, SIDE)
    return (0.5 + 0.15 * (pink[:, None] + 0.05 * own)).clamp(0, 1)


def tiles_of(images: torch.Tensor) -> torch.Tensor:
    corners = tile_corners(torch.zeros(len(images), TILES, 2), TILE, 0, 0)
    return cut_tiles(images, corners, TILE)


def place_accuracy(tiles: torch.Tensor) -> float:
    """Share of the second half's tiles whose place the nearest mean of the first half's colour shifts tells."""
    shifts = channel_shifts(tiles.flatten(0, 1)).view(COUNT, TILES, 4)
    means = shifts[: COUNT // 2].mean(dim=0)  # (9, 4)
    guess = torch.cdist(shifts[COUNT // 2 :], means[None].expand(COUNT // 2, -1, -1)).argmin(dim=2)
    return float((guess == torch.arange(TILES)).float().mean())


def test_green_stays_and_a_dot_moves_outwards():
    image = torch.zeros(1, 3, 101, 101)
    image[:, :, 50, 90] = 1.0  # 40 px right of the middle
    found = aberrate(image, 0.05, -0.05)
    middle = [float((found[0, c].sum(dim=0) * torch.arange(101)).sum() / found[0, c].sum()) for c in range(3)]
    assert middle == pytest.approx([92.0, 90.0, 88.0], abs=0.3)
    assert torch.allclose(found[:, 1], image[:, 1], atol=1e-5)
    assert torch.allclose(aberrate(image, 0.0, 0.0), image, atol=1e-5)


def test_shifts_are_measured_in_pixels():
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(40.0), indexing="ij")
    wave = lambda dy, dx: torch.sin((y - dy) / 5) + torch.cos((x - dx) / 6)  # noqa: E731
    tile = torch.stack([wave(0.3, -0.2), wave(0, 0), wave(0, 0.4)])[None]
    assert channel_shifts(tile)[0].tolist() == pytest.approx([0.3, -0.2, 0.0, 0.4], abs=0.05)


def test_fringes_tell_a_patch_s_place_in_pictures_of_nothing_until_a_channel_is_all_that_is_left():
    images = noise_pictures()
    chance = 1 / TILES
    assert place_accuracy(tiles_of(images)) < 3 * chance  # no lens, no leak
    fringed = aberrate(images, 0.01, -0.01)
    assert place_accuracy(tiles_of(fringed)) > 0.95
    assert place_accuracy(tiles_of(grayscale(fringed, torch.ones(COUNT, dtype=torch.bool)))) < 3 * chance
    keep = (3 * draws.uniform(0, 0, torch.arange(COUNT), "keep", 1)[:, 0]).long()
    noise = draws.uniform(0, 0, torch.arange(COUNT), "noise", 3 * TILE * TILE).view(COUNT, 3, TILE, TILE)
    assert place_accuracy(drop_colors(tiles_of(fringed), keep, noise, torch.ones(COUNT, dtype=torch.bool))) < 3 * chance


def test_the_projection_helps_only_where_red_and_blue_go_together():
    images, matrix = noise_pictures(), projection()
    together, apart = aberrate(images, 0.01, 0.01), aberrate(images, 0.01, -0.01)
    projected = [torch.einsum("cd,bdhw->bchw", matrix, each) for each in (together, apart)]
    assert place_accuracy(tiles_of(together)) > 0.95
    closed, open_still = (place_accuracy(tiles_of(each)) for each in projected)
    assert closed < 3 / TILES and open_still > 0.95


def test_the_projection_matrix_by_hand():
    matrix, fringe = projection(), torch.tensor([-1.0, 2.0, -1.0])
    by_hand = torch.tensor([[5.0, 2, -1], [2, 2, 2], [-1, 2, 5]]) / 6
    assert torch.allclose(matrix, by_hand)
    assert (matrix @ fringe).abs().max() < 1e-6 and torch.allclose(matrix @ torch.ones(3), torch.ones(3))
    assert torch.linalg.matrix_rank(matrix) == 2 and torch.allclose(matrix @ matrix, matrix, atol=1e-6)
