"""A symptom names the kind of collapse, and is silent about healthy runs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fgssl_edu import config, records
from fgssl_edu.evaluate.monitor import symptom
from fgssl_edu.methods.base import participation, spread
from fgssl_edu.runs.tables import last_row

HEALTHY = {
    "loss": 0.7,
    "embedding_std": 0.85,
    "embedding_rank": 2.1,
    "deviation": 0.35,
    "effective_rank": 16.5,
    "std_ratio": 0.1,
    "usage": 0.1,
    "target_entropy": 0.3,
}


def test_a_healthy_row_has_none_nor_has_a_row_without_such_numbers():
    assert symptom(HEALTHY) is None
    assert symptom({}) is None and symptom({"step": 3.0, "loss": -1.0, "knn": 0.04}) is None


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("embedding_std", 0.02, "to a point"),
        ("std_ratio", 0.02, "to a point"),
        ("deviation", 0.03, "to a point"),
        ("embedding_rank", 1.1, "to a line"),
        ("effective_rank", 2.0, "to few dimensions"),
        ("usage", 1 / 64, "one output for all"),
        ("target_entropy", 0.999, "the same uniform output"),
    ],
)
def test_each_number_names_its_collapse(name: str, value: float, words: str):
    found = symptom({**HEALTHY, name: value})
    assert found is not None and words in found and f"{value:.2g}" in found
    assert symptom({name: value}) == found  # alone too


def test_a_sure_target_is_a_symptom_only_where_nothing_is_known_of_all_images_together():
    sure = {"target_entropy": 0.0}
    assert "single sure output" in str(symptom(sure))
    assert symptom({**sure, "usage": 0.5}) is None  # hard labels, and many of them
    assert "one output for all" in str(symptom({**sure, "usage": 0.0}))  # a usage by entropy


def test_a_point_is_named_before_the_rank_of_its_noise():
    assert "point" in str(symptom({**HEALTHY, "embedding_std": 0.0, "embedding_rank": 1.0, "effective_rank": 1.0}))


def numbers(embeddings: Tensor) -> dict[str, float]:
    return {"embedding_std": float(spread(embeddings)), "embedding_rank": float(participation(embeddings))}


def test_planted_collapses_are_told_apart():
    cloud = torch.randn(128, 32, generator=torch.Generator().manual_seed(0))
    line = cloud[:, :1] * torch.randn(1, 32, generator=torch.Generator().manual_seed(1))
    assert symptom(numbers(cloud)) is None
    assert "point" in str(symptom(numbers(0.05 * cloud + 1)))
    assert "line" in str(symptom(numbers(line + 0.05 * cloud)))


MEANT = {  # arms without the part that keeps them from collapse
    "no-negatives": ["byol_no_predictor", "simsiam_no_stop_gradient", "barlow_no_redundancy", "vicreg_no_variance"],
    "clusters": ["swav_no_sinkhorn"],
    "dino": ["dino_no_centring", "dino_no_sharpening"],
}
ALONE = [("rotation", "offset", 2)]  # a shortcut that needs one number a picture: its features keep little else


@pytest.mark.parametrize("slug", [slug for slug in config.LESSONS if slug != "scoreboard"])  # it has no record
def test_every_shipped_run_that_was_meant_to_collapse_is_named_and_no_other(slug: str):
    """At lecture scale, in every seed, from the numbers of the last step."""
    record = records.load_reference(slug)
    for run in record["runs"]:
        row, who = last_row(run["metrics"]), (slug, run["arm"], run["seed"])
        assert "effective_rank" in row
        meant = run["arm"] in MEANT.get(slug, []) or who in ALONE
        assert (symptom(row) is not None) is meant, (who, symptom(row))
    arms = [run["arm"] for run in record["runs"]]
    assert all(arms.count(arm) >= 3 for arm in MEANT.get(slug, []))
