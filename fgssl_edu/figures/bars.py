"""Bars: arms beside each other, with intervals and the line of chance."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from fgssl_edu.figures.style import INK, PALETTE, SMALL, TEXT, finite, new_figure, styled
from fgssl_edu.figures.values import Value, are_shares, triple

BAR = 0.42  # inches a bar
DOTS = (0, (1, 2))
EDGE = 1.5  # inches for the axis and the names of the metrics


@styled
def bars(
    groups: Mapping[str, Mapping[str, Value]], ylabel: str = "", chance: Mapping[str, float] | None = None
) -> Figure:
    """One group of horizontal bars an arm, one bar a metric, each with its interval and its number.

    Args:
        groups: arm -> {metric: value, with or without interval}; drawn from the top in this order.
        ylabel: what the numbers are.
        chance: metric -> number of knowing nothing, a dotted mark across the metric's bars.
    """
    metrics = list(dict.fromkeys(metric for group in groups.values() for metric in group))
    if not metrics:
        raise ValueError("nothing to draw: give at least one arm with at least one metric")
    numbers = {(arm, metric): triple(group[metric]) for arm, group in groups.items() for metric in group}
    as_percent = all(are_shares(f"{metric} {ylabel}", [number]) for (_, metric), number in numbers.items())
    scale = 100.0 if as_percent else 1.0
    figure = new_figure(EDGE + BAR * len(groups) * (len(metrics) + 0.6))
    axes = figure.add_subplot(xlabel=f"{ylabel} (%)" if as_percent and ylabel else ylabel)
    reach = scale * max(high if finite(high) else value for value, _, high in numbers.values())
    for (row, arm), (column, metric) in ((r, c) for r in enumerate(groups) for c in enumerate(metrics)):
        if (arm, metric) in numbers:
            value, low, high = (scale * number for number in numbers[arm, metric])
            place = row * (len(metrics) + 0.6) + column
            axes.barh(place, value, height=0.86, color=PALETTE[column % len(PALETTE)])
            if metric in (chance or {}):
                level = scale * chance[metric]  # type: ignore[index]
                axes.plot([level, level], [place - 0.43, place + 0.43], color=INK, linestyle=DOTS, linewidth=2.5)
            if finite(low):
                axes.plot([low, high], [place, place], color=INK, linewidth=2, solid_capstyle="butt")
            end = max(value, high) if finite(high) else value
            axes.text(max(end, 0) + 0.012 * reach, place, _text(value, as_percent), va="center", fontsize=SMALL)
    least = min(0.0, *(scale * np.nanmin(number) for number in numbers.values()))
    _finish(axes, list(groups), metrics, (1.05 * least, 1.13 * reach if reach > 0 else 1.0), chance is not None)
    return figure


def _text(value: float, percent: bool) -> str:
    """Two digits that count: 31.7, 1.02, 0.09, 0.003."""
    if percent:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 0.1 or value == 0 else f"{value:.1g}"


def _finish(axes: Axes, arms: list[str], metrics: list[str], limits: tuple[float, float], chance: bool) -> None:
    """Names of the arms on the left, names of the metrics above in their colours, room for the numbers."""
    pitch = len(metrics) + 0.6
    names = [textwrap.fill(arm, 22) for arm in arms]
    axes.set_yticks([row * pitch + (len(metrics) - 1) / 2 for row in range(len(arms))], names, fontsize=TEXT)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(arms) * pitch - 1.0, -0.7)
    axes.set_xlim(limits)
    axes.grid(True, axis="x")
    axes.grid(False, axis="y")
    handles: list[Artist] = []
    if len(metrics) > 1:
        handles += [Patch(color=PALETTE[column % len(PALETTE)], label=metric) for column, metric in enumerate(metrics)]
    if chance:
        handles.append(Line2D([], [], color=INK, linestyle=DOTS, linewidth=2, label="chance"))
    if handles:
        axes.legend(
            handles=handles,
            loc="lower left",
            bbox_to_anchor=(0, 1),
            ncols=len(handles),
            frameon=False,
            borderaxespad=0.3,
            handlelength=1.1,
        )
