"""Scores, their bootstrap intervals and paired comparison."""

from __future__ import annotations

import math

import pytest
import torch

from fgssl_edu.evaluate.statistics import Score, compare


def hits(share: float, count: int = 400, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, generator=generator) < share


def test_value_is_the_mean_of_the_items_and_the_ratio_of_means():
    assert Score.of(torch.tensor([True, False, True, True]), {}).value == 0.75
    ratio = Score.of(torch.tensor([1.0, 3.0]), {}, torch.tensor([4.0, 4.0]))
    assert ratio.value == 0.5  # 2 / 4; the mean of the ratios would be the same here, so a second case
    assert Score.of(torch.tensor([1.0, 0.0]), {}, torch.tensor([1.0, 3.0])).value == 0.25  # mean of ratios: .5


def test_bootstrap_interval_is_as_wide_as_the_binomial_one():
    low, high = Score.of(hits(0.3), {}).interval()
    share = float(hits(0.3).double().mean())
    expected = 2 * 1.96 * math.sqrt(share * (1 - share) / 400)
    assert low < share < high
    assert high - low == pytest.approx(expected, rel=0.1)  # 2000 resamples: percentiles are good to about 5 %


def test_interval_is_reproducible_and_touches_no_global_randomness():
    before = torch.get_rng_state()
    score = Score.of(hits(0.5), {})
    assert score.interval(seed=3) == score.interval(seed=3) != score.interval(seed=4)
    assert torch.equal(before, torch.get_rng_state())


def test_a_number_of_the_whole_set_has_no_interval():
    assert all(math.isnan(end) for end in Score(12.5).interval())


def test_paired_comparison_is_narrower_than_the_two_intervals_together():
    a = hits(0.5)
    b = a & hits(0.9, seed=1)  # right only where a is
    difference, low, high = compare(Score.of(a, {"k": 20}), Score.of(b, {"k": 20}))
    assert difference == pytest.approx(float(a.double().mean() - b.double().mean()))
    assert 0 < low < difference < high
    single_low, single_high = Score.of(a, {}).interval()
    assert high - low < 0.7 * (single_high - single_low)


def test_a_score_compared_with_itself_differs_by_exactly_nothing():
    score = Score.of(hits(0.5), {})
    assert compare(score, score) == (0.0, 0.0, 0.0)


def test_unlike_protocols_are_refused_by_name():
    a, b = Score.of(hits(0.5), {"k": 20, "chosen": {"C": 1}}), Score.of(hits(0.5), {"k": 200, "chosen": {"C": 10}})
    with pytest.raises(ValueError, match="k: 20 and 200"):
        compare(a, b)
    with pytest.raises(ValueError, match="cannot be paired"):
        compare(Score.of(hits(0.5), {}), Score.of(hits(0.5, count=10), {}))
    with pytest.raises(ValueError, match="whole set"):
        compare(Score(1.0), Score(2.0))
    assert compare(a, b.under(k=20))[0] == 0  # what is chosen on the training set may differ
