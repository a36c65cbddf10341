"""Two gloo processes compute what one does, for every method of the contract; what they write is the same on both."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "contract"))  # also in the processes that are started
from contract_methods import NAMES, Clusters, LocalBank, Plain, digest, make, pictures, train
from contract_processes import on_both

STEPS = 4  # over the end of an epoch
UNEVEN = 25  # images: 13 for one process, 12 for the other, in three batches and two
CLOSE = {"barlow": 5e-3}  # losses near 10 of rows divided by the deviation of 8; test_gathers.py is exact


def train_all(rank: int, folder: Path) -> dict:
    """{name: (losses, hash of the state)} of all methods on one of two processes."""
    os.environ.update(LOCAL_RANK=str(rank), WORLD_SIZE="2", NODE_RANK="0")
    found = {}
    for name in NAMES:
        method = make(name)
        history = train(method, processes=2, steps=STEPS)
        found[name] = (history.column("loss")[1], digest(method.state_dict()))
    broken = LocalBank()
    train(broken, processes=2, steps=STEPS)
    written = (broken.rows.norm(dim=1) < 1.5).nonzero()[:, 0].tolist()  # at the start all are longer than 5
    found["local bank"] = (digest({"rows": broken.rows}), set(written), broken.seen)
    clusters = Clusters()
    history = train(clusters, processes=2, steps=STEPS, count=UNEVEN)
    found["uneven"] = (history.column("loss")[1], digest(clusters.state_dict()))
    found["resume"] = stop_and_go_on(folder)
    return found


def stop_and_go_on(folder: Path) -> tuple[str, str]:
    """Hashes of a whole run with dropout and of one that was stopped after step 3 and resumed, on this process."""
    hashes = []
    for place, lengths in ((None, (STEPS,)), (folder / "run", (STEPS, STEPS))):
        torch.manual_seed(7 + dist.get_rank())  # each process drops other units
        for attempt, steps in enumerate(lengths):
            method = make("MaskedTokens", dropout=0.1)
            if place is not None and attempt == 0:
                method.after_step = stop_after(3)
                with pytest.raises(InterruptedError):
                    train(method, place, processes=2, steps=steps)
                dist.barrier()
                torch.manual_seed(99)
            else:
                train(method, place, processes=2, steps=steps)
        hashes.append(digest(method.state_dict()))
    return hashes[0], hashes[1]


def stop_after(step: int):
    def after_step(progress: float) -> None:
        if round(progress * STEPS) == step:
            raise InterruptedError

    return after_step


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict]:
    """What both processes found."""
    return on_both(train_all, tmp_path_factory.mktemp("ranks"))


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_lose_what_one_does(name: str, ranks: dict[int, dict]):
    alone = train(make(name), steps=STEPS).column("loss")[1]
    together = ranks[0][name][0]
    assert together == pytest.approx(alone, abs=CLOSE.get(name, 1e-4))  # sums in another order, 4 steps of AdamW
    assert len(set(alone)) == STEPS


@pytest.mark.parametrize("name", NAMES)
def test_every_weight_and_buffer_is_the_same_on_both(name: str, ranks: dict[int, dict]):
    assert ranks[0][name][1] == ranks[1][name][1]


def test_clusters_of_a_set_that_does_not_divide_are_those_of_one_process(ranks: dict[int, dict]):
    """Process 0 has a batch more than process 1: a gather in each batch would wait for ever."""
    alone = Clusters()
    losses = train(alone, steps=STEPS, count=UNEVEN).column("loss")[1]
    assert ranks[0]["uneven"][0] == pytest.approx(losses, abs=1e-4)
    assert ranks[0]["uneven"][1] == ranks[1]["uneven"][1]


def test_each_process_gets_its_own_random_state_back(ranks: dict[int, dict]):
    for rank in (0, 1):
        whole, resumed = ranks[rank]["resume"]
        assert whole == resumed


def test_a_bank_written_without_gathering_would_be_seen(ranks: dict[int, dict]):
    """The control of the test above."""
    assert ranks[0]["local bank"][0] != ranks[1]["local bank"][0]


def test_no_process_overwrites_the_others_buffers(ranks: dict[int, dict]):
    """DistributedDataParallel's default would copy process 0's buffers over all others' at each forward."""
    for rank in (0, 1):
        _, written, seen = ranks[rank]["local bank"]
        assert written == seen and len(seen) < 24


def test_batch_norm_over_cpu_processes_is_refused(monkeypatch: pytest.MonkeyPatch):
    from fgssl_edu.nets import build_encoder
    from fgssl_edu.recipe import Recipe
    from fgssl_edu.train import pretrain

    monkeypatch.setenv("WORLD_SIZE", "2")
    method = Plain()
    method.encoder = build_encoder("resnet10", seed=0)
    with pytest.raises(ValueError, match="norm='group'"):
        pretrain(method, pictures(), Recipe(steps=1, warmup=0, batch=4, devices=2, accelerator="cpu"), progress=False)
