from __future__ import annotations

import multiprocessing
import traceback
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from fgssl_edu.distributed import full_precision, gather, gather_with_gradient, precise, rank, world_size
from fgssl_edu.losses import nt_xent

WORLD = 2
START_S = 120  # at most, on a busy machine
EXACT = {"rtol": 0, "atol": 1e-12}  # float64, sums of a few numbers around 1


def problem() -> tuple[Tensor, Tensor, Tensor]:
    """Two views of 6 images, and the weight of a linear encoder."""
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in ((6, 5), (6, 5), (5, 4)))


def loss_and_gradients(first: Tensor, second: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(loss, its gradient for the weight, for the first view): the joined batch on every process."""
    first, weight = first.clone().requires_grad_(), weight.clone().requires_grad_()
    loss = nt_xent(gather_with_gradient(first @ weight), gather_with_gradient(second @ weight), 0.3)
    return (loss.detach(), *torch.autograd.grad(loss, (weight, first)))


def on_rank(number: int, folder: str, results: Any) -> None:
    try:
        torch.set_num_threads(1)
        dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=number, world_size=WORLD)
        first, second, weight = problem()
        mine = slice(3 * number, 3 * number + 3)
        found = loss_and_gradients(first[mine], second[mine], weight)
        joined, counts = gather(first[mine].requires_grad_()), gather(torch.tensor([number]))
        facts = (rank(), world_size(), joined.requires_grad, counts.tolist(), torch.equal(joined, first))
        results.put((number, [value.tolist() for value in found], facts))
        dist.destroy_process_group()
    except BaseException:  # the parent shows it
        results.put((number, None, traceback.format_exc()))


@pytest.mark.slow
def test_two_processes_compute_the_loss_and_gradients_of_one(tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "fgssl_edu.losses"])
    results = context.Queue()
    processes = [context.Process(target=on_rank, args=(i, str(tmp_path), results)) for i in range(WORLD)]
    for process in processes:
        process.start()
    found = sorted(results.get(timeout=START_S) for _ in processes)
    for process in processes:
        process.join(START_S)

    loss, weight_gradient, first_gradient = loss_and_gradients(*problem())  # one process: gathering changes nothing
    for number, values, facts in found:
        assert values is not None, facts
        assert facts == (number, WORLD, False, [0, 1], True)
        torch.testing.assert_close(torch.tensor(values[0], dtype=torch.float64), loss, **EXACT)
    ours = [[torch.tensor(value, dtype=torch.float64) for value in values] for _, values, _ in found]
    # DistributedDataParallel averages parameter gradients over ranks; a rank's own rows carry WORLD times their share.
    torch.testing.assert_close(sum(values[1] for values in ours) / WORLD, weight_gradient, **EXACT)
    torch.testing.assert_close(torch.cat([values[2] for values in ours]) / WORLD, first_gradient, **EXACT)
    assert (ours[0][1] - ours[1][1]).abs().max() > 1e-3  # no rank alone has the whole gradient


def test_one_process_is_rank_0_of_1_and_gathers_itself() -> None:
    rows = torch.ones(2, 3, requires_grad=True)
    assert (rank(), world_size()) == (0, 1)
    assert gather_with_gradient(rows) is rows
    assert torch.equal(gather(rows), rows) and not gather(rows).requires_grad


def test_full_precision_switches_autocast_off_inside_and_back_on_after() -> None:
    rows = torch.ones(2, 2)
    with full_precision():
        assert (rows @ rows).dtype == torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        with full_precision():
            assert (rows @ rows).dtype == torch.float32
        assert (rows @ rows).dtype == torch.bfloat16
        with pytest.raises(RuntimeError, match="on purpose"), full_precision():
            raise RuntimeError("on purpose")
        assert (rows @ rows).dtype == torch.bfloat16


def test_half_precision_is_widened_and_the_rest_is_left_alone() -> None:
    kinds = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
    found = [precise(torch.ones(2, dtype=kind)).dtype for kind in kinds]
    assert found == [torch.float32, torch.float32, torch.float32, torch.float64]
