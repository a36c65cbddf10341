"""The coreset bench compares like with like; its numbers are looked at only where they are exact."""

from __future__ import annotations

import json

import pytest
import torch

from fgssl_edu import bench
from fgssl_edu.bench import coreset


def test_reports_seconds_memory_and_ratios_for_both_shares():
    result = coreset.run("ci")
    assert list(result["tables"]) == ["1e4"]
    table = result["tables"]["1e4"]
    assert set(table["milliseconds"]) == {"ours, 1%", "ours, 5%", "literal, 1%", "literal, 5%"}
    for row in table["milliseconds"].values():
        assert 0 < row["after"] < row["all"]
    assert all(value > 0 for value in result["ratios"].values()) and result["ratios"] == table["ratios"]
    assert json.loads(json.dumps(result)) == result
    text = bench.report({"bench": "coreset", "scale": "ci", "environment": {"threads": 1}, **result})
    assert all(row in text for row in table["ratios"])


def test_the_pool_has_exact_ties_that_reach_the_selection():
    features, centroids = coreset.made(4000)
    blocks = coreset.similarity_blocks([features], centroids, 1000)
    similarity = torch.cat(list(blocks), dim=1)
    best = similarity.topk(40, dim=1).values
    assert ((best.diff(dim=1) == 0).sum(dim=1) >= 1).float().mean() > 0.5
    whole = torch.cat(list(coreset.similarity_blocks([features], centroids, 4000)), dim=1)
    assert torch.equal(similarity, whole)  # on the grid a block's size does not change a bit


def test_both_contestants_take_the_same_images_and_a_difference_is_told(monkeypatch: pytest.MonkeyPatch):
    features, centroids = coreset.made(3000)

    def blocks():
        return coreset.similarity_blocks([features], centroids, 700)

    for budget in (1, 99, 450, 4000):
        assert coreset.ours(blocks, budget) == coreset.literal(blocks, budget)
    monkeypatch.setattr(coreset, "literal", lambda blocks, budget: list(range(budget)))
    with pytest.raises(RuntimeError, match="selections differ"):
        coreset.table(3000, "ci")


def test_without_memory_the_literal_algorithm_is_not_run(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(coreset, "available_bytes", lambda: 0)
    table = coreset.table(2000, "ci")
    assert set(table["milliseconds"]) == {"ours, 1%", "ours, 5%"}
    assert set(table["ratios"].values()) == {None}


def test_linearity_is_the_ratio_of_rates():
    def table(milliseconds: float) -> dict:
        return {"milliseconds": {f"ours, {share}": {"all": milliseconds} for share in ("1%", "5%")}}

    found = coreset.linearity({"1e4": table(10.0), "1e5": table(100.0), "1e6": table(2000.0)})
    assert found["linear 1e4 to 1e5, 1%"] == pytest.approx(1)
    assert found["linear 1e5 to 1e6, 5%"] == pytest.approx(0.5)


@pytest.mark.slow
def test_a_process_of_its_own_measures_its_own_memory():
    big = torch.ones(30_000_000)  # 120 MB here must not be seen there
    found = coreset.measured("literal", 20_000, 0.01, own_process=True)
    assert 50 < found["megabytes"] < 400  # 2e6 queue entries of 40 bytes, and the similarities
    assert len(found["indices"]) == 200 and len(big)
