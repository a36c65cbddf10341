"""Dask workers on this machine, of a running scheduler, or in Slurm jobs: a process each, one task at a time.

Extra `cluster`. A worker that is killed loses the task it was at; the scheduler gives that task to another one. Where
there are GPUs a worker has one of them to itself, sees no other, and offers it as the resource GPU.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distributed import Client, SpecCluster, WorkerPlugin

HOST = "127.0.0.1"  # workers of this machine listen to it alone
INSTALL = 'pip install "fgssl-edu[cluster]" (or `uv sync --extra cluster --extra shards`)'
CONNECT_S = 10  # for a running scheduler to answer, and for its first worker
DEATHS = 3  # workers that a task may lose; one that only waits for its turn at a dying worker loses it, too
GPU = {"GPU": 1}
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")  # which a nanny sets to 1 by itself
NO_PAGES = {"dashboard": False, "dashboard_address": f"{HOST}:0"}  # of the scheduler's HTTP server; any free port
CONFIGURATION = {  # of Dask, without its pages on what the workers do
    # Its default has the C library hand memory back after every batch, which doubles the CPU time of a network
    "distributed.nanny.pre-spawn-environ": {},
    "distributed.scheduler.allowed-failures": DEATHS,
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}
# What can be said of Slurm jobs
SLURM = {"queue": str, "account": str, "walltime": str, "memory": str, "cores": int, "gpus": int}
SLURM |= {"directives": list, "prologue": list}


@contextmanager
def open_cluster(
    jobs: int | None = None,
    scheduler: str | None = None,
    threads: int | None = None,
    slurm: Mapping[str, Any] | None = None,
    logs: Path = Path("slurm"),
) -> Iterator[Client]:
    """A client of Dask workers, closed with all that was started for it.

    Args:
        jobs: workers on this machine, None for one a GPU, or one a core where there is none; or how many Slurm jobs.
        scheduler: address of one that runs ("tcp://host:8786") with workers of its own; `jobs` and `threads` are theirs
            then. Workers with GPUs should offer them: dask worker ADDRESS --nthreads 1 --resources GPU=1
        threads: of a local worker's arithmetic; None for an equal share of the cores.
        slurm: options of Slurm jobs (`SLURM`), whose workers come when Slurm starts them; None for no Slurm.
        logs: folder for the output of Slurm jobs.

    Raises:
        ValueError: Dask is missing, more jobs than GPUs, no workers at the address, or Slurm is told too little.
    """
    require("distributed" if slurm is None else "dask_jobqueue")
    import dask
    from distributed import Client

    with dask.config.set(CONFIGURATION), ExitStack() as stack:
        if scheduler is not None:
            yield stack.enter_context(connected(scheduler))
            return
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="fgssl-workers-", ignore_cleanup_errors=True))
        cluster = stack.enter_context(local(jobs, threads, folder) if slurm is None else slurm_jobs(slurm, logs))
        client = stack.enter_context(Client(cluster))
        client.register_plugin(deaf())
        if slurm is None:
            client.wait_for_workers(len(cluster.worker_spec))
        else:
            cluster.adapt(minimum_jobs=jobs, maximum_jobs=jobs)  # a job that ended is asked for again
        yield client


def require(module: str) -> None:
    """Refuse, with the way out, where Dask's `distributed` or `dask_jobqueue` is not installed."""
    if importlib.util.find_spec(module) is None:
        raise ValueError(f"--jobs, --scheduler and --slurm need Dask: {INSTALL}; without it, leave them out")


def share_of_gpu(client: Client) -> dict[str, int]:
    """What a task asks for (`resources=`): one GPU where a worker that is there offers any, else nothing."""
    offers = [worker["resources"] for worker in client.scheduler_info(n_workers=-1)["workers"].values()]
    return GPU if any("GPU" in offer for offer in offers) else {}


def gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count()
    return [str(number) for number in range(count)] if named is None else [*filter(None, named.split(","))][:count]


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def local(jobs: int | None, threads: int | None, folder: str) -> SpecCluster:
    """Workers on this machine that nothing outside it can reach.

    Raises:
        ValueError: fewer than one, or more than there are GPUs, where there are any.
    """
    from distributed import Nanny, Scheduler, SpecCluster

    cards = gpus()
    jobs = (len(cards) or cores()) if jobs is None else jobs
    if jobs < 1 or (cards and jobs > len(cards)):
        most = f"{len(cards)} GPUs, and a worker has one to itself; lower --jobs" if cards else "at least 1"
        raise ValueError(f"jobs={jobs}: {most}")
    threads = max(1, cores() // jobs) if threads is None else threads
    options = {
        "host": HOST,
        "nthreads": 1,
        "memory_limit": 0,  # a run is not killed for what it holds, and nothing is paused
        "dashboard": False,
        "local_directory": folder,
        "silence_logs": logging.CRITICAL,  # who asked is told what failed
    }
    workers = {}
    for number in range(jobs):
        env = dict.fromkeys(THREAD_VARIABLES, str(threads)) | {"FGSSL_THREADS": str(threads)}
        mine: dict[str, object] = {**options, "env": env}
        if cards:
            mine |= {"env": {**env, "CUDA_VISIBLE_DEVICES": cards[number]}, "resources": GPU}
        workers[number] = {"cls": Nanny, "options": mine}
    there = {"cls": Scheduler, "options": {"host": HOST, "port": 0, **NO_PAGES}}
    return SpecCluster(workers=workers, scheduler=there, silence_logs=logging.ERROR)


def slurm_jobs(options: Mapping[str, Any], logs: Path) -> SpecCluster:
    """Slurm jobs with one worker each, none of them asked for yet.

    Raises:
        ValueError: the options name no memory or cores.
    """
    ctrl_c = signal.getsignal(signal.SIGINT)
    from dask_jobqueue import SLURMCluster

    signal.signal(signal.SIGINT, ctrl_c)  # the import has made Ctrl-C end the process at once
    missing = [name for name in ("cores", "memory") if name not in options]
    if missing:
        raise ValueError(f"--slurm needs {' and '.join(missing)} in the sweep's [cluster]: what one run takes")
    cards = options.get("gpus", 0)
    logs.mkdir(parents=True, exist_ok=True)
    kinds: dict[str, Any] = {name: options.get(name) for name in ("queue", "account", "walltime", "cores", "memory")}
    return SLURMCluster(
        **kinds,
        processes=1,
        job_name="fgssl-sweep",
        log_directory=str(logs),
        job_extra_directives=[*([f"--gres=gpu:{cards}"] if cards else []), *options.get("directives", [])],
        job_script_prologue=options.get("prologue", []),
        # Later options win over those that the library sets: one run a worker, whatever cores it has for it
        worker_extra_args=["--nthreads", "1", "--memory-limit", "0", *(["--resources", "GPU=1"] if cards else [])],
        scheduler_options=NO_PAGES,
    )


def connected(address: str) -> Client:
    """A client of a running scheduler that has workers; ValueError where there is none."""
    from distributed import Client

    start = f"start one with `dask scheduler`, and workers with `dask worker {address} --nthreads 1`"
    try:
        client = Client(address, timeout=CONNECT_S)
    except (OSError, ValueError) as error:
        raise ValueError(f"no Dask scheduler answers at {address!r} ({error}); {start}") from None
    try:
        client.wait_for_workers(1, timeout=CONNECT_S)
    except TimeoutError:
        client.close()
        raise ValueError(
            f"the Dask scheduler at {address} has no workers; {start} (and `--resources GPU=1` for a GPU)"
        ) from None
    return client


def deaf() -> WorkerPlugin:
    """What has workers not hear Ctrl-C, which a terminal sends to them, too: the driver ends them in good order."""
    from distributed import WorkerPlugin

    class Deaf(WorkerPlugin):
        def setup(self, worker: object) -> None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    return Deaf()
