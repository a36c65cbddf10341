"""Feature dimensions: what a criterion spares and what it hits, by the dimensions' true roles."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure
from torch import Tensor

from fgssl_edu.figures.style import MARKERS, PALETTE, QUIET, TEXT, chance_line, label_ends, new_figure, styled

HEIGHT = 4.6  # inches
LINE = 0.095  # height of a line of type as a share of the axes


@styled
def spared(profiles: Mapping[str, Mapping[str, Tensor]]) -> Figure:
    """Mean true role of the dimensions in the order of a criterion, one graph a criterion, one line a role.

    Dotted at 1: a criterion that knows nothing. A good one has the sky's line fall from left to right (noise hits
    the sky) and the others rise (it spares what tells birds apart).

    Args:
        profiles: criterion -> {role: (groups,) mean role over the mean of all dimensions}, lowest scores first
            (`evaluate.dimensions.profile`).
    """
    if not profiles or not all(profiles.values()):
        raise ValueError("nothing to draw: give at least one criterion with at least one role")
    top = 1.08 * max(float(line.max()) for lines in profiles.values() for line in lines.values())
    figure = new_figure(HEIGHT)
    all_axes = figure.subplots(1, len(profiles), sharey=True, squeeze=False)[0]
    for axes, (criterion, lines) in zip(all_axes, profiles.items(), strict=True):
        axes.set_title(criterion, fontsize=TEXT)
        axes.set_ylim(0, max(top, 1.1))
        last = max(len(line) for line in lines.values())
        ends = []
        for (role, line), colour, marker in zip(lines.items(), PALETTE, MARKERS, strict=False):
            axes.plot(range(1, len(line) + 1), line.tolist(), color=colour, marker=marker, clip_on=False)
            ends.append((float(last), float(line[-1]), role, colour))
        axes.set_xlim(1, last)
        axes.set_xticks([1, last], ["lowest", "highest"])
        for label, side in zip(axes.get_xticklabels(), ("left", "right"), strict=True):
            label.set_horizontalalignment(side)  # neighbouring graphs' words would meet
        chance_line(axes, 1.0)
    label_ends(all_axes[-1], [*ends, (float(last), 1.0, "knows nothing", QUIET)], LINE)
    all_axes[0].set_ylabel("role over the mean")
    figure.supxlabel("dimensions, by what the criterion gives them", fontsize=TEXT)
    return figure
