"""One map for all sets, densities that integrate to 1, and statistics that no projection can change."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fgssl_edu.explain import maps


def clouds(dim: int = 16) -> tuple[Tensor, Tensor]:
    """A wide pool of 900 and a target of 60 around one direction."""
    generator = torch.Generator().manual_seed(0)
    pool = torch.randn(900, dim, generator=generator)
    target = torch.ones(60, dim) + 0.2 * torch.randn(60, dim, generator=generator)
    return target, pool


def test_the_sample_has_equally_many_of_each_set():
    target, pool = clouds()
    small, large = maps.balanced_sample(target, pool, per_set=40)
    assert len(small) == len(large) == 40 and len(set(large.tolist())) == 40
    assert large.max() > 500  # not the beginning of the set
    assert [len(index) for index in maps.balanced_sample(target, pool)] == [60, 60]
    assert torch.equal(maps.balanced_sample(target, pool, per_set=40)[1], large)
    assert not torch.equal(maps.balanced_sample(target, pool, per_set=40, seed=1)[1], large)
    with pytest.raises(ValueError, match="at least 1"):
        maps.balanced_sample(target, pool[:0])


def test_the_map_is_one_for_all_sets():
    target, pool = clouds()
    one, many = maps.pca_map(target, pool)
    assert one.shape == (60, 2) and many.shape == (900, 2) and one.dtype == torch.float32
    # What is in both sets lies at one place, whichever set it is drawn with.
    together, _ = maps.pca_map(torch.cat([target, target[:5] * 3]), pool, per_set=60)
    assert torch.allclose(together[60:], together[:5], atol=1e-6)
    coreset_points = many[[3, 800]]
    assert torch.equal(coreset_points, maps.pca_map(target, pool)[1][[3, 800]])


def test_the_planes_axes_are_those_of_most_variance_and_their_signs_are_fixed():
    generator = torch.Generator().manual_seed(1)
    spread = torch.tensor([0.0, 0.3, 0.1, 0.01])
    rows = torch.tensor([1.0, 0, 0, 0]) + spread * torch.randn(400, 4, generator=generator)
    (found,) = maps.pca_map(rows)
    unit = F.normalize(rows, dim=1)
    for axis, column in ((0, 1), (1, 2)):
        assert abs(torch.corrcoef(torch.stack([found[:, axis], unit[:, column]]))[0, 1]) > 0.95
        assert found[found[:, axis].abs().argmax(), axis] > 0
    assert torch.allclose(found.mean(dim=0), torch.zeros(2), atol=1e-6)  # of all rows, which are the sample here


def test_a_set_of_one_point_or_one_dimension_still_has_a_map():
    (point,) = maps.pca_map(torch.ones(1, 5))
    assert torch.equal(point, torch.zeros(1, 2))
    (line,) = maps.pca_map(torch.tensor([[1.0], [-1.0], [2.0]]))
    assert (line[:, 1] == 0).all()


def test_angles_of_the_ring():
    points = torch.tensor([[2.0, 0.0], [0.0, 5.0], [-1.0, 0.0], [1.0, -1.0], [0.0, 0.0]])
    assert maps.ring(points).tolist() == pytest.approx([0, math.pi / 2, math.pi, -math.pi / 4, 0])
    with pytest.raises(ValueError, match=r"\(n, 2\)"):
        maps.ring(torch.ones(4, 3))


@pytest.mark.parametrize("kappa", [0.0, 0.5, 20.0, 5000.0])
def test_the_density_integrates_to_one(kappa: float):
    angles = torch.rand(9000, generator=torch.Generator().manual_seed(2)) * 3  # more than one block
    at = torch.linspace(-math.pi, math.pi, 721, dtype=torch.float64)[:-1]
    density = maps.von_mises_density(angles, at, kappa)
    assert float(density.mean()) * 2 * math.pi == pytest.approx(1, abs=1e-6)  # the trapezium rule on a circle
    assert (density >= 0).all()


def test_the_density_follows_the_angles_and_kappa():
    at = torch.tensor([0.0, math.pi])
    angles = torch.tensor([0.0])
    peak = math.exp(2) / (2 * math.pi * float(torch.special.i0(torch.tensor(2.0))))
    assert float(maps.von_mises_density(angles, at, 2.0)[0]) == pytest.approx(peak, rel=1e-6)
    assert maps.von_mises_density(angles, at, 0.0).tolist() == pytest.approx([1 / (2 * math.pi)] * 2)
    sharp, blunt = (maps.von_mises_density(angles, at, kappa) for kappa in (50.0, 2.0))
    assert sharp[0] > blunt[0] and sharp[1] < blunt[1]
    turned = maps.von_mises_density(angles + 1.3, at + 1.3 + 2 * math.pi, 2.0)  # a ring has no beginning
    assert torch.allclose(turned, maps.von_mises_density(angles, at, 2.0), atol=1e-6)
    for kappa, some in ((-1.0, angles), (math.inf, angles), (1.0, angles[:0])):
        with pytest.raises(ValueError, match="kappa="):
            maps.von_mises_density(some, at, kappa)


def test_statistics_tell_a_close_set_from_one_that_surrounds_the_target():
    targets = torch.eye(4)[:2]
    close = torch.tensor([[1.0, 0, 0, 0]] * 5)
    around = torch.tensor([[3.0, 0, 0, 0], [0, 2.0, 0, 0], [0, 0, 1.0, 0], [0, 0, 0, 1.0]])
    one = maps.set_statistics(close, targets)
    assert (one.images, one.nearest, one.coverage, one.histogram) == (5, 1.0, 0.5, {})
    groups = torch.tensor([0, 2, 2, -1])
    two = maps.set_statistics(around, targets, groups, ("bird", "sky", "cloth"))
    assert (two.images, two.nearest, two.coverage) == (4, 0.5, 1.0)
    assert two.histogram == {"bird": 1, "sky": 0, "cloth": 2}
    with pytest.raises(ValueError, match="one of 2 names for each of 4 images"):
        maps.set_statistics(around, targets, groups, ("bird", "sky"))


def test_sets_that_do_not_fit_together_are_refused():
    with pytest.raises(ValueError, match="one D"):
        maps.pca_map(torch.ones(3, 4), torch.ones(3, 5))
    with pytest.raises(ValueError, match="finite"):
        maps.pca_map(torch.full((3, 4), torch.nan))
    with pytest.raises(ValueError, match="needs 4 points"):
        maps.umap_map(torch.ones(3, 4))


@pytest.mark.slow  # the compiler that UMAP brings takes most of a minute
def test_umap_lays_clusters_apart_in_one_map_of_all_sets():
    generator = torch.Generator().manual_seed(3)
    kinds = torch.eye(12)[:3]
    pool = kinds[torch.arange(120) % 3] + 0.05 * torch.randn(120, 12, generator=generator)
    target = kinds[:1] + 0.05 * torch.randn(30, 12, generator=generator)
    one, many = maps.umap_map(target, pool, neighbours=10)
    assert one.shape == (30, 2) and many.shape == (120, 2)
    centres = torch.stack([many[kind::3].median(dim=0).values for kind in range(3)])
    nearest = torch.cdist(one, centres).argmin(dim=1)
    assert (nearest == 0).float().mean() >= 0.9
    apart = torch.cdist(many, centres).argmin(dim=1) == torch.arange(120) % 3
    assert apart.float().mean() >= 0.95
