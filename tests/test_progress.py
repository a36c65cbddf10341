"""What a run shows while it goes: a bar, at most twenty lines, or nothing; Fabric beside it says nothing at all."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

from fgssl_edu import progress
from fgssl_edu.data.image_set import Batch
from fgssl_edu.methods.base import Method
from fgssl_edu.recipe import Recipe
from fgssl_edu.train import pretrain

PICTURES = torch.zeros(8, 3, 4, 4, dtype=torch.uint8)


class Tiny(Method):
    """One number that is trained."""

    chance = 1.0986

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2, 1))

    def views(self, batch: Batch, step: int) -> tuple[torch.Tensor, ...]:
        return ()

    def forward(self, batch: Batch, views: tuple[torch.Tensor, ...]) -> dict[str, torch.Tensor]:
        return {"loss": (self.weight.sum() - 1) ** 2}


def train(steps: int, progress: str | bool) -> None:
    pretrain(Tiny(), PICTURES, Recipe(steps=steps, batch=8, warmup=1, accelerator="cpu"), progress=progress)


@pytest.mark.parametrize("steps", [5, 39, 59, 100, 401])
def test_at_most_twenty_lines_where_nobody_watches(steps: int, capsys: pytest.CaptureFixture):
    train(steps, progress="lines")
    lines = capsys.readouterr().out.splitlines()
    assert min(steps, 10) <= len(lines) <= 20
    assert lines[-1].startswith(f"step {steps}/{steps}: loss ") and "img/s" in lines[-1] and "s left" in lines[-1]


def test_a_bar_is_shown_to_a_terminal_and_lines_to_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    train(6, progress="auto")
    shown = capsys.readouterr()
    assert "6/6" in shown.err and "chance 1.099" in shown.err and shown.out == ""
    monkeypatch.setattr(progress, "watched", lambda: False)
    train(6, progress="auto")
    assert "step 6/6: loss" in capsys.readouterr().out


@pytest.mark.parametrize(("allow_stdin", "expected"), [(True, True), (False, False)])
def test_a_notebook_is_watched_when_somebody_could_answer(allow_stdin: bool, expected: bool, monkeypatch):
    class Shell:
        kernel = object()

        def get_parent(self) -> dict:
            return {"content": {"allow_stdin": allow_stdin}}

    class IPython:
        get_ipython = staticmethod(Shell)

    monkeypatch.setitem(progress.sys.modules, "IPython", IPython)
    assert progress.watched() is expected


def test_fabric_says_nothing(capfd: pytest.CaptureFixture, caplog: pytest.LogCaptureFixture):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        train(6, progress=False)
    shown = capfd.readouterr()
    assert (shown.out, shown.err, caught, caplog.records) == ("", "", [], [])
