"""Several runs of a sweep at a time on Dask's workers: of this machine, of a running scheduler, or of Slurm.

One run a worker, and where workers have GPUs one GPU a run, by a Dask resource. A run whose worker dies is handed to
another worker and goes on from its checkpoints; a run that raised is not tried again.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from fgssl_edu import paths
from fgssl_edu.runs import cluster
from fgssl_edu.runs.engine import Engine, let_go, one_after_the_other, run_one
from fgssl_edu.runs.notebook import MOST_THREADS
from fgssl_edu.runs.worker import Job, Outcome


@dataclass(frozen=True)
class Place:
    """Where the runs of a sweep are made.

    Attributes:
        jobs: runs at a time, here or in Slurm jobs; as many as there are workers with a scheduler.
        scheduler: address of a running Dask scheduler, "" for none.
        slurm: options of Slurm jobs, None where Slurm is not asked.
        folder: for the output of Slurm jobs.
    """

    jobs: int = 1
    scheduler: str = ""
    slurm: Mapping[str, Any] | None = None
    folder: Path = Path()

    @property
    def serial(self) -> bool:
        return self.jobs == 1 and not self.scheduler and self.slurm is None

    def environment(self, scale: str) -> dict[str, str]:
        """Variables for a run: this package's own, and as many threads as there are cores for it."""
        own = {name: value for name, value in os.environ.items() if name.startswith("FGSSL_")}
        if (home := paths.home()) is not None:
            own["FGSSL_HOME"] = str(home)  # a worker may start in another folder
        if self.serial or self.scheduler or "FGSSL_THREADS" in own:
            return own
        cores = cluster.cores() // self.jobs if self.slurm is None else int(self.slurm.get("cores", 1))
        return {**own, "FGSSL_THREADS": "1" if scale == "ci" else str(max(1, min(MOST_THREADS, cores)))}


@contextmanager
def opened(place: Place, runs: int) -> Iterator[Engine]:
    """The engine of a place; at the end of the block whatever it started is ended.

    Args:
        place: where.
        runs: how many there are to make; no more workers than that are started.

    Raises:
        ValueError: the extra `cluster` is not installed, or the place cannot be had as asked.
    """
    if place.serial:
        with one_after_the_other() as engine:
            yield engine
        return
    asked = min(place.jobs, runs), place.scheduler or None
    with (
        cluster.open_cluster(*asked, slurm=place.slurm, logs=place.folder / "slurm") as client,
        contextlib.ExitStack() as stack,
    ):
        from distributed import Event

        bell = Event(f"fgssl-sweep-{uuid4().hex}", client=client)
        stack.callback(bell.set)  # also where all went well: every task waits for it
        share = cluster.GPU if (place.slurm or {}).get("gpus") else cluster.share_of_gpu(client)
        yield Engine(client.get_executor(pure=False, resources=share), Task(bell.name), bell.set)


@dataclass(frozen=True)
class Task:
    """`run_one` on a worker; the run stops when the worker dies, or when the driver rings the bell.

    A driver that died rings no more: under a scheduler of its own the run then goes on to its end.
    """

    bell: str

    def __call__(self, job: Job, environment: Mapping[str, str]) -> Outcome:
        from distributed import Event

        event = Event(self.bell)
        if event.is_set():
            return Outcome(state="stopped", error="", seconds=0.0)

        def started(process: subprocess.Popen[bytes]) -> None:
            def listen() -> None:
                with contextlib.suppress(Exception):  # a worker that closes takes its events with it
                    event.wait()
                let_go(process)

            threading.Thread(target=listen, daemon=True).start()

        return run_one(job, environment, started)
