"""Scoreboard: which method, for what, at what cost? Two numbers of every method, and one method's card.

What is drawn together was measured on the same pictures. Where a number was not measured alike on all of them, the
panel says so and marks those whose protocol is not that of most with a dagger.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import ipywidgets as widgets
from numpy.typing import NDArray
from PIL import Image, ImageColor

from fgssl_edu.figures.style import PALETTE, finite
from fgssl_edu.figures.values import Triple, are_shares
from fgssl_edu.panels.canvas import INK, MARGIN, PAPER, QUIET, RULE, SMALL, TEXT, TITLE, Canvas, Color, font
from fgssl_edu.panels.controls import choice, steps, switch
from fgssl_edu.panels.labels import REACH, SHAPES, Axis, Scatter, leader, mark, placed
from fgssl_edu.panels.panel import Panel
from fgssl_edu.panels.plots import Box

BOX: Box = (76, 56, 694, 560)  # pixels of the plot
CARD = 724  # left end of the card
HEIGHT = 688
LINE = SMALL + 7  # pixels of a line of the card
FEW = 6  # methods up to which an axis has room for their whole intervals
FAR = 22  # pixels from which on a line leads from a mark to its name
HALO = 3  # pixels of white around a name
DAGGER = "†"
CELL = 'style="padding:2px 12px 2px 0;text-align:left;font-weight:normal"'
DARK_AMBER = (156, 60, 0)


@dataclass(frozen=True)
class Line:
    """One method on one data set, as the panel shows it.

    Attributes:
        label: short name; the same method has the same on every data set.
        title: long name.
        family: one of the panel's families.
        data: the data set's name.
        numbers: metric -> value with its interval, of those that were measured.
        above: whether training helped, by the untrained encoder.
        facts: lines of the card.
        links: (words, address) of what a click leads to; words alone where the address is empty.
        runs: what stands behind the numbers: metric -> value, by the name of the run.
        own: whether the reader ran it; drawn hollow.
    """

    label: str
    title: str
    family: str
    data: str
    numbers: Mapping[str, Triple]
    above: bool
    facts: Sequence[str] = ()
    links: Sequence[tuple[str, str]] = ()
    runs: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    own: bool = False


@dataclass(frozen=True)
class State:
    """Where the controls stand."""

    method: str
    data: str
    x: str
    y: str
    families: Mapping[str, bool]
    above: bool = False
    intervals: bool = True
    unlike: Mapping[str, tuple[str, Sequence[str]]] = field(default_factory=dict)


class Scoreboard(Panel):
    """Every method's number against another of its numbers or against its cost, with filters and one method's card.

    Args:
        lines: what is on the board.
        words: metric -> what an axis is called; the metrics that are offered, in this order.
        families: in the order of their colours; at most six.
        unlike: (data set, metric) -> how its protocols differ, and the labels of those that are not as most are.
        x, y, method: where the panel begins: metrics, and a label.

    Raises:
        ValueError: no lines, a family that is not listed, or a beginning that is not on the board.
    """

    def __init__(
        self,
        lines: Sequence[Line],
        words: Mapping[str, str],
        families: Sequence[str],
        unlike: Mapping[tuple[str, str], tuple[str, Sequence[str]]] | None = None,
        x: str = "edit/score",
        y: str = "species/linear",
        method: str = "",
    ) -> None:
        _check(lines, families)
        self.lines, self.words, self.families, self.unlike = tuple(lines), dict(words), tuple(families), unlike or {}
        self.card = widgets.HTML()  # links cannot be in a picture
        self.boxes = {f"family_{place}": switch(name) for place, name in enumerate(families)}
        names, data = (list(dict.fromkeys(found)) for found in zip(*((e.label, e.data) for e in lines), strict=True))
        known = [metric for metric in words if any(metric in line.numbers for line in lines)]
        method = method or names[0]
        for name, value, options in (("x", x, known), ("y", y, known), ("method", method, names)):
            if value not in options:
                raise ValueError(f"{name}={value!r} is not on the board; choose one of {', '.join(options)}")
        metrics = [(words[metric], metric) for metric in known]
        rows: list[dict[str, widgets.Widget]] = [
            {"method": steps("Method", [(name, name) for name in names], method), "data": choice("Pictures", data)},
            {"x": choice("Across", metrics, x), "y": choice("Up", metrics, y)},
            dict(self.boxes),
            {"above": switch("only better than the untrained network", False), "intervals": switch("intervals")},
        ]
        super().__init__(self._compose, rows, states=self._states(data, known), title="Scoreboard")
        self.children: tuple[widgets.Widget, ...] = (*self.children, self.card)

    def _states(self, data: Sequence[str], known: Sequence[str]) -> list[dict[str, object]]:
        """The beginning, the costs, and other pictures."""
        costs: list[dict[str, object]] = [{"x": metric} for metric in known if metric.startswith("cost/")]
        others: list[dict[str, object]] = [{"data": name} for name in data[1:4]]
        return [{}, *costs[-2:], *others]

    def refresh(self) -> None:
        """Draw the present state, and below the picture what stands behind the method's point."""
        super().refresh()
        line = self._line(self._state(**self.values))
        self.card.value = "" if line is None else behind(line, self.words)

    def _state(self, **values: object) -> State:
        shown = {name: bool(values.pop(key)) for key, name in zip(self.boxes, self.families, strict=True)}
        axes, data = (str(values["x"]), str(values["y"])), str(values["data"])
        own = {metric: self.unlike[data, metric] for metric in axes if (data, metric) in self.unlike}
        return State(**values, families=shown, unlike=own)  # type: ignore[arg-type]

    def _line(self, state: State) -> Line | None:
        """The chosen method's line on the chosen pictures."""
        return next((line for line in self.lines if (line.label, line.data) == (state.method, state.data)), None)

    def shown(self, **values: object) -> list[Line]:
        """The lines that pass the filters and have both numbers, the chosen method's first."""
        state = self._state(**{**self.values, **values})
        found = [
            line
            for line in self.lines
            if line.data == state.data
            and state.families[line.family]
            and (line.above or not state.above)
            and state.x in line.numbers
            and state.y in line.numbers
        ]
        return sorted(found, key=lambda line: line.label != state.method)

    def still(self, **values: object) -> Image.Image:
        """One state as a picture for the text: the present one with these controls elsewhere."""
        return Image.fromarray(self._compose(**{**self.values, **values}))

    def _compose(self, **values: object) -> NDArray:
        state, shown = self._state(**values), self.shown(**values)
        canvas = Canvas(HEIGHT)
        title = f"{self.words[state.y]} against {self.words[state.x]}, {state.data}"
        canvas.write(title, MARGIN, 8, TITLE, bold=True, room=canvas.picture.width - 2 * MARGIN)
        if shown:
            self._plot(canvas, state, shown)
        else:
            canvas.write("no method has both numbers and passes the filters", BOX[0], BOX[1] + 100, TEXT, QUIET)
        self._legend(canvas, state)
        self._card(canvas, state)
        return canvas.array()

    def _plot(self, canvas: Canvas, state: State, shown: Sequence[Line]) -> None:
        """Axes, intervals, marks, and a name beside each mark."""
        whole = state.intervals and len(shown) <= FEW
        plane = Scatter(canvas, BOX, *(self._axis(metric, shown, whole) for metric in (state.x, state.y)))
        plane.grid(self.words[state.x], self.words[state.y])
        pairs = [(line.numbers[state.x], line.numbers[state.y]) for line in shown]
        places = [(plane.right(x[0]), plane.down(y[0])) for x, y in pairs]
        for line, (x, y) in zip(shown, pairs, strict=True):
            if state.intervals:
                plane.whiskers(x, y, self.colour(line.family))
        for line, (left, top) in reversed([*zip(shown, places, strict=True)]):
            if line.label == state.method:
                canvas.pen.ellipse((left - 13, top - 13, left + 13, top + 13), outline=INK, width=3)
            picture = mark(SHAPES[self.families.index(line.family)], self.colour(line.family), hollow=line.own)
            canvas.picture.paste(picture, (round(left) - REACH, round(top) - REACH), picture)
        self._names(canvas, state, shown, places)

    def _names(
        self, canvas: Canvas, state: State, shown: Sequence[Line], places: Sequence[tuple[float, float]]
    ) -> None:
        apart = {label for _, labels in state.unlike.values() for label in labels}
        words = [line.label + (f" {DAGGER}" if line.label in apart else "") for line in shown]
        faces = [font(SMALL, line.label == state.method) for line in shown]
        sizes = [(face.getlength(text), SMALL + 4.0) for face, text in zip(faces, words, strict=True)]
        spots = placed(places, sizes, BOX)
        for place, spot in zip(places, spots, strict=True):
            if math.dist(end := leader(place, spot), place) > FAR:
                canvas.pen.line((*end, *place), fill=QUIET, width=1)
        for text, face, (left, top, _, _) in zip(words, faces, spots, strict=True):
            canvas.pen.text((left, top + 1), text, INK, face, "la", stroke_width=HALO, stroke_fill=PAPER)

    def colour(self, family: str) -> Color:
        """Of a family's marks."""
        red, green, blue = ImageColor.getrgb(PALETTE[self.families.index(family)])[:3]
        return red, green, blue

    def _axis(self, metric: str, shown: Sequence[Line], whole: bool) -> Axis:
        """From the least to the largest number; with their `whole` intervals where a few methods are shown."""
        numbers = [line.numbers[metric] for line in shown]
        seen = [part for number in numbers for part in (number if whole else number[:1]) if finite(part)]
        return Axis(seen, are_shares(self.words[metric], numbers))

    def _legend(self, canvas: Canvas, state: State) -> None:
        """Marks of the families, and what has to be known before comparing."""
        left, y = float(BOX[0] - 66), BOX[3] + 56
        for place, family in enumerate(self.families):
            if left + 40 + font(SMALL).getlength(family) > CARD - MARGIN:
                left, y = float(BOX[0] - 66), y + LINE
            picture = mark(SHAPES[place], self.colour(family))
            canvas.picture.paste(picture, (round(left), y + 2), picture)
            canvas.write(family, left + 22, y, SMALL)
            left += 44 + font(SMALL).getlength(family)
        for metric, (words, labels) in state.unlike.items():
            y += LINE
            text = f"{DAGGER} {self.words[metric]} of {', '.join(labels)} was measured otherwise: {words}"
            canvas.write(text, BOX[0] - 66, y, SMALL, DARK_AMBER, room=canvas.picture.width - 2 * MARGIN)

    def _card(self, canvas: Canvas, state: State) -> None:
        """What the chosen method is, its two numbers, and what stands behind them."""
        line, room = self._line(state), canvas.picture.width - CARD - MARGIN
        canvas.pen.line((CARD - 14, BOX[1], CARD - 14, BOX[3] + 40), fill=RULE, width=2)
        if line is None:
            canvas.write_lines(f"{state.method} was not run on these pictures", CARD, BOX[1], room)
            return
        y = canvas.write_lines(line.title, CARD, BOX[1], room, TEXT, bold=True)
        canvas.write(line.family, CARD, y, SMALL, QUIET)
        y += LINE + 6
        for metric in dict.fromkeys((state.y, state.x)):
            y = canvas.write_lines(self.words[metric], CARD, y, room, SMALL)
            canvas.write(worded(self.words[metric], line.numbers.get(metric)), CARD, y, SMALL, bold=True, room=room)
            y += LINE + 2
        y += 8
        for fact in line.facts:
            y = canvas.write_lines(fact, CARD, y, room, SMALL) + 2


def _check(lines: Sequence[Line], families: Sequence[str]) -> None:
    strangers = sorted({line.family for line in lines} - set(families))
    if not lines or strangers or len(families) > len(SHAPES):
        raise ValueError(
            f"{len(lines)} lines, {len(families)} families without {strangers}: give at least one line, and each one's "
            f"family among at most {len(SHAPES)}"
        )


def behind(line: Line, words: Mapping[str, str]) -> str:
    """HTML of a line's links, and folded under them every run's numbers."""
    links = [
        f'<a target="_blank" href="{html.escape(to)}">{html.escape(name)}</a>' if to else html.escape(name)
        for name, to in line.links
    ]
    metrics = [metric for metric in words if any(metric in run for run in line.runs.values())]
    head = "".join(f"<th {CELL}>{html.escape(name)}</th>" for name in ("", *line.runs))
    body = ""
    for metric in metrics:
        found = [run.get(metric) for run in line.runs.values()]
        texts = ["" if value is None else worded(words[metric], (value, math.nan, math.nan)) for value in found]
        cells = "".join(f"<td {CELL}>{text}</td>" for text in texts)
        body += f"<tr><th {CELL}>{html.escape(words[metric])}</th>{cells}</tr>"
    table = f"<details><summary>its runs, one by one</summary><table><tr>{head}</tr>{body}</table></details>"
    title = f"<b>{html.escape(line.title)}</b>: {' · '.join(links)}"
    return f'<div style="font-size:16px;line-height:1.6">{title}{table if metrics else ""}</div>'


def worded(name: str, number: Triple | None) -> str:
    """A number with its interval, shares in percent."""
    if number is None:
        return "not measured"
    scale = 100.0 if are_shares(name, [number]) else 1.0
    value, low, high = (scale * part for part in number)
    digits = 1 if scale > 1 else 3 if abs(value) < 0.1 else 2 if abs(value) < 10 else 0
    unit = " %" if scale > 1 else ""
    between = "" if math.isnan(low) else f" [{low:.{digits}f} to {high:.{digits}f}]"
    return f"{value:.{digits}f}{unit}{between}"
