"""The board: every method of the course on one line a data set, with its scores, its protocol and its cost.

Pictures of unlike data never share a figure; what was not measured alike on all lines of a data set says so
(`Board.unlike`). Where lines come from is `runs.scoreboard`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from fgssl_edu import records
from fgssl_edu.evaluate.statistics import FREE
from fgssl_edu.figures.values import Triple
from fgssl_edu.runs import report, tables
from fgssl_edu.runs.arm_tables import ARMS
from fgssl_edu.runs.arm_tables.scoreboard import MEMBERS, SLUG, Member

UNTRAINED = "random"
BIRDS = "rendered birds"
SECONDS, RATE, MEMORY = "cost/cpu_seconds", "cost/images_a_cpu_second", "cost/megabytes"
WORDS = {  # what an axis is called; metrics of `tables.HEADLINE` first
    **tables.HEADLINE,
    "attention/foreground_lift": "attention lift, whole object",
    SECONDS: "CPU seconds of training",
    RATE: "images a CPU second",
    MEMORY: "MB of a step",
}


@dataclass(frozen=True)
class Entry:
    """One method on one data set.

    Attributes:
        name: a key of `MEMBERS`.
        data: the data set's name for a reader; lines of one name may share a figure.
        title: the arm's, with what its settings have of their own.
        source: the shipped record's name, or "" for the reader's own runs.
        settings: of the arm.
        protocol: metric -> how it was measured.
        runs: metric -> value, one mapping a seed.
        seeds: of the runs.
        images: metric -> value with its interval between test images, of a single own run.
        pages: of own runs, what a click leads to.
        place: of own lines of one method on one data set, which differ in what they were given.
    """

    name: str
    data: str
    title: str
    source: str
    settings: Mapping[str, Any]
    protocol: Mapping[str, Mapping[str, Any]]
    runs: tuple[Mapping[str, float], ...]
    seeds: tuple[int, ...]
    images: Mapping[str, Triple] = field(default_factory=dict)
    pages: tuple[Path, ...] = ()
    place: int = 1

    @property
    def member(self) -> Member:
        """Label, family and lesson."""
        return MEMBERS[self.name]

    @property
    def own(self) -> bool:
        """Whether the reader ran it."""
        return not self.source

    @property
    def label(self) -> str:
        """Short, for a figure."""
        number = f" {self.place}" if self.place > 1 else ""
        return f"{self.member.label}, own{number}" if self.own else self.member.label

    def values(self, metric: str) -> list[float]:
        """One number a run that has it. Costs that no clock took are the bench's (`fgssl bench methods`)."""
        found = [run[metric] for run in self.runs if metric in run]
        cost = costs().get(self.name)
        if found or cost is None or metric not in (SECONDS, RATE, MEMORY):
            return found
        rate, size = cost
        return [{SECONDS: self.settings["steps"] * self.settings["batch"] / rate, RATE: rate, MEMORY: size}[metric]]

    def number(self, metric: str) -> Triple | None:
        """Mean with its 95 % interval over seeds, of a single own run between test images; None if nobody measured."""
        if metric in self.images:
            return self.images[metric]
        values = self.values(metric)
        return records.interval(values) if values else None


@dataclass(frozen=True)
class Board:
    """All lines; data sets in their order, the shipped first."""

    entries: tuple[Entry, ...]

    def plus(self, entries: Sequence[Entry]) -> Board:
        """The board with further lines. An untrained encoder is left out where the data set has the same."""
        found = list(self.entries)
        for entry in entries:
            same = [other for other in found if (other.name, other.data, other.own) == (entry.name, entry.data, True)]
            known = [e.settings["encoder"] for e in found if (e.name, e.data) == (UNTRAINED, entry.data)]
            if entry.name != UNTRAINED or entry.settings["encoder"] not in known:
                found.append(replace(entry, place=len(same) + 1))
        return Board(tuple(found))

    @property
    def data(self) -> list[str]:
        """Names of the data sets."""
        return list(dict.fromkeys(entry.data for entry in self.entries))

    def on(self, data: str) -> list[Entry]:
        """The lines of a data set.

        Raises:
            ValueError: nothing was run on it.
        """
        found = [entry for entry in self.entries if entry.data == data]
        if not found:
            raise ValueError(f"data={data!r}: the board has {', '.join(self.data)}")
        return found

    def method(self, name: str, data: str = BIRDS) -> Entry:
        """The first line of a method on a data set, so the shipped one where there is one."""
        for entry in self.on(data):
            if entry.name == name:
                return entry
        raise ValueError(f"method={name!r} is not on the board of {data}, which has {self._names(data)}")

    def _names(self, data: str) -> str:
        return ", ".join(dict.fromkeys(entry.name for entry in self.on(data)))

    def unlike(self, data: str, metric: str) -> tuple[str, tuple[str, ...]]:
        """How the protocols of a metric differ between the lines of a data set, and whose is not that of most.

        Returns:
            Words, and labels; nothing where all agree.
        """
        groups: dict[tuple[tuple[str, str], ...], list[str]] = {}
        for entry in self.on(data):
            if metric in entry.protocol:
                known = dict(entry.protocol[metric])
                if metric.startswith("attention/"):  # a record of several encoders does not tell its maps
                    known["map"] = f"of {entry.settings['encoder']}"
                key = tuple(sorted((k, str(v)) for k, v in known.items() if k not in FREE | {*report.OWN_TO_A_RUN}))
                groups.setdefault(key, []).append(entry.label)
        most = max(groups.values(), key=len, default=[])
        apart = tuple(label for labels in groups.values() if labels is not most for label in labels)
        return (report.unlike_in(list(groups)), apart) if apart else ("", ())

    def gain(self, entry: Entry, metric: str, base: str = UNTRAINED) -> Triple | None:
        """An entry less another method on the same data, paired by seed; None without such a pair.

        That is the first line of the method, for own runs the first with the same encoder where there is one; what is
        shipped is compared with what is shipped.
        """
        lines = [line for line in self.on(entry.data) if line.name == base and line.own <= entry.own]
        same = [line for line in lines if line.settings["encoder"] == entry.settings["encoder"]] if entry.own else []
        theirs = {seed: run for line in (same or lines)[:1] for seed, run in zip(line.seeds, line.runs, strict=True)}
        pairs = [
            (run[metric], theirs[seed][metric])
            for seed, run in zip(entry.seeds, entry.runs, strict=True)
            if seed in theirs and metric in run and metric in theirs[seed]
        ]
        return records.paired_difference([a for a, _ in pairs], [b for _, b in pairs]) if pairs else None

    def above(self, entry: Entry, metric: str) -> bool:
        """Whether training helped: the gain's interval is above 0, of a single pair of runs the gain itself."""
        gain = self.gain(entry, metric)
        return gain is not None and (gain[0] if math.isnan(gain[1]) else gain[1]) > 0

    def rows(self, data: str, metrics: Sequence[str], order: str = "species/linear") -> list[tables.Row]:
        """A table's rows, the best by a metric first."""
        listed = sorted(self.on(data), key=lambda entry: -(entry.number(order) or (-math.inf,))[0])
        found = []
        for entry in listed:
            row: tables.Row = {"method": entry.title, "family": entry.member.family, "seeds": str(len(entry.runs))}
            found.append({**row, **{WORDS[metric]: entry.number(metric) for metric in metrics}})
        return found


@cache
def costs() -> dict[str, tuple[float, float]]:
    """Images a CPU second and MB of a step, by method: the kept output of `fgssl bench methods --json`."""
    text = (resources.files("fgssl_edu") / "bench" / "methods.json").read_text(encoding="utf-8")
    table = json.loads(text)["tables"]["methods"]
    rates, sizes = table["images_per_second"], table["megabytes"]
    keys = {name: name if name in rates else str(ARMS[SLUG][name].method) for name in MEMBERS}
    return {name: (rates[key], sizes[key]) for name, key in keys.items() if key in rates}
