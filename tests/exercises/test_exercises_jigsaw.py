"""The checks of the lesson `jigsaw` accept the library's functions and name what a wrong answer breaks."""

from __future__ import annotations

import torch

from fgssl_edu.exercises.jigsaw import check_farthest_order, check_tile_norm
from fgssl_edu.views.patches import normalize_tiles


def away(chosen, candidates):
    return (candidates[:, None] != chosen).sum(dim=2)  # (m, k)


def farthest(chosen, candidates):
    between = away(chosen, candidates)
    return int((between.amin(dim=1) * 1000 + between.sum(dim=1)).argmax())


def loops(chosen, candidates):
    best = None
    for i, row in enumerate(candidates.tolist()):
        apart = [sum(a != b for a, b in zip(row, other, strict=True)) for other in chosen.tolist()]
        if best is None or (min(apart), sum(apart)) > best[0]:
            best = (min(apart), sum(apart)), i
    return best[1]


RIGHT = [
    (check_farthest_order, farthest),
    (check_farthest_order, loops),
    (check_tile_norm, normalize_tiles),
    (check_tile_norm, lambda t: (t - t.mean((2, 3), keepdim=True)) / (t.std((2, 3), keepdim=True) + 1e-6)),
]
WRONG = [
    (check_farthest_order, lambda c, p: int((p - c[0]).abs().sum(dim=1).argmin()), "count the places"),
    (check_farthest_order, lambda c, p: int((p[:, None] - c).abs().sum(2).amin(1).argmax()), "tiles are names"),
    (check_farthest_order, lambda c, p: int(away(c, p).sum(dim=1).argmax()), "a large mean may hide"),
    (check_farthest_order, lambda c, p: int(away(c, p).amax(dim=1).argmax()), "the smallest distance"),
    (check_farthest_order, lambda c, p: int(away(c, p).amin(dim=1).argmax()), "the larger sum"),
    (check_farthest_order, lambda c, p: p[farthest(c, p)], "one number"),
    (check_tile_norm, lambda t: t.flatten(), "same shape"),
    (check_tile_norm, lambda t: t / t.std((2, 3), keepdim=True), "mean 0"),
    (check_tile_norm, lambda t: t - t.mean((2, 3), keepdim=True), "deviation 1"),
    (check_tile_norm, lambda t: (t - t.mean((0, 2, 3), keepdim=True)) / t.std((0, 2, 3), keepdim=True), "mean 0"),
    (check_tile_norm, lambda t: (t - t.mean((2, 3), keepdim=True)) / t.var((2, 3), keepdim=True), "deviation 1"),
    (check_tile_norm, lambda t: (t - t.mean((2, 3), keepdim=True)) / t.std((2, 3), keepdim=True), "divide by no less"),
]


def test_a_batch_of_tiles_normalised_together_is_caught():
    def together(tiles):
        std, mean = torch.std_mean(tiles, dim=(1, 2, 3), keepdim=True)
        return (tiles - mean) / std

    assert not check_tile_norm(together).passed
