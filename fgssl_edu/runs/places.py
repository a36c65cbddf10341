"""Several runs of a sweep at a time on Dask's workers: of this machine, of a running scheduler, or of Slurm.

One run a worker, and where workers have GPUs one GPU a run, by a Dask resource. A run whose worker dies is handed to
another worker and goes on from its checkpoints; a run that raised is not tried again.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from fgssl_edu import paths
from fgssl_edu.runs.engine import MOST_THREADS, Engine, let_go, one_after_the_other, run_one
from fgssl_edu.runs.worker import Job, Outcome

EXTRA = 'pip install "fgssl-edu[cluster]" (or `uv sync --extra cluster`)'
DEATHS = 2  # workers that a run may lose before it counts as failed
CONNECT_S = 10  # to a running scheduler
HERE = "127.0.0.1"  # a local cluster listens to this machine alone
GPU = {"GPU": 1}
NO_PAGES = {"dashboard": False, "dashboard_address": f"{HERE}:0"}  # of the scheduler's HTTP server; any free port
CONFIGURATION = {  # of Dask, without its pages on what the workers do
    "distributed.scheduler.allowed-failures": DEATHS,
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}
# What a sweep file's [cluster] may say: of Slurm jobs, each with one worker.
OPTIONS = {"queue": str, "account": str, "walltime": str, "memory": str, "cores": int, "gpus": int}
OPTIONS |= {"directives": list, "prologue": list}


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
        cores = (os.cpu_count() or 1) // self.jobs if self.slurm is None else int(self.slurm.get("cores", 1))
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
    try:
        import dask
        from distributed import Client, Event
    except ImportError:
        raise ValueError(f"--jobs, --scheduler and --slurm need Dask: {EXTRA}; without it, leave them out") from None
    jobs = min(place.jobs, runs)
    gpus = visible_gpus() if place.slurm is None and not place.scheduler else ()
    with dask.config.set(CONFIGURATION), contextlib.ExitStack() as stack:
        if place.scheduler:
            client = stack.enter_context(connected(place.scheduler))
        else:
            cluster = stack.enter_context(local_cluster(jobs, gpus) if place.slurm is None else slurm_cluster(place))
            if place.slurm is not None:
                cluster.adapt(minimum_jobs=jobs, maximum_jobs=jobs)  # a job that ended is asked for again
            client = stack.enter_context(Client(cluster, name="fgssl sweep"))
            client.register_plugin(deaf())
        bell = Event(f"fgssl-sweep-{uuid4().hex}", client=client)
        stack.callback(bell.set)  # also where all went well: every task waits for it
        alone = gpus or (place.slurm or {}).get("gpus") or offers_gpus(client)
        executor = client.get_executor(pure=False, resources=GPU if alone else {})
        yield Engine(executor, Task(bell.name, gpus), bell.set)


@dataclass(frozen=True)
class Task:
    """`run_one` on a worker; the run stops when the worker dies, or when the driver rings the bell.

    A driver that died rings no more: under a scheduler of its own the run then goes on to its end.
    """

    bell: str
    gpus: tuple[str, ...]

    def __call__(self, job: Job, environment: Mapping[str, str]) -> Outcome:
        from distributed import Event, get_worker

        worker, event = get_worker(), Event(self.bell)
        if event.is_set():
            return Outcome(state="stopped", error="", seconds=0.0)

        def started(process: subprocess.Popen[bytes]) -> None:
            def listen() -> None:
                with contextlib.suppress(Exception):  # a worker that closes takes its events with it
                    event.wait()
                let_go(process)

            threading.Thread(target=listen, daemon=True).start()

        own = {"CUDA_VISIBLE_DEVICES": self.gpus[int(worker.name)]} if self.gpus else {}
        return run_one(job, {**environment, **own}, started)


def deaf() -> Any:
    """What has workers not hear Ctrl-C, which a terminal sends to them, too: the driver ends them in good order."""
    from distributed import WorkerPlugin

    class Deaf(WorkerPlugin):
        def setup(self, worker: object) -> None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    return Deaf()


def local_cluster(jobs: int, gpus: tuple[str, ...]) -> Any:
    """Workers on this machine, that nobody else can reach.

    Raises:
        ValueError: there are GPUs, and fewer than jobs.
    """
    from distributed import LocalCluster

    if gpus and jobs > len(gpus):
        raise ValueError(f"--jobs {jobs}: a run takes a GPU of its own, and there are {len(gpus)}; lower --jobs")
    return LocalCluster(
        n_workers=jobs,
        threads_per_worker=1,
        processes=True,
        host=HERE,
        scheduler_kwargs=NO_PAGES,
        memory_limit=0,  # a run is a process beside the worker, whose memory Dask does not see
        resources=GPU if gpus else {},
    )


def slurm_cluster(place: Place) -> Any:
    """Slurm jobs with one worker each, none of them asked for yet.

    Raises:
        ValueError: [cluster] names no memory or cores.
    """
    ctrl_c = signal.getsignal(signal.SIGINT)
    from dask_jobqueue import SLURMCluster

    signal.signal(signal.SIGINT, ctrl_c)  # the import has made Ctrl-C end the process at once
    options = dict(place.slurm or {})
    missing = [name for name in ("cores", "memory") if name not in options]
    if missing:
        raise ValueError(f"--slurm needs {' and '.join(missing)} in the sweep's [cluster]: what one run takes")
    gpus, logs = options.get("gpus", 0), place.folder / "slurm"
    logs.mkdir(parents=True, exist_ok=True)
    kinds: dict[str, Any] = {name: options.get(name) for name in ("queue", "account", "walltime", "cores", "memory")}
    return SLURMCluster(
        **kinds,
        processes=1,
        job_name="fgssl-sweep",
        log_directory=str(logs),
        job_extra_directives=[*([f"--gres=gpu:{gpus}"] if gpus else []), *options.get("directives", [])],
        job_script_prologue=options.get("prologue", []),
        # Later options win over those that the library sets: one run a worker, whatever cores it has for it
        worker_extra_args=["--nthreads", "1", "--memory-limit", "0", *(["--resources", "GPU=1"] if gpus else [])],
        scheduler_options=NO_PAGES,
    )


def connected(address: str) -> Any:
    """A client of a running scheduler that has workers; ValueError where there is none."""
    from distributed import Client

    start = f"start one with `dask scheduler`, and workers with `dask worker {address} --nthreads 1`"
    try:
        client = Client(address, name="fgssl sweep", timeout=CONNECT_S)
    except (OSError, TimeoutError, ValueError) as error:
        raise ValueError(f"no Dask scheduler answers at {address!r} ({error}); {start}") from None
    if not client.nthreads():
        client.close()
        raise ValueError(f"the Dask scheduler at {address} has no workers; {start} (and `--resources GPU=1` for a GPU)")
    return client


def offers_gpus(client: Any) -> bool:
    """Whether a connected worker has the resource."""
    workers = client.scheduler_info()["workers"].values()
    return any(worker.get("resources", {}).get("GPU") for worker in workers)


def visible_gpus() -> tuple[str, ...]:
    """The names by which CUDA_VISIBLE_DEVICES can give this machine's GPUs to runs."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return tuple(filter(None, named.split(",")))
    import torch

    return tuple(str(i) for i in range(torch.cuda.device_count()))
