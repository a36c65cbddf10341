"""Geometry without labels: hand values of the papers and both kinds of collapse."""

from __future__ import annotations

import math

import pytest
import torch

from fgssl_edu.evaluate.geometry import alignment, effective_rank, geometry, rankme, spectrum, std_ratio, uniformity


def gaussian(count: int, dim: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed))


def test_std_ratio_of_isotropic_constant_and_planar_features():
    assert std_ratio(gaussian(4000, 64)) == pytest.approx(1, abs=0.01)
    assert std_ratio(torch.ones(100, 64)) == pytest.approx(0, abs=1e-12)
    corners = torch.eye(4).repeat(10, 1)  # mean 1/4, variance 3/16 in each dimension
    assert std_ratio(corners) == pytest.approx(2 * math.sqrt(3) / 4)


def test_rankme_by_hand():
    assert rankme(torch.eye(16)) == pytest.approx(16, abs=1e-3)
    assert rankme(torch.ones(30, 8)) == pytest.approx(1, abs=1e-4)
    features = gaussian(300, 10)
    assert rankme(torch.cat([features, features])) == pytest.approx(rankme(features), rel=1e-9)
    assert rankme(features * 1000) == pytest.approx(rankme(features), rel=1e-9)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_rankme_and_effective_rank_do_not_see_rotation_or_scale(scale: float):
    features = (gaussian(300, 12) * torch.linspace(0.1, 3, 12) + 1).double()
    turn = torch.linalg.qr(gaussian(12, 12, seed=1).double()).Q
    assert (features @ turn - features).abs().max() > 1  # the control: the turn is one
    for rank in (rankme, effective_rank):
        assert rank(scale * features @ turn) == pytest.approx(rank(features), rel=1e-9)
    assert std_ratio(features @ turn) != pytest.approx(std_ratio(features), rel=1e-3)  # axes matter to this one


@pytest.mark.parametrize(("dim", "limit"), [(2, -1.575027), (16, -3.513036), (64, -3.875236)])
def test_uniformity_of_evenly_spread_directions_has_its_limit(dim: int, limit: float):
    """-2t + log Gamma(d/2) + log I_{d/2-1}(2t) - (d/2-1) log t at t = 2; ten draws of 2048 came within .002."""
    assert uniformity(gaussian(2048, dim)) == pytest.approx(limit, abs=0.01)


def test_a_shift_destroys_rankme_and_leaves_the_centred_rank():
    features = gaussian(2000, 64)
    assert rankme(features) == pytest.approx(63.74, abs=0.1)
    assert rankme(features + 10) == pytest.approx(12.22, abs=0.3)  # known answers, other draws of the same size
    assert effective_rank(features + 10) == pytest.approx(effective_rank(features), rel=1e-4)


def test_effective_rank_sees_both_collapses():
    flat = gaussian(500, 3) @ gaussian(3, 64, seed=1)
    assert 2 < effective_rank(flat) < 3.01
    assert effective_rank(torch.full((100, 64), 0.1)) == 1
    assert effective_rank(gaussian(4000, 64)) == pytest.approx(64, rel=0.01)


def test_spectrum_is_sorted_and_ends_in_a_cliff():
    values = spectrum(gaussian(500, 4) @ gaussian(4, 16, seed=1))
    assert torch.equal(values, values.sort(descending=True).values)
    assert values[3] > 1e6 * values[5] and values.shape == (16,)


def test_alignment_and_uniformity_by_hand():
    x = torch.tensor([[1.0, 0.0], [0.0, 3.0]])
    assert alignment(x, x).tolist() == [0, 0]
    assert alignment(x, -x).tolist() == pytest.approx([4, 4])
    assert alignment(x, x.flip(0)).tolist() == pytest.approx([2, 2])
    assert uniformity(torch.tensor([[1.0, 0.0], [-1.0, 0.0]])) == pytest.approx(-8)
    assert uniformity(x) == pytest.approx(-4)
    assert uniformity(torch.ones(50, 4)) == pytest.approx(0, abs=1e-12)  # collapse
    assert uniformity(gaussian(2048, 128)) == pytest.approx(-3.9375, abs=0.01)  # the limit at d = 128


def test_geometry_names_both_ranks_and_their_units():
    features = gaussian(200, 16)
    scores = geometry(features, (features, features))
    assert set(scores) == {"std_ratio", "effective_rank", "rankme", "uniformity", "alignment"}
    assert "centred" in str(scores["effective_rank"].protocol["unit"]) and "uncentred" in str(
        scores["rankme"].protocol["unit"]
    )
    assert scores["alignment"].value == 0 and "alignment" not in geometry(features)
