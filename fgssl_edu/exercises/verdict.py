"""Exercises that check themselves: an answer is held against properties, and the first that fails is named.

Each `check_*` takes the student's function, tries it on small tensors, and returns a Verdict that a notebook displays:
what holds, and the property that does not ("not symmetric in the two views", "should be ln(2N-1)").
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

Answer = Callable[..., object]
Property = Callable[[Answer], str | None]  # None when it holds, else what is wrong
TOLERANCE = 1e-4  # float32 sums over a handful of rows


@dataclass(frozen=True)
class Verdict:
    """What a check found: `passed`, and one line to read."""

    passed: bool
    message: str

    def __repr__(self) -> str:
        return f"{'correct' if self.passed else 'not yet'}: {self.message}"

    def _repr_html_(self) -> str:
        colour, mark = ("#00694e", "&#10003;") if self.passed else ("#a14800", "&#10007;")
        style = f"border-left:6px solid {colour};padding:6px 12px;font-size:16px;color:#222;background:#f6f6f4"
        return f'<div style="{style}"><b style="color:{colour}">{mark}</b> {html.escape(self.message)}</div>'


def judge(answer: Answer, properties: Sequence[Property]) -> Verdict:
    """Try the properties in order; stop at the first that fails."""
    for holds in properties:
        try:
            wrong = holds(answer)
        except NotImplementedError:
            return Verdict(False, "not written yet: replace the line with NotImplementedError by your own")
        except Exception as error:  # whatever a student's code raises is shown to the student
            return Verdict(False, f"{type(error).__name__}: {error}")
        if wrong is not None:
            return Verdict(False, wrong)
    return Verdict(True, f"all {len(properties)} properties hold")


def number(value: object) -> float:
    """What an answer returned, as one number; ValueError where it is none."""
    if isinstance(value, Tensor):
        if value.numel() != 1:
            raise ValueError(f"should return one number, returned a tensor of shape {tuple(value.shape)}")
        return float(value.detach())
    if isinstance(value, int | float):
        return float(value)
    raise ValueError(f"should return one number, returned {type(value).__name__}")


def unit(rows: int, dim: int, seed: int) -> Tensor:
    """Random unit rows, (rows, dim)."""
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(rows, dim, generator=generator), dim=1)


def near(value: float, expected: float, tolerance: float = TOLERANCE) -> bool:
    """Whether two numbers agree."""
    return abs(value - expected) <= tolerance
