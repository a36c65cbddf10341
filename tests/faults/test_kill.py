"""Real processes are killed with SIGKILL, wherever they are; started again, the run ends with the same bits."""

from __future__ import annotations

import io
import random
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "contract"))  # also in the processes that are started
from contract_methods import SIDE, context, digest, pictures

from fgssl_edu import checkpoints
from fgssl_edu.methods import build
from fgssl_edu.nets import build_encoder
from fgssl_edu.recipe import Recipe
from fgssl_edu.train import History, pretrain

STEPS, KILLS = 24, 3
RECIPE = Recipe(steps=STEPS, batch=8, lr=1e-3, warmup=2, checkpoint_every=2, accelerator="cpu")
WAIT_S = 90  # at most for a sign of life, on a busy machine


class Tell:
    """Reports each step to the process that will kill this one."""

    every = 1

    def __init__(self, line) -> None:
        self.line = line

    def __call__(self, method, row, step: int) -> dict[str, float]:
        self.line.send(step)
        return {}


def moco():
    """BatchNorm statistics, a moving average, a queue, and dropout from the global random state."""
    torch.manual_seed(11)
    method = build("moco", build_encoder("resnet10", seed=0), size=SIDE, queue=20, ema=0.9)
    method.head.insert(0, nn.Dropout(0.1))
    return method


def run(folder: Path | None, monitors: tuple = ()) -> tuple[History, str]:
    method = moco()
    history = pretrain(method, pictures(), RECIPE, monitors, folder, progress=False)
    return history, digest(method.state_dict())


def child(folder: Path, line, slow_from: int | None) -> None:
    """Train; from step `slow_from` on, checkpoints are written by halves, and the second half takes a minute."""
    torch.set_num_threads(1)
    whole = torch.save

    def by_halves(state: dict, file) -> None:
        buffer = io.BytesIO()
        whole(state, buffer)
        file.write(buffer.getvalue()[: buffer.tell() // 2])
        file.flush()
        line.send("half written")
        time.sleep(60)

    class Slow(Tell):
        def __call__(self, method, row, step: int) -> dict[str, float]:
            if slow_from is not None and step >= slow_from:
                checkpoints.torch.save = by_halves
            return super().__call__(method, row, step)

    run(folder, (Slow(line),))


def kill_at(folder: Path, sign: int | str, slow_from: int | None = None) -> None:
    """Start a run, wait until it says `sign` (or a later step), and kill it."""
    made = context()
    near, far = made.Pipe(duplex=False)
    process = made.Process(target=child, args=(folder, far, slow_from))
    process.start()
    far.close()
    try:
        heard = None
        while heard != sign and not (isinstance(heard, int) and isinstance(sign, int) and heard >= sign):
            assert near.poll(WAIT_S), "the run says nothing"
            heard = near.recv()
        process.kill()
    finally:
        process.join(timeout=10)
        near.close()
    assert process.exitcode == -9
    process.close()


@pytest.fixture(scope="module")
def undisturbed() -> str:
    """The state of a run that nobody stopped."""
    return run(None)[1]


def test_killed_at_random_steps_it_ends_with_the_same_bits(undisturbed: str, tmp_path: Path):
    steps = sorted(random.Random(2).sample(range(3, STEPS - 2), KILLS))
    for step in steps:
        kill_at(tmp_path, step)
    history, state = run(tmp_path)
    assert history.resumed_from is not None and steps[-1] - 2 <= history.resumed_from < STEPS
    assert state == undisturbed
    assert [row["step"] for row in history.rows] == list(range(1, STEPS + 1))


def test_killed_while_a_checkpoint_is_written_it_goes_on_from_the_one_before(undisturbed: str, tmp_path: Path):
    kill_at(tmp_path, "half written", slow_from=10)
    assert [path.name for path in tmp_path.glob("*.partial")] == ["step_00000010.partial"]
    assert checkpoints.latest(tmp_path) == checkpoints.path_of(tmp_path, 8)
    history, state = run(tmp_path)
    assert history.resumed_from == 8
    assert state == undisturbed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step_00000022.pt", "step_00000024.pt"]
