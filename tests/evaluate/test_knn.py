"""Weighted nearest neighbours: hand values, limits, and random, constant and oracle features."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from fgssl_edu.evaluate import knn as module
from fgssl_edu.evaluate.knn import knn, knn_predict

BANK = torch.tensor([[1.0, 0], [0.9, 0.1], [0, 1], [0.1, 0.9], [0.2, 0.8]])
LABELS = torch.tensor([0, 0, 1, 1, 1])
QUERY = torch.tensor([[0.8, 0.6]])


@pytest.mark.parametrize(
    ("k", "temperature", "expected"), [(1, 0.07, 0), (5, 0.07, 0), (5, 10.0, 1), (99, 10.0, 1), (1, 10.0, 0)]
)
def test_hand_values(k: int, temperature: float, expected: int):
    assert knn_predict(BANK, LABELS, QUERY, k, temperature).item() == expected


@pytest.mark.parametrize("temperature", [1e-3, 0.07, 1.0, 100.0])
def test_one_neighbour_is_the_most_similar_image_at_any_temperature(temperature: float):
    generator = torch.Generator().manual_seed(2)
    bank, queries = torch.randn(300, 8, generator=generator), torch.randn(500, 8, generator=generator)
    labels = torch.randint(0, 11, (300,), generator=generator)
    nearest = F.cosine_similarity(queries[:, None], bank[None], dim=2).argmax(dim=1)
    assert torch.equal(knn_predict(bank, labels, queries, k=1, temperature=temperature), labels[nearest])


def test_length_of_features_does_not_matter():
    generator = torch.Generator().manual_seed(0)
    bank, queries = torch.randn(40, 6, generator=generator), torch.randn(30, 6, generator=generator)
    labels = torch.arange(40) % 5
    scaled = knn_predict(bank * torch.rand(40, 1, generator=generator).add(0.1), labels, queries * 7)
    assert torch.equal(knn_predict(bank, labels, queries), scaled)


def test_ties_go_to_the_earlier_image_and_small_temperatures_do_not_overflow():
    same = torch.ones(4, 3)
    assert knn_predict(same, torch.tensor([2, 0, 1, 1]), torch.ones(1, 3), k=1).item() == 2
    assert knn_predict(BANK, LABELS, QUERY, k=5, temperature=1e-4).item() == 0


def test_blocks_give_what_one_pass_gives(monkeypatch: pytest.MonkeyPatch):
    generator = torch.Generator().manual_seed(1)
    bank, queries, labels = (
        torch.randn(50, 4, generator=generator),
        torch.randn(23, 4, generator=generator),
        torch.arange(50) % 7,
    )
    whole = knn_predict(bank, labels, queries)
    monkeypatch.setattr(module, "BLOCK", 5)
    assert torch.equal(whole, knn_predict(bank, labels, queries))


def test_random_constant_and_oracle_features():
    generator = torch.Generator().manual_seed(0)
    train, test = torch.arange(600) % 4, torch.arange(400) % 4
    random = knn(torch.randn(600, 16, generator=generator), train, torch.randn(400, 16, generator=generator), test)
    assert abs(random.value - 0.25) < 0.08  # 1/classes; one deviation of 400 coin flips at .25 is .022
    assert knn(torch.ones(600, 3), train, torch.ones(400, 3), test).value == 0.25  # everyone gets the same class
    oracle = knn(F.one_hot(train).float(), train, F.one_hot(test).float(), test)
    assert oracle.value == 1
    assert oracle.protocol["k"] == 20 and oracle.protocol["chance"] == 0.25 and "kNN" in str(oracle.protocol["metric"])
