"""Live curves: quiet without a notebook, few pictures in one, and a last picture at the end of the cell."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from fgssl_edu.data.image_set import Splits
from fgssl_edu.evaluate.monitor import CollapseMonitor
from fgssl_edu.methods import METHODS
from fgssl_edu.nets.encoders import build_encoder
from fgssl_edu.panels import live
from fgssl_edu.panels.live import LiveCurves
from fgssl_edu.recipe import Recipe
from fgssl_edu.train import pretrain


class Notebook:
    """Stands in for the IPython kernel's shell and display."""

    def __init__(self) -> None:
        self.hooks: list[Any] = []
        self.pictures: list[bytes] = []
        self.kernel = object()
        self.events = SimpleNamespace(
            register=lambda _, hook: self.hooks.append(hook), unregister=lambda _, hook: self.hooks.remove(hook)
        )

    def display(self, picture: Any, display_id: bool = False) -> Any:
        self.pictures.append(picture.data)
        return SimpleNamespace(update=lambda new: self.pictures.append(new.data))


def test_quiet_without_a_notebook():
    curves = LiveCurves()
    assert curves(torch.nn.Identity(), {"loss": 1.0}, 10) == {} and curves.rows == []


def test_few_pictures_one_of_them_at_the_end(monkeypatch: pytest.MonkeyPatch):
    notebook, clock = Notebook(), [0.0]
    monkeypatch.setattr(live, "notebook_shell", lambda: notebook)
    monkeypatch.setattr("IPython.display.display", notebook.display)
    monkeypatch.setattr(live.time, "monotonic", lambda: clock[0])
    curves = LiveCurves(every=10)
    monkeypatch.setattr(live, "watched", lambda rows, chance: SimpleNamespace(png=lambda: _drawn(rows, clock)))
    for step in range(2, 301, 2):  # a minute of training
        clock[0] += 0.4
        curves(torch.nn.Identity(), {"loss": 5.0 - step / 100}, step)
    assert curves.every == 2 and 5 <= len(notebook.pictures) <= 20 and len(notebook.hooks) == 1
    notebook.hooks[0](object())
    assert notebook.hooks == [] and notebook.pictures[-1] == b"150 rows"


@pytest.mark.parametrize("minutes", [0.2, 1, 5, 60])
def test_drawing_takes_a_twentieth_of_the_time_at_most(monkeypatch: pytest.MonkeyPatch, minutes: float):
    notebook, clock = Notebook(), [0.0]
    monkeypatch.setattr(live, "notebook_shell", lambda: notebook)
    monkeypatch.setattr("IPython.display.display", notebook.display)
    monkeypatch.setattr(live.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(live, "watched", lambda rows, chance: SimpleNamespace(png=lambda: _drawn(rows, clock)))
    curves = LiveCurves(every=1)
    for step in range(1, 301):
        clock[0] += 60 * minutes / 300
        curves(torch.nn.Identity(), {"loss": 1.0}, step)
    later = len(notebook.pictures) - 1  # the first comes with the first point
    assert 0.2 * later <= 0.05 * clock[0] and later < 20


@pytest.mark.parametrize("every", [1, 4, 5, 12, 37, 40, 575])
def test_the_loss_has_points_between_two_looks_and_no_look_is_missed(every: int):
    step = live.finer(every)
    assert every % step == 0
    assert every // step >= min(live.FINER, every)
    assert (step, every) != (1, 40)  # no more often than that takes


def test_a_training_shows_the_loss_at_more_points_than_knn(monkeypatch: pytest.MonkeyPatch, splits: Splits):
    notebook = Notebook()
    monkeypatch.setattr(live, "notebook_shell", lambda: notebook)
    monkeypatch.setattr(LiveCurves, "_draw", lambda self: None)
    curves, collapse = LiveCurves(10), CollapseMonitor(splits.train, splits.test, 10, size=16)
    method = METHODS["simclr"](build_encoder("resnet10", seed=0), size=16)
    recipe = Recipe(steps=20, batch=8, lr=1e-3, weight_decay=0.0, accelerator="cpu")
    pretrain(method, splits.train, recipe, [collapse, curves], progress=False)
    assert [row["step"] for row in curves.rows] == list(range(2, 21, 2))
    assert [row["step"] for row in curves.rows if "knn" in row] == [10, 20]


def _drawn(rows: list[dict[str, float]], clock: list[float]) -> bytes:
    clock[0] += 0.2  # a picture takes a fifth of a second
    return f"{len(rows)} rows".encode()


def test_drawing_is_a_picture(monkeypatch: pytest.MonkeyPatch):
    notebook = Notebook()
    monkeypatch.setattr(live, "notebook_shell", lambda: notebook)
    monkeypatch.setattr("IPython.display.display", notebook.display)
    method = torch.nn.Identity()
    method.chance = 5.5  # type: ignore[assignment]
    LiveCurves()(method, {"loss": 5.0, "knn": 0.1}, 10)
    assert notebook.pictures[0].startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="every=0"):
        LiveCurves(every=0)
