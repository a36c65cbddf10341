"""Figures: what is drawn is what was given, nothing is clipped or smaller than 13 pt, and pyplot stays out."""

from __future__ import annotations

import ast
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from fgssl_edu import figures
from fgssl_edu.data.image_set import ImageSet
from fgssl_edu.evaluate.statistics import Score
from fgssl_edu.figures.style import spread
from fgssl_edu.figures.tables import protocol_line

STEPS = list(range(1, 32))
LOSSES = [2 + 3 * math.exp(-step / 8) for step in STEPS]
BAND = {"step": STEPS, "low": [loss - 0.2 for loss in LOSSES], "high": [loss + 0.2 for loss in LOSSES]}
ARMS = {
    "untrained": {"genus": (0.5, 0.42, 0.58), "species": (0.15, 0.13, 0.18)},
    "SimCLR + true background swap": {"genus": (0.95, 0.94, 0.96), "species": (0.47, 0.45, 0.49)},
}
CURVES = {
    "SimCLR": {0.04: (0.14, 0.1, 0.2), 0.2: (0.25, 0.2, 0.3), 1.0: (0.32, 0.3, 0.34)},
    "from scratch": {0.04: 0.1, 0.2: 0.5, 1.0: 0.85},
}
PICTURES = torch.randint(0, 256, (10, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
ROWS = [
    {"step": 10.0 * i, "loss": 5 - 0.1 * i, **({"std_ratio": 0.5, "knn": 0.1} if i % 5 == 0 else {})} for i in range(20)
]

DRAWN = {
    "training": lambda: figures.training_curve({"step": STEPS, "loss": LOSSES}, chance=5.5, band=BAND),
    "watched": lambda: figures.watched(ROWS, chance=5.5),
    "watched_nothing_yet": lambda: figures.watched([]),
    "labels": lambda: figures.label_curves(CURVES, chance=1 / 24),
    "sweep": lambda: figures.sweep(CURVES, xlabel="strength of the views"),
    "bars": lambda: figures.bars(ARMS, ylabel="accuracy", chance={"genus": 1 / 6, "species": 1 / 24}),
    "bars_of_ratios": lambda: figures.bars({"a": {"edit/score": 0.003}, "b": {"edit/score": 0.9}}, ylabel="edit score"),
    "spectrum": lambda: figures.spectrum({"a": torch.logspace(0, -9, 64), "b": torch.zeros(64)}),
    "sheet": lambda: figures.contact_sheet(PICTURES, titles=[f"a rather long name {i}" for i in range(10)]),
    "rows": lambda: figures.contact_sheet(
        [PICTURES[:4], PICTURES[4:8].float() / 255], rows=["picture", "another view"]
    ),
    "heat": lambda: figures.heat_overlay(PICTURES[:4], torch.rand(4, 5, 5), titles=["one", "two", "three", "four"]),
}


@pytest.mark.parametrize("name", DRAWN)
def test_figure_is_1000_px_wide_with_large_type_and_nothing_clipped(name: str):
    figure = DRAWN[name]()
    assert isinstance(figure, Figure) and figure.get_figwidth() * figure.dpi == 1000
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    shown = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    ticks = {id(label) for axes in figure.axes for label in (*axes.get_xticklabels(), *axes.get_yticklabels())}
    for text in shown:
        assert text.get_fontsize() >= 13, text
        box = text.get_window_extent(renderer)
        inside = box.x0 >= -1 and box.x1 <= 1001 and box.y0 >= -1 and box.y1 <= figure.bbox.height + 1
        assert inside or id(text) in ticks, (text, box)  # ticks outside the limits are not drawn


def test_curve_shows_chance_and_the_run():
    figure = DRAWN["training"]()
    texts = [text.get_text() for text in figure.findobj(Text)]
    assert "chance 5.50" in texts and "this run" in texts
    drawn = figure.axes[0].lines[0].get_xydata()
    assert np.allclose(drawn, np.column_stack([STEPS, LOSSES]))
    low, high = figure.axes[0].get_ylim()
    assert low < min(BAND["low"]) and high > 5.5


@pytest.mark.parametrize(("name", "left"), [("labels", 0.03), ("sweep", -0.1), ("training", 0)])
def test_curves_fill_the_width_of_their_axes(name: str, left: float):
    low, high = DRAWN[name]().axes[0].get_xlim()
    assert left <= low < 0.05 and high == (31 if name == "training" else 1)


def test_settings_that_are_counted_have_no_ticks_between_them():
    ticks = {}
    for name, places in {"layers": range(1, 6), "shares": (0.0, 0.5, 1.0)}.items():
        axes = figures.sweep({"a": dict.fromkeys(places, 0.5)}, xlabel=name).axes[0]
        ticks[name] = axes.get_xticks().tolist()
    assert all(tick.is_integer() for tick in ticks["layers"]) and {1, 2, 3, 4, 5} <= set(ticks["layers"])
    assert not all(tick.is_integer() for tick in ticks["shares"])


@pytest.mark.parametrize(("count", "every"), [(3, 1), (12, 1), (300, 25)])
def test_a_long_curve_is_a_line_with_some_marks(count: int, every: int):
    axes = figures.sweep({"a": dict.fromkeys(range(count), 0.5)}, xlabel="step").axes[0]
    assert axes.lines[0].get_markevery() == every and axes.lines[0].get_marker() == "o"


def test_bars_are_as_long_as_their_numbers_and_shares_are_percent():
    shares, ratios = DRAWN["bars"](), DRAWN["bars_of_ratios"]()
    assert sorted(bar.get_width() for bar in shares.axes[0].patches) == pytest.approx([15, 47, 50, 95])
    assert sorted(bar.get_width() for bar in ratios.axes[0].patches) == pytest.approx([0.003, 0.9])
    texts = [text.get_text() for text in ratios.findobj(Text)]
    assert "0.003" in texts and "0.90" in texts and "edit score" in texts


def test_names_of_shares_do_not_run_into_each_other_and_points_are_no_shares():
    shares = (0.008, 0.016, 0.032, 0.04, 0.064, 0.2, 1.0)
    axes = figures.label_curves({"frozen": dict.fromkeys(shares, 0.3)}).axes[0]
    assert list(axes.get_xticks()) == [1.0, 0.2, 0.064, 0.032, 0.016, 0.008]
    table = figures.table([{"arm": "a", "kNN, points": (0.8, 0.1, 1.5)}])
    assert "0.80 <span" in table and "(%)" not in table


def test_labels_move_apart_and_keep_their_order():
    moved = spread([0.5, 0.51, 0.1, 0.52], gap=0.1)
    assert moved[2] == 0.1 and moved[0] < moved[1] < moved[3]
    assert min(b - a for a, b in zip(sorted(moved), sorted(moved)[1:], strict=False)) == pytest.approx(0.1)
    assert spread([0.0, 1.0], gap=0.1) == [0, 1]


def test_a_figure_shows_itself_and_the_users_style_is_left_alone():
    import matplotlib

    before = dict(matplotlib.rcParams)
    assert DRAWN["bars"]()._repr_png_().startswith(b"\x89PNG")
    assert dict(matplotlib.rcParams) == before


def test_pyplot_is_never_imported():
    for path in Path(figures.__file__).parent.glob("*.py"):
        imports = [
            node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        assert not [node for node in imports if "pyplot" in ast.unparse(node)], path


def test_species_sheet_takes_pictures_of_the_species_named():
    labels = torch.arange(10) % 5
    images = ImageSet(PICTURES, labels, tuple("abcde"), name="toy", provenance="made here", licence="none")
    figure = figures.species_sheet(images, species=(3, 0), each=2)
    assert [axes.get_ylabel() for axes in figure.axes[::2]] == ["d", "a"]
    assert np.array_equal(figure.axes[1].images[0].get_array(), PICTURES[8].permute(1, 2, 0).numpy())
    with pytest.raises(ValueError, match="7"):
        figures.species_sheet(images, species=(7,))


def test_heat_shows_the_picture_where_it_is_cold():
    from fgssl_edu.figures.sheets import overlay

    heat = torch.zeros(1, 16, 16)
    heat[0, :8] = 1
    drawn = overlay(PICTURES[:1], heat)
    grey = PICTURES[0].float().mean(dim=0) / 255 * 0.9
    assert torch.allclose(drawn[0, :, 12:], grey[12:].expand(3, -1, -1), atol=1e-6)
    assert (drawn[0, 0, :4] - drawn[0, 2, :4]).mean() > 0.2  # hot is yellow: much red, little blue


def test_table_aligns_numbers_right_and_brings_intervals_protocol_and_n():
    hits = torch.arange(400) % 4 == 0
    rows = [
        {
            "encoder": "<b>bold</b>",
            "kNN": Score.of(hits, {"k": 20, "metric": "m"}),
            "rank": 32.25,
            "edit": (0.004, 0.002, 0.006),
        },
        {"encoder": "SimCLR", "kNN": None, "rank": -1.5, "edit": (0.5, 0.4, 0.6)},
    ]
    text = figures.table(rows, caption="Frozen & scored", note="Bootstrap.")
    assert text._repr_html_() == text and "&lt;b&gt;bold" in text and "Frozen &amp; scored" in text
    assert (
        "kNN (%)" in text and "25.0 <span" in text and "32.25" in text and "&minus;1.50" in text and "&mdash;" in text
    )
    assert "0.500 <span" in text and "0.004 <span" in text and "edit (%)" not in text
    assert "Bootstrap. Protocol: k 20, n = 400 test images." in text
    assert text.count("text-align:right") == 3 * 3 and text.count("text-align:left") >= 3


def test_protocol_line_says_only_what_all_scores_share():
    a, b = Score.of(torch.ones(3), {"k": 20, "size": 40}), Score.of(torch.ones(3), {"k": 5, "size": 40})
    assert protocol_line([a, b]) == "Protocol: size 40, n = 3 test images." and protocol_line([]) == ""


def test_nothing_to_draw_is_refused():
    for draw in (lambda: figures.bars({}), lambda: figures.label_curves({}), lambda: figures.contact_sheet([])):
        with pytest.raises(ValueError, match="no"):
            draw()
