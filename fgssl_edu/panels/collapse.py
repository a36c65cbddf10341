"""Take a part away from a method without negatives, and watch its embeddings, step by step.

A row a training: the method whole, and without the chosen part. Its matrix is what a contrast would make of it: the
covariance of the two views' embeddings over the pictures, dimension by dimension, in the scale in which the method's
loss sees them. The aim is the identity; a point is white, a line is one pattern of full colours. The eigenvalues beside
it say how many directions are used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from fgssl_edu.evaluate.monitor import symptom
from fgssl_edu.losses.redundancy import NORM_EPSILON
from fgssl_edu.panels.canvas import AMBER, BLUE, GREEN, INK, MARGIN, QUIET, RED, SMALL, TITLE, Canvas
from fgssl_edu.panels.collapse_runs import NAMES, PARTS, WHOLE, Run
from fgssl_edu.panels.controls import choice, slider
from fgssl_edu.panels.panel import Panel
from fgssl_edu.panels.plots import Box, curve, dashes, frame

SIDE = 208  # pixels of a matrix
TOPS = (66, 352)  # y of the matrices
SPECTRUM, LOSS = (290, 520), (590, 790)  # left and right end of the plots
TABLE = 812
HIGH = 4.0  # of the eigenvalues' axis: 1 is even
SCALES = {"byol": "direction", "simsiam": "direction", "barlow": "standardised", "vicreg": "as it is"}
FLOORS = {"byol": 0.0, "simsiam": -1.0}  # where collapse is the best that the loss can have


def as_the_loss_sees(method: str, embeddings: Tensor) -> Tensor:
    """Embeddings (..., n, d) in the scale of their method's loss, with their mean taken off.

    Directions times the root of d for BYOL and SimSiam, divided by their deviation for Barlow Twins, as they are for
    VICReg: the aim has variance 1 in every dimension, a point 0.
    """
    if SCALES[method] == "direction":
        embeddings = F.normalize(embeddings, dim=-1) * embeddings.shape[-1] ** 0.5
    centred = embeddings - embeddings.mean(dim=-2, keepdim=True)
    if SCALES[method] == "standardised":
        centred = centred / (centred.square().mean(dim=-2, keepdim=True) + NORM_EPSILON).sqrt()
    return centred


@dataclass(frozen=True)
class Look:
    """One training at one step.

    Attributes:
        matrix: (d, d) covariance of view 1's dimensions (rows) with view 2's; the identity is the aim.
        eigenvalues: (d,) of view 1's covariance, largest first; 1 each is the aim.
        row: numbers, as `symptom` takes them.
    """

    matrix: Tensor
    eigenvalues: Tensor
    row: Mapping[str, float]


def look(method: str, run: Run, number: int) -> Look:
    """The state of a training at one of its looks, 0 before the first step."""
    first, second = as_the_loss_sees(method, run["pairs"][number].float())  # (n, d) each
    own = first.T @ first / len(first)
    return Look(first.T @ second / len(first), torch.linalg.eigvalsh(own).flip(0).clamp(min=0), run["rows"][number])


class WithoutPart(Panel):
    """A method whole and without one of its parts: matrix, eigenvalues, loss and what they are a symptom of.

    Args:
        runs: from `collapse_runs.small_runs`.
    """

    def __init__(self, runs: Mapping[str, Mapping[str, Run]]) -> None:
        missing = [f"{m} without {p}" for m, parts in PARTS.items() for p in parts if p not in runs.get(m, {})]
        if missing:
            raise ValueError(f"runs of {', '.join(missing)} are missing: make them with collapse_runs.small_runs")
        self.runs = runs
        self.last = len(runs["byol"][WHOLE]["at"]) - 1
        states = [
            {"method": "simsiam", "part": "stop-gradient"},
            {"method": "vicreg", "part": "variance term"},
            {"method": "barlow", "part": "redundancy term"},
        ]
        super().__init__(self._compose, self._controls(), states=states, title="Which part keeps it from collapse?")

    def _controls(self) -> dict[str, object]:
        method = choice("Method", [(words, name) for name, words in NAMES.items()])
        part = choice("Without", _parts("byol"))
        part.layout.width = "360px"  # room for the longest name
        method.observe(lambda change: self._offer(str(change["new"])), "value")
        return {"method": method, "part": part, "look": slider(f"Look (0 to {self.last})", self.last, 0, self.last, 1)}

    def _offer(self, method: str) -> None:
        """Another method has other parts."""
        with self.hold():
            self.controls["part"].options = _parts(method)

    def _compose(self, **values: Any) -> NDArray:
        method, part, number = str(values["method"]), str(values["part"]), int(values["look"])
        part = part if part in PARTS[method] else _parts(method)[0]  # while a sheet of other states is drawn
        runs = [self.runs[method][WHOLE], self.runs[method][part]]
        canvas = Canvas(TOPS[1] + SIDE + 40)
        for run, words, top in zip(runs, ("whole", f"without {part}"), TOPS, strict=True):
            self._row(canvas, top, method, f"{NAMES[method]}, {words}", run, number)
        step = runs[0]["at"][number]
        canvas.write(f"after {step} steps", canvas.picture.width - MARGIN, 10, TITLE, bold=True, anchor="ra")
        return canvas.array()

    def _row(self, canvas: Canvas, top: int, method: str, words: str, run: Run, number: int) -> None:
        found = look(method, run, number)
        canvas.write(words, MARGIN, top - 56, TITLE, bold=True, room=TABLE - 2 * MARGIN)
        canvas.write("view 1 × view 2", MARGIN, top - 26, SMALL, QUIET)
        canvas.put(signed_tile(found.matrix, SIDE), MARGIN, top, frame=QUIET, thick=1)
        draw_spectrum(canvas, (SPECTRUM[0], top, SPECTRUM[1], top + SIDE), found.eigenvalues)
        draw_loss(canvas, (LOSS[0], top, LOSS[1], top + SIDE), method, run, number)
        self._numbers(canvas, top, method, found.row)

    def _numbers(self, canvas: Canvas, top: int, method: str, row: Mapping[str, float]) -> None:
        shown = [("loss", f"{row['loss']:.2f}"), ("spread", f"{row['embedding_std']:.2f}")]
        shown += [("deviation", f"{row['deviation']:.2f}")] if "deviation" in row else []
        shown += [("dimensions used", f"{row['embedding_rank']:.1f}")]
        for line, (words, text) in enumerate(shown):
            canvas.write(words, TABLE, top + 30 * line, SMALL)
            canvas.write(text, canvas.picture.width - MARGIN, top - 2 + 30 * line, bold=True, anchor="ra")
        kind = symptom(row)
        colour, mark = (GREEN, "✓ no symptom") if kind is None else (RED, f"✗ {kind.split(' (')[0]}")
        canvas.pen.rectangle((TABLE - 8, top + 132, TABLE - 4, top + SIDE), fill=colour)
        canvas.write_lines(mark, TABLE + 4, top + 138, canvas.picture.width - TABLE - MARGIN, bold=True)


def _parts(method: str) -> list[str]:
    return [part for part in PARTS[method] if part != WHOLE]


def signed_tile(matrix: Tensor, side: int) -> Image.Image:
    """A (d, d) matrix in [-1, 1]: blue above 0, orange below, white at 0."""
    share = matrix.clamp(-1, 1)[..., None].numpy()  # (d, d, 1)
    paper, above, below = (np.array(colour, dtype=np.float32) for colour in ((255, 255, 255), BLUE, (200, 70, 0)))
    colours = paper + np.abs(share) * (np.where(share > 0, above, below) - paper)
    return Image.fromarray(colours.round().astype(np.uint8)).resize((side, side), Image.Resampling.NEAREST)


def draw_spectrum(canvas: Canvas, box: Box, eigenvalues: Tensor) -> None:
    """Bars, the largest first, beside a dashed line at 1: what an even spread would have; what is higher is cut."""
    canvas.write("variance in each direction", box[0] - 20, box[1] - 26, SMALL, QUIET)
    height = frame(canvas, box, [(0.0, "0"), (1 / HIGH, "1")])
    width = (box[2] - box[0]) / len(eigenvalues)
    for place, value in enumerate(eigenvalues.tolist()):
        left, top = box[0] + place * width, height(min(value / HIGH, 1.0))
        if top < box[3]:
            canvas.pen.rectangle((left + 1, top, left + width - 2, box[3]), fill=BLUE)
    dashes(canvas, height(1 / HIGH), box[0], box[2], AMBER)


def draw_loss(canvas: Canvas, box: Box, method: str, run: Run, number: int) -> None:
    """The loss at every look, a dot where we are, and dashed lines at what knowing nothing and collapse cost."""
    losses = [row["loss"] for row in run["rows"]]
    # BYOL and SimSiam like collapse best of all; in Barlow Twins and VICReg it is what a network that knows nothing has
    levels = (
        {"chance": run["chance"], "collapsed": FLOORS[method]} if method in FLOORS else {"collapsed": run["chance"]}
    )
    low, high = min(*losses, *levels.values()), max(*losses, *levels.values())
    low, high = low - 0.06 * (high - low), high + 0.06 * (high - low)
    canvas.write("loss, same pictures", box[0] - 20, box[1] - 26, SMALL, QUIET)
    shares = {words: (value - low) / (high - low) for words, value in levels.items()}
    height = frame(canvas, box, [(shares[words], f"{value:.3g}") for words, value in levels.items()])
    for words, share in shares.items():
        dashes(canvas, height(share), box[0], box[2], INK)
        canvas.write(words, box[2], height(share) + (2 if share > 0.5 else -26), SMALL, QUIET, anchor="ra")
    x, y = np.linspace(0, 1, len(losses)), (np.array(losses) - low) / (high - low)
    curve(canvas, box, x, y, BLUE, 3)
    curve(canvas, box, x[number : number + 1], y[number : number + 1], RED, 4, dots=True)
