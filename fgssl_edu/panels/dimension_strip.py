"""A strip of bars, one a feature dimension: two independent noises, stacked as their variances add up."""

from __future__ import annotations

import torch
from torch import Tensor

from fgssl_edu.panels.canvas import BLUE, RED, SMALL, Canvas

LEFT, RIGHT, HIGH = 66, 990, 150  # pixels: ends of the strip, height of its tallest bar
MOST_BARS = 154  # wider features are shown by the mean of neighbours


def stacked(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Standard deviation of the sum of two noises, and where in a bar of that height the second one begins.

    Args:
        first, second: standard deviations of independent noises, (D,).

    Returns:
        total (n,) and begin (n,), 0 <= begin <= total; n is D, or MOST_BARS of neighbours' root mean squares.
    """
    ours, theirs = (_binned(values.square()) for values in (first, second))  # variances
    total = (ours + theirs).sqrt()
    return total, total * ours / (ours + theirs).clamp(min=1e-30)


def draw_strip(canvas: Canvas, base: int, first: Tensor, second: Tensor, ends: tuple[str, str]) -> None:
    """Draw both noises, in the order given.

    Args:
        canvas: to draw on.
        base: y of the bars' feet, pixels.
        first, second: as in `stacked`; blue and red.
        ends: words below the first and the last dimension.
    """
    total, begin = stacked(first, second)
    most = float(total.max())
    scale, width = HIGH / max(most, 1e-12), (RIGHT - LEFT) / len(total)
    for bar, (whole, part) in enumerate(zip((total * scale).tolist(), (begin * scale).tolist(), strict=True)):
        left, right = LEFT + bar * width, LEFT + (bar + 1) * width - 1
        if part >= 1:
            canvas.pen.rectangle((left, base - part, right, base), fill=BLUE)
        if whole - part >= 1:
            canvas.pen.rectangle((left, base - whole, right, base - part), fill=RED)
    canvas.rule(base, LEFT, RIGHT)
    canvas.write(f"{most:.2g}", LEFT - 8, base - HIGH - 4, SMALL, anchor="ra")
    if most:
        canvas.write("0", LEFT - 8, base - 14, SMALL, anchor="ra")
    canvas.write(ends[0], LEFT, base + 8, bold=True)
    canvas.write(ends[1], RIGHT, base + 8, bold=True, anchor="ra")


def left_half(deviations: Tensor) -> float:
    """Percent of the noise's power that lies in the first half of the dimensions; NaN where there is no noise."""
    power = deviations.double().square()
    return 100 * float(power[: len(power) // 2].sum() / power.sum())


def _binned(values: Tensor) -> Tensor:
    """(D,) as at most MOST_BARS means of neighbours."""
    return values if len(values) <= MOST_BARS else torch.stack([part.mean() for part in values.tensor_split(MOST_BARS)])
