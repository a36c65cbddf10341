"""Orders of tiles: permutations, unique, as far apart as promised, and of no place that gives a tile away."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from fgssl_edu.views.permutations import (
    _fractions,
    _times,
    distances,
    permutation_set,
    spread_of,
)

IDENTITY = torch.arange(9)


@pytest.mark.parametrize("criterion", ["min", "mean", "group", "random"])
def test_rows_are_permutations_unique_and_not_the_identity(criterion: str):
    rows = permutation_set(120, 9, criterion)
    assert rows.shape == (120, 9) and rows.dtype == torch.int64
    assert torch.equal(rows.sort(dim=1).values, IDENTITY.expand(120, 9))
    assert len(rows.unique(dim=0)) == 120
    assert not (rows == IDENTITY).all(dim=1).any()


# Measured once for the specification, exhaustively over 9!: 100 by the mean have 8.08 and 2, by the minimum 8.08 and 6
@pytest.mark.parametrize(
    ("criterion", "count", "least"),
    [("min", 8, 9), ("min", 64, 7), ("min", 100, 6), ("min", 500, 5), ("group", 504, 7), ("group", 1512, 6)],
)
def test_the_least_distance_is_as_promised(criterion: str, count: int, least: int):
    assert spread_of(permutation_set(count, 9, criterion))[0] >= least


def test_the_mean_distance_says_nothing_and_the_least_does():
    by_mean, by_least, at_random = (spread_of(permutation_set(100, 9, c)) for c in ("mean", "min", "random"))
    assert by_mean[1] == pytest.approx(by_least[1], abs=0.01) == pytest.approx(8.08, abs=0.01)
    assert at_random[1] == pytest.approx(8, abs=0.1)  # n - 1 is what chance gives
    assert by_mean[0] <= 3 < 6 <= by_least[0]


def test_groups_have_their_sizes_and_distances():
    fractions = _fractions()
    assert len(fractions) == 504 and IDENTITY.tolist() in fractions.tolist()
    assert set(distances(fractions).unique().tolist()) == {0, 7, 8, 9}
    product = fractions[17][fractions[400]]  # closed under composition
    assert product.tolist() in fractions.tolist()
    assert set(distances(permutation_set(1512, 9, "group")).unique().tolist()) == {0, 6, 7, 8, 9}


def test_the_field_of_eight_has_inverses_and_no_divisors_of_zero():
    for x in range(1, 8):
        assert sorted(_times(x, y) for y in range(8)) == list(range(8))
    assert _times(2, 4) == 3 and _times(4, 4) == 6  # x * x^2 = x + 1, x^4 = x^2 + x


@pytest.mark.parametrize("criterion", ["min", "mean"])
def test_no_place_prefers_a_tile(criterion: str):
    counts = F.one_hot(permutation_set(100, 9, criterion)).sum(dim=0)  # (places, tiles)
    assert counts.sum(dim=0).tolist() == [100] * 9 == counts.sum(dim=1).tolist()
    assert (counts - 100 / 9).abs().max() < 0.25 * 100 / 9
    assert (F.one_hot(permutation_set(504, 9, "group")).sum(dim=0) == 56).all()


def test_a_set_follows_its_seed_and_a_longer_greedy_set_begins_with_the_shorter():
    assert torch.equal(permutation_set(20, 9, "min", 3), permutation_set(20, 9, "min", 3))
    assert not torch.equal(permutation_set(20, 9, "min", 3), permutation_set(20, 9, "min", 4))
    assert torch.equal(permutation_set(40, 9, "mean", 3)[:20], permutation_set(20, 9, "mean", 3))


def test_few_tiles_have_few_orders():
    assert len(permutation_set(23, 4)) == 23
    assert spread_of(permutation_set(3, 4))[0] == 4
    for count, tiles, criterion in ((24, 4, "min"), (1, 9, "min"), (1513, 9, "group")):
        with pytest.raises(ValueError, match=f"permutations={count}"):
            permutation_set(count, tiles, criterion)
    with pytest.raises(ValueError, match="criterion='max'"):
        permutation_set(8, 9, "max")
    with pytest.raises(ValueError, match="tiles=4"):
        permutation_set(8, 4, "group")


def test_hamming_distance_by_hand():
    rows = torch.tensor([[0, 1, 2, 3], [0, 1, 3, 2], [3, 2, 1, 0]])
    assert distances(rows).tolist() == [[0, 2, 4], [2, 0, 4], [4, 4, 0]]
    assert spread_of(rows) == (2, pytest.approx(10 / 3))
    assert spread_of(torch.cat([rows, rows[:1]]))[0] == 0
