"""Rows and curves made of records: means, pairing by seed, places on the axis of labels."""

from __future__ import annotations

import math

import pytest

from fgssl_edu import config, records
from fgssl_edu.runs import tables


def run(arm: str, seed: int, **metrics: float) -> dict:
    named = {name.replace("__", "/"): value for name, value in metrics.items()}
    curve = {"step": [1, 2], "loss": [3.0 + 0.1 * seed, 2.0 + 0.1 * seed]}
    return {"arm": arm, "title": arm.upper(), "seed": seed, "metrics": named, "curve": curve}


RECORD = {
    "settings": {"train_images": 240, "species": 24},
    "runs": [
        *(run("a", seed, species__knn=0.2 + 0.1 * seed, species__1_shot=0.1) for seed in range(3)),
        *(run("b", seed, species__knn=0.3 + 0.1 * seed, species__own_classifier=0.5) for seed in range(2)),
    ],
}


def test_values_come_in_the_order_of_the_seeds_and_missing_ones_are_absent():
    assert tables.values(RECORD, "a", "species/knn") == pytest.approx([0.2, 0.3, 0.4])
    assert tables.values(RECORD, "b", "edit/score") == []


def test_a_summary_has_the_interval_of_the_record():
    mean, low, high = tables.summary(RECORD, ["a"], ["species/knn", "edit/score"])["A"]["species kNN"]
    assert (mean, low, high) == pytest.approx(records.interval([0.2, 0.3, 0.4]))


def test_differences_are_paired_by_seed_and_in_points():
    (row,) = tables.differences(RECORD, "a", ["b"], ["species/knn"])
    mean, low, high = row["species kNN, points"]
    assert mean == pytest.approx(10) and high - low == pytest.approx(0, abs=1e-6)  # the same in both seeds


def test_an_unknown_arm_is_told_the_arms():
    with pytest.raises(ValueError, match="a, b"):
        tables.title(RECORD, "c")


def test_label_curves_stand_at_their_share_of_labels():
    shots = {f"{kind}/{name}": 0.5 for kind in ("species",) for name in ("1_shot", "2_shot", "4_shot", "8_shot")}
    full = {**shots, "species/linear_20": 0.6, "species/linear": 0.7}
    record = {
        "settings": RECORD["settings"],
        "runs": [{**run("a", s), "metrics": full} for s in range(2)] + RECORD["runs"],
    }
    curves = tables.label_curves(record, "species", 24, ["a"], {0.5: "b"})
    assert sorted(curves["A, frozen"]) == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.0])
    assert curves["from scratch"][0.5][0] == pytest.approx(0.5)


def test_the_band_is_the_prediction_interval_at_each_step():
    band = tables.band(RECORD, "a")
    assert band["step"] == [1, 2]
    assert (band["low"][0], band["high"][0]) == pytest.approx(records.prediction_band([3.0, 3.1, 3.2])[1:])
    assert tables.band({"runs": RECORD["runs"][:1]}, "a") is None


def test_rows_tell_the_number_of_seeds():
    assert [row["seeds"] for row in tables.rows(RECORD, ["a", "b"], ["species/knn"])] == ["3", "2"]


@pytest.mark.parametrize("slug", list(config.LESSONS))
def test_every_number_of_a_paper_has_a_source(slug: str):
    rows = tables.papers(slug)
    assert rows
    for row in rows:
        assert "arXiv" in row["source"] and row["data"] and row["protocol"]
        number = next(float(value) for name, value in row.items() if name.startswith("%"))
        assert math.isfinite(number) and 0 < number < 100


def test_symptoms_are_counted_over_seeds_from_the_numbers_of_the_last_step():
    runs = [
        {"arm": "a", "title": "whole", "metrics": {"train/loss": 1.0, "train/embedding_std": 0.9}},
        {"arm": "a", "title": "whole", "metrics": {"train/loss": 2.0, "train/embedding_std": 0.01}},
        {"arm": "b", "title": "flat", "metrics": {"train/embedding_rank": 1.1, "geometry/effective_rank": 30.0}},
        {"arm": "c", "title": "untrained", "metrics": {"geometry/effective_rank": 49.0, "species/knn": 0.05}},
    ]
    whole, flat, untrained = tables.symptoms({"runs": runs}, ["a", "b", "c"])
    assert whole["loss"] == 1.5 and whole["spread"] == pytest.approx(0.455)
    assert whole["symptom, in seeds"] == "none: 1, collapse to a point: 1"
    assert flat["symptom, in seeds"] == "collapse to a line: 1" and flat["loss"] is None
    assert untrained == {
        "arm": "untrained",
        "loss": None,
        "spread": None,
        "dimensions used": None,
        "features' rank": 49.0,
        "symptom, in seeds": "none: 1",
    }
    (alone,) = tables.symptoms({"runs": runs}, ["c"])
    assert set(alone) == {"arm", "features' rank", "symptom, in seeds"}  # no empty columns
