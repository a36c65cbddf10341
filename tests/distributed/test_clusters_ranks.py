"""SwAV's codes are those of the joined batch: two gloo processes, each with half, against one; values and gradients."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "contract"))  # also in the processes that are started
from contract_methods import pictures
from contract_processes import on_both

from fgssl_edu import draws
from fgssl_edu.data.image_set import Batch
from fgssl_edu.losses import sinkhorn_knopp
from fgssl_edu.methods.clustering.swav import SwAV
from fgssl_edu.nets import build_encoder

COUNT, MEMORY = 12, 10
SCORES = 0.3 * draws.normal(0, 0, torch.arange(COUNT), "scores", 5)


def computed(part: slice) -> dict[str, Tensor]:
    """Codes, statistics, loss, gradients and the queue after a step on some of the images, the queue full before."""
    method = SwAV(build_encoder("resnet10", norm="group", seed=0), size=16, prototypes=5, memory=MEMORY)
    for ring in method.queues:
        ring.filled.fill_(MEMORY)
    index = torch.arange(COUNT)[part]
    batch = Batch(pictures(COUNT)[part], index)
    outputs = method(batch, method.views(batch, 0))
    outputs["loss"].backward()
    found = {name: value.detach() for name, value in outputs.items() if name != "embeddings"}
    found["codes"] = method.codes(SCORES[part], 0)
    for name, value in method.named_parameters():
        found[f"gradient of {name}"] = value.grad.clone()
        if dist.is_initialized():  # what DistributedDataParallel does
            dist.all_reduce(found[f"gradient of {name}"])
            found[f"gradient of {name}"] /= dist.get_world_size()
    method.after_step(0.5)
    found["queue"] = method.queues[1].values
    return found


def on_rank(rank: int, folder: Path) -> dict:
    half = COUNT // 2
    found = computed(slice(rank * half, (rank + 1) * half))
    loss = found["loss"].clone()
    dist.all_reduce(loss)
    found["loss"] = loss / 2
    return {name: value.numpy() for name, value in found.items()}


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict]:
    """What both processes found."""
    return on_both(on_rank, tmp_path_factory.mktemp("swav_ranks"))


def test_two_halves_have_the_codes_losses_and_gradients_of_the_whole(ranks: dict[int, dict]):
    alone = computed(slice(0, COUNT))
    for rank in (0, 1):
        assert ranks[rank].keys() == alone.keys()
        for name, value in alone.items():
            torch.testing.assert_close(torch.from_numpy(ranks[rank][name]), value, rtol=0, atol=1e-5, msg=name)
    assert alone["gradient of prototypes"].abs().sum() > 0


def test_codes_of_each_half_by_itself_would_be_seen():
    """The control of the test above."""
    halves = torch.cat([sinkhorn_knopp(half) for half in SCORES.chunk(2)])
    assert (halves - sinkhorn_knopp(SCORES)).abs().max() > 0.01
