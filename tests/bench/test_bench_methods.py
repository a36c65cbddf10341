"""The bench of methods lists every method that a lesson has, and counts the memory of a step it was not told of."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fgssl_edu import bench
from fgssl_edu.bench import methods
from fgssl_edu.bench.methods import arm_of_each_method, kept_for_backward, learner, storages
from fgssl_edu.bench.rounds import interleave
from fgssl_edu.methods import METHODS
from fgssl_edu.runs.arm_tables import ARMS
from fgssl_edu.runs.experiment import LIVE_ARMS


def test_every_method_that_has_an_arm_is_listed_by_an_arm_of_its_own():
    listed = arm_of_each_method()
    assert set(listed) == {arm.method for table in ARMS.values() for arm in table.values()} - {None}
    assert set(listed) <= set(METHODS)
    assert all(ARMS[slug][name].method == method for method, (slug, name) in listed.items())
    assert listed["rotation"] == ("rotation", LIVE_ARMS["rotation"])


def test_bytes_kept_for_the_backward_pass_are_counted_once():
    """Of y = tanh(x) tanh(x): the result of tanh alone; of a second, different one, its own too."""
    x = torch.randn(1000, requires_grad=True)
    with kept_for_backward() as kept:
        y = x.tanh()
        (y * y).sum().backward()
    assert sum(kept.values()) == 4000
    with kept_for_backward() as kept:
        (x.tanh() * x.sigmoid()).sum().backward()
    assert sum(kept.values()) == 8000
    with kept_for_backward() as kept, torch.no_grad():
        x.tanh()
    assert kept == {}
    assert x.grad is not None and x.grad.abs().sum() > 0  # the hooks leave the backward pass as it is


def test_views_of_one_storage_are_one():
    x = torch.zeros(10)
    assert storages([x, x[2:], x.view(2, 5)]) == storages([x]) and sum(storages([x, x.clone()]).values()) == 80


def test_memory_is_that_of_weights_state_and_activations():
    """Counted by hand on one linear layer: weight and bias, two moments of each with a step count, and its input."""
    found = learner("contrast", "simclr", "ci")
    layer = nn.Linear(5, 7)

    class One(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer

        def views(self, batch, step):
            return (torch.zeros(3, 5),)

        def forward(self, batch, views):
            return {"loss": self.layer(views[0]).sum()}

        def before_step(self, progress):
            pass

        after_step = before_step

    found.method, found.optimizers = One(), [torch.optim.AdamW(layer.parameters())]
    steps = 2 * 4
    assert found.megabytes() * 1e6 == 4 * (3 * (35 + 7) + 15) + steps


def test_the_bench_reports_rates_ratios_and_memory(monkeypatch: pytest.MonkeyPatch):
    result = methods.run("ci", [("rotation", "rotation"), ("contrast", "moco")])
    table = result["tables"]["methods"]
    assert set(table["images_per_second"]) == set(table["megabytes"]) == {"rotation", "moco", "simclr"}
    assert set(table["ratios"]) == {"rotation to simclr", "moco to simclr"}
    assert all(value > 0 for unit in ("images_per_second", "megabytes", "ratios") for value in table[unit].values())
    text = bench.report({"bench": "methods", "scale": "ci", "environment": {"threads": 1}, **result})
    assert "megabytes" in text and "rotation to simclr" in text


def test_the_clock_of_the_rounds_may_be_the_cpus():
    ticks = iter(range(0, 1000, 5))
    rates = interleave({"a": lambda _: 10}, rounds=2, clock=lambda: float(next(ticks)))
    assert rates == {"a": [2.0, 2.0]}


@pytest.mark.slow
def test_every_method_takes_its_step(monkeypatch: pytest.MonkeyPatch):
    found = methods.run("ci")["tables"]["methods"]
    assert set(found["megabytes"]) == {*arm_of_each_method(), *methods.OWN_STEP}
