"""Two gloo processes for a test: what each of them found, or what went wrong."""

from __future__ import annotations

import contextlib
import queue
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
from contract_methods import context

WORLD = 2
START_S = 120  # at most, on a busy machine


def on_both(work: Callable[[int, Path], dict], folder: Path) -> dict[int, dict]:
    """rank -> what `work(rank, folder)` returned on a process of that rank.

    Args:
        work: a function of a test's module; it runs on one thread, with the process group open.
        folder: where the processes meet, empty.
    """
    made = context()
    results = made.Queue()
    processes = [made.Process(target=_on_one, args=(work, rank, folder, results)) for rank in range(WORLD)]
    for process in processes:
        process.start()
    try:
        found: dict[int, dict] = {}
        deadline = time.monotonic() + START_S
        while len(found) < WORLD:
            with contextlib.suppress(queue.Empty):
                found.update([results.get(timeout=1)])
            assert not any(process.exitcode for process in processes), "a process died"
            assert time.monotonic() < deadline, "the processes take too long"
        assert all(isinstance(each, dict) for each in found.values()), "\n".join(map(str, found.values()))
        return found
    finally:
        for process in processes:
            process.join(timeout=10)
            process.kill()
        results.close()


def _on_one(work: Callable[[int, Path], dict], rank: int, folder: Path, results) -> None:
    try:
        torch.set_num_threads(1)
        dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=WORLD)
        results.put((rank, work(rank, folder)))
        dist.destroy_process_group()
    except BaseException:  # the parent shows it
        results.put((rank, traceback.format_exc()))
