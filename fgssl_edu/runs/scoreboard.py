"""Where the lines of the board come from: shipped records, the reader's own runs of `scoreboard`, the run at hand."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fgssl_edu import config, paths, records
from fgssl_edu.evaluate.statistics import Score
from fgssl_edu.figures.values import Triple
from fgssl_edu.panels.scoreboard import Line, Scoreboard
from fgssl_edu.runs import report, tables
from fgssl_edu.runs.arm_tables import ARMS
from fgssl_edu.runs.arm_tables.scoreboard import FAMILIES, MEMBERS, SLUG
from fgssl_edu.runs.arms import arm_settings
from fgssl_edu.runs.board import BIRDS, UNTRAINED, WORDS, Board, Entry, costs
from fgssl_edu.runs.named_data import FOLDER
from fgssl_edu.runs.parameters import changed

# Records `scoreboard--NAME.json` of all arms on photographs, where they are shipped
PHOTOGRAPHS = {"birds": "CUB birds, 40 species", "flowers": "Flowers-17, 12 kinds", "signs": "GTSRB signs, 43 kinds"}
PICTURES = ("image_size", "train_images", "test_images", "background", "pose", "correlation", "species")


def board(places: Sequence[Path] = (), besides: Sequence[Path] = ()) -> Board:
    """The shipped lines, and those of the reader's own runs below some folders.

    Args:
        places: folders; those that are not there hold nothing.
        besides: folders of runs to leave out.
    """
    entries = [*shipped_birds(), *(entry for name in PHOTOGRAPHS for entry in shipped_photographs(name))]
    return Board(tuple(entries)).plus(own([place for place in places if place.is_dir()], besides))


def shipped_birds() -> list[Entry]:
    """The lessons' own records on rendered birds: the arm that stands for each method."""
    return [_shipped(name, member.record, BIRDS) for name, member in MEMBERS.items()]


def shipped_photographs(name: str) -> list[Entry]:
    """The record of all methods on a set of photographs; nothing if it is not shipped."""
    record = f"{SLUG}--{name}"
    if not (resources.files("fgssl_edu") / "reference" / f"{record}.json").is_file():
        return []
    arms = dict.fromkeys(run["arm"] for run in _record(record)["runs"])
    return [_shipped(arm, record, PHOTOGRAPHS[name]) for arm in MEMBERS if arm in arms]


@cache
def _record(name: str) -> dict[str, Any]:
    return records.load_reference(name)


def _shipped(name: str, source: str, data: str) -> Entry:
    record, arm = _record(source), ARMS[SLUG][name]
    runs = [run for run in record["runs"] if run["arm"] == name]
    lecture = config.resolve(SLUG, {"scale": "lecture"}, {}).settings
    settings = {**vars(arm_settings(arm, lecture, 0)), "dataset": record["settings"]["dataset"]}
    metrics, seeds = tuple(run["metrics"] for run in runs), tuple(run["seed"] for run in runs)
    return Entry(name, data, tables.title(record, name), source, settings, record["protocol"], metrics, seeds)


def own(places: Sequence[Path], besides: Sequence[Path] = ()) -> list[Entry]:
    """The reader's complete runs of the scoreboard: those that differ in nothing but the seed are one line."""
    if not places:
        return []
    left_out = {place.resolve() for place in besides}
    runs = [run for run in report.found_runs(places)[0] if run.folder.resolve() not in left_out]
    known = [r for r in runs if r.record["lesson"] == SLUG and r.record["settings"]["method"] in MEMBERS]
    lines, _ = report.lines_of(known)
    found = []
    for line in lines:
        pages = tuple(run.page for run in line.runs)
        seeds = tuple(run.seed for run in line.runs)
        found += entries_of(line.runs[0].record["settings"], [run.record["metrics"] for run in line.runs], seeds, pages)
    return found


def live(settings: config.Settings, scores: Mapping[str, Score | float]) -> list[Entry]:
    """The run at hand as lines of the board: its method, and the untrained encoder where that was scored too.

    Args:
        settings: of the run.
        scores: as the run's record will have them; see `recorded`.
    """
    metrics = {name: records.measured(value) for name, value in scores.items()}
    return entries_of(vars(settings), [metrics], (settings.seed,), ())


def recorded(scores: Mapping[str, Score], untrained: Mapping[str, Score]) -> dict[str, Score]:
    """What a run of the scoreboard records: the trained encoder's scores and, by other names, the untrained's."""
    return {**scores, **{f"{UNTRAINED}/{metric}": score for metric, score in untrained.items()}}


def entries_of(
    settings: Mapping[str, Any],
    metrics: Sequence[Mapping[str, Any]],
    seeds: tuple[int, ...],
    pages: tuple[Path, ...],
) -> list[Entry]:
    """The lines of own runs of one setting: {metric: value, low, high, protocol} of each seed."""
    name, data = settings["method"], pictures(settings)
    title = f"{ARMS[SLUG][name].title}, own run{departures(settings)}"
    found = [_entry(name, data, title, settings, metrics, seeds, pages)]
    prefix = f"{UNTRAINED}/"
    base = [{key.removeprefix(prefix): each[key] for key in each if key.startswith(prefix)} for each in metrics]
    if all(base):
        found.append(_entry(UNTRAINED, data, f"{ARMS[SLUG][UNTRAINED].title}, own run", settings, base, seeds, pages))
    return found


def _entry(
    name: str,
    data: str,
    title: str,
    settings: Mapping[str, Any],
    metrics: Sequence[Mapping[str, Any]],
    seeds: tuple[int, ...],
    pages: tuple[Path, ...],
) -> Entry:
    values = tuple({key: each[key]["value"] for key in each if each[key]["value"] is not None} for each in metrics)
    protocol = {key: found["protocol"] for key, found in metrics[0].items() if "protocol" in found}
    ends = {key: triple(metrics[0][key]) for key in values[0]} if len(metrics) == 1 else {}
    return Entry(name, data, title, "", settings, protocol, values, seeds, ends, pages)


def triple(measured: Mapping[str, Any]) -> Triple:
    """A recorded number with its interval between test images, NaN where it has none."""
    low, high = (math.nan if measured.get(end) is None else float(measured[end]) for end in ("low", "high"))
    return float(measured["value"]), low, high


def pictures(settings: Mapping[str, Any]) -> str:
    """The data of a run in words: what differs from the shipped records' birds, or a folder's name and size."""
    shipped = vars(config.resolve(SLUG, {"scale": "lecture"}, {}).settings)
    if settings["dataset"] != "birds":
        return f"{settings['dataset'].removeprefix(FOLDER)}, {settings['image_size']} px"
    unlike = [name for name in PICTURES if settings[name] != shipped[name]]
    count = (
        [f"{settings['train_images']:,} + {settings['test_images']:,}"]
        if {"train_images", "test_images"} & {*unlike}
        else []
    )
    side = [f"{settings['image_size']} px"] if "image_size" in unlike else []
    others = [f"{name} {settings[name]}" for name in unlike if not name.endswith(("_images", "_size"))]
    words = ", ".join([*count, *side, *others])
    return f"{BIRDS} ({words})" if words else BIRDS


def departures(settings: Mapping[str, Any]) -> str:
    """In words, what a run was given beside its method, its pictures and its seed."""
    wanted = {"scale": settings["scale"], "method": settings["method"]}
    usual = vars(config.resolve(SLUG, wanted, {}, of_arm=partial(changed, SLUG)).settings)
    beside = {*PICTURES, *report.NO_PART_OF_A_LINE, "dataset"}
    given = {name: value for name, value in settings.items() if name not in beside and usual.get(name, value) != value}
    return "".join(f", {name} {value}" for name, value in given.items())


def panel(board: Board, link: Callable[[Path], str], **begin: str) -> Scoreboard:
    """The board as a panel.

    Args:
        board: what is shown.
        link: a file -> where it lies for the reader; see `linked`.
        begin: x, y, method of `panels.scoreboard.Scoreboard`.
    """
    lines = [panel_line(board, entry, link) for entry in board.entries]
    pairs = [(data, metric) for data in board.data for metric in WORDS]
    unlike = {pair: found for pair in pairs if (found := board.unlike(*pair))[1]}
    return Scoreboard(lines, WORDS, FAMILIES, unlike, **begin)


def panel_line(board: Board, entry: Entry, link: Callable[[Path], str]) -> Line:
    """One line of the board, with its card."""
    numbers = {metric: found for metric in WORDS if (found := entry.number(metric)) is not None}
    taught = entry.member.taught or entry.member.lesson
    files = {f"lesson {taught}": next(paths.notebooks_dir().glob(f"[0-9][0-9]_{taught}.ipynb"))}
    if entry.own:
        files |= {
            f"run of seed {seed}": page for seed, page in zip(entry.seeds, entry.pages, strict=False)
        }  # live: none
    else:
        files[f"record {entry.source}"] = paths.PACKAGE / "reference" / f"{entry.source}.json"
    links = [(words if link(file) else f"{words} ({shown(file)})", link(file)) for words, file in files.items()]
    runs = {f"seed {seed}": run for seed, run in zip(entry.seeds, entry.runs, strict=True)}
    above = entry.name == UNTRAINED or board.above(entry, "species/linear")
    family = entry.member.family
    return Line(entry.label, entry.title, family, entry.data, numbers, above, facts(entry), links, runs, entry.own)


def facts(entry: Entry) -> list[str]:
    """The card of a line: training, seeds, protocol, cost."""
    s, cost = entry.settings, costs().get(entry.name)
    trained = [] if entry.name == UNTRAINED else [f"{s['steps']:,} steps of {s['batch']} images, views {s['views']}"]
    probe = entry.protocol.get("species/linear", {})
    scored = f"scored at {s['eval_size']} px on {s['test_images'] if s['dataset'] == 'birds' else 'all'} test pictures"
    known = [f"{name} {probe[name]}" for name in ("probe", "standardised") if name in probe]
    spread = (
        "interval: between seeds"
        if len(entry.runs) > 1
        else "interval: between test images"
        if entry.images
        else "no interval: one seed"
    )
    price = [f"{cost[0]:,.0f} images a CPU second, {cost[1]:.0f} MB a step"] if cost else []
    made = [f"record {entry.source}"] if entry.source else ["your own run"]
    return [
        f"encoder {s['encoder']}, {s['init']} start",
        *trained,
        scored,
        *known,
        f"{len(entry.runs)} seed(s); {spread}",
        *price,
        *made,
    ]


def shown(file: Path) -> str:
    """A file's path for a reader who cannot click it, of the package's own from the package on."""
    home = paths.PACKAGE.parent
    return str(file.relative_to(home) if file.is_relative_to(home) else file)


def linked(base: Path, everywhere: bool) -> Callable[[Path], str]:
    """How a page in a folder links to a file: by the way from the one to the other.

    Args:
        base: the folder of the page.
        everywhere: whether the reader's browser reads files; a Jupyter server gives out nothing above its folder, and a
            file there has no link ("").
    """

    def link(file: Path) -> str:
        if (base / file.name).is_file():  # an installed course is a copy
            return quote(file.name)
        way = os.path.relpath(file.resolve(), base.resolve()).replace("\\", "/")
        return quote(way) if everywhere or not way.startswith("..") else ""

    return link
