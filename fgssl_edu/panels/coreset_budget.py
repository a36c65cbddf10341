"""Coreset budget: which pictures of the open set does SimCore take, in which round, and when should it stop?

SimCore (arXiv 2303.11101) gives every centroid of the target its nearest picture of the open set, round by round. Where
it is known which pictures show what the target shows, precision says how well that went; the base rate is what a blind
choice gets. Of an open set in which none counts as relevant, nobody knows: picks are shown, and none is judged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import ipywidgets as widgets
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from fgssl_edu.data.open_set import OpenSet
from fgssl_edu.explain.maps import pca_map
from fgssl_edu.panels.canvas import BLUE, GREEN, INK, MARGIN, QUIET, RED, SMALL, TITLE, Canvas, font, tile
from fgssl_edu.panels.controls import choice, slider, steps
from fgssl_edu.panels.coreset_orders import FACILITY, METHODS, ORACLE, PAGE, RANDOM, SIMCORE, Order, Orders
from fgssl_edu.panels.panel import Panel
from fgssl_edu.panels.plots import Box, circle, curve, dashes, dotted, frame, mark, on_map
from fgssl_edu.panels.threads import one_thread

KS = (1, 3, 10, 30, 100, 300)  # centroids offered, as far as the target has pictures
BUDGETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)  # shares of the open set
TAUS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98, 0.99)  # 0: no stopping rule
SIDE, MAP_TOP = 410, 74  # pixels of the map
VALUES, PRECISION = (530, 100, 965, 245), (530, 316, 965, 461)
TILE, COLUMNS, TILES_TOP = 72, 12, 562
HEIGHT = TILES_TOP + 2 * (TILE + 30)
PALE = (190, 190, 190)  # the open set
MANY = 200  # picks from which on they are drawn smaller
PCA = "PCA"
TOP = 1.05  # of the axis of precision, so that a line at 1 is seen whole
LOOKS = {SIMCORE: BLUE, FACILITY: (164, 86, 140), RANDOM: QUIET, ORACLE: GREEN}


@dataclass(frozen=True)
class State:
    """Where the controls stand."""

    method: str
    k: int
    budget: float
    tau: float
    round: int
    map: str = PCA


class CoresetBudget(Panel):
    """The selection of a method at a budget: on the map, round by round, with its precision and its stopping point.

    Args:
        target_features: of X, (n, D), any length.
        pool: the open set, with what is relevant.
        pool_features: of its pictures, (N, D).
        ks: numbers of centroids to offer; those above n are left out.
        points: further maps by name, (n, 2) and (N, 2) fitted once for both, as {"UMAP": (x, open)}; principal
            components are always offered.
        seed: of k-means and of the random choices.

    Raises:
        ValueError: features or points of other sets than these.
    """

    def __init__(
        self,
        target_features: Tensor,
        pool: OpenSet,
        pool_features: Tensor,
        ks: Sequence[int] = KS,
        points: Mapping[str, tuple[Tensor, Tensor]] | None = None,
        seed: int = 0,
    ) -> None:
        _check(target_features, pool, pool_features, points or {})
        self.pool, self.count = pool, len(pool.images)
        self.judged = bool(pool.relevant.any())
        self.base_rate = float(pool.relevant.float().mean())
        known = tuple(k for k in ks if k <= len(target_features))
        with one_thread():
            most = max(1, round(max(BUDGETS) * self.count))
            self.orders = Orders(target_features, pool_features, pool.relevant, known, most, seed)
            first, second = pca_map(target_features, pool_features)
        self.maps = {name: _drawn(*pair) for name, pair in {PCA: (first, second), **(points or {})}.items()}
        shown = [(SIMCORE, known[-1]), (SIMCORE, known[0]), (FACILITY, known[-1]), (RANDOM, known[-1])]
        states: list[dict[str, object]] = [{"method": method, "k": k} for method, k in shown]
        states += [{"map": name} for name in points or {}]
        super().__init__(self._compose, self._controls(known), states=states, title="Coreset budget")

    def _controls(self, ks: tuple[int, ...]) -> list[dict[str, widgets.Widget]]:
        taus = [("off", 0.0), *((f"{tau:g}", tau) for tau in TAUS[1:])]
        first = {
            "method": choice("Method", METHODS if self.judged else [name for name in METHODS if name != ORACLE]),
            "k": steps("Centroids k", [(str(k), k) for k in ks], 100 if 100 in ks else ks[-1]),
        }
        second = {
            "budget": steps(
                "Budget p, share of the open set", [(f"{100 * share:g} %", share) for share in BUDGETS], 0.1
            ),
            "tau": steps("Stop below tau", taus, 0.0),
        }
        self.round = slider("Show picks from round", 1, 1, 1, 1)
        for control in (*first.values(), *second.values()):
            control.observe(self._fit_rounds, "value")  # before the panel draws
        self._rows = {**first, **second}
        self._held = False
        self._fit_rounds({})
        third: dict[str, widgets.Widget] = {"round": self.round}
        if len(self.maps) > 1:
            third["map"] = choice("Map", list(self.maps), PCA)
        return [first, second, third]

    def _fit_rounds(self, _change: object) -> None:
        """The slider of rounds ends where the selection ends."""
        state = State(**{name: control.value for name, control in self._rows.items()}, round=1)
        order, count = self._selected(state)
        with self.hold():
            self.round.max = int(order.rounds[count - 1])

    def _selected(self, state: State) -> tuple[Order, int]:
        """The method's order, and how many pictures of it are taken."""
        order = self.orders[state.method, state.k]
        return order, order.count(max(1, round(state.budget * self.count)), state.tau)

    def _compose(self, **values: object) -> NDArray:
        state = State(**values)  # type: ignore[arg-type]
        order, count = self._selected(state)
        shown = order.indices[:count][order.rounds[:count] >= min(state.round, order.rounds[count - 1])][:PAGE]
        canvas = Canvas(HEIGHT)
        self._headline(canvas, state, order, count)
        self._map(canvas, state, order, count, shown)
        self._values(canvas, state, order, count)
        self._precisions(canvas, state, count)
        self._picks(canvas, order, count, shown)
        return canvas.array()

    def _headline(self, canvas: Canvas, state: State, order: Order, count: int) -> None:
        """What was chosen, why it ended there, and what it is worth."""
        words = f"{count} of {self.count} chosen"
        words += f", {100 * order.precision(count):.0f} % relevant" if self.judged else ""
        canvas.write(words, MARGIN, 6, TITLE, bold=True)
        right = MARGIN + 14 + font(TITLE, True).getlength(words)
        beside = f"(base rate {100 * self.base_rate:.0f} %)" if self.judged else "(which are relevant is not known)"
        canvas.write(beside, right, 8, colour=QUIET)
        covered = f"{100 * self.orders.coverage(order, count, state.k):.1f} % of the largest f(S) covered"
        canvas.write(covered, canvas.picture.width - MARGIN, 8, anchor="ra")
        canvas.write(self._why(state, order, count), MARGIN, 40, SMALL, QUIET)

    def _why(self, state: State, order: Order, count: int) -> str:
        """What ended the selection."""
        failing = order.failing_round(state.tau)
        greedy = f"; greedy on f with {self.orders.greedy_k} centroids" if state.method == FACILITY else ""
        if failing is not None and order.ends[failing - 2] == count:
            share = order.values[failing - 1] / order.values[0]
            return f"ended by tau: round {failing} has {share:.3f} of round 1's value{greedy}"
        if len(order.values):
            return f"ended by the budget, in round {order.rounds[count - 1]}{greedy}"
        if state.method == ORACLE and count == len(order.indices):
            return "it has taken every relevant picture that there is"
        return "ended by the budget; without rounds tau cannot end it"

    def _map(self, canvas: Canvas, state: State, order: Order, count: int, shown: NDArray) -> None:
        """The open set and X, every pick by whether it is relevant, and rings around those shown below."""
        places, backdrop = self.maps[state.map]
        canvas.picture.paste(backdrop, (MARGIN, MAP_TOP))
        places = places + (MARGIN, MAP_TOP)
        for position, right in zip(order.indices[:count].tolist(), order.relevant[:count].tolist(), strict=True):
            reach = 3 if count < MANY else 2
            mark(canvas.pen, places[position, 0], places[position, 1], right or not self.judged, reach)
        for position in shown.tolist():
            circle(canvas.pen, places[position, 0], places[position, 1])
        x, y = MARGIN + 4, MAP_TOP + SIDE + 12
        canvas.pen.ellipse((x, y + 6, x + 6, y + 12), fill=PALE)
        canvas.pen.ellipse((x + 104, y + 5, x + 112, y + 13), fill=BLUE)
        mark(canvas.pen, x + 150, y + 9, True)
        if self.judged:
            mark(canvas.pen, x + 244, y + 9, False)
        circle(canvas.pen, x + 318, y + 9)
        names = ("relevant", "other") if self.judged else ("chosen", "")
        for left, words in zip((12, 118, 160, 254, 332), ("open set", "X", *names, "below"), strict=True):
            canvas.write(words, x + left, y, SMALL)

    def _values(self, canvas: Canvas, state: State, order: Order, count: int) -> None:
        """Value of each round over the pictures chosen by its end, with the threshold and the stopping point."""
        canvas.write("Value of a round, share of round 1's", VALUES[0] - 55, VALUES[1] - 32, SMALL, bold=True)
        if not len(order.values):
            frame(canvas, VALUES, [])
            canvas.write("this method has no rounds", VALUES[0] + 20, VALUES[1] + 60, SMALL, QUIET)
            return
        shares = order.values / order.values[0]
        low = min(0.9, float(shares[: int(order.rounds[count - 1]) + 1].min()), state.tau or 1.0) - 0.02
        ticks = [(level, f"{level:.2f}") for level in np.linspace(low + 0.02, 1, 3)]
        height = frame(canvas, VALUES, [((level - low) / (1.02 - low), words) for level, words in ticks])
        y = (shares - low) / (1.02 - low)
        x = self._across(order.ends)
        curve(canvas, VALUES, x, y, LOOKS[state.method], 3, dots=len(shares) < PAGE)
        if state.tau:
            level = height((state.tau - low) / (1.02 - low))
            dashes(canvas, level, VALUES[0], VALUES[2], RED)
            canvas.write(f"tau {state.tau:g}", VALUES[2], level - 20, SMALL, RED, anchor="ra")
        self._here(canvas, VALUES, count)

    def _precisions(self, canvas: Canvas, state: State, count: int) -> None:
        """Precision against budget of every method at this k, the chosen one thick."""
        canvas.write("Precision against budget", PRECISION[0] - 55, PRECISION[1] - 56, SMALL, bold=True)
        if not self.judged:
            frame(canvas, PRECISION, [])
            canvas.write("which are relevant is not known", PRECISION[0] + 20, PRECISION[1] + 60, SMALL, QUIET)
            return
        words = "line: this selection"
        canvas.write(words, PRECISION[2] + 25, PRECISION[1] - 56, SMALL, QUIET, anchor="ra")
        self._names(canvas, state.method, y=PRECISION[1] - 28)
        height = frame(canvas, PRECISION, [(0, "0"), (0.5 / TOP, "50 %"), (1 / TOP, "100 %")])
        dashes(canvas, height(self.base_rate / TOP), PRECISION[0], PRECISION[2], INK)
        for method, colour in sorted(LOOKS.items(), key=lambda look: look[0] == state.method):
            order = self.orders[method, state.k]
            taken = np.unique(np.geomspace(max(1, BUDGETS[0] * self.count), len(order.indices), 60).round().astype(int))
            y = order.hits[taken - 1] / taken / TOP
            curve(canvas, PRECISION, self._across(taken), y, colour, 4 if method == state.method else 2)
        for share in BUDGETS:
            x = PRECISION[0] + self._across(np.array([share * self.count]))[0] * (PRECISION[2] - PRECISION[0])
            canvas.write(f"{100 * share:g} %", x, PRECISION[3] + 6, SMALL, QUIET, anchor="ma")
        self._here(canvas, PRECISION, count)

    def _names(self, canvas: Canvas, method: str, y: int) -> None:
        """The methods in the colours of their curves."""
        left = PRECISION[0] - 55
        for name, colour in LOOKS.items():
            words, chosen = name.split(" (")[0], name == method
            canvas.pen.line((left, y + 10, left + 18, y + 10), fill=colour, width=5 if chosen else 2)
            canvas.write(words, left + 24, y, SMALL, colour, bold=chosen)
            left += 44 + int(font(SMALL, chosen).getlength(words))

    def _across(self, counts: NDArray) -> NDArray[np.float64]:
        """Numbers of pictures as places 0..1 on the logarithmic axis that both curves share."""
        low, high = np.log(BUDGETS[0]), np.log(BUDGETS[-1])
        return (np.log(np.maximum(counts, 1e-9) / self.count) - low) / (high - low)

    def _here(self, canvas: Canvas, box: Box, count: int) -> None:
        """A thin line where the selection ends."""
        x = box[0] + min(1.0, max(0.0, self._across(np.array([count]))[0])) * (box[2] - box[0])
        canvas.pen.line((x, box[1], x, box[3]), fill=INK, width=2)

    def _picks(self, canvas: Canvas, order: Order, count: int, shown: NDArray) -> None:
        """Up to two rows of picks, framed by whether they are relevant, with their rounds."""
        where = np.flatnonzero(np.isin(order.indices[:count], shown))
        rounds, right = order.rounds[where], order.relevant[where]
        size = int((order.rounds[:count] == rounds[0]).sum())
        words = f"Picks from round {rounds[0]} on" if rounds[0] != rounds[-1] else f"Picks of round {rounds[0]}"
        if not len(order.values):
            words = f"Picks from number {where[0] + 1} on"
        elif size > len(shown):
            words += f", {len(shown)} of {size}"
        words += f": {int(right.sum())} of these {len(shown)} relevant" if self.judged else ""
        canvas.write(words, MARGIN, TILES_TOP - 34, bold=True)
        for place, (position, good, number) in enumerate(zip(shown.tolist(), right, rounds, strict=True)):
            x = MARGIN + 4 + (place % COLUMNS) * (TILE + 10)
            y = TILES_TOP + (place // COLUMNS) * (TILE + 30)
            colour, sign = ((GREEN, "✓ ") if good else (RED, "✗ ")) if self.judged else (QUIET, "")
            canvas.put(tile(self.pool.images.images[position], TILE), x, y, frame=colour, thick=4)
            canvas.write(f"{sign}{number if len(order.values) else ''}", x, y + TILE + 5, SMALL)


def _drawn(target: Tensor, pool: Tensor) -> tuple[NDArray[np.float64], Image.Image]:
    """One map: places (N, 2) of the open set in pixels, and both sets as dots."""
    both = np.concatenate([target.numpy(), pool.numpy()])
    own, places = (on_map(part.numpy(), both, SIDE) for part in (target, pool))
    return places, dotted([(places, PALE, 1.6), (own, BLUE, 2.4)], SIDE)


def _check(
    target_features: Tensor, pool: OpenSet, pool_features: Tensor, points: Mapping[str, tuple[Tensor, Tensor]]
) -> None:
    if target_features.dim() != 2 or not len(target_features):
        raise ValueError(f"target_features have shape {tuple(target_features.shape)}; they should be (n, D), n from 1")
    wanted = (len(pool.images), target_features.shape[1])
    if tuple(pool_features.shape) != wanted:
        raise ValueError(f"pool_features have shape {tuple(pool_features.shape)}; this open set needs {wanted}")
    for name, pair in points.items():
        shapes = [tuple(part.shape) for part in pair]
        if name == PCA or shapes != [(len(target_features), 2), (len(pool.images), 2)]:
            raise ValueError(
                f"points {name!r} have shapes {shapes}; they should be ({len(target_features)}, 2) of X and "
                f"({len(pool.images)}, 2) of the open set, under another name than {PCA}"
            )
