"""The figure of what a criterion spares: lines where they were given, large type, nothing clipped."""

from __future__ import annotations

import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from fgssl_edu.figures.dimensions import spared

UP, DOWN = torch.linspace(0.4, 1.6, 8), torch.linspace(1.7, 0.3, 8)
ROLES = {"background": DOWN, "genus": UP, "species in genus": UP * 1.01, "edit against sky": UP.square()}
PROFILES = {
    "standard deviation": ROLES,
    "Grad-CAM, helps": {name: line.flip(0) for name, line in ROLES.items()},
    "Grad-CAM, hurts": ROLES,
}


def test_lines_are_what_was_given_on_one_scale():
    axes = spared(PROFILES).axes
    assert len(axes) == 3 and len({a.get_ylim() for a in axes}) == 1
    drawn = [line.get_ydata() for line in axes[1].lines if len(line.get_xdata()) == 8]
    assert len(drawn) == 4 and drawn[0] == pytest.approx(DOWN.flip(0).numpy())
    assert axes[0].get_ylim()[1] > float(UP.square().max())
    texts = [text.get_text() for text in axes[-1].findobj(Text)]
    assert {"knows nothing", *ROLES} <= set(texts)


def test_it_reads_from_the_back_row_and_nothing_is_clipped():
    figure = spared(PROFILES)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    ticks = {id(label) for axes in figure.axes for label in axes.get_yticklabels()}  # some are outside, not drawn
    for text in figure.findobj(Text):
        if text.get_visible() and text.get_text().strip() and id(text) not in ticks:
            box = text.get_window_extent(canvas.get_renderer())
            assert text.get_fontsize() >= 13
            assert box.x0 >= -1 and box.x1 <= 1001 and box.y0 >= -1 and box.y1 <= figure.bbox.height + 1, text


def test_nothing_to_draw_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        spared({})
