"""Processes of a launch forked from a server that has torch, instead of fresh interpreters: .3 s each, not five."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "contract"))  # also in the processes that are started
from contract_methods import context

from fgssl_edu.runs import rank


class Forked:
    """What `rank.start` returns, as far as a launch looks at it."""

    def __init__(self, folder: Path, number: int) -> None:
        self.process = context().Process(target=in_fork, args=(folder, number))
        self.process.start()
        self.pid = self.process.pid

    def wait(self) -> int:
        self.process.join()
        return self.process.exitcode

    def kill(self) -> None:
        self.process.kill()


def in_fork(folder: Path, number: int) -> None:
    """What a fresh interpreter would be given, and do."""
    log = os.open(rank.log_of(folder, number), os.O_CREAT | os.O_WRONLY)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.update(json.loads((folder / rank.JOB).read_text())["environment"])
    rank.main(folder, number)


def alive(pids: list[int], within_s: float) -> list[int]:
    """Those of the processes that are still there when so many seconds are over; returns as soon as none is."""
    import select

    left = []
    for pid in pids:
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        if not select.select([handle], [], [], within_s)[0]:
            left.append(pid)
        os.close(handle)
    return left
