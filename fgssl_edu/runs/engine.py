"""What makes the runs of a sweep: a child process each, one after the other; `places` has several at a time.

A run in a process of its own takes no other one along when it dies. It lives no longer than whoever started it: a pipe
ties the two together. This file is imported by Dask's workers and needs nothing heavy.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fgssl_edu.runs.worker import LOG, Job, Outcome


@dataclass(frozen=True)
class Engine:
    """Where jobs are handed in.

    Attributes:
        executor: makes them, as many at a time as the place has room for.
        task: what the executor is given to call, as task(job, environment).
        stop: ends all that runs and lets nothing new begin; returns at once.
    """

    executor: Executor
    task: Callable[[Job, Mapping[str, str]], Outcome]
    stop: Callable[[], None]


def run_one(job: Job, environment: Mapping[str, str], started: Callable[[subprocess.Popen[bytes]], None]) -> Outcome:
    """Make one run in a process, and wait for it.

    Args:
        job: what to run.
        environment: variables that differ from this process's.
        started: is given the process; closing its standard input stops it.

    Returns:
        What came of it; a process that was killed is a failure, too.
    """
    folder, begun = Path(job["folder"]), time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOG).open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "fgssl_edu.runs.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env={**os.environ, **environment},
            start_new_session=True,  # Ctrl-C in a terminal is for the driver, who then stops this one
        )
    assert process.stdin and process.stdout
    with contextlib.suppress(BrokenPipeError):  # it died at once
        process.stdin.write(json.dumps(job).encode() + b"\n")
        process.stdin.flush()
    started(process)
    said = process.stdout.read()
    status = process.wait()
    let_go(process)
    process.stdout.close()
    if said:
        return json.loads(said)  # type: ignore[no-any-return]
    how = f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
    why = " (out of memory?)" if status == -signal.SIGKILL else ""
    return Outcome(
        state="failed", error=f"its process ended {how}{why}\n  see {folder / LOG}", seconds=time.monotonic() - begun
    )


@contextmanager
def one_after_the_other() -> Iterator[Engine]:
    """Runs in child processes of this one; whichever is left at the end of the block is stopped."""
    stopping = threading.Event()
    processes: list[subprocess.Popen[bytes]] = []

    def started(process: subprocess.Popen[bytes]) -> None:
        processes[:] = [process]
        if stopping.is_set():
            let_go(process)

    def task(job: Job, environment: Mapping[str, str]) -> Outcome:
        if stopping.is_set():
            return Outcome(state="stopped", error="", seconds=0.0)
        return run_one(job, environment, started)

    def stop() -> None:
        stopping.set()
        for process in processes:
            let_go(process)

    with ThreadPoolExecutor(1) as executor:
        try:
            yield Engine(executor, task, stop)
        finally:
            stop()


def let_go(process: subprocess.Popen[bytes]) -> None:
    """Have a run stop: its process ends when this pipe does."""
    with contextlib.suppress(OSError):
        assert process.stdin
        process.stdin.close()
