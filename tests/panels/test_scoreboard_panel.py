"""The scoreboard panel: what its filters let through, its card, and what a click leads to."""

from __future__ import annotations

import math

import pytest
from test_latency import PICTURES_S, p95

from fgssl_edu.panels.scoreboard import Line, Scoreboard, behind, worded
from fgssl_edu.runs import board, scoreboard
from fgssl_edu.runs.board import BIRDS, MEMORY, RATE, SECONDS, WORDS

NONE = math.nan
FAMILIES = ("base", "views", "masks")
NAMES = {"edit/score": "edit score", "species/linear": "species linear", "cost/mb": "MB"}


def made(label: str, family: str, probe: float, edit: float, data: str = "birds", **more: object) -> Line:
    numbers = {"species/linear": (probe, probe - 0.02, probe + 0.02), "edit/score": (edit, NONE, NONE)}
    above = bool(more.pop("above", True))
    return Line(label, f"{label} in full", family, data, {**numbers, **more.pop("numbers", {})}, above, **more)  # type: ignore[arg-type]


LINES = [
    made("untrained", "base", 0.1, 0.02),
    made("A", "views", 0.3, 0.002, links=[("lesson a", "a.ipynb"), ("run (far away)", "")], facts=["400 steps"]),
    made("B", "views", 0.12, 0.003, above=False, numbers={"cost/mb": (60.0, NONE, NONE)}),
    made("M", "masks", 0.25, 0.001),
    made("A", "views", 0.5, 0.1, data="signs"),
]
UNLIKE = {("birds", "edit/score"): ("sky 4 or 5", ["M"])}


@pytest.fixture
def panel() -> Scoreboard:
    return Scoreboard(LINES, NAMES, FAMILIES, UNLIKE)


def labels(panel: Scoreboard, **values: object) -> list[str]:
    return [line.label for line in panel.shown(**values)]


def test_filters_let_through_what_they_say(panel: Scoreboard):
    assert labels(panel) == ["untrained", "A", "B", "M"]
    assert labels(panel, family_1=False) == ["untrained", "M"]
    assert labels(panel, above=True) == ["untrained", "A", "M"]
    assert labels(panel, data="signs") == ["A"]
    assert labels(panel, x="cost/mb") == ["B"]  # nobody measured the others'
    assert labels(panel, method="M")[0] == "M"  # it is named first


def test_every_control_changes_the_picture(panel: Scoreboard):
    for values in (
        {"method": "A"},
        {"data": "signs"},
        {"data": "birds", "x": "species/linear"},
        {"y": "edit/score"},
        {"family_0": False},
        {"above": True},
        {"intervals": False},
    ):
        before = panel.picture()
        panel.set(**values)
        assert panel.picture() != before, values


def test_nothing_to_show_is_said_and_no_error(panel: Scoreboard):
    panel.set(family_0=False, family_1=False, family_2=False)
    assert panel.shown() == [] and not panel.message.value
    panel.set(data="signs", method="M")  # not run there
    assert panel.card.value == ""


def test_below_the_picture_are_the_method_s_links_and_its_runs(panel: Scoreboard):
    panel.set(method="A")
    assert 'href="a.ipynb"' in panel.card.value and "run (far away)" in panel.card.value
    assert panel.card.value.count("<a ") == 1 and "<details>" not in panel.card.value
    runs = {"seed 0": {"species/linear": 0.31}, "seed 1": {"species/linear": 0.29, "other": 1.0}}
    text = behind(made("<b>", "views", 0.3, 0.1, runs=runs), NAMES)
    assert "seed 1" in text and "31.0 %" in text and "29.0 %" in text and "other" not in text
    assert "&lt;b&gt; in full" in text


def test_unlike_protocols_are_said_where_they_count(panel: Scoreboard):
    quiet = panel.still(x="cost/mb", y="species/linear").height
    assert panel._state(**panel.values).unlike == {"edit/score": ("sky 4 or 5", ["M"])}
    assert panel._state(**{**panel.values, "data": "signs"}).unlike == {}
    assert panel._state(**{**panel.values, "x": "species/linear"}).unlike == {} and quiet > 0


def test_a_still_leaves_the_panel_where_it_is(panel: Scoreboard):
    before, drawn = panel.picture(), panel.drawn
    assert panel.still(x="species/linear").size == (1000, panel.still().height)
    assert panel.picture() == before and panel.drawn == drawn and panel.values["x"] == "edit/score"


def test_numbers_in_words():
    assert worded("species linear", (0.373, 0.35, 0.4)) == "37.3 % [35.0 to 40.0]"
    assert worded("edit score", (0.0021, 0.001, 0.003)) == "0.002 [0.001 to 0.003]"
    assert worded("MB of a step", (58.7, NONE, NONE)) == "59"
    assert worded("species linear", None) == "not measured"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"lines": []}, "0 lines"),
        ({"families": ("base", "views")}, "masks"),
        ({"families": tuple("abcdefg") + FAMILIES}, "at most 6"),
        ({"x": "speed"}, "x='speed' is not on the board; choose one of edit/score"),
        ({"method": "Z"}, "method='Z'"),
    ],
)
def test_what_is_not_on_the_board_is_refused(given: dict[str, object], words: str):
    with pytest.raises(ValueError, match=words.replace("(", r"\(")):
        Scoreboard(**{"lines": LINES, "words": NAMES, "families": FAMILIES, **given})  # type: ignore[arg-type]


def test_the_shipped_board_follows_its_controls(tmp_path):
    shipped = scoreboard.board()
    panel = scoreboard.panel(shipped, scoreboard.linked(tmp_path, everywhere=True))
    assert len(panel.shown(data=BIRDS)) == len(scoreboard.MEMBERS)
    axes = [metric for metric in WORDS if metric != "attention/foreground_lift"]
    moves = [{"x": x, "y": y, "data": BIRDS} for x in (RATE, MEMORY, SECONDS, "edit/score") for y in axes if x != y]
    assert p95(panel, lambda i: moves[i % len(moves)]) < PICTURES_S
    assert board.UNTRAINED in scoreboard.MEMBERS


def test_the_static_sheet_shows_costs_and_other_pictures(panel: Scoreboard):
    assert [*panel.states] == [{}, {"x": "cost/mb"}, {"data": "signs"}]
    assert panel.contact_sheet().width > 1000
