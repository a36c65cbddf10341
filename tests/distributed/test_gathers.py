"""Losses that look at the whole batch: two gloo processes have the value and the gradients of one, to the last bits."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "contract"))  # also in the processes that are started
from contract_methods import SIDE, pictures
from contract_processes import WORLD, on_both

from fgssl_edu import draws
from fgssl_edu.data.image_set import Batch
from fgssl_edu.distributed import gather_with_gradient
from fgssl_edu.losses import barlow_twins, nt_xent, vicreg
from fgssl_edu.methods import build
from fgssl_edu.methods.contrastive.moco import MoCo
from fgssl_edu.nets import build_encoder

ROWS = 4  # images of each process
EXACT = {"rtol": 1e-12, "atol": 1e-12}  # float64, sums in another order
STEPS, QUEUE = 3, 20  # 3 x 8 keys: the queue wraps around

LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "nt_xent": lambda first, second: nt_xent(first, second, 0.3),
    "barlow_twins": barlow_twins,
    "vicreg": vicreg,
}
METHOD_NAMES = ("simclr", "barlow", "vicreg")


def problem() -> tuple[Tensor, Tensor, Tensor]:
    """Two views of 8 images, and the weight of a linear encoder, float64."""
    index = torch.arange(WORLD * ROWS)
    first, noise = (draws.normal(0, 0, index, purpose, 5).double() for purpose in ("first", "noise"))
    return first, first + 0.5 * noise, draws.normal(0, 0, torch.arange(5), "weight", 3).double()


def of_loss(name: str, first: Tensor, second: Tensor, weight: Tensor) -> list[Tensor]:
    """[loss, its gradient for the weight, for view 1, for view 2] of rows that are joined over all processes."""
    parts = [each.clone().requires_grad_() for each in (weight, first, second)]
    joined = (gather_with_gradient(part @ parts[0]) for part in parts[1:])
    loss = LOSSES[name](*joined)
    return [loss.detach(), *torch.autograd.grad(loss, parts)]


def of_method(name: str, mine: slice) -> list[Tensor]:
    """[loss, gradient of the first convolution, of the head's last layer] of a method, some of 8 pictures, float64."""
    fields = {"out": 6} if name != "simclr" else {}
    method = build(name, build_encoder("resnet10", norm="group", seed=0), size=SIDE, **fields)
    batch = Batch(pictures(WORLD * ROWS)[mine], torch.arange(WORLD * ROWS)[mine])
    views = tuple(view.double() for view in method.views(batch, 0))
    method.double()
    loss = method(batch, views)["loss"]
    head = method.head if name == "simclr" else method.projector
    return [loss.detach(), *torch.autograd.grad(loss, (method.encoder.entry[0].weight, head[-1].weight))]


def of_queue(mine: slice) -> list[Tensor]:
    """[rows, pointer, filled] of MoCo's queue after three steps without an optimiser."""
    method = build("moco", build_encoder("resnet10", norm="group", seed=0), size=SIDE, queue=QUEUE, ema=0.9)
    assert isinstance(method, MoCo)
    for step in range(STEPS):
        index = torch.arange(WORLD * ROWS).roll(step)[mine]
        batch = Batch(pictures(WORLD * ROWS)[index], index)
        method(batch, method.views(batch, step))
        method.after_step((step + 1) / STEPS)
    return [method.queue.values, method.queue.pointer, method.queue.filled]


def everything(mine: slice) -> dict[str, list[Tensor]]:
    """All of the above on this process's share of the images."""
    first, second, weight = problem()
    found = {name: of_loss(name, first[mine], second[mine], weight) for name in LOSSES}
    found |= {f"method {name}": of_method(name, mine) for name in METHOD_NAMES}
    return found | {"queue": of_queue(mine)}


def on_rank(rank: int, folder: Path) -> dict:
    """What this process found, as lists."""
    found = everything(slice(ROWS * rank, ROWS * (rank + 1)))
    return {name: [value.tolist() for value in values] for name, values in found.items()}


@pytest.fixture(scope="module")
def alone() -> dict[str, list[Tensor]]:
    """What one process computes of the joined batch."""
    return everything(slice(None))


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory, alone: dict[str, list[Tensor]]) -> list[dict[str, list[Tensor]]]:
    """What each of two processes computes of its half."""
    found = on_both(on_rank, tmp_path_factory.mktemp("gathers"))
    types = {name: [value.dtype for value in values] for name, values in alone.items()}
    return [
        {
            name: [torch.tensor(v, dtype=t) for v, t in zip(found[rank][name], types[name], strict=True)]
            for name in types
        }
        for rank in range(WORLD)
    ]


@pytest.mark.parametrize("name", [*LOSSES, *(f"method {name}" for name in METHOD_NAMES)])
def test_each_process_has_the_loss_of_the_joined_batch(name: str, together: list, alone: dict):
    for rank in range(WORLD):
        torch.testing.assert_close(together[rank][name][0], alone[name][0], **EXACT)


@pytest.mark.parametrize("name", [*LOSSES, *(f"method {name}" for name in METHOD_NAMES)])
def test_the_mean_over_processes_is_the_gradient_of_the_joined_batch(name: str, together: list, alone: dict):
    """DistributedDataParallel takes this mean of the weights' gradients."""
    weights = slice(1, 2) if name in LOSSES else slice(1, None)
    parts = [together[rank][name][weights] for rank in range(WORLD)]
    for ours, theirs, expected in zip(*parts, alone[name][weights], strict=True):
        torch.testing.assert_close((ours + theirs) / WORLD, expected, **EXACT)
        assert (ours - theirs).abs().max() > 1e-3 * expected.abs().max()  # no process alone has the whole gradient


@pytest.mark.parametrize("name", LOSSES)
def test_each_process_gets_the_gradient_of_its_own_rows(name: str, together: list, alone: dict):
    """They carry WORLD times their share, which the mean above takes away again."""
    for view in (2, 3):
        rows = torch.cat([together[rank][name][view] for rank in range(WORLD)])
        torch.testing.assert_close(rows / WORLD, alone[name][view], **EXACT)


@pytest.mark.parametrize("name", LOSSES)
def test_half_a_batch_has_another_loss(name: str, alone: dict):
    """The control: a process that did not gather would be seen."""
    first, second, weight = problem()
    halves = [of_loss(name, first[half], second[half], weight)[0] for half in (slice(0, ROWS), slice(ROWS, None))]
    assert (sum(halves) / WORLD - alone[name][0]).abs() > 0.05 * alone[name][0]


def test_the_queue_holds_the_keys_of_all_processes_in_their_order(together: list, alone: dict):
    for rank in range(WORLD):
        rows, pointer, filled = together[rank]["queue"]
        assert torch.equal(rows, together[0]["queue"][0])  # bit by bit the same on both
        torch.testing.assert_close(rows, alone["queue"][0], rtol=0, atol=1e-5)  # float32, batches of 4 and of 8
        assert (int(pointer), int(filled)) == (STEPS * WORLD * ROWS % QUEUE, QUEUE)
