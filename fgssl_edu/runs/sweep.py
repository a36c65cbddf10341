"""Many runs from one file: rows, a grid and seeds, all of them checked before the first one starts.

A sweep file is TOML: `title`, `source`, `lesson`, `seeds`, `[parameters]` for all runs, `[grid]` of lists whose every
combination is run, and `[[runs]]`, rows with a `name` and parameters of their own. Rows, grid and seeds are crossed.
"""

from __future__ import annotations

import hashlib
import itertools
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from fgssl_edu import config, paths
from fgssl_edu.runs import notebook, parameters
from fgssl_edu.runs.cluster import SLURM

KEYS = {"title": str, "source": str, "lesson": str, "seeds": (int, list), "parameters": dict, "grid": dict}
KEYS |= {"runs": list, "cluster": dict}
OF_A_ROW = ("name", "lesson")  # what stands in a row beside parameters
WORDS = {str: "text", int: "a whole number", list: "a list", dict: "a table", (int, list): "a number or a list"}


@dataclass(frozen=True)
class Run:
    """One run of a sweep, checked and not yet started."""

    name: str
    seed: int
    plan: notebook.Plan

    @property
    def folder(self) -> Path:
        return self.plan.folder

    @property
    def state(self) -> str:
        """`complete`, `partial` (stopped, failed, or made by other code, data or notebook), or `new`."""
        if notebook.complete(self.plan) is not None:
            return "complete"
        return "partial" if self.folder.is_dir() else "new"


@dataclass(frozen=True)
class Sweep:
    """A sweep file, read and planned.

    Attributes:
        title: for the reader.
        source: what it reproduces, "" for nothing.
        runs: in the order in which they are started.
        cluster: options of Slurm jobs.
        folder: where summary and report go, its own for these runs.
    """

    title: str
    source: str
    runs: tuple[Run, ...]
    cluster: Mapping[str, Any]
    folder: Path


def provided() -> dict[str, Path]:
    """The sweeps that come with the package, by name."""
    folder = Path(str(resources.files("fgssl_edu"))) / "sweeps"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def load(place: str, over: Mapping[str, str], only: str = "") -> Sweep:
    """Read a sweep and plan all of its runs.

    Args:
        place: a file, or the name of a provided sweep.
        over: parameters that win over the file's, in every run.
        only: take the runs alone that have these words in their name.

    Raises:
        ValueError: every mistake in the file and every run that cannot be made, in one message.
    """
    path = located(place)
    table = read(path)
    table, rows = overridden(table, over)
    mistakes = [mistake for row in rows for mistake in clashes(table, row)]
    mistakes += ["it has no runs: seeds or a list of the grid is empty"] if not expanded(table, rows) else []
    if mistakes:
        raise ValueError("\n  ".join([f"{path}:", *mistakes]))
    runs = planned(path, table, rows)
    chosen = tuple(run for run in runs if only in run.name)
    if not chosen:
        raise ValueError(f"--only {only!r} leaves none of {len(runs)} runs; names are like {runs[0].name!r}")
    digest = hashlib.sha256("\n".join(str(run.folder) for run in chosen).encode()).hexdigest()[:8]
    folder = paths.runs_dir() / "sweeps" / f"{path.stem}-{digest}"
    return Sweep(table.get("title", path.stem), table.get("source", ""), chosen, table.get("cluster", {}), folder)


def located(place: str) -> Path:
    """The file of a sweep, or ValueError with what there is."""
    known = provided()
    if Path(place).is_file():
        return Path(place)
    if place not in known:
        hint = config.suggestion(place, list(known))
        raise ValueError(f"no sweep {place!r}{hint}: no such file, and provided are {', '.join(known) or 'none'}")
    return known[place]


def read(path: Path) -> dict[str, Any]:
    """The content of a sweep file, its shape checked.

    Raises:
        ValueError: it is no TOML; an unknown key or a wrong type, all of them at once.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no TOML: {error}") from None
    found = unlike(table, KEYS, "")
    if isinstance(table.get("cluster"), dict):
        found += unlike(table["cluster"], SLURM, "[cluster] ")
    if isinstance(table.get("grid"), dict):
        found += grid_mistakes(table["grid"])
    if isinstance(table.get("runs"), list):
        found += [f"row {i} should be a table" for i, row in enumerate(table["runs"], 1) if not isinstance(row, dict)]
    if type(seeds := table.get("seeds", 1)) in (int, list):
        found += seeds_mistakes(seeds)
    if found:
        raise ValueError("\n  ".join([f"{path}:", *found]))
    return table


def unlike(table: Mapping[str, Any], kinds: Mapping[str, Any], where: str) -> list[str]:
    """A sentence for each key that is not known or has another type."""
    found = [
        f"{where}{key!r} is unknown{config.suggestion(key, kinds)}; there are {', '.join(kinds)}"
        for key in table
        if key not in kinds
    ]
    return found + [
        f"{where}{key} should be {WORDS[kinds[key]]}, it is {value!r}"
        for key, value in table.items()
        if key in kinds and (type(value) is bool or not isinstance(value, kinds[key]))
    ]


def grid_mistakes(grid: Mapping[str, Any]) -> list[str]:
    """What is wrong with [grid]."""
    found = [f"[grid] {name} should be a list, it is {v!r}" for name, v in grid.items() if not isinstance(v, list)]
    lists = {name: values for name, values in grid.items() if isinstance(values, list)}
    twice = [name for name, values in lists.items() if any(value in values[:i] for i, value in enumerate(values))]
    return found + [f"[grid] {name} has a value twice: {grid[name]}" for name in twice]


def seeds_mistakes(seeds: int | list[Any]) -> list[str]:
    """What is wrong with `seeds`."""
    if isinstance(seeds, int):
        return [] if seeds > 0 else [f"seeds={seeds} should be how many there are, from 1, or a list of them"]
    whole = all(type(seed) is int and seed >= 0 for seed in seeds)
    if not whole or len(set(seeds)) < len(seeds):
        return [f"seeds={seeds} should be different whole numbers from 0"]
    return []


def overridden(table: dict[str, Any], over: Mapping[str, str]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The table and its rows, without what the command line replaces."""

    def left(some: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in some.items() if name not in over}

    given = {**left(table.get("parameters", {})), **{k: v for k, v in over.items() if k != "seed"}}
    table = {**table, "parameters": given, "grid": left(table.get("grid", {}))}
    if "seed" in over:
        seed = parameters.parse("seed", over["seed"])
        mistakes = seeds_mistakes([seed])
        if mistakes:
            raise ValueError(f"-p seed={over['seed']}: it should be one whole number from 0")
        table["seeds"] = [seed]
    return table, [left(row) for row in table.get("runs", [])] or [{}]


def clashes(table: Mapping[str, Any], row: Mapping[str, Any]) -> list[str]:
    """What contradicts itself in a row, or has a wrong type; a row is named by its name or by what it holds."""
    who = row_name(row)
    found = [
        f"{who}: {name} should be text, it is {row[name]!r}"
        for name in OF_A_ROW
        if not isinstance(row.get(name, ""), str)
    ]
    both = [name for name in table["grid"] if name in row or name in table["parameters"]]
    found += [f"{who}: {name} stands in [grid] and in {'the row' if name in row else '[parameters]'}" for name in both]
    if any("seed" in part for part in (row, table["grid"], table["parameters"])):
        found.append(f"{who}: seed is set by seeds = ..., and by nothing else")
    if not row.get("lesson", table.get("lesson")):
        found.append(f"{who}: no lesson; name one at the top (lesson = ...) or in the row")
    return found


def row_name(row: Mapping[str, Any]) -> str:
    """A row for a reader."""
    own = " ".join(f"{key}={value}" for key, value in row.items() if key not in OF_A_ROW)
    return str(row.get("name") or own or "all runs")


def expanded(
    table: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]
) -> list[tuple[str, str, int, dict[str, object]]]:
    """Every run as (name, lesson, seed, parameters): row after row, in it the grid, in that the seeds."""
    grid, seeds = table["grid"], table.get("seeds", 1)
    combinations = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    found = []
    for row, cell, seed in itertools.product(rows, combinations, range(seeds) if isinstance(seeds, int) else seeds):
        own = {key: value for key, value in row.items() if key not in OF_A_ROW}
        lesson = row.get("lesson", table.get("lesson"))
        words = [row_name(row) if row else str(lesson), *(f"{key}={value}" for key, value in cell.items())]
        found.append((" ".join([*words, f"seed {seed}"]), lesson, seed, {**table["parameters"], **own, **cell}))
    return found


def planned(path: Path, table: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[Run]:
    """Plan every run.

    Raises:
        ValueError: what cannot be run, and which runs are one and the same; a mistake of several runs is told once.
    """
    runs: list[Run] = []
    mistakes: dict[str, list[str]] = {}
    first: dict[Path, str] = {}
    for name, lesson, seed, given in expanded(table, rows):
        try:
            plan = notebook.plan(lesson, {**given, "seed": seed})
        except ValueError as error:
            mistakes.setdefault(str(error), []).append(name)
            continue
        if plan.folder in first:
            mistakes.setdefault(f"the same run as {first[plan.folder]!r}: the settings are equal", []).append(name)
        first.setdefault(plan.folder, name)
        runs.append(Run(name, seed, plan))
    if mistakes:
        told = [f"{several(names)}: {mistake}" for mistake, names in mistakes.items()]
        raise ValueError("\n  ".join([f"{path}: nothing was started", *told]))
    return runs


def several(names: Sequence[str]) -> str:
    """Names of runs, the first two of many."""
    return ", ".join(names) if len(names) < 4 else f"{names[0]}, {names[1]} and {len(names) - 2} more"
