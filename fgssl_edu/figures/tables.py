"""Tables as HTML: numbers to the right with their intervals, n and the protocol below."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from fgssl_edu.evaluate.statistics import Score
from fgssl_edu.figures.style import INK, QUIET, RULE
from fgssl_edu.figures.values import Triple, are_shares, triple

Cell: TypeAlias = Score | float | Triple | str | None
OWN = frozenset(
    {"metric", "chosen", "labels", "chance", "unit", "encoder", "stem", "blank_maps"}
)  # differ from column to column
MANY = 6  # protocol entries a line names before it is cut


class Html(str):
    """HTML text that a notebook shows as such."""

    def _repr_html_(self) -> str:
        return str(self)


def table(rows: Iterable[Mapping[str, Cell]], caption: str = "", note: str = "") -> Html:
    """A table, a row a mapping; the columns are the keys in the order they first appear.

    Shares (0..1) of scores and triples are shown in percent where their column has nothing above 1; the interval stands
    small beside the number. Scores bring their protocol: what all have in common goes below the table, with n.

    Args:
        rows: {column: text, number, Score, (value, low, high) or None (an em dash)}.
        caption: above.
        note: below, before the protocol; say there whose intervals these are.
    """
    listed = [dict(row) for row in rows]
    columns = list(dict.fromkeys(name for row in listed for name in row))
    right = {
        name: all(_is_number(row.get(name)) for row in listed) and any(row.get(name) is not None for row in listed)
        for name in columns
    }
    percent = {name: right[name] and _in_percent(name, [row.get(name) for row in listed]) for name in columns}
    digits = {name: 1 if percent[name] else _digits([row.get(name) for row in listed]) for name in columns}
    head = "".join(_tag("th", html.escape(name) + (" (%)" if percent[name] else ""), right[name]) for name in columns)
    body = "".join(
        "<tr>"
        + "".join(_tag("td", _cell(row.get(name), percent[name], digits[name]), right[name]) for name in columns)
        + "</tr>"
        for row in listed
    )
    style = f"border-collapse:collapse;font-size:16px;color:{INK};margin:8px 0"
    title = "text-align:left;font-weight:bold;font-size:17px;padding:4px 12px"
    above = f'<caption style="{title}">{html.escape(caption)}</caption>' if caption else ""
    scores = [value for row in listed for value in row.values() if isinstance(value, Score)]
    below = " ".join(part for part in (html.escape(note), html.escape(protocol_line(scores))) if part)
    foot = f'<div style="font-size:14px;color:{QUIET};padding:0 12px;max-width:900px">{below}</div>' if below else ""
    return Html(f'<table style="{style}">{above}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{foot}')


def protocol_line(scores: Sequence[Score]) -> str:
    """What all scores' protocols agree on, and how many items they rest on, in one line."""
    if not scores:
        return ""
    shared = {
        name: value
        for name, value in scores[0].protocol.items()
        if name not in OWN and all(score.protocol.get(name) == value for score in scores)
    }
    counts = {len(score.per_item) for score in scores if score.per_item is not None}
    parts = [f"{name.replace('_', ' ')} {value}" for name, value in list(shared.items())[:MANY]]
    parts += [f"n = {counts.pop()} test images"] if len(counts) == 1 else []
    return f"Protocol: {', '.join(parts)}." if parts else ""


def _is_number(cell: Cell) -> bool:
    return not isinstance(cell, str)


def _in_percent(name: str, cells: Sequence[Cell]) -> bool:
    """Whether a column holds shares with their intervals (a bare number is shown as it is)."""
    known = [cell for cell in cells if isinstance(cell, Score | tuple | list)]
    if len(known) < sum(cell is not None for cell in cells):
        return False
    units = [cell.protocol.get("unit") for cell in known if isinstance(cell, Score)]
    return not any(units) and are_shares(name, [triple(cell) for cell in known])


def _digits(cells: Sequence[Cell]) -> int:
    """Digits behind the point of a column that is not in percent: three where a ratio may be a few thousandths."""
    sizes = [abs(triple(cell)[0]) for cell in cells if cell is not None and not isinstance(cell, str)]
    return 3 if sizes and min(sizes) < 0.1 and max(sizes) < 2 else 2


def _cell(cell: Cell, percent: bool, digits: int) -> str:
    if cell is None:
        return "&mdash;"
    if isinstance(cell, str):
        return html.escape(cell)
    if isinstance(cell, int):
        return f"{cell:,}".replace(",", "&#8239;")
    scale = 100.0 if percent else 1.0
    value, low, high = (scale * number for number in triple(cell))
    if math.isnan(value):
        return "&mdash;"
    text = f"{value:.{digits}f}".replace("-", "&minus;")
    if math.isnan(low):
        return text
    between = f"{low:.{digits}f} to {high:.{digits}f}".replace("-", "&minus;")
    return f'{text} <span style="font-size:13px;color:{QUIET};white-space:nowrap">[{between}]</span>'


def _tag(name: str, content: str, right: bool) -> str:
    align = "right;font-variant-numeric:tabular-nums" if right else "left"
    return f'<{name} style="text-align:{align};padding:5px 12px;border-bottom:1px solid {RULE}">{content}</{name}>'
