"""Retrieval: the specification's hand values, ties, dropped queries, and a slow double of the published definition."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from fgssl_edu.evaluate import retrieval as module
from fgssl_edu.evaluate.retrieval import retrieval


def at_degrees(*angles: float) -> torch.Tensor:
    return torch.tensor([[math.cos(math.radians(a)), math.sin(math.radians(a))] for a in angles])


def slow(features: torch.Tensor, labels: torch.Tensor) -> tuple[float, float, float]:
    """The definition, one query at a time."""
    unit = F.normalize(features, dim=1)
    first, five, precisions = [], [], []
    for query in range(len(unit)):
        others = [i for i in range(len(unit)) if i != query]
        others.sort(key=lambda i: -float(unit[i] @ unit[query]))
        relevant = [bool(labels[i] == labels[query]) for i in others]
        if any(relevant):
            first.append(relevant[0])
            five.append(any(relevant[:5]))
            places = [place for place, hit in enumerate(relevant, start=1) if hit]
            precisions.append(sum(j / place for j, place in enumerate(places, start=1)) / len(places))
    return sum(first) / len(first), sum(five) / len(five), sum(precisions) / len(precisions)


def test_hand_values():
    scores = retrieval(at_degrees(0, 10, 22, 40), torch.tensor([0, 0, 1, 0]))
    assert scores["map"].per_item is not None
    assert scores["map"].per_item.tolist() == pytest.approx([5 / 6, 5 / 6, 7 / 12])
    assert scores["map"].value == pytest.approx(0.75)
    assert scores["rank1"].value == pytest.approx(2 / 3)
    assert scores["rank5"].value == 1
    assert scores["map"].protocol["dropped_queries"] == 1 and scores["map"].protocol["gallery_images"] == 3


def test_agrees_with_the_definition_and_does_not_depend_on_rotation_or_blocks(monkeypatch: pytest.MonkeyPatch):
    generator = torch.Generator().manual_seed(0)
    features, labels = torch.randn(60, 8, generator=generator).double(), torch.randint(9, (60,), generator=generator)
    expected = slow(features, labels)
    rotation = torch.linalg.qr(torch.randn(8, 8, generator=generator).double()).Q
    monkeypatch.setattr(module, "BLOCK", 7)
    for some in (features, features @ rotation):
        scores = retrieval(some, labels)
        assert [scores[name].value for name in ("rank1", "rank5", "map")] == pytest.approx(expected, abs=1e-6)


def test_random_constant_and_oracle_features():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(400) % 8
    random = retrieval(torch.randn(400, 32, generator=generator), labels)
    assert abs(random["rank1"].value - 0.125) < 0.06
    assert abs(random["map"].value - 0.125) < 0.03  # about the class's share of the gallery
    constant = retrieval(torch.ones(400, 4), labels)
    assert constant["rank1"].value == pytest.approx(49 / 400 + 1 / 400, abs=0.02)  # all tie: the gallery's order
    oracle = retrieval(F.one_hot(labels).float(), labels)
    assert [score.value for score in oracle.values()] == [1, 1, 1]


def test_a_duplicated_image_finds_its_double_first():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(20, 8, generator=generator)
    scores = retrieval(torch.cat([features, features]), torch.arange(20).repeat(2))
    assert scores["rank1"].value == 1 and scores["map"].value == 1


def test_training_gallery_is_another_number_and_excludes_nothing():
    features, labels = at_degrees(0, 10, 22, 40), torch.tensor([0, 0, 1, 0])
    scores = retrieval(features, labels, gallery=(features, labels))
    assert scores["rank1"].value == 1 and scores["rank1"].protocol["dropped_queries"] == 0
    assert scores["rank1"].protocol["gallery"] == "training set"


def test_no_relevant_image_at_all_is_refused():
    with pytest.raises(ValueError, match="none of the 3 queries"):
        retrieval(at_degrees(0, 10, 20), torch.arange(3))
