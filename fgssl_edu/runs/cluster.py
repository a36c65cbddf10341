"""Dask workers on this machine or on a cluster: a process each, one task at a time, started again when it dies.

Extra `cluster`. A worker that is killed loses the task it was at; the scheduler gives that task to another one. Where
there are GPUs a worker has one of them to itself, sees no other, and offers it as the resource GPU.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distributed import Client, SpecCluster

HOST = "127.0.0.1"
INSTALL = 'pip install "fgssl-edu[cluster]" (or `uv sync --extra cluster`)'
CONNECT_S = 10  # for a scheduler to answer
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")  # which a nanny sets to 1 by itself


@contextmanager
def open_cluster(jobs: int | None = None, scheduler: str | None = None, threads: int | None = None) -> Iterator[Client]:
    """A client of Dask workers, closed with all that was started for it.

    Args:
        jobs: workers on this machine; None for one a GPU, or one a core where there is none.
        scheduler: address of one that runs ("tcp://host:8786") with workers of its own; `jobs` and `threads` are theirs
            then. Workers with GPUs should offer them: dask worker ADDRESS --nthreads 1 --resources GPU=1
        threads: of a worker's arithmetic; None for an equal share of the cores.

    Raises:
        ValueError: Dask is missing, more jobs than GPUs, or no scheduler at the address.
    """
    require()
    from distributed import Client

    if scheduler is not None:
        try:
            client = Client(scheduler, timeout=CONNECT_S)
        except (OSError, ValueError) as error:
            raise ValueError(
                f"scheduler={scheduler!r}: nothing answers there ({error}); start `dask scheduler`"
            ) from error
        with client:
            yield client
        return
    with (
        tempfile.TemporaryDirectory(prefix="fgssl-workers-", ignore_cleanup_errors=True) as folder,
        _local(jobs, threads, folder) as cluster,
        Client(cluster) as client,
    ):
        client.wait_for_workers(len(cluster.worker_spec))
        yield client


def require() -> None:
    """Refuse, with the way out, where Dask is not installed."""
    if importlib.util.find_spec("distributed") is None:
        raise ValueError(f"several workers need Dask: {INSTALL}; without it leave --jobs and --scheduler out")


def share_of_gpu(client: Client) -> dict[str, float]:
    """What a task asks for (`resources=`): one GPU where the workers offer any, else nothing. Waits for a worker."""
    client.wait_for_workers(1)
    offers = [worker["resources"] for worker in client.scheduler_info(n_workers=-1)["workers"].values()]
    return {"GPU": 1} if any("GPU" in offer for offer in offers) else {}


def gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count()
    return named.split(",")[:count] if named else [str(number) for number in range(count)]


def _local(jobs: int | None, threads: int | None, folder: str) -> SpecCluster:
    """Workers on this machine that nothing outside it can reach."""
    from distributed import Nanny, Scheduler, SpecCluster

    cards, cores = gpus(), len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    jobs = (len(cards) or cores) if jobs is None else jobs
    if jobs < 1 or (cards and jobs > len(cards)):
        most = f"{len(cards)} GPUs, and a worker has one to itself" if cards else "at least 1"
        raise ValueError(f"jobs={jobs}: {most}")
    threads = max(1, cores // jobs) if threads is None else threads
    options = {
        "host": HOST,
        "nthreads": 1,
        "memory_limit": 0,  # a run is not killed for what it holds, and nothing is paused
        "dashboard": False,
        "local_directory": folder,
        "silence_logs": logging.ERROR,
    }
    workers = {}
    for number in range(jobs):
        env = dict.fromkeys(THREAD_VARIABLES, str(threads)) | {"FGSSL_THREADS": str(threads)}
        mine: dict[str, object] = {**options, "env": env}
        if cards:
            mine |= {"env": {**env, "CUDA_VISIBLE_DEVICES": cards[number]}, "resources": {"GPU": 1}}
        workers[number] = {"cls": Nanny, "options": mine}
    there = {
        "cls": Scheduler,
        "options": {"host": HOST, "port": 0, "dashboard": False, "dashboard_address": f"{HOST}:0"},
    }
    return SpecCluster(workers=workers, scheduler=there, silence_logs=logging.ERROR)
