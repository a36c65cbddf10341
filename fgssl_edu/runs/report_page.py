"""A report's tables as HTML and Markdown, with a link behind every number, and its plots."""

from __future__ import annotations

import html
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote

from matplotlib.figure import Figure

from fgssl_edu import config, figures, paths
from fgssl_edu.runs import tables
from fgssl_edu.runs.report import Line, Report, as_csv, cell

Cell: TypeAlias = tuple[str, str]  # text, and what it links to ("" nothing)
MARK = "†"  # a metric that was not measured alike on all lines
NOTE = "95 % intervals: of several runs between seeds, of a single run between test images. Shares in percent."
STYLE = (
    "body{font:16px sans-serif;margin:2em;max-width:110em}table{border-collapse:collapse;margin:.5em 0 2em}"
    "th,td{padding:.3em .8em;text-align:right;border-bottom:1px solid #ccc}th:first-child,td:first-child"
    "{text-align:left}a{color:#0b5394}img{max-width:60em;display:block}.warning{color:#9c3b00}"
)


@dataclass(frozen=True)
class Part:
    """One table: its caption, the names of its columns, and rows of cells; `anchor` is where links to it lead."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    anchor: str = ""


def write(report: Report, folder: Path, base: str | None = None) -> Path:
    """Write report.html, report.md, report.csv and one plot a metric; returns the HTML's path."""
    folder.mkdir(parents=True, exist_ok=True)
    found = parts(report, base, lambda path: os.path.relpath(path, folder))
    plots = {}
    for metric in report.metrics:
        plots[metric] = folder / f"report-{metric.replace('/', '-')}.png"
        plot(report, metric).savefig(plots[metric])
    paths.atomic_write(folder / "report.csv", as_csv(report))
    paths.atomic_write(folder / "report.md", as_markdown(report, found, plots))
    return paths.atomic_write(folder / "report.html", as_html(report, found, plots))


def parts(report: Report, base: str | None, link: Callable[[Path], str]) -> list[Part]:
    """All tables of a report.

    Args:
        report: what was found.
        base: words of the line that the others are compared with; None: the first.
        link: a run's page -> where it lies for the reader of the report.
    """
    found = [overview(report, link)]
    if len(report.lines) > 1:
        found.append(compared(report, base or report.lines[0].name))
    found += [runs_of(line, place, report, link) for place, line in enumerate(report.lines)]
    lessons = dict.fromkeys(line.lesson for line in report.lines)
    return found + [published(lesson) for lesson in lessons if lesson in config.LESSONS]


def overview(report: Report, link: Callable[[Path], str]) -> Part:
    """One row a line; a mean links to its runs, the number of a single run to that run."""
    rows: list[list[Cell]] = []
    for place, line in enumerate(report.lines):
        target = address(link(line.runs[0].page)) if len(line.runs) == 1 else f"#line-{place}"
        numbers = [line.number(metric) for metric in report.metrics]
        cells = [("", "") if n is None else (cell(m, n), target) for m, n in zip(report.metrics, numbers, strict=True)]
        rows.append([(line.name, ""), (str(len(line.runs)), target), *cells, (f"{line.seconds:.0f}", target)])
    return Part("All runs, by settings", ["", "runs", *heads(report), "seconds a run"], rows)


def compared(report: Report, base: str) -> Part:
    """Differences from one line, paired by seed."""
    rows: list[list[Cell]] = []
    for row in report.differences(base):
        found = [row.get(metric) for metric in report.metrics]
        cells = ["" if each is None else f"{each[0]:+.1f}" for each in found]
        ends = ["" if each is None or each[1] != each[1] else f" [{each[1]:+.1f} to {each[2]:+.1f}]" for each in found]
        texts = [text + end for text, end in zip(cells, ends, strict=True)]
        rows.append([(row["instead"], ""), (str(row["seeds"]), ""), *((text, "") for text in texts)])
    name = report.line(base).name
    return Part(f"Difference from {name}, points, paired by seed", ["", "seeds in both", *heads(report)], rows)


def runs_of(line: Line, place: int, report: Report, link: Callable[[Path], str]) -> Part:
    """Every run of a line, each number linking to its page."""
    rows: list[list[Cell]] = []
    for run in line.runs:
        page = address(link(run.page))
        values = [run.value(metric) for metric in report.metrics]
        texts = [
            "" if v is None else cell(m, (v, float("nan"), float("nan")))
            for m, v in zip(report.metrics, values, strict=True)
        ]
        seconds = f"{run.record['seconds']:.0f}"
        rows.append([(f"seed {run.seed}", page), *((text, page if text else "") for text in texts), (seconds, page)])
    return Part(line.name, ["run", *heads(report), "seconds"], rows, f"line-{place}")


def published(lesson: str) -> Part:
    """What the papers of a lesson report, in a table of its own: other data, other protocols."""
    rows = tables.papers(lesson)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return Part(
        f"What the papers of `{lesson}` report: other data and protocols, no rows of the tables above",
        columns,
        [[(str(row.get(name, "")), "") for name in columns] for row in rows],
    )


def heads(report: Report) -> list[str]:
    """Names of the metrics' columns."""
    return [tables.name(metric) + (f" {MARK}" if metric in report.unlike else "") for metric in report.metrics]


def plot(report: Report, metric: str) -> Figure:
    """One bar a line, with its interval."""
    numbers: dict[str, Any] = {line.name: {tables.name(metric): line.number(metric)} for line in report.lines}
    known = {name: row for name, row in numbers.items() if next(iter(row.values())) is not None}
    return figures.bars(known, ylabel=tables.name(metric))


def address(path: str) -> str:
    """A path as a link, whatever characters it has."""
    return quote(path.replace("\\", "/"))


def as_html(report: Report, found: Sequence[Part], plots: Mapping[str, Path]) -> str:
    """One page; the plots lie beside it."""
    warnings = "".join(f'<p class="warning">{html.escape(text)}</p>' for text in report.warnings)
    body = [f"<h1>Report</h1>{warnings}"]
    for place, part in enumerate(found):
        head = "".join(f"<th>{html.escape(name)}</th>" for name in part.columns)
        rows = "".join(f"<tr>{''.join(_td(each) for each in row)}</tr>" for row in part.rows)
        place_of = f' id="{part.anchor}"' if part.anchor else ""
        body.append(f"<h2{place_of}>{html.escape(part.caption)}</h2>")
        body.append(f"<table><tr>{head}</tr>{rows}</table>" + (f"<p>{NOTE}</p>" if place == 0 else ""))
        if place == 0:
            images = (f'<img src="{p.name}" alt="{html.escape(tables.name(metric))}">' for metric, p in plots.items())
            body.append("".join(images))
    head = f'<meta charset="utf-8"><title>Report</title><style>{STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(body)}</body></html>\n'


def as_markdown(report: Report, found: Sequence[Part], plots: Mapping[str, Path]) -> str:
    """The same as Markdown."""
    lines = ["# Report", *(f"> {text}\n" for text in report.warnings)]
    for place, part in enumerate(found):
        anchor = f'<a id="{part.anchor}"></a>' if part.anchor else ""
        lines += [f"\n## {part.caption}{anchor}\n", _row(part.columns), _row(["---"] * len(part.columns))]
        lines += [_row([f"[{text}]({to})" if to and text else text for text, to in row]) for row in part.rows]
        if place == 0:
            lines += ["", NOTE, "", *(f"![{tables.name(metric)}]({path.name})" for metric, path in plots.items())]
    return "\n".join(lines) + "\n"


def _td(each: Cell) -> str:
    text, to = html.escape(each[0]), each[1]
    return f'<td><a href="{html.escape(to)}">{text}</a></td>' if to and text else f"<td>{text}</td>"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(text.replace("|", "\\|") for text in cells) + " |"
