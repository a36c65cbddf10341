"""Records: whole or absent, and the statistics between runs."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from fgssl_edu import records
from fgssl_edu.evaluate.statistics import Score


def test_interval_by_hand():
    mean, low, high = records.interval([1.0, 2.0, 3.0])
    assert mean == 2 and high - mean == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)  # t(.975, 2) · 1 / sqrt(3)
    assert mean - low == pytest.approx(high - mean)
    assert records.interval([5.0, 5.0]) == (5, 5, 5)


@pytest.mark.parametrize(("count", "deviations"), [(3, 5.0), (5, 3.0)])
def test_prediction_band_in_deviations(count: int, deviations: float):
    values = [float(i) for i in range(count)]
    mean, _, high = records.prediction_band(values)
    deviation = math.sqrt(sum((v - mean) ** 2 for v in values) / (count - 1))
    assert (high - mean) / deviation == pytest.approx(deviations, abs=0.05)


def test_prediction_band_holds_one_more_run_in_95_of_100_cases():
    draws = torch.randn(2000, 6, generator=torch.Generator().manual_seed(0)).tolist()
    inside = sum(low <= last <= high for *first, last in draws for _, low, high in [records.prediction_band(first)])
    assert inside / 2000 == pytest.approx(0.95, abs=0.015)  # one deviation is .005


def test_one_run_has_a_mean_and_no_interval():
    mean, low, high = records.interval([3.0])
    assert mean == 3 and math.isnan(low) and math.isnan(high)
    with pytest.raises(ValueError, match="at least one"):
        records.interval([])


def test_paired_difference_takes_the_seeds_common_part_away():
    a, b = [10.0, 20.0, 30.0], [9.0, 18.9, 29.1]
    difference, low, high = records.paired_difference(a, b)
    assert difference == pytest.approx(1.0) and 0 < low < high < 2
    with pytest.raises(ValueError, match="3 and 2 runs"):
        records.paired_difference(a, b[:2])


def test_a_record_comes_back_and_nothing_half_written_counts(tmp_path: Path):
    with pytest.raises(ValueError, match="did not finish"):
        records.read_record(tmp_path)
    path = records.write_record(
        tmp_path / "run", {"metrics": {"a": 0.5, "b": math.nan}, "path": tmp_path, "shape": (1, 2)}
    )
    record = records.read_record(tmp_path / "run")
    assert record["metrics"] == {"a": 0.5, "b": None} and record["shape"] == [1, 2] and record["path"] == str(tmp_path)
    path.write_text(path.read_text()[:20])
    with pytest.raises(ValueError, match="damaged"):
        records.read_record(tmp_path / "run")
    path.write_text("{}")
    with pytest.raises(ValueError, match="did not finish"):
        records.read_record(tmp_path / "run")


def test_a_record_that_cannot_be_written_leaves_the_old_one(tmp_path: Path):
    records.write_record(tmp_path, {"value": 1})
    with pytest.raises(TypeError):
        records.write_record(tmp_path, {"value": object()})
    assert records.read_record(tmp_path)["value"] == 1 and len(list(tmp_path.iterdir())) == 1


def test_metrics_keep_interval_count_and_protocol(tmp_path: Path):
    score = Score.of(torch.tensor([1.0, 0, 1, 1]), {"k": 20})
    path = records.write_metrics(tmp_path, {"species/knn": score, "loss": 1.5, "geometry/rankme": Score(12.0)})
    metrics = json.loads(path.read_text())
    assert metrics["species/knn"]["value"] == 0.75 and metrics["species/knn"]["n"] == 4
    assert (
        metrics["species/knn"]["protocol"] == {"k": 20}
        and metrics["species/knn"]["low"] <= 0.75 <= metrics["species/knn"]["high"]
    )
    assert metrics["loss"] == {"value": 1.5} and metrics["geometry/rankme"]["low"] is None


def test_environment_is_json_and_names_what_results_depend_on():
    environment = json.loads(json.dumps(records.environment()))
    assert (
        environment["versions"]["torch"] == torch.__version__.split("+")[0]
        or environment["versions"]["torch"] == torch.__version__
    )
    assert environment["threads"] == torch.get_num_threads() and environment["platform"]


def test_an_unknown_reference_says_how_to_make_it():
    with pytest.raises(ValueError, match="fgssl reference no-such-lesson"):
        records.load_reference("no-such-lesson")
