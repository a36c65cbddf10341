"""The processes of one training, as the process that started them sees them: started, listened to, ended."""

from __future__ import annotations

import dataclasses
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.distributed as dist

from fgssl_edu import checkpoints, paths
from fgssl_edu.recipe import Recipe
from fgssl_edu.runs import nodes, rank
from fgssl_edu.runs.lines import LOOPBACK, Head, Message, listen
from fgssl_edu.train import History, TrainingDiverged

GRACE_S = 2.0  # from the first sign of a failure, for those that say where it began
END_S = 10.0  # for processes that have done their part
WORDS = 2000  # characters of a dead process's log that are shown
KINDS: dict[str, type[Exception]] = {"ValueError": ValueError, "TrainingDiverged": TrainingDiverged}


class ProcessFailed(RuntimeError):
    """A process of a training failed or died; the message says which, and shows its traceback or its last words."""


def describe(work: Path, head: Head, recipe: Recipe, shape: Sequence[int], device: str) -> dist.TCPStore:
    """Write the job; the returned store, where its processes find each other, lasts as long as it is held.

    Args:
        work: folder of the launch, inside that of the checkpoints.
        head: what processes connect to.
        recipe: of the training.
        shape: of the pixels.
        device: "cuda" or "cpu"; processes on a CPU share this process's threads.
    """
    listening = listen(head.host)
    port = listening.getsockname()[1]
    # No process has the port before it is known, as it would if a free one was looked for and let go
    store = dist.TCPStore(head.host, port, is_master=True, wait_for_workers=False, master_listen_fd=listening.detach())
    threads = max(1, torch.get_num_threads() // (recipe.devices if device == "cpu" else 1))
    found = os.pathsep.join(each or os.getcwd() for each in sys.path)
    environment = {"PYTHONPATH": found, "OMP_NUM_THREADS": str(threads)}
    if head.host == LOOPBACK and sys.platform == "linux":
        environment["GLOO_SOCKET_IFNAME"] = "lo"  # a laptop may change networks meanwhile
    job = {
        "host": head.host,
        "port": head.port,
        "token": head.token,
        "store": port,
        "recipe": dataclasses.asdict(recipe),
        "shape": [*shape],
        "checkpoints": str(work.parent),
        "threads": threads,
        "environment": environment,
    }
    paths.atomic_write(work / rank.JOB, json.dumps(job))
    return store


class Crew:
    """Inside, the processes of a launch that was described; afterwards none of them is left."""

    def __init__(self, head: Head, recipe: Recipe, work: Path, store: dist.TCPStore) -> None:
        self.head, self.recipe, self.work, self.store = head, recipe, work, store
        self.local: list[subprocess.Popen[bytes]] = []
        self.waiting: list[threading.Thread] = []

    def __enter__(self) -> Crew:
        try:
            for number in range(self.recipe.devices):
                self.local.append(rank.start(self.work, number))
                self.waiting.append(threading.Thread(target=self._wait, args=(number,), daemon=True))
                self.waiting[-1].start()
            nodes.start(self.head, self.work, self.recipe.devices, self.recipe.nodes)
        except BaseException:
            self.__exit__(True)
            raise
        return self

    def __exit__(self, *failed: object) -> None:
        """Let go of processes that have done their part, kill the others; an exception, as Ctrl-C, waits for none."""
        for hello, line in [*self.head.lines]:
            if hello.get("launch") == self.work.name:
                line.close()
        deadline = time.monotonic() + (0 if any(failed) else END_S)
        for thread in self.waiting:
            thread.join(max(0.0, deadline - time.monotonic()))
        nodes.stop(self.head, self.work)
        for process in self.local:
            process.kill()
        for thread in self.waiting:
            thread.join()

    def _wait(self, number: int) -> None:
        code = self.local[number].wait()
        self.head.events.put({"launch": self.work.name, "rank": number, "exit": code, "at": time.time()})

    def attend(self, show: Callable[[Message], None]) -> History:
        """Listen until all have done their part: who has done it waits to be let go, so none may end before.

        Args:
            show: called when process 0 has begun to train, and with every row that it sends.

        Raises:
            ValueError, TrainingDiverged: as a process raised it; ProcessFailed: any other end of a process.
        """
        histories: dict[int, Message] = {}
        while len(histories) < self.recipe.processes:
            message = self.head.events.get()
            if message.get("launch", self.work.name) != self.work.name:  # the end of an earlier training
                continue
            if "begun" in message or "row" in message:
                show(message)
            elif "done" in message:
                histories[message["rank"]] = message["history"]
            elif "error" in message or "exit" in message or ("node" in message and "left" in message):
                raise self._failure([message, *self._further()])
        return History(**histories[0])

    def _further(self) -> list[Message]:
        """What is heard after the first sign of a failure, which may have been a consequence."""
        found, deadline = [], time.monotonic() + GRACE_S
        while (left := deadline - time.monotonic()) > 0:
            try:
                found.append(self.head.events.get(timeout=left))
            except queue.Empty:
                break
        return found

    def _failure(self, heard: list[Message]) -> Exception:
        """The one error of all that was heard: a process's end without a word, else the earliest that was told."""
        told = sorted((each for each in heard if "error" in each), key=lambda each: each["at"])
        speaking = {each["rank"] for each in told}
        silent = [each for each in heard if "exit" in each and each["rank"] not in speaking]
        killed = [each for each in silent if each["exit"] != -signal.SIGABRT]  # as NCCL does when another one is gone
        lost = [each for each in heard if "node" in each and "left" in each]
        first = (killed or lost or told or silent)[0]
        if "left" in first:
            return ProcessFailed(f"node {first['node']} is gone; all processes were stopped. {self._kept()}")
        who = f"process {first['rank']} of {self.recipe.processes}"
        if first.get("error") in KINDS:
            error = KINDS[first["error"]](first["says"])
            error.add_note(f"in {who}:\n{first['trace']}")
            return error
        what = f"failed with {first['error']}" if "error" in first else _end(first["exit"])
        words = first["trace"] if "trace" in first else self._last_words(first["rank"])
        return ProcessFailed(f"{who} {what}; the others were stopped. {self._kept()}\n{words}".strip())

    def _last_words(self, number: int) -> str:
        log = rank.log_of(self.work, number)
        return log.read_text(encoding="utf-8", errors="replace")[-WORDS:] if log.is_file() else ""

    def _kept(self) -> str:
        reached = checkpoints.latest(self.work.parent)
        step = checkpoints.step_of(reached) if reached else 0
        return f"Started again, the training goes on after step {step}." if step else "There was no checkpoint yet."


def _end(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended early with status {code}"
