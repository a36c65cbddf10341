"""One run of a sweep in a process of its own: `python -m fgssl_edu.runs.worker`, started by `engine.run_one`.

The job comes as one line of JSON on standard input, which stays open: when it closes, whoever started this process is
gone or wants it to stop, and it stops like after Ctrl-C. What came of the run is one line of JSON on standard output;
all that the run prints goes to standard error, which is `run.log` in its folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import TypedDict

from fgssl_edu.runs import locks, notebook

LOG = "run.log"
BEGINS = "=== "  # a line of the log with which a try begins
STOP_S = 20  # from the wish to stop to the end of a kernel that does not listen


class Job(TypedDict):
    """What a process has to know of its run."""

    slug: str
    given: dict[str, object]
    folder: str  # as the driver resolved it
    wait: bool  # for another process that is at this run


class Outcome(TypedDict):
    """What came of a run."""

    state: str  # complete, failed, stopped, or busy: another process is at it
    error: str  # in words, "" where there is none
    seconds: float


def main() -> None:
    """Read a job, do it, tell what came of it."""
    job: Job = json.loads(sys.stdin.buffer.readline())
    answer = os.dup(1)
    os.dup2(2, 1)  # what is printed goes to the log
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell or Dask may have had it ignored
    threading.Thread(target=stop_when_left, daemon=True).start()
    started = time.monotonic()
    try:
        state, error = do(job)
    except KeyboardInterrupt:
        state, error = "stopped", ""
    except locks.Busy as busy:
        state, error = "busy", str(busy)
    except (notebook.RunFailed, ValueError) as mistake:
        state, error = "failed", str(mistake)
    except Exception as trouble:  # a full disk, too little memory: the sweep goes on, the log has the traceback
        traceback.print_exc()
        state, error = "failed", f"{type(trouble).__name__}: {trouble}\n  see {Path(job['folder']) / LOG}"
    if state != "busy":  # else the log is another process's
        print(f"{state} {error}".rstrip(), flush=True)
    outcome = Outcome(state=state, error=error, seconds=time.monotonic() - started)
    with contextlib.suppress(BrokenPipeError):  # nobody is left to hear it
        os.write(answer, json.dumps(outcome).encode())


def do(job: Job) -> tuple[str, str]:
    """Make a run unless it is complete by now."""
    planned = notebook.plan(job["slug"], job["given"])
    folder = Path(job["folder"])
    if planned.folder.name != folder.name:
        raise ValueError(
            f"on {platform.node()} the same parameters give other settings ({planned.folder.name}, not {folder.name}): "
            f"{'; '.join(planned.notes) or 'another version of the package, or another FGSSL_SCALE'}"
        )
    planned = notebook.Plan(**{**vars(planned), "folder": folder})
    with locks.held(folder / notebook.LOCK, wait=job["wait"]):
        if notebook.complete(planned) is None:
            print(
                f"{BEGINS}{time.strftime('%Y-%m-%d %H:%M:%S')}, process {os.getpid()} on {platform.node()}", flush=True
            )
            notebook.execute_alone(planned)
    return "complete", ""


def last_try(folder: Path) -> list[str]:
    """The lines of the last try of a run, none where there is no log."""
    try:
        text = (folder / LOG).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text[text.rfind(BEGINS) :].splitlines()


def log_bytes(folder: Path) -> int:
    """How long a run's log is, 0 where there is none."""
    try:
        return (folder / LOG).stat().st_size
    except OSError:
        return 0


def stop_when_left() -> None:
    """Wait until standard input closes; then stop, kernel included, whatever the kernel says."""
    with contextlib.suppress(OSError):
        while os.read(0, 1024):
            pass
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(STOP_S)
    os._exit(130)


if __name__ == "__main__":
    main()
