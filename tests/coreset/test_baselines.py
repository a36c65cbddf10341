"""What a coreset is compared with, and the target's centroids."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fgssl_edu import coreset


def plain_greedy(similarity: Tensor, budget: int) -> list[int]:
    """Facility location without laziness: every gain again for every pick; (N, K) similarities."""
    picks: list[int] = []
    covered = torch.full((similarity.shape[1],), -1.0)
    while len(picks) < budget:
        gains = (similarity - covered).clamp(min=0).sum(dim=1)
        gains[picks] = -1
        best = int(gains.argmax())  # the first of equal ones
        if gains[best] == 0:
            covered = torch.full((similarity.shape[1],), -1.0)
            continue
        picks.append(best)
        covered = torch.maximum(covered, similarity[best])
    return picks


def signs(rows: int, seed: int) -> Tensor:
    """Rows of 16 signs: norm 4, cosines multiples of 1/8, so that gains tie and their sums are exact."""
    return torch.randint(0, 2, (rows, 16), generator=torch.Generator().manual_seed(seed)) * 2.0 - 1


@pytest.mark.parametrize("seed", range(10))
def test_lazy_greedy_is_greedy(seed: int):
    features, targets = signs(400, seed), signs(12, seed + 100)
    found = coreset.facility_location(list(features.split(64)), targets, budget=80)
    assert found.indices.tolist() == plain_greedy(features @ targets.T / 16, 80)
    assert found.rounds.max() >= 1 and len(found.values) == int(found.rounds[-1]) + 1


def test_facility_location_covers_more_with_few_picks_than_nearest_or_random():
    generator = torch.Generator().manual_seed(1)
    features, targets = torch.randn(500, 5, generator=generator), torch.randn(60, 5, generator=generator)

    def covered(chosen: coreset.Coreset) -> float:
        return coreset.coverage(features[chosen.indices], targets)

    greedy = covered(coreset.facility_location(features, targets, 10))
    assert greedy > covered(coreset.select_coreset(features, targets, 10))
    assert greedy > max(covered(coreset.random_selection(500, 10, seed)) for seed in range(20))
    best = coreset.coverage(features, targets)
    assert greedy + 60 >= (1 - 1 / 2.7183) * (best + 60)  # its guarantee, for cosines made non-negative


def test_facility_location_of_everything_takes_everything_once():
    features, targets = signs(90, 3), signs(7, 4)
    found = coreset.facility_location(features, targets, 1000)
    assert sorted(found.indices.tolist()) == list(range(90))
    opposite = coreset.facility_location(-torch.ones(5, 4), torch.ones(2, 4), 3)  # nothing can be gained at all
    assert opposite.indices.tolist() == [0, 1, 2]


def test_coverage_of_the_hand_example():
    # u0 = (.9, .8) and u1 = (.7, .85) as cosines to two centroids: vectors with a third entry that makes them unit.
    def unit(a: float, b: float) -> list[float]:
        return [a, b, 0.0] if a * a + b * b > 1 else [a, b, (1 - a * a - b * b) ** 0.5]

    features, targets = torch.tensor([unit(0.6, 0.5), unit(0.4, 0.55)]), torch.eye(3)[:2]
    assert coreset.coverage(features[:1], targets) == pytest.approx(1.1, abs=1e-6)
    assert coreset.coverage(features, targets) == pytest.approx(1.15, abs=1e-6)
    assert coreset.coverage(list(features.split(1)), targets) == pytest.approx(1.15, abs=1e-6)
    with pytest.raises(ValueError, match="empty set"):
        coreset.coverage(features[:0], targets)


def test_random_selection_is_reproducible_nested_and_even():
    one = coreset.random_selection(1000, 300, seed=1)
    assert len(set(one.indices.tolist())) == 300 and not len(one.values)
    assert torch.equal(coreset.random_selection(1000, 50, seed=1).indices, one.indices[:50])
    assert not torch.equal(coreset.random_selection(1000, 300, seed=2).indices, one.indices)
    assert len(coreset.random_selection(10, 300)) == 10
    means = [float(coreset.random_selection(1000, 300, seed).indices.double().mean()) for seed in range(50)]
    assert abs(sum(means) / 50 - 499.5) < 8  # the mean of 50 x 300 positions has deviation 2


def test_the_oracle_takes_relevant_images_only_and_classes_in_turn_if_told():
    relevant = torch.arange(400) % 4 == 0
    labels = torch.where(torch.arange(400) < 40, 1, 0)  # of the 100 relevant ones 10 are of class 1
    found = coreset.oracle(relevant, 30, seed=3)
    assert relevant[found.indices].all() and len(found) == 30
    assert torch.equal(coreset.oracle(relevant, 12, seed=3).indices, found.indices[:12])
    assert len(coreset.oracle(relevant, 1000)) == 100
    even = coreset.oracle(relevant, 20, seed=3, labels=labels)
    assert relevant[even.indices].all() and int(labels[even.indices].sum()) == 10
    with pytest.raises(ValueError, match="at least one True"):
        coreset.oracle(torch.zeros(5, dtype=torch.bool), 3)


@pytest.mark.parametrize("budget", [0, 0.5, True])
def test_budgets_that_are_no_number_of_images_are_refused(budget: object):
    features = torch.eye(3)
    calls = [
        lambda: coreset.random_selection(3, budget),
        lambda: coreset.oracle(features[0] > 0, budget),
        lambda: coreset.facility_location(features, features, budget),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=f"budget={budget}"):
            call()


def test_centroids_are_unit_rows_of_the_planted_clusters():
    generator = torch.Generator().manual_seed(2)
    kinds = F.normalize(torch.randn(6, 24, generator=generator), dim=1)
    length = 0.5 + torch.rand(120, 1, generator=generator)
    features = (kinds.repeat(20, 1) + 0.02 * torch.randn(120, 24, generator=generator)) * length
    found = coreset.centroids(features, 6, seed=1)
    assert found.shape == (6, 24) and torch.allclose(found.norm(dim=1), torch.ones(6))
    assert ((kinds @ found.T).amax(dim=1) > 0.999).all()
    assert torch.equal(found, coreset.centroids(features, 6, seed=1))
    assert torch.allclose(found, coreset.centroids(features * 8, 6, seed=1), atol=1e-6)


def test_one_centroid_is_the_mean_direction_and_enough_of_them_are_the_points():
    features = torch.randn(30, 8, generator=torch.Generator().manual_seed(3)) + 1
    points = F.normalize(features, dim=1)
    mean = F.normalize(points.mean(dim=0), dim=0)
    assert torch.allclose(coreset.centroids(features, 1)[0], mean, atol=1e-5)
    assert torch.equal(coreset.centroids(features, 30), points)
    assert torch.equal(coreset.centroids(features, 100), points)


def test_centroids_of_a_collapsed_encoder_are_its_one_point_and_mistakes_are_refused():
    assert torch.allclose(coreset.centroids(torch.ones(20, 4), 3), torch.full((3, 4), 0.5))
    with pytest.raises(ValueError, match="k=0"):
        coreset.centroids(torch.ones(3, 2), 0)
    with pytest.raises(ValueError, match="finite"):
        coreset.centroids(torch.full((3, 2), torch.nan), 1)
