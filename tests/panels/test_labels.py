"""Names beside points, and the axes of a scatter plot."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fgssl_edu.panels.canvas import BLUE, Canvas
from fgssl_edu.panels.labels import REACH, SHAPES, Axis, Scatter, leader, mark, placed

BOX = (76, 56, 694, 560)


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return max(0.0, wide) * max(0.0, high)


def about(point: tuple[float, float]) -> tuple[float, ...]:
    x, y = point
    return (x - REACH, y - REACH, x + REACH, y + REACH)


@pytest.mark.parametrize("spread", [250, 60, 25])
def test_no_name_lies_on_another_or_on_a_mark_however_crowded(spread: int):
    draw = np.random.default_rng(spread)
    for _ in range(5):
        points = (np.array([385, 300]) + draw.normal(size=(22, 2)) * spread).clip([90, 70], [680, 545]).tolist()
        sizes = [(float(wide), 20.0) for wide in draw.integers(40, 130, 22)]
        found = placed(points, sizes, BOX)
        for i, one in enumerate(found):
            assert BOX[0] <= one[0] and BOX[1] <= one[1] and one[2] <= BOX[2] and one[3] <= BOX[3]
            assert (one[2] - one[0], one[3] - one[1]) == pytest.approx(sizes[i])
            assert not any(overlap(one, other) for other in found[:i])
            assert not any(overlap(one, about(point)) for point in points)


def test_a_point_alone_has_its_name_close_by_and_the_first_chooses_first():
    (right,) = placed([(300, 300)], [(80, 20)], BOX)
    assert right[0] - 300 < 20 and right[1] < 300 < right[3]
    (at_the_edge,) = placed([(690, 300)], [(80, 20)], BOX)
    assert at_the_edge[2] < 690
    crowd = [(300.0, 300.0)] * 12  # twelve on one place: all but the nearest are led to from afar
    names = placed(crowd, [(80, 20)] * 12, BOX)
    far = [math.dist(leader(point, name), point) for point, name in zip(crowd, names, strict=True)]
    assert far[0] == min(far) < 25 < max(far)


def test_a_leader_ends_at_the_nearest_side_of_a_name():
    assert leader((0, 0), (10, -5, 50, 5)) == (10, 0)
    assert leader((100, 40), (10, -5, 50, 5)) == (50, 5)


def test_an_axis_holds_all_its_numbers_with_room():
    axis = Axis([2.0, 4.0, 6.0])
    assert 0 < axis.share(2.0) < 0.1 and axis.share(4.0) == pytest.approx(0.5) and 0.9 < axis.share(6.0) < 1
    assert axis.share(-100) == 0 and axis.share(100) == 1 and not axis.log
    assert 3 <= len(axis.ticks()) <= 8


def test_numbers_over_many_times_the_least_get_a_logarithmic_axis_but_shares_do_not():
    axis = Axis([0.001, 0.01, 0.1])
    assert axis.log and axis.share(0.01) == pytest.approx(0.5)
    assert {"0.001", "0.01", "0.1"} <= {words for _, words in axis.ticks()}
    assert axis.share(0.0) == axis.share(-1.0) == 0 and axis.named("cost") == "cost, logarithmic"
    shares = Axis([0.05, 0.7], percent=True)
    assert not shares.log and shares.named("kNN") == "kNN (%)" and "30" in {words for _, words in shares.ticks()}
    assert not Axis([0.0, 5.0]).log and not Axis([-1.0, 5.0]).log


def test_one_number_has_an_axis_too():
    for value in (0.0, 3.0, -2.0):
        assert 0 <= Axis([value]).share(value) <= 1 and Axis([value]).ticks()


def test_marks_differ_in_shape_not_in_colour_alone():
    filled = [np.asarray(mark(shape, BLUE))[..., 3] > 127 for shape in SHAPES]
    for i, one in enumerate(filled):
        assert one.mean() > 0.3
        assert all((one != other).mean() > 0.05 for other in filled[:i])
    hollow = np.asarray(mark("circle", BLUE, hollow=True))
    assert hollow[REACH, REACH, :3].tolist() == [255, 255, 255] and hollow[REACH, 1, :3].tolist() == list(BLUE)


def test_whiskers_are_drawn_where_there_is_an_interval():
    def dark(x: tuple[float, float, float], y: tuple[float, float, float]) -> int:
        canvas = Canvas(600)
        Scatter(canvas, BOX, Axis([0.0, 10.0]), Axis([0.0, 10.0])).whiskers(x, y, BLUE)
        return int((canvas.array().min(axis=2) < 250).sum())

    nothing = (5.0, math.nan, math.nan)
    assert dark(nothing, nothing) == 0
    assert dark((5.0, 4.0, 6.0), nothing) > 50
    assert dark((5.0, -50.0, 50.0), nothing) == 2 * (BOX[2] - BOX[0] + 1)  # cut off at the plot's edges
