"""Fixed positions: MAE's order of their halves, and that near places are alike."""

from __future__ import annotations

import math

import pytest
import torch

from fgssl_edu.nets.positions import sincos_positions


def test_a_place_is_told_by_column_then_row():
    """Two places of one row share the second half, two of one column the first (MAE's code: "here w goes first")."""
    places = sincos_positions(5, 16).view(5, 5, 16)
    assert torch.equal(places[2, 1, 8:], places[2, 4, 8:]) and torch.equal(places[0, 3, :8], places[4, 3, :8])
    assert not torch.equal(places[2, 1, :8], places[2, 4, :8])


def test_values_by_hand():
    places = sincos_positions(3, 8).view(3, 3, 8)  # waves 1 and 1 / 100
    column = [math.sin(2), math.sin(0.02), math.cos(2), math.cos(0.02)]
    row = [math.sin(1), math.sin(0.01), math.cos(1), math.cos(0.01)]
    assert places[1, 2].tolist() == pytest.approx(column + row, abs=1e-6)
    assert places[0, 0].tolist() == [0, 0, 1, 1, 0, 0, 1, 1]


def test_neighbours_are_more_alike_than_strangers():
    places = sincos_positions(8, 32)[0]
    apart = torch.cdist(places, places)
    assert apart[0, 1] < apart[0, 2] < apart[0, 3]
    assert (apart + torch.eye(64) > 0.1).all()  # no two places are one


def test_a_width_that_four_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="dim=30: .* a multiple of 4"):
        sincos_positions(4, 30)
