"""The other nodes of a training: they join the one that runs the lesson, and start processes when it says so.

By hand, `fgssl join FILE` on each of them; in a Slurm job, srun does that. All nodes see the same files: `FGSSL_HOME`
lies on a file system that they share.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from fgssl_edu import paths
from fgssl_edu.runs import rank
from fgssl_edu.runs.lines import Head, Line


@contextlib.contextmanager
def head_of(count: int) -> Iterator[Head]:
    """What the processes of a training on `count` nodes connect to: its own, or of several nodes the one they joined.

    Raises:
        ValueError: a Slurm job of fewer nodes; srun failed.
    """
    if count == 1:
        with Head() as head:
            yield head
        return
    head, file = _meeting()
    missing = count - 1 - len(_joined(head))
    if missing:
        _invite(head, file, count, missing)
    while len(_joined(head)) < count - 1:
        message = head.events.get()
        if "srun" in message:
            raise ValueError(f"nodes={count}: srun ended with status {message['srun']} before all nodes had joined")
    yield head


@functools.cache
def _meeting() -> tuple[Head, Path]:
    """Where other nodes join, once for all trainings of this process, and the file that tells them where."""
    head = Head(os.environ.get("FGSSL_HOST") or socket.gethostname())
    folder = paths.cache_dir() / "nodes"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # whoever reads the file may join
    described = json.dumps({"host": head.host, "port": head.port, "token": head.token})
    file = paths.atomic_write(folder / f"{head.token[:8]}.json", described)
    atexit.register(head.__exit__)
    atexit.register(file.unlink, missing_ok=True)
    return head, file


def _joined(head: Head) -> list[Line]:
    return [line for hello, line in [*head.lines] if "node" in hello]


def _invite(head: Head, file: Path, count: int, missing: int) -> None:
    """Have srun start `join` on the other nodes of a Slurm job, or ask the user to."""
    if "SLURM_JOB_ID" not in os.environ:
        where = "the other node" if missing == 1 else f"each of the {missing} other nodes"
        print(f"nodes={count}: on {where}, with the same files, run\n  fgssl join {file}", flush=True)
        return
    there = int(os.environ.get("SLURM_NNODES", "1"))
    if there < count:
        raise ValueError(f"nodes={count}: the Slurm job has {there}; use `sbatch --nodes {count}`, or fewer")
    # --overlap: beside the step that this process may be; the first node of the job is where this process runs
    command = ["srun", "--overlap", f"--nodes={missing}", f"--ntasks={missing}", "--ntasks-per-node=1", "--relative=1"]
    command += [sys.executable, "-m", "fgssl_edu.runs.nodes", str(file)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    threading.Thread(target=lambda: head.events.put({"srun": process.wait()}), daemon=True).start()


def start(head: Head, folder: Path, devices: int, count: int) -> None:
    """Have the other nodes start their processes of the launch in `folder`; node 0 has the first `devices` ranks."""
    for node, line in enumerate(_joined(head)[: count - 1], start=1):
        with contextlib.suppress(OSError):  # gone: that is among the events
            line.send(start=str(folder), ranks=[*range(node * devices, (node + 1) * devices)])


def stop(head: Head, folder: Path) -> None:
    """Have them end what is left of it."""
    for line in _joined(head):
        with contextlib.suppress(OSError):
            line.send(stop=str(folder))


def join(file: Path) -> None:
    """Be another node of the run that wrote `file`, until that run ends.

    Raises:
        ValueError: no such file, or the run is over.
    """
    try:
        where = json.loads(file.read_text(encoding="utf-8"))
        line = Line.to(where["host"], where["port"], token=where["token"], node=socket.gethostname())
    except FileNotFoundError:
        raise ValueError(f"{file}: no run waits there; its first node prints the command, and ends with it") from None
    except (OSError, KeyError, json.JSONDecodeError) as error:
        raise ValueError(f"{file}: the run that wrote it cannot be reached ({error}); it may be over") from error
    print(f"joined {where['host']}:{where['port']}; Ctrl-C leaves, and stops the training", flush=True)
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for order in line:
            for number in order.get("ranks", ()):
                print(f"starting process {number} of {order['start']}", flush=True)
                processes.append(rank.start(Path(order["start"]), number))
                threading.Thread(target=_tell, args=(line, order["start"], number, processes[-1]), daemon=True).start()
            if "stop" in order:
                _kill(processes)
    finally:
        _kill(processes)
        line.close()
    print("the run has ended", flush=True)


def _tell(line: Line, folder: str, number: int, process: subprocess.Popen[bytes]) -> None:
    code = process.wait()
    with contextlib.suppress(OSError):
        line.send(launch=Path(folder).name, rank=number, exit=code, at=time.time())


def _kill(processes: list[subprocess.Popen[bytes]]) -> None:
    while processes:
        processes.pop().kill()


if __name__ == "__main__":
    join(Path(sys.argv[1]))
