"""Sinkhorn-Knopp on a live matrix: how evenly, how firmly and in how many iterations samples are shared out.

Three matrices one below the other: scores, their softmax, and the balanced codes; beside each prototype how many
samples it holds. SwAV's three iterations at epsilon .05 do not balance a crowd; a softer epsilon or more iterations do.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from fgssl_edu import draws
from fgssl_edu.losses import sinkhorn_knopp
from fgssl_edu.methods.clustering.crops import code_statistics
from fgssl_edu.panels.canvas import AMBER, BLUE, INK, MARGIN, QUIET, SMALL, TITLE, Canvas, Color, matrix_tile
from fgssl_edu.panels.controls import choice, slider, steps
from fgssl_edu.panels.panel import Panel

SAMPLES, PROTOTYPES = 60, 6
CELL, ROW = 10, 26  # pixels of a sample's column and a prototype's row
LEFT, TOP, BLOCK = 130, 40, 232  # where the matrices begin; from one to the next
BARS, REACH = LEFT + SAMPLES * CELL + 24, 190  # left end of the bars; pixels of the longest
EPSILONS = (0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0)
ITERATIONS = (1, 2, 3, 5, 10, 30, 100, 1000)
DRAWN, NETWORK = "drawn: blobs", "of this network"
NOISE = 0.1  # of the drawn scores: standard deviation beside blobs at score 1


class SinkhornLive(Panel):
    """Scores, softmax and codes of 60 samples and 6 prototypes.

    Args:
        scores: of a trained network for more samples and prototypes, (N, K) cosines: those of the first 60 samples for
            the 6 prototypes that these like best can be chosen; None where there is no network.

    Raises:
        ValueError: the scores are of fewer samples or prototypes than are shown.
    """

    def __init__(self, scores: Tensor | None = None) -> None:
        if scores is not None and (scores.dim() != 2 or len(scores) < SAMPLES or scores.shape[1] < PROTOTYPES):
            raise ValueError(f"scores {tuple(scores.shape)}: the panel shows {SAMPLES} by {PROTOTYPES} of them")
        self.network = None if scores is None else best_liked(scores.detach().float().cpu())
        sources = [DRAWN] if scores is None else [DRAWN, NETWORK]
        first = {
            "source": choice("Scores", sources),
            "crowd": slider("Share in the first blob", 0.2, 0.1, 1.0, 0.1),
            "favour": slider("All like prototype 1 more by", 1.5, 0.0, 2.0, 0.1),
        }
        second = {
            "epsilon": steps("Epsilon", [(f"{value:g}", value) for value in EPSILONS], 0.05),
            "iterations": steps("Iterations", [(str(value), value) for value in ITERATIONS], 3),
        }
        states: list[dict[str, object]] = [{}, {"crowd": 0.6}, {"crowd": 0.6, "iterations": 1000}, {"epsilon": 0.5}]
        super().__init__(self._compose, [first, second], states=states, title="Who gets which prototype?")

    def scores(self, source: str, crowd: float, favour: float) -> Tensor:
        """(SAMPLES, PROTOTYPES) of a source; the crowd is of drawn ones only."""
        found = drawn(crowd) if source == DRAWN or self.network is None else self.network.clone()
        found[:, 0] += favour
        return found

    def _compose(self, source: str, crowd: float, favour: float, epsilon: float, iterations: int) -> NDArray:
        scores = self.scores(source, crowd, favour)
        plain = (scores / epsilon).softmax(dim=1)
        codes = sinkhorn_knopp(scores, epsilon, iterations)
        canvas = Canvas(TOP + 3 * BLOCK - 14)
        canvas.write("samples in columns", LEFT + SAMPLES * CELL, 8, SMALL, QUIET, anchor="ra")
        canvas.write("samples held", BARS, 8, SMALL, QUIET)
        low, high = float(scores.min()), float(scores.max())
        self._matrix(canvas, 0, f"Scores, {low:.2f} to {high:.2f}", (scores - low) / max(high - low, 1e-9), None, BLUE)
        self._matrix(canvas, 1, "Softmax: no balance", plain, plain.sum(dim=0), AMBER)
        self._matrix(canvas, 2, f"Sinkhorn-Knopp, {_times(iterations)}", codes, codes.sum(dim=0), BLUE)
        return canvas.array()

    def _matrix(
        self, canvas: Canvas, block: int, title: str, values: Tensor, mass: Tensor | None, colour: Color
    ) -> None:
        """A matrix with its prototypes down and its samples across; beside it what each prototype holds."""
        top = TOP + block * BLOCK
        canvas.write(title, MARGIN, top - 32, TITLE, bold=True)
        rows = [f"prototype {row + 1}" for row in range(PROTOTYPES)]
        for row, name in enumerate(rows):
            canvas.write(name, LEFT - 12, top + row * ROW + 4, SMALL, anchor="ra")
        canvas.put(matrix_tile(values.T, SAMPLES * CELL, PROTOTYPES * ROW), LEFT, top)
        if mass is None:
            return
        share = SAMPLES / PROTOTYPES
        for row, held in enumerate(mass.tolist()):
            y, end = top + row * ROW, BARS + round(REACH * held / SAMPLES)
            canvas.pen.rectangle((BARS, y + 4, max(end, BARS + 1), y + ROW - 5), fill=colour)
            canvas.write(f"{held:.1f}", max(end, BARS + round(REACH * share / SAMPLES)) + 8, y + 4, SMALL)
        even = BARS + round(REACH * share / SAMPLES)
        canvas.pen.line((even, top - 4, even, top + PROTOTYPES * ROW + 3), fill=INK, width=2)
        told = code_statistics(values)
        numbers = f"usage {told['usage']:.2f}, a code's entropy {told['target_entropy']:.2f} of ln {PROTOTYPES}"
        canvas.write(numbers, LEFT, top + PROTOTYPES * ROW + 8, SMALL, QUIET)
        canvas.write(f"line: {share:g} each", BARS, top + PROTOTYPES * ROW + 8, SMALL, QUIET)


def drawn(crowd: float) -> Tensor:
    """Cosine-like scores of blobs of samples, one a prototype, the first with the share `crowd` of all."""
    first = min(round(crowd * SAMPLES), SAMPLES)
    rest = torch.arange(SAMPLES - first) * (PROTOTYPES - 1) // max(SAMPLES - first, 1) + 1
    blob = torch.cat([torch.zeros(first, dtype=torch.long), rest])  # (SAMPLES,)
    noise = draws.normal(0, 0, torch.arange(SAMPLES), "panel/sinkhorn", PROTOTYPES)
    return F.one_hot(blob, PROTOTYPES).float() + NOISE * noise


def best_liked(scores: Tensor) -> Tensor:
    """The first samples' scores for the prototypes that they like best on average, samples sorted by their best one."""
    kept = scores[:SAMPLES]
    likes = (kept / 0.1).softmax(dim=1).sum(dim=0)
    kept = kept[:, likes.topk(PROTOTYPES).indices]
    return kept[kept.argmax(dim=1).argsort(stable=True)]


def _times(iterations: int) -> str:
    return f"{iterations} iteration{'s' if iterations > 1 else ''}"
