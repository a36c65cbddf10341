"""Figures of a selection: what is drawn is what was given, on one scale, large enough to read."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from fgssl_edu.figures import maps
from fgssl_edu.figures.style import QUIET

GENERATOR = torch.Generator().manual_seed(0)
SETS = {"open set": torch.randn(300, 2, generator=GENERATOR), "X": torch.randn(40, 2, generator=GENERATOR)}
AT = torch.linspace(0, 2 * math.pi, 73)[:-1]
EVEN = torch.full((72,), 1 / (2 * math.pi))
PEAK = torch.exp(4 * torch.cos(AT - 1)) / torch.exp(4 * torch.cos(AT - 1)).mean() / (2 * math.pi)
BUDGETS = (0.005, 0.01, 0.05, 0.12, 0.2)
CURVES = {
    "k = 100": {share: (0.9 - share, 0.85 - share, 0.95 - share) for share in BUDGETS},
    "k = 100, untrained encoder": {share: 0.5 - share for share in BUDGETS},
    "random": dict.fromkeys(BUDGETS, 0.12),
}
VALUES = {
    "k = 100": ([80, 160, 230, 300, 350], [0.9, 0.88, 0.86, 0.84, 0.8]),
    "k = 1": (range(1, 901), [0.8 - 0.0001 * i for i in range(900)]),
}
DRAWN = {
    "map": lambda: maps.set_map(SETS, title="one map"),
    "rings": lambda: maps.rings(AT, {"open set": EVEN, "X": PEAK, "coreset": PEAK.roll(3)}),
    "precision": lambda: maps.precision_curves(CURVES, base_rate=0.12, controls=("k = 100, untrained encoder",)),
    "rounds": lambda: maps.round_values(VALUES, tau=0.95),
}


@pytest.mark.parametrize("name", DRAWN)
def test_figure_is_1000_px_wide_with_large_type_and_nothing_clipped(name: str):
    figure = DRAWN[name]()
    assert figure.get_figwidth() * figure.dpi == 1000
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    ticks = {id(label) for axes in figure.axes for label in (*axes.get_xticklabels(), *axes.get_yticklabels())}
    shown = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    assert shown
    for text in shown:
        assert text.get_fontsize() >= 13, text
        box = text.get_window_extent(renderer)
        inside = box.x0 >= -1 and box.x1 <= 1001 and box.y0 >= -1 and box.y1 <= figure.bbox.height + 1
        assert inside or id(text) in ticks, (text, box)


def test_every_point_of_every_set_is_on_the_map_and_counted():
    axes = DRAWN["map"]().axes[0]
    assert [len(drawn.get_offsets()) for drawn in axes.collections] == [300, 40]
    assert np.allclose(axes.collections[1].get_offsets(), SETS["X"])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["open set (300)", "X (40)"]


def test_rings_share_one_scale_and_show_an_even_spread_as_a_circle():
    figure = DRAWN["rings"]()
    even, peak, _ = figure.axes
    assert [axes.get_title() for axes in figure.axes] == ["open set", "X", "coreset"]
    assert len({axes.get_ylim() for axes in figure.axes}) == 1
    top = peak.collections[0].get_paths()[0].vertices[:, 1].max()
    assert top == pytest.approx(maps.HOLE + maps.REACH)  # the densest place of all stands out furthest
    dotted = even.lines[-1].get_ydata()
    filled = even.collections[0].get_paths()[0].vertices[:, 1].max()
    assert np.ptp(dotted) == 0 and dotted[0] == pytest.approx(filled)


def test_precision_is_drawn_as_given_with_base_rate_and_dashed_controls():
    axes = DRAWN["precision"]().axes[0]
    assert np.allclose(axes.lines[0].get_xydata(), [(share, 0.9 - share) for share in BUDGETS])
    assert [line.get_linestyle() for line in axes.lines[:3]] == ["-", "--", "-"]
    assert axes.lines[3].get_ydata()[0] == 0.12 and axes.lines[3].get_color() == QUIET
    assert "base rate 12 %" in [text.get_text() for text in axes.texts]
    assert list(axes.get_xticks()) == list(BUDGETS)


def test_a_mark_stands_where_the_value_first_falls_below_the_threshold():
    axes = DRAWN["rounds"]().axes[0]
    first, mark, other, mark_of_one, threshold = axes.lines
    assert first.get_ydata()[0] == 1 and len(other.get_xdata()) == 900
    assert mark.get_xdata()[0] == 300  # .84 / .9 is the first below .95
    assert mark_of_one.get_xdata()[0] == 402  # .8 - .0001 * 401 = .7599 < .95 * .8
    assert threshold.get_ydata()[0] == 0.95


@pytest.mark.parametrize(
    "draw",
    [
        lambda: maps.set_map({}),
        lambda: maps.set_map({"X": torch.zeros(0, 2)}),
        lambda: maps.precision_curves({"a": {}}, base_rate=0.1),
        lambda: maps.round_values({"a": ([], [])}, tau=0.95),
    ],
)
def test_nothing_to_draw_is_refused(draw):
    with pytest.raises(ValueError, match="nothing to draw"):
        draw()
