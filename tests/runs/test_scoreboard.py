"""The board: its arms are those of the methods' own lessons, its lines those of records and of the reader's runs."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest
import torch

from fgssl_edu import config, lesson, records
from fgssl_edu.evaluate.statistics import Score
from fgssl_edu.figures.style import PALETTE
from fgssl_edu.runs import arms, experiment, parameters, scoreboard
from fgssl_edu.runs.arm_tables.scoreboard import FAMILIES, MEMBERS, SLUG
from fgssl_edu.runs.board import BIRDS, MEMORY, RATE, SECONDS, UNTRAINED, WORDS, Board, Entry, costs

BESIDE = ("method", "mask_ratio")  # SimMIM hands its own ratio to the method, whatever the settings say
PROBE, KNN = "species/linear", "species/knn"


def unlike(one: config.Settings, other: config.Settings) -> dict[str, tuple[object, object]]:
    pairs = {name: (value, vars(other)[name]) for name, value in vars(one).items()}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1] and name not in BESIDE}


# --- arms


@pytest.mark.parametrize("name", list(MEMBERS))
def test_an_arm_of_the_board_is_trained_as_in_the_record_that_stands_for_it(name: str):
    record, own = arms.at_home(SLUG, name)
    shipped = config.Settings(**records.load_reference(record)["settings"])
    board = config.resolve(SLUG, {"scale": "lecture"}, {}).settings
    ours = arms.ARMS[SLUG][name]
    assert unlike(arms.arm_settings(ours, board, 1), arms.arm_settings(own, shipped, 1)) == {}
    assert dataclasses.replace(ours, tuned={}, longer=1.0) == dataclasses.replace(own, tuned={}, longer=1.0)
    if own.method is not None:
        given = {"scale": "lecture", "method": name, "seed": 1}
        assert unlike(parameters.settle(SLUG, given)[0].settings, arms.arm_settings(own, shipped, 1)) == {}


@pytest.mark.parametrize("name", [name for name in MEMBERS if name != UNTRAINED])
def test_at_full_scale_a_method_has_the_settings_of_its_own_lesson(name: str):
    home = MEMBERS[name].lesson
    ours, theirs = (parameters.settle(slug, {"scale": "full", "method": name})[0].settings for slug in (SLUG, home))
    assert unlike(ours, theirs) == {}


@pytest.mark.parametrize("name", ["byol", "mae"])
def test_it_ends_in_the_same_bits(name: str):
    record, own = arms.at_home(SLUG, name)
    small = {"train_images": 96, "test_images": 48, "steps": 3, "warmup": 1, "batch": 16}
    board = config.resolve(SLUG, {"scale": "lecture"}, {}).settings
    home = config.resolve(MEMBERS[name].lesson, {"scale": "lecture"}, {}).settings
    states = []
    for arm, settings in ((arms.ARMS[SLUG][name], board), (own, home)):
        settings = dataclasses.replace(arms.arm_settings(arm, settings, 2), **small)
        states.append(experiment.train_arm(arm, settings, arms.load(settings).train)[0].state_dict())
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())


def test_an_arm_s_share_of_compute_buys_its_steps_unless_they_are_given_or_the_scale_is_full():
    def steps(**given: object) -> int:
        return parameters.settle("dino", {"method": "dino_vit", **given})[0].settings.steps

    assert steps(scale="lecture") == 125  # of 620 that DINO's small network has
    assert steps(scale="ci") == round(12 * 125 / 620)
    assert steps(scale="lecture", steps=77) == 77
    assert steps(scale="full") == parameters.settle("dino", {"scale": "full"})[0].settings.steps
    resolved = parameters.settle(SLUG, {"scale": "lecture", "method": "simmim"})[0]
    assert (resolved.settings.steps, resolved.sources["steps"]) == (100, "arm simmim")


@pytest.mark.parametrize("name", ["byol", "mae", "moco"])
def test_a_live_run_is_laid_into_the_band_of_its_own_lesson_s_record(name: str):
    run = lesson.start({"scale": "lecture", "method": name}, SLUG)
    band = run.band(name)
    assert band is not None and band["step"][-1] == run.settings.steps
    assert lesson.start({"scale": "lecture", "method": name, "lr": 0.01}, SLUG).band(name) is None


def test_every_family_has_a_colour_and_a_member():
    assert {member.family for member in MEMBERS.values()} == set(FAMILIES) and len(FAMILIES) <= len(PALETTE)
    assert len({member.label for member in MEMBERS.values()}) == len(MEMBERS)


# --- shipped lines


def test_every_method_is_on_the_board_of_rendered_birds_under_one_protocol():
    board = Board(tuple(scoreboard.shipped_birds()))
    assert [entry.name for entry in board.on(BIRDS)] == list(MEMBERS)
    for entry in board.entries:
        assert len(entry.runs) >= 3
        for metric in (PROBE, KNN, "genus/linear", "edit/score", "attention/discriminative_lift"):
            value, low, high = entry.number(metric)
            assert low < value < high
    for metric in (PROBE, KNN, "genus/linear", "edit/score"):
        assert board.unlike(BIRDS, metric) == ("", ())
    words, apart = board.unlike(BIRDS, "attention/discriminative_lift")
    assert "vit_mini" in words and set(apart) == {"MAE", "SimMIM"}  # maps of tokens


def test_costs_are_the_bench_s_and_alike_by_the_records_clocks():
    board = Board(tuple(scoreboard.shipped_birds()))
    assert set(costs()) == set(MEMBERS) - {UNTRAINED}
    for entry in board.entries:
        if entry.name != UNTRAINED:
            assert (entry.number(RATE)[0], entry.number(MEMORY)[0]) == costs()[entry.name]
            assert entry.name == "supervised" or 30 < entry.number(SECONDS)[0] < 45  # of 400 SimCLR steps: 37
    assert board.method(UNTRAINED).number(RATE) is None


def test_what_the_lesson_says_of_its_record_holds():
    board = Board(tuple(scoreboard.shipped_birds()))
    methods = [entry for entry in board.entries if entry.member.family != "baselines"]
    base = board.method(UNTRAINED).number("edit/score")[0]
    above = {entry.name for entry in methods if entry.number("edit/score")[0] > base}
    assert above == {"rotation", "context", "jigsaw"}
    views = ("contrastive", "no negatives", "clusters, teachers")
    assert all(e.number("edit/score")[0] < base / 4 for e in methods if e.member.family in views)


@pytest.mark.parametrize("name", list(scoreboard.PHOTOGRAPHS))
def test_photographs_are_on_the_board_where_their_record_is_shipped(name: str):
    entries = scoreboard.shipped_photographs(name)
    data = scoreboard.PHOTOGRAPHS[name]
    assert ({entry.data for entry in entries} == {data}) if entries else data not in scoreboard.board().data
    for entry in entries:
        assert entry.number(PROBE) is not None and entry.settings["dataset"].startswith("folder:")


def test_a_record_of_some_arms_gives_their_lines(monkeypatch: pytest.MonkeyPatch):
    runs = [{"arm": "mae", "title": "MAE", "seed": 0, "metrics": {PROBE: 0.2}}]
    record = {"settings": {"dataset": "folder:photographs/birds"}, "protocol": {}, "runs": runs}
    monkeypatch.setattr(scoreboard, "_record", lambda name: record)
    entry = scoreboard._shipped("mae", "scoreboard--birds", "birds")
    assert entry.settings["encoder"] == "vit_mini" and entry.settings["steps"] == 320
    assert entry.values(PROBE) == [0.2] and math.isnan(entry.number(PROBE)[1])


# --- a board of made-up lines


def line(name: str, values: dict[str, list[float]], data: str = "x", source: str = "made", **more: object) -> Entry:
    count = len(next(iter(values.values())))
    runs = tuple({metric: numbers[i] for metric, numbers in values.items()} for i in range(count))
    settings = {"encoder": "resnet10", "steps": 10, "batch": 8}
    protocol = {metric: {"k": 20, "seed": 0, **more} for metric in values}
    return Entry(name, data, name, source, settings, protocol, runs, tuple(range(count)))


TOY = Board(
    (
        line(UNTRAINED, {PROBE: [0.10, 0.12, 0.11]}),
        line("simclr", {PROBE: [0.30, 0.33, 0.31], KNN: [0.2, 0.2, 0.2]}),
        line("byol", {PROBE: [0.05, 0.30, 0.12]}),
        line("mae", {PROBE: [0.4]}, k=5),
        line("mae", {PROBE: [0.9]}, data="y"),
    )
)


def test_a_gain_is_paired_by_seed():
    gain = TOY.gain(TOY.method("simclr", "x"), PROBE)
    assert gain == pytest.approx(records.paired_difference([0.30, 0.33, 0.31], [0.10, 0.12, 0.11]))
    assert TOY.gain(TOY.method("byol", "x"), PROBE, base="simclr")[0] == pytest.approx(-0.15666667)
    assert TOY.gain(TOY.method("simclr", "x"), KNN) is None  # nobody scored the untrained encoder by it
    assert TOY.gain(TOY.method("mae", "y"), PROBE) is None


def test_own_runs_do_not_change_what_shipped_lines_are_compared_with():
    own = line("simclr", {PROBE: [0.9]}, source="")
    board = TOY.plus([own])
    gain = board.gain(board.method("byol", "x"), PROBE, base="simclr")
    assert gain == TOY.gain(TOY.method("byol", "x"), PROBE, base="simclr")
    assert board.gain(board.entries[-1], PROBE)[0] == pytest.approx(0.8)  # of one pair, seed 0


def test_an_own_run_is_held_against_the_untrained_encoder_of_its_kind():
    other = {"settings": {"encoder": "vit_mini", "steps": 10, "batch": 8}}
    own = [line(name, {PROBE: [value]}, source="") for name, value in (("mae", 0.5), (UNTRAINED, 0.08))]
    board = TOY.plus([dataclasses.replace(each, **other) for each in own])
    assert board.gain(board.entries[-2], PROBE)[0] == pytest.approx(0.42)
    assert board.gain(board.method("mae", "x"), PROBE)[0] == pytest.approx(0.3)  # shipped: as before


def test_above_needs_an_interval_above_0_or_of_one_pair_the_difference():
    told = {entry.name: TOY.above(entry, PROBE) for entry in TOY.on("x")}
    assert told == {UNTRAINED: False, "simclr": True, "byol": False, "mae": True}


def test_unlike_protocols_are_told_with_whose_they_are():
    assert TOY.unlike("x", PROBE) == ("k 20 or 5", ("MAE",))
    assert TOY.unlike("y", PROBE) == ("", ()) and TOY.unlike("x", "edit/score") == ("", ())


def test_rows_have_the_best_first_and_no_number_that_nobody_measured():
    rows = TOY.rows("x", [PROBE, KNN])
    assert [row["method"] for row in rows] == ["mae", "simclr", "byol", UNTRAINED]
    assert rows[0][WORDS[KNN]] is None and rows[1][WORDS[KNN]][0] == pytest.approx(0.2)


def test_what_is_not_on_the_board_is_refused_with_what_is():
    with pytest.raises(ValueError, match="the board has x, y"):
        TOY.on("z")
    with pytest.raises(ValueError, match="'simclr' is not on the board of y, which has mae"):
        TOY.method("simclr", "y")


def test_further_lines_are_told_apart_and_one_untrained_encoder_is_enough():
    own = [line("simclr", {PROBE: [0.3]}, source=""), line("simclr", {PROBE: [0.4]}, source="")]
    more = [line(UNTRAINED, {PROBE: [0.1]}, data=data, source="") for data in ("x", "y", "y")]
    board = TOY.plus([*own, *more])
    assert [entry.label for entry in board.entries if entry.own] == ["SimCLR, own", "SimCLR, own 2", "untrained, own"]
    assert board.entries[-1].data == "y"


# --- own runs


def ran(folder: Path, method: str = "simclr", probe: float = 0.3, slug: str = SLUG, **given: object) -> Path:
    resolved = parameters.settle(slug, {"scale": "lecture", "method": method, **given})[0]
    measured = {"low": None, "high": None, "protocol": {"k": 20}}
    metrics = {PROBE: {"value": probe, **measured}, f"{UNTRAINED}/{PROBE}": {"value": 0.1, **measured}}
    metrics["geometry/rank"] = {"value": None}
    record = {"lesson": slug, "settings": vars(resolved.settings), "sources": resolved.sources, "metrics": metrics}
    records.write_record(folder, {**record, "seconds": 60.0, "environment": {}, "page": "page.html"})
    return folder


def test_own_runs_join_the_board_and_seeds_are_one_line(tmp_path: Path):
    for seed in range(3):
        ran(tmp_path / f"a{seed}", probe=0.3 + 0.01 * seed, seed=seed)
    ran(tmp_path / "b", method="byol", steps=900)
    ran(tmp_path / "c", slug="contrast")
    entries = {entry.title: entry for entry in scoreboard.own([tmp_path])}
    assert set(entries) == {"SimCLR, own run", "BYOL, own run, steps 900", "untrained, own run"}
    simclr = entries["SimCLR, own run"]
    assert simclr.own and simclr.data == BIRDS and simclr.seeds == (0, 1, 2)
    assert simclr.number(PROBE) == pytest.approx(records.interval([0.3, 0.31, 0.32]))
    assert [page.name for page in simclr.pages] == ["page.html"] * 3
    assert "geometry/rank" not in simclr.runs[0]
    board = scoreboard.board([tmp_path], besides=[tmp_path / "b"])
    assert [entry.label for entry in board.on(BIRDS) if entry.own] == ["SimCLR, own"]  # the untrained is there already


def test_own_pictures_are_another_data_set_and_are_named(tmp_path: Path):
    ran(tmp_path / "a", train_images=480, image_size=48)
    ran(tmp_path / "b", background=0.5)
    photographs = tmp_path / "mine"
    photographs.mkdir()
    names = {entry.data for entry in scoreboard.own([tmp_path])}
    assert names == {f"{BIRDS} (480 + 960, 48 px)", f"{BIRDS} (background 0.5)"}
    settings = {**vars(config.resolve(SLUG, {"scale": "lecture"}, {}).settings), "dataset": f"folder:{photographs}"}
    assert scoreboard.pictures(settings) == f"{photographs}, 64 px"


def test_folders_that_are_not_there_hold_no_runs(tmp_path: Path):
    assert scoreboard.board([tmp_path / "none"]).entries == scoreboard.board().entries


def test_the_run_at_hand_is_a_line_with_its_interval_between_images():
    settings = config.resolve(SLUG, {"scale": "lecture"}, {}).settings
    score = Score.of(torch.tensor([1.0, 0, 0, 1, 1, 0, 1, 1]), {"k": 20})
    both = scoreboard.recorded({PROBE: score}, {PROBE: Score(0.1)})
    first, untrained = scoreboard.live(settings, both)
    assert first.data == BIRDS and first.number(PROBE) == (0.625, *score.interval())
    assert (untrained.name, untrained.number(PROBE)[0]) == (UNTRAINED, 0.1)
    at_ci = config.resolve(SLUG, {"scale": "ci"}, {}).settings
    assert scoreboard.live(at_ci, both)[0].data == f"{BIRDS} (240 + 96, 48 px)"


# --- the panel's lines


def test_links_lead_to_the_lesson_and_to_the_run_or_its_record(tmp_path: Path):
    ran(tmp_path / "runs" / "a", method="byol")
    board = scoreboard.board([tmp_path / "runs"])
    link = scoreboard.linked(tmp_path, everywhere=True)
    lines = [scoreboard.panel_line(board, entry, link) for entry in board.entries]
    for each in lines:
        (lesson_words, lesson_page), *others = each.links
        assert lesson_words.startswith("lesson ") and (tmp_path / lesson_page).resolve().suffix == ".ipynb"
        assert all((tmp_path / to).resolve().is_file() for _, to in each.links if not to.endswith("page.html"))
        assert len(others) == 1
    byol = next(each for each in lines if each.own)
    assert byol.links[1] == ("run of seed 0", "runs/a/page.html")
    assert next(each for each in lines if each.label == "SimCLR").links[0][0] == "lesson contrast"


def test_a_server_links_to_nothing_above_its_folder(tmp_path: Path):
    link = scoreboard.linked(tmp_path / "course", everywhere=False)
    assert link(tmp_path / "course" / "a b.html") == "a%20b.html"
    assert link(tmp_path / "runs" / "page.html") == ""
    (tmp_path / "course").mkdir()
    (tmp_path / "course" / "06_contrast.ipynb").touch()
    assert link(tmp_path / "elsewhere" / "06_contrast.ipynb") == "06_contrast.ipynb"
    line = scoreboard.panel_line(scoreboard.board(), scoreboard.board().method("mae"), link)
    assert ("record masked (fgssl_edu/reference/masked.json)", "") in line.links


def test_the_card_says_what_stands_behind_a_point():
    board = scoreboard.board()
    words = " ".join(scoreboard.facts(board.method("byol")))
    assert "550 steps of 64 images" in words and "5 seed(s)" in words and "record no-negatives" in words
    assert "steps" not in " ".join(scoreboard.facts(board.method(UNTRAINED)))
