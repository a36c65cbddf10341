"""Kendall's tau by hand, by scipy, and how sure one may be of it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import kendalltau

from fgssl_edu.evaluate.ranks import kendall_interval, kendall_tau


def test_landmarks():
    assert kendall_tau([1, 2, 3, 4], [10, 20, 30, 40]) == 1
    assert kendall_tau([1, 2, 3, 4], [4, 3, 2, 1]) == -1
    assert kendall_tau([1, 2, 3, 4], [1, 2, 4, 3]) == pytest.approx(4 / 6)  # five pairs alike, one turned round
    assert math.isnan(kendall_tau([1, 1, 1], [1, 2, 3])) and math.isnan(kendall_tau([1], [2]))


def test_it_is_scipys_with_ties_too():
    draw = np.random.default_rng(0)
    for _ in range(20):
        one, other = draw.integers(6, size=(2, 15))
        assert kendall_tau(one, other) == pytest.approx(kendalltau(one, other).statistic)


def test_only_the_order_counts():
    one, other = np.random.default_rng(1).normal(size=(2, 12))
    assert kendall_tau(one, other) == pytest.approx(kendall_tau(np.exp(one), 3 * other - 1))
    assert kendall_tau(one, other) == kendall_tau(other, one)


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    """Pairs of numbers that have nothing to do with each other: 0 is inside in about 95 of 100 cases."""
    draw = np.random.default_rng(2)
    inside = 0
    for case in range(100):
        one, other = draw.normal(size=(2, 20))
        _, low, high = kendall_interval(one, other, seed=case)
        inside += low <= 0 <= high
    assert 88 <= inside <= 100


def test_one_order_leaves_no_doubt_and_few_methods_leave_much():
    assert kendall_interval(range(9), range(9)) == (1.0, 1.0, 1.0)
    draw = np.random.default_rng(3)
    truth = draw.normal(size=60)
    noisy = truth + draw.normal(size=60)
    few, many = (kendall_interval(truth[:n], noisy[:n]) for n in (8, 60))
    assert few[2] - few[1] > 2 * (many[2] - many[1])
    assert many[1] < many[0] < many[2]


def test_two_methods_have_no_interval():
    tau, low, high = kendall_interval([1, 2], [3, 4])
    assert tau == 1.0 and math.isnan(low) and math.isnan(high)


def test_lists_that_cannot_be_paired_are_refused():
    with pytest.raises(ValueError, match=r"\(3,\) and \(2,\)"):
        kendall_tau([1, 2, 3], [1, 2])
    with pytest.raises(ValueError, match="same length"):
        kendall_interval([1.0, 2.0], [1.0])
