"""Slider to picture in CPU time, so that a busy machine does not decide: pictures alone, and with networks."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil
import pytest
import torch

from fgssl_edu.data.image_set import Splits
from fgssl_edu.nets.encoders import Encoder
from fgssl_edu.panels.augmentation import AugmentationStrength
from fgssl_edu.panels.gradcam_views import GradCAMViews
from fgssl_edu.panels.neighbours import NeighbourBrowser
from fgssl_edu.panels.panel import KEPT_STATES, Panel

PICTURES_S, NETWORKS_S, FIRST_S = 0.1, 0.15, 0.3  # as promised; 20, 50 and 230 ms were seen
MOVES = 40


def p95(panel: Panel, move: Callable[[int], dict[str, object]]) -> float:
    """CPU seconds of the slowest but one in twenty of MOVES new states, after two to warm up."""
    seconds = []
    for i in range(MOVES + 2):
        start = time.process_time()
        panel.set(**move(i))
        seconds.append(time.process_time() - start)
    return sorted(seconds[2:])[int(0.95 * MOVES) - 1]


def test_neighbours_follow_the_slider(splits: Splits):
    panel = NeighbourBrowser({"a": torch.randn(72, 128), "b": torch.randn(72, 128)}, splits.test)
    assert p95(panel, lambda i: {"query": i + 1}) < PICTURES_S


def test_views_follow_the_slider(splits: Splits, encoders: dict[str, Encoder]):
    panel = AugmentationStrength(encoders["one"], splits.test)
    assert p95(panel, lambda i: {"strength": round(0.1 * (i % 20), 1), "picture": i + 1}) < NETWORKS_S


def test_heat_maps_and_edits_follow_the_controls(splits: Splits, encoders: dict[str, Encoder]):
    panel = GradCAMViews(encoders, splits, 40)
    assert p95(panel, lambda i: {"picture": i + 1}) < NETWORKS_S
    assert p95(panel, lambda i: {"sky": i + 1}) < NETWORKS_S


def test_memory_stays_flat_while_heat_maps_are_drawn(splits: Splits, encoders: dict[str, Encoder]):
    panel = GradCAMViews(encoders, splits, 40)
    for i in range(KEPT_STATES):
        panel.set(picture=i)
    before = psutil.Process().memory_info().rss
    for i in range(200):
        panel.set(sky=i + 1)
    grown = psutil.Process().memory_info().rss - before
    assert grown < 20e6  # one leaked graph is .5 MB a move: 100 MB


@pytest.mark.parametrize("name", ["neighbours", "views", "heat"])
def test_first_picture_comes_soon(splits: Splits, encoders: dict[str, Encoder], name: str):
    make = {
        "neighbours": lambda: NeighbourBrowser({"a": torch.randn(72, 128)}, splits.test),
        "views": lambda: AugmentationStrength(encoders["one"], splits.test),
        "heat": lambda: GradCAMViews(encoders, splits, 40),
    }[name]
    make()  # a network's first call and imports at first use are paid once
    start = time.process_time()
    make()
    assert time.process_time() - start < FIRST_S
