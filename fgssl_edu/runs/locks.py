"""One process at a time in a run's folder or a training's checkpoints, on one machine or on several with a shared disk.

The lock is a small file that names its owner (process, host, start time) and is touched again and again. A dead owner's
lock is broken at once on its own host, elsewhere when nobody has touched it for `LEASE_S`, by the waiter's own clock.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import LeaseCompromise, SoftFileLease, Timeout

LEASE_S = 120.0  # an owner on another host counts as dead when it is silent for so long; it is heard every third of it
POLL_S = 0.5


class Busy(RuntimeError):
    """Another process holds the lock; the message says which."""


@contextmanager
def held(path: Path, wait: bool) -> Iterator[None]:
    """Hold a lock while the block runs.

    Args:
        path: the lock's file; its folder is made if need be. The file is there exactly while somebody holds the lock.
        wait: for as long as another process holds it, after a line that says so.

    Raises:
        Busy: it is held, and `wait` is false.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = SoftFileLease(path, lease_duration=LEASE_S, on_compromise=_give_up)
    try:
        lock.acquire(timeout=POLL_S, poll_interval=POLL_S / 5)  # the first try may only break a dead owner's lock
    except Timeout:
        if not wait:
            raise Busy(f"{path.parent} is in use by {owner(path)}") from None
        print(f"waiting for {owner(path)}, which does the same", flush=True)
        lock.acquire(poll_interval=POLL_S)
    try:
        yield
    finally:
        lock.release()


def owner(path: Path) -> str:
    """Who holds a lock, for a reader: "process 4711 on node3"."""
    found = SoftFileLease(path, lease_duration=LEASE_S).owner
    return f"process {found.pid} on {found.hostname}" if found else "another process"


def _give_up(lost: LeaseCompromise) -> None:
    """Stop this process as Ctrl-C does: it slept so long that another one took its place."""
    print(
        f"{lost.lock_file} was taken over by {owner(Path(lost.lock_file))} ({lost.reason}): stopping", file=sys.stderr
    )
    os.kill(os.getpid(), signal.SIGINT)
