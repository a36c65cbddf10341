"""Figures of a selection: sets on one map, their density on one ring, precision against budget, value a round."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.projections.polar import PolarAxes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator, PercentFormatter
from torch import Tensor

from fgssl_edu.figures.style import (
    MARKERS,
    PALETTE,
    QUIET,
    RULE,
    SMALL,
    TEXT,
    chance_line,
    label_ends,
    new_figure,
    styled,
)
from fgssl_edu.figures.values import Value, triple

HEIGHT, SQUARE, RING = 5.0, 6.4, 4.2  # inches
LINE = 0.075  # height of a line of type as a share of the axes
BACKDROP = "#b9b9b9"  # the first set of a map: what the others are chosen from
DENSE = 2000  # points from which on they are drawn small
BAND_OPACITY = 0.18
FEW = 30  # rounds that are shown one by one
DASHES = (0, (4, 1.6))
HOLE, REACH = 1.0, 1.3  # radius of a ring; how far its highest density stands out


@styled
def set_map(sets: Mapping[str, Tensor], title: str = "") -> Figure:
    """Several sets of points on one map, each with a colour and a marker; the first is the grey backdrop.

    Args:
        sets: name -> (n, 2) points of one projection that was fitted for all of them; drawn in this order.
        title: above the figure.
    """
    _refuse_nothing(sets)
    figure = new_figure(SQUARE)
    axes = figure.add_subplot(xticks=[], yticks=[], aspect="equal", title=title)
    axes.spines[:].set_visible(False)
    axes.grid(False)
    looks = [(BACKDROP, "o"), *zip(PALETTE, MARKERS, strict=True)]
    for (name, points), (colour, marker) in zip(sets.items(), looks, strict=False):
        x, y = points.detach().cpu().numpy().T
        size = 8 if len(points) > DENSE else 26
        axes.scatter(x, y, s=size, c=colour, marker=marker, linewidths=0, alpha=0.75, label=f"{name} ({len(points)})")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, markerscale=2, handletextpad=0.2)
    return figure


@styled
def rings(at: Tensor, densities: Mapping[str, Tensor]) -> Figure:
    """Sets side by side, each as a ring that is thick where the set is dense; one scale for all.

    Points lie on the ring by their direction on the map; the dotted circle is a set spread evenly over all directions.

    Args:
        at: (m,) angles in radians, ascending over a whole turn.
        densities: name -> (m,) density at these angles, a radian; 1 / (2 pi) everywhere for an even spread.
    """
    _refuse_nothing(densities)
    highest = max(float(density.max()) for density in densities.values())
    angles = np.append(at.numpy(), at[0].item() + 2 * math.pi)
    figure = new_figure(RING)
    grid = figure.subplots(1, len(densities), subplot_kw={"projection": "polar"}, squeeze=False)[0]
    for axes, (name, density), colour in zip(grid, densities.items(), (QUIET, *PALETTE), strict=False):
        height = np.append(density.numpy(), density[0].item()) / highest * REACH
        _ring(axes, angles, HOLE + height, colour)
        axes.plot(angles, np.full_like(angles, HOLE + REACH / (2 * math.pi * highest)), color=QUIET, ls=":", lw=2)
        axes.set_title(name, fontsize=TEXT)
    figure.supxlabel("dotted: an even spread over all directions", fontsize=SMALL, color=QUIET)
    return figure


def _ring(axes: PolarAxes, angles: np.ndarray, outer: np.ndarray, colour: str) -> None:
    axes.fill_between(angles, HOLE, outer, color=colour, alpha=0.8, linewidth=0)
    axes.plot(angles, np.full_like(angles, HOLE), color=RULE, linewidth=1)
    axes.set(rticks=[], xticks=[], ylim=(0, HOLE + REACH))
    axes.spines["polar"].set_visible(False)
    axes.grid(False)


@styled
def precision_curves(
    curves: Mapping[str, Mapping[float, Value]], base_rate: float, controls: Collection[str] = ()
) -> Figure:
    """How much of a selection is relevant against how much is selected, one line a way to select.

    Args:
        curves: name -> {share of the open set in (0, 1]: share of the selection that is relevant, 0..1}.
        base_rate: relevant share of the whole open set, what a blind choice gets.
        controls: names of curves to draw dashed.
    """
    _refuse_nothing(curves)
    figure = new_figure(HEIGHT)
    axes = figure.add_subplot(xlabel="budget, share of the open set", ylabel="precision", xscale="log")
    ends: list[tuple[float, float, str, str]] = []
    for (name, curve), colour, marker in zip(curves.items(), PALETTE * 3, MARKERS * 3, strict=False):
        places = sorted(curve)
        values, low, high = np.array([triple(curve[place]) for place in places]).T
        axes.fill_between(places, low, high, color=colour, alpha=BAND_OPACITY, linewidth=0)
        style = DASHES if name in controls else "-"
        axes.plot(places, values, color=colour, marker=marker, linestyle=style, clip_on=False)
        ends.append((places[-1], float(values[-1]), name, colour))
    chance_line(axes, base_rate)
    ends.append((ends[0][0], base_rate, f"base rate {100 * base_rate:.0f} %", QUIET))
    axes.set_ylim(-0.06, 1.04)  # room for names below a line near 0
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    _share_axis(axes, [share for curve in curves.values() for share in curve])
    label_ends(axes, ends, LINE)
    return figure


def _share_axis(axes: Axes, shares: Sequence[float]) -> None:
    """A logarithmic axis from the smallest to the largest budget, with the budgets as ticks."""
    axes.set_xlim(min(shares), max(shares))
    axes.xaxis.set_major_locator(FixedLocator(sorted(set(shares))))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.3g} %"))


@styled
def round_values(curves: Mapping[str, tuple[Sequence[int], Sequence[float]]], tau: float) -> Figure:
    """Value of each round as a share of the first round's, and a mark where it first falls below the threshold.

    Args:
        curves: name -> pictures chosen when each round ends, ascending; value of each round, mean cosine over the
            centroids, the first above 0.
        tau: share of the first value at which the selection stops.
    """
    _refuse_nothing({name: values for name, (_, values) in curves.items()})
    figure = new_figure(HEIGHT)
    axes = figure.add_subplot(xlabel="pictures chosen", ylabel="value, share of round 1", xscale="log")
    ends = []
    for (name, (chosen, values)), colour, marker in zip(curves.items(), PALETTE, MARKERS, strict=False):
        shares = np.asarray(values, dtype=float) / float(values[0])
        axes.plot(chosen, shares, color=colour, marker="." if len(shares) < FEW else None)
        ends.append((float(chosen[-1]), float(shares[-1]), name, colour))
        below = np.flatnonzero(shares < tau)
        if len(below):
            axes.plot(chosen[below[0]], shares[below[0]], color=colour, marker=marker, markersize=13)
    chance_line(axes, tau)
    first, last = min(chosen[0] for chosen, _ in curves.values()), max(x for x, _, _, _ in ends)
    axes.set_xlim(first, max(last, first + 1))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    label_ends(axes, [*ends, (last, tau, f"tau = {tau:g}", QUIET)], LINE)
    return figure


def _refuse_nothing(sets: Mapping[str, object]) -> None:
    if not sets or not all(len(values) for values in sets.values()):  # type: ignore[arg-type]
        raise ValueError("nothing to draw: give at least one set, and none that is empty")
