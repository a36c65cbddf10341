"""Many runs' records as one report: a table over seeds, paired differences, every run, and the papers' numbers apart.

`fgssl report DIR...` reads what `fgssl run` and papermill left behind. Runs that differ in nothing but the seed are one
line, named by the settings in which the report's lines differ. Intervals of several runs are between seeds (Student's
t), those of one run between test images (bootstrap); where a metric was measured under unlike protocols, it says so.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fgssl_edu import records
from fgssl_edu.figures.values import Triple, are_shares
from fgssl_edu.runs import tables
from fgssl_edu.runs.arm_tables.published import LIKE

NO_PART_OF_A_LINE = ("seed", "checkpoint_every", "accelerator", "devices", "nodes")  # they do not change the numbers
OWN_TO_A_RUN = ("seed", "chosen", "encoder", "stem")  # of a protocol: they may differ between comparable runs
IMPLIED = ("default", "scale", "lesson", "arm")  # sources of a setting that follows from lesson, method and scale
METRICS = ("species/knn", "species/linear", "genus/linear", "edit/score")


@dataclass(frozen=True)
class Run:
    """One complete run: where it lies, and its record."""

    folder: Path
    record: Mapping[str, Any]

    @property
    def seed(self) -> int:
        return int(self.record["settings"]["seed"])

    @property
    def page(self) -> Path:
        """What a number links to: the run's HTML, else its record."""
        return self.folder / self.record.get("page", records.RECORD)

    def value(self, metric: str) -> float | None:
        found = self.record["metrics"].get(metric)
        return None if found is None else found["value"]


@dataclass(frozen=True)
class Line:
    """Runs that differ in their seed alone, in its order.

    Attributes:
        name: lesson and the settings that tell this line from the report's others.
        runs: one a seed.
    """

    name: str
    runs: tuple[Run, ...]

    @property
    def lesson(self) -> str:
        return str(self.runs[0].record["lesson"])

    @property
    def seconds(self) -> float:
        """Mean seconds of a run."""
        return sum(run.record["seconds"] for run in self.runs) / len(self.runs)

    def number(self, metric: str) -> Triple | None:
        """Mean and 95 % interval: between seeds, of a single run between test images; None where nobody measured it."""
        values = [value for run in self.runs if (value := run.value(metric)) is not None]
        if len(values) == 1:
            only = next(run.record["metrics"][metric] for run in self.runs if run.value(metric) is not None)
            low, high = (math.nan if only.get(end) is None else float(only[end]) for end in ("low", "high"))
            return values[0], low, high
        return records.interval(values) if values else None


@dataclass(frozen=True)
class Report:
    """What was found below the given folders.

    Attributes:
        lines: as they were found, lesson by lesson.
        metrics: the columns, those that some line has.
        warnings: what a reader has to know before comparing.
    """

    lines: tuple[Line, ...]
    metrics: tuple[str, ...]
    warnings: tuple[str, ...]

    @cached_property
    def unlike(self) -> set[str]:
        """Metrics that were not measured alike on all lines."""
        return {metric for metric in self.metrics if len(protocols(self.lines, metric)) > 1}

    def line(self, words: str) -> Line:
        """The line of this name, or the only one with these words in its name.

        Raises:
            ValueError: there is none, or more than one.
        """
        found = [line for line in self.lines if line.name == words] or [x for x in self.lines if words in x.name]
        if len(found) != 1:
            names = "; ".join(line.name for line in found or self.lines)
            raise ValueError(f"base={words!r} names {len(found)} lines, it should name one of: {names}")
        return found[0]

    def differences(self, base: str) -> list[dict[str, Any]]:
        """Every other line less the base, points, paired by seed; a metric of unlike protocols has none."""
        against = self.line(base)
        theirs, rows = {run.seed: run for run in against.runs}, []
        for line in self.lines:
            if line is against:
                continue
            ours = [run for run in line.runs if run.seed in theirs]
            row: dict[str, Any] = {"instead": line.name, "seeds": len(ours)}
            for metric in self.metrics:
                pairs = [(run.value(metric), theirs[run.seed].value(metric)) for run in ours]
                known = [(100 * a, 100 * b) for a, b in pairs if a is not None and b is not None]
                if known and metric not in self.unlike:
                    row[metric] = records.paired_difference([a for a, _ in known], [b for _, b in known])
            rows.append(row)
        return rows


def collect(places: Sequence[Path], metrics: Sequence[str] = ()) -> Report:
    """Read every run below some folders.

    Args:
        places: folders, searched to any depth.
        metrics: the columns, names as records have them; the usual ones if empty.

    Raises:
        ValueError: a folder is not there, none holds a complete run, or no run has one of the metrics.
    """
    runs, warnings = found_runs(places)
    if not runs:
        raise ValueError("; ".join([f"no complete run below {', '.join(map(str, places))}", *warnings]))
    lines, twice = lines_of(runs)
    known = {metric for run in runs for metric in run.record["metrics"]}
    if missing := [metric for metric in metrics if metric not in known]:
        raise ValueError(f"no run has {', '.join(missing)}; they have {', '.join(sorted(known))}")
    shown = tuple(metrics) or tuple(metric for metric in METRICS if metric in known) or tuple(sorted(known))
    warnings += twice
    for metric in shown:
        if len(groups := protocols(lines, metric)) > 1:
            warnings.append(f"{tables.name(metric)} is not comparable: {unlike_in(list(groups))}")
    encoders = {run.record["settings"]["encoder"] for run in runs}
    warnings += [f"unlike encoders: {', '.join(sorted(encoders))}"] if len(encoders) > 1 else []
    codes = {str(run.record["environment"].get("code")) for run in runs}
    warnings += [f"made by {len(codes)} versions of the code: {', '.join(sorted(codes))}"] if len(codes) > 1 else []
    return Report(tuple(lines), shown, tuple(warnings))


def found_runs(places: Sequence[Path]) -> tuple[list[Run], list[str]]:
    """Complete runs, oldest first, and a line about each that is not."""
    runs, warnings = [], []
    for place in places:
        if not place.is_dir():
            raise ValueError(f"{place} is no folder; give the folders that runs were written to")
        ends = {file.parent for name in (records.RECORD, records.METRICS) for file in place.rglob(name)}
        for folder in sorted(ends):
            try:
                runs.append(Run(folder, records.read_record(folder)))
            except ValueError as error:
                warnings.append(str(error))
    return sorted(runs, key=lambda run: (run.folder / records.RECORD).stat().st_mtime), warnings


def lines_of(runs: Sequence[Run]) -> tuple[list[Line], list[str]]:
    """Runs as lines; of two runs of one line and seed the later counts, with a warning."""
    groups: dict[tuple[object, ...], dict[int, Run]] = {}
    warnings = []
    for run in runs:
        settings = {k: v for k, v in run.record["settings"].items() if k not in NO_PART_OF_A_LINE}
        line = groups.setdefault((run.record["lesson"], *sorted(settings.items())), {})
        if run.seed in line:
            warnings.append(f"{line[run.seed].folder} is left out: {run.folder} has the same settings and is later")
        line[run.seed] = run
    ordered = sorted(groups.items(), key=lambda item: str(item[0][0]))
    names = line_names([next(iter(line.values())) for _, line in ordered])
    return [
        Line(name, tuple(line[seed] for seed in sorted(line))) for name, (_, line) in zip(names, ordered, strict=True)
    ], warnings


def line_names(firsts: Sequence[Run]) -> list[str]:
    """Lesson, method, and the choices in which the lines of a lesson differ; all that differs if names were equal."""
    names = [line_name(run, firsts, every=False) for run in firsts]
    return [
        name if names.count(name) == 1 else line_name(run, firsts, every=True)
        for name, run in zip(names, firsts, strict=True)
    ]


def line_name(run: Run, firsts: Sequence[Run], every: bool) -> str:
    """One line's name; `every` setting that differs, or without those that follow from lesson, method and scale."""
    own, sources = run.record["settings"], run.record["sources"]
    others = [other.record["settings"] for other in firsts if other.record["lesson"] == run.record["lesson"]]
    telling = [
        f"{key}={value}"
        for key, value in own.items()
        if key not in (*NO_PART_OF_A_LINE, "method")
        and any(other.get(key) != value for other in others)
        and (every or key == "scale" or sources.get(key, "").split(" ")[0] not in IMPLIED)
    ]
    like = LIKE if run.record.get("unlike_paper") else ""
    return " ".join([f"{run.record['lesson']}: {own['method']}{like}", *telling])


def protocols(lines: Sequence[Line], metric: str) -> dict[tuple[tuple[str, str], ...], list[str]]:
    """The protocols under which a metric was measured, and the lines of each."""
    found: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for line in lines:
        for run in line.runs:
            protocol = (run.record["metrics"].get(metric) or {}).get("protocol")
            if protocol is not None:
                key = tuple(sorted((k, str(v)) for k, v in protocol.items() if k not in OWN_TO_A_RUN))
                found.setdefault(key, []).append(line.name)
    return found


def unlike_in(keys: Sequence[tuple[tuple[str, str], ...]]) -> str:
    """In words, what protocols differ in."""
    sides = [dict(key) for key in keys]
    names = sorted({name for side in sides for name in side if len({other.get(name) for other in sides}) > 1})
    return "; ".join(f"{name} {' or '.join(dict.fromkeys(side.get(name, '-') for side in sides))}" for name in names)


def as_csv(report: Report) -> str:
    """One row a line and metric, numbers as records have them, for other programs."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["line", "lesson", "metric", "runs", "mean", "low", "high", "comparable", "seconds", "folders"])
    for line in report.lines:
        for metric in report.metrics:
            if (number := line.number(metric)) is not None:
                folders = ";".join(str(run.folder) for run in line.runs)
                kind = "no" if metric in report.unlike else "yes"
                writer.writerow(
                    [line.name, line.lesson, metric, len(line.runs), *number, kind, round(line.seconds, 1), folders]
                )
    return text.getvalue()


def cell(metric: str, number: Triple) -> str:
    """A number with its interval, shares in percent."""
    factor, digits = (100.0, 1) if are_shares(metric, [number]) else (1.0, 3)
    value, low, high = (f"{factor * part:.{digits}f}" for part in number)
    return value if low == "nan" else f"{value} [{low} to {high}]"
