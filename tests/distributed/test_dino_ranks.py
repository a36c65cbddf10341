"""DINO on two gloo processes: loss, gradients, targets and centre are those of one process on the joined batch."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "contract"))  # also in the processes that are started
from contract_methods import pictures
from contract_processes import WORLD, on_both

from fgssl_edu.data.image_set import Batch
from fgssl_edu.distributed import gather
from fgssl_edu.methods.distillation.dino import BALANCES, DINO
from fgssl_edu.nets import build_encoder

COUNT = 8
CLOSE = 1e-6  # float32 sums in another order


def one_step(balance: str, index: torch.Tensor) -> dict[str, torch.Tensor]:
    """Loss, gradients and centre after a step on some of the pictures; the second of two, when the centre is not 0."""
    method = DINO(
        build_encoder("resnet10", norm="group", seed=0), size=16, local_views=1, prototypes=12, balance=balance
    )
    batch = Batch(pictures()[index], index)
    for step in (0, 1):
        outputs = method(batch, method.views(batch, step))
        method.after_step(0.1 + 0.1 * step)
    targets = method.targets(method.judge(torch.cat(method.views(batch, 2)[:2])))  # (2, B, K)
    outputs["loss"].backward()
    gradients = {
        f"gradient of {name}": value.grad for name, value in method.head.named_parameters() if value.grad is not None
    }
    first = {"gradient of the stem": method.encoder.entry[0].weight.grad}
    scalars = {name: outputs[name].detach() for name in ("loss", "usage", "target_entropy")}
    return {**scalars, **gradients, **first, "centre": method.centre, "targets": targets.transpose(0, 1).contiguous()}


def on_rank(rank: int, folder: Path) -> dict:
    mine, found = torch.arange(COUNT).chunk(WORLD)[rank], {}
    for balance in BALANCES:
        parts = one_step(balance, mine)
        joined = {"targets": gather(parts.pop("targets")), "centre": parts.pop("centre")}
        mean = {name: gather(value[None]).mean(dim=0) for name, value in parts.items()}
        found[balance] = {name: value.tolist() for name, value in {**joined, **mean}.items()}
    return found


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict]:
    return on_both(on_rank, tmp_path_factory.mktemp("dino"))


@pytest.mark.slow
@pytest.mark.parametrize("balance", BALANCES)
def test_two_processes_compute_what_one_does(balance: str, ranks: dict[int, dict]) -> None:
    alone = one_step(balance, torch.arange(COUNT))
    for rank in range(WORLD):
        for name, value in alone.items():
            there = torch.tensor(ranks[rank][balance][name])
            assert torch.allclose(there, value, rtol=0, atol=CLOSE), name
    assert bool(alone["centre"].any()) == (balance != "none")


@pytest.mark.slow
def test_targets_that_look_at_half_a_batch_would_be_others(ranks: dict[int, dict]) -> None:
    """The control: what one process alone makes of its half."""
    half = one_step("sinkhorn", torch.arange(COUNT // 2))["targets"]
    joined = torch.tensor(ranks[0]["sinkhorn"]["targets"])[: COUNT // 2]
    assert (half - joined).abs().max() > 1e-3
