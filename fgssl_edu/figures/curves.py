"""Curves: a loss against its chance value, accuracy against labels or a setting, a covariance spectrum."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator, PercentFormatter
from torch import Tensor

from fgssl_edu.figures.style import (
    MARKERS,
    PALETTE,
    QUIET,
    SMALL,
    TEXT,
    LessonFigure,
    chance_line,
    label_ends,
    new_figure,
    styled,
)
from fgssl_edu.figures.values import Value, triple

if TYPE_CHECKING:
    from fgssl_edu.train import History

HEIGHT = 5.0  # inches
LINE = 0.075  # height of a line of type as a share of the axes
BAND_OPACITY = 0.18
FEW = 12  # points that are shown one by one
WATCHED = {
    "loss": "loss\n(dots: chance)",
    "std_ratio": "spread\n(1 even, 0 collapsed)",
    "effective_rank": "effective rank",
    "knn": "kNN",
}
PALE = "#3a7fa8"  # the band's name: its colour, dark enough to read


@styled
def training_curve(
    history: History | Mapping[str, Sequence[float]],
    chance: float | None = None,
    band: Mapping[str, Sequence[float]] | None = None,
    name: str = "this run",
) -> Figure:
    """A training loss with its chance value as a dotted line, in the band of shipped runs where there is one.

    Args:
        history: from `train.pretrain`, or {"step": [...], "loss": [...]}.
        chance: loss of a network that knows nothing, nats; by default the history's own.
        band: {"step", "low", "high"}: where one more run of these settings should fall.
        name: of the curve.
    """
    steps, losses = (history["step"], history["loss"]) if isinstance(history, Mapping) else history.column("loss")
    if chance is None and not isinstance(history, Mapping):
        chance = history.chance
    figure = new_figure(HEIGHT)
    axes = figure.add_subplot(xlabel="step", ylabel="loss")
    if band is not None:
        axes.fill_between(band["step"], band["low"], band["high"], color=PALETTE[0], alpha=BAND_OPACITY, linewidth=0)
    axes.plot(steps, losses, color=PALETTE[0])
    _limits(axes, [*losses, *(band["low"] if band else ()), *(band["high"] if band else ())], chance)
    axes.set_xlim(left=0)
    ends = [(float(steps[-1]), float(losses[-1]), name, PALETTE[0])]
    if band is not None:
        ends.append((float(band["step"][-1]), float(band["high"][-1]), "95 % of runs", PALE))
    _finish(axes, ends, chance, "" if chance is None else f"chance {chance:.2f}")
    return figure


def _finish(axes: Axes, ends: list[tuple[float, float, str, str]], chance: float | None, text: str) -> None:
    """Name every line at its end, the dotted line of chance too."""
    if chance is not None:
        chance_line(axes, chance)
        ends = [*ends, (max(x for x, _, _, _ in ends), chance, text, QUIET)]
    axes.autoscale_view()  # settles the left end before the right one is fixed
    axes.set_xlim(right=max(x for x, _, _, _ in ends))
    label_ends(axes, ends, LINE)


def _limits(axes: Axes, values: Sequence[float], chance: float | None) -> None:
    """Room for every value and for the chance line."""
    known = [value for value in [*values, *([] if chance is None else [chance])] if math.isfinite(value)]
    low, high = min(known), max(known)
    margin = 0.08 * (high - low or 1.0)
    axes.set_ylim(low - margin, high + margin)


@styled
def watched(rows: Sequence[Mapping[str, float]], chance: float | None = None) -> LessonFigure:
    """What is watched during training: loss, spread, effective rank and kNN, each against the value that means failure.

    Args:
        rows: of a history so far, each with "step" and some of "loss", "std_ratio", "effective_rank", "knn".
        chance: loss of a network that knows nothing.
    """
    figure = new_figure(3.2)
    for axes, (name, title), colour in zip(figure.subplots(1, len(WATCHED)), WATCHED.items(), PALETTE, strict=False):
        known = [(row["step"], row[name]) for row in rows if name in row]
        axes.set_title(title, fontsize=TEXT)
        axes.set_xlabel("step", fontsize=SMALL)
        if known:
            steps, values = zip(*known, strict=True)
            axes.plot(steps, values, color=colour, marker="o" if len(known) < FEW else None, clip_on=False)
        level = chance if name == "loss" else {"std_ratio": 1.0}.get(name)
        if level is not None:
            chance_line(axes, level)
        if name != "loss":
            axes.set_ylim(bottom=0)
        if name == "knn":
            axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
        axes.set_xlim(0, max(float(row["step"]) for row in rows) if rows else 1)
        axes.locator_params(axis="x", nbins=3)
    return figure


@styled
def label_curves(
    curves: Mapping[str, Mapping[float, Value]], chance: float | None = None, ylabel: str = "test accuracy"
) -> Figure:
    """Accuracy against the share of labels, one line a representation, on a logarithmic axis of shares.

    Args:
        curves: name -> {share of labels in (0, 1]: accuracy 0..1, with or without interval}.
        chance: accuracy of knowing nothing.
        ylabel: what the numbers are.
    """
    figure = _lines(curves, chance, "share of the labels used", ylabel, scale="log")
    axes = figure.axes[0]
    axes.xaxis.set_major_locator(FixedLocator(_apart({share for curve in curves.values() for share in curve})))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
    return figure


def _apart(shares: set[float]) -> list[float]:
    """Those shares, from the largest down, whose names have room on a logarithmic axis."""
    kept: list[float] = []
    room = 0.1 * math.log(max(shares) / min(shares))
    for share in sorted(shares, reverse=True):
        if not kept or math.log(kept[-1] / share) >= room:
            kept.append(share)
    return kept


@styled
def sweep(
    curves: Mapping[str, Mapping[float, Value]], xlabel: str, ylabel: str = "test accuracy", chance: float | None = None
) -> Figure:
    """A number against a setting, one line a metric.

    Args:
        curves: name -> {value of the setting: share 0..1, with or without interval}.
        xlabel: the setting, with its unit.
        ylabel: what the numbers are.
        chance: the number of knowing nothing.
    """
    return _lines(curves, chance, xlabel, ylabel)


def _lines(
    curves: Mapping[str, Mapping[float, Value]], chance: float | None, xlabel: str, ylabel: str, scale: str = "linear"
) -> Figure:
    if not curves or not all(curves.values()):
        raise ValueError("nothing to draw: give at least one curve with at least one point")
    figure = new_figure(HEIGHT)
    axes = figure.add_subplot(xlabel=xlabel, ylabel=ylabel, xscale=scale)
    ends = []
    for (name, curve), colour, marker in zip(curves.items(), PALETTE * 3, MARKERS * 3, strict=False):
        places = sorted(curve)
        values, low, high = np.array([triple(curve[place]) for place in places]).T
        axes.fill_between(places, low, high, color=colour, alpha=BAND_OPACITY, linewidth=0)
        every = max(1, len(places) // FEW)  # a long curve is a line, with some marks to tell it by
        axes.plot(places, values, color=colour, marker=marker, markevery=every, clip_on=False)
        ends.append((places[-1], values[-1], name, colour))
    if scale == "linear" and all(float(place).is_integer() for curve in curves.values() for place in curve):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))  # no layer 1.5
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    _finish(axes, ends, chance, "" if chance is None else f"chance {100 * chance:.1f} %")
    return figure


@styled
def spectrum(values: Mapping[str, Tensor], title: str = "") -> Figure:
    """Eigenvalues of the features' covariance as shares of the largest, on a logarithmic axis; a cliff is a collapse.

    Args:
        values: name -> (D,) eigenvalues, largest first (`evaluate.geometry.spectrum`).
        title: above the figure.
    """
    figure = new_figure(HEIGHT)
    axes = figure.add_subplot(
        xlabel="dimension, by size", ylabel="share of the largest", title=title, yscale="log", ylim=(1e-7, 2)
    )
    ends = []
    for (name, eigenvalues), colour in zip(values.items(), PALETTE * 3, strict=False):
        shares = (eigenvalues / eigenvalues.max().clamp(min=1e-30)).clamp(min=1e-7).tolist()
        axes.plot(range(1, len(shares) + 1), shares, color=colour)
        ends.append((float(len(shares)), shares[-1], name, colour))
    label_ends(axes, ends, LINE)
    return figure
