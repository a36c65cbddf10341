"""Clusters against labels: chance, oracle and hand values."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from fgssl_edu.evaluate.clustering import kmeans_scores


def test_random_constant_and_oracle_features():
    labels = torch.arange(300) % 5
    random = kmeans_scores(torch.randn(300, 16, generator=torch.Generator().manual_seed(0)), labels, k=5)
    assert abs(random["ari"].value) < 0.03 and random["nmi"].value < 0.06
    assert 0.2 < random["accuracy"].value < 0.32  # the best of 120 matchings is a little above 1/5
    constant = kmeans_scores(torch.ones(300, 4), labels, k=5)
    assert (
        constant["nmi"].value == pytest.approx(0)
        and constant["ari"].value == 0
        and constant["accuracy"].value == pytest.approx(0.2)
    )
    oracle = kmeans_scores(F.one_hot(labels).float(), labels, k=5)
    assert [score.value for score in oracle.values()] == pytest.approx([1, 1, 1])


def test_two_classes_in_one_cluster_by_hand():
    labels = torch.tensor([0] * 50 + [1] * 50 + [2] * 100)
    features = torch.tensor([[1.0, 0.0]] * 100 + [[0.0, 1.0]] * 100)
    scores = kmeans_scores(features, labels, k=2)
    assert scores["accuracy"].value == 0.75  # one of the merged classes finds no cluster of its own
    assert scores["nmi"].value == pytest.approx(
        2 * 1 / (1 + 1.5)
    )  # I = H(cluster) = 1 bit, H(label) = 1.5 bits, arithmetic mean
    # Rand index by pairs: C(100, 2) · 2 = 9900 are together in a cluster, 7400 in a class, 7400 in both.
    expected = 9900 * 7400 / 19900
    assert scores["ari"].value == pytest.approx((7400 - expected) / ((9900 + 7400) / 2 - expected))


def test_only_matched_accuracy_has_an_interval():
    labels = torch.arange(100) % 4
    scores = kmeans_scores(torch.randn(100, 8, generator=torch.Generator().manual_seed(0)), labels, k=4)
    low, high = scores["accuracy"].interval()
    assert low < scores["accuracy"].value < high and scores["nmi"].per_item is None
