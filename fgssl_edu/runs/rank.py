"""One of the processes that train together: how it is started, and what it does.

It connects before it imports anything large, so that it ends with the process that started it from the first moment on.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fgssl_edu.progress import Progress, Row
from fgssl_edu.runs.lines import Line

if TYPE_CHECKING:
    from fgssl_edu.methods.base import Method
    from fgssl_edu.train import History

JOB, HANDED, PIXELS = "job.json", "handed.pt", "pixels.u8"  # in the folder of a launch


def log_of(folder: Path, rank: int) -> Path:
    """What a process printed."""
    return folder / f"process_{rank}.log"


def start(folder: Path, rank: int) -> subprocess.Popen[bytes]:
    """Start a process of the launch in `folder`, in a session of its own: Ctrl-C reaches the starting one alone."""
    given = json.loads((folder / JOB).read_text(encoding="utf-8"))["environment"]
    command = [sys.executable, "-m", "fgssl_edu.runs.rank", str(folder), str(rank)]
    with log_of(folder, rank).open("wb") as log:
        return subprocess.Popen(
            command,
            env={**os.environ, **given},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def main(folder: Path, rank: int) -> None:
    """Do a rank's part of the launch in `folder`, tell what went wrong, and end when the other end does."""
    job = json.loads((folder / JOB).read_text(encoding="utf-8"))
    line = Line.to(job["host"], job["port"], token=job["token"], launch=folder.name, rank=rank)
    finished, ended = threading.Event(), threading.Event()

    def watch() -> None:
        for _ in line:
            pass
        if not finished.is_set():
            os._exit(1)  # nothing else ends a thread that waits for other processes
        ended.set()

    threading.Thread(target=watch, daemon=True).start()
    try:
        history = work(job, folder, rank, line)
    except BaseException as error:
        line.send(error=type(error).__name__, says=str(error), trace=traceback.format_exc(), at=time.time())
        os._exit(1)  # an orderly end would wait for the others
    finished.set()
    line.send(done=True, history=dataclasses.asdict(history))
    ended.wait()


def work(job: dict[str, Any], folder: Path, rank: int, line: Line) -> History:
    """Join the others, read what was handed over, train."""
    import torch
    import torch.distributed as dist

    from fgssl_edu import checkpoints, devices, train
    from fgssl_edu.recipe import Recipe

    torch.set_num_threads(job["threads"])
    recipe = Recipe(**job["recipe"])
    node, local = divmod(rank, recipe.devices)
    os.environ.update(LOCAL_RANK=str(local), NODE_RANK=str(node), WORLD_SIZE=str(recipe.processes))
    # A pickle runs code: this one is of the process that this one obeys, in a folder that only its user can write to
    handed = torch.load(folder / HANDED, map_location="cpu", mmap=True, weights_only=False)
    images = handed["images"]
    if images is None:
        count = torch.Size(job["shape"]).numel()
        images = torch.from_file(str(folder / PIXELS), size=count, dtype=torch.uint8).view(job["shape"])
    cuda = devices.find_devices(recipe, handed["method"]) == "cuda"
    place = torch.device("cuda", local) if cuda else None
    store = dist.TCPStore(job["host"], job["store"], is_master=False)
    shape: Any = {"store": store, "rank": rank, "world_size": recipe.processes, "device_id": place}
    dist.init_process_group("nccl" if cuda else "gloo", **shape)
    torch.manual_seed(handed["seed"])
    checkpoints.set_random_state({"cpu": handed["random"][None]}, torch.device("cpu"))
    kept = Path(job["checkpoints"])
    history = train.pretrain(handed["method"], images, recipe, handed["monitors"], kept, Relay(line, handed["method"]))
    dist.destroy_process_group()
    return history


class Asked:
    """Stands for a monitor that looks at rows alone, in the starting process: has a row made for it in time."""

    def __init__(self, every: int) -> None:
        self.every = every

    def __call__(self, method: Method, row: Row, step: int) -> dict[str, float]:
        return {}


class Relay(Progress):
    """Shows nothing here: sends the rows to the starting process."""

    def __init__(self, line: Line, method: Method) -> None:
        super().__init__(False, 0, 0)
        self.sender, self.method = line, method

    def __enter__(self) -> Relay:
        self.sender.send(begun=True)
        return self

    def __call__(self, done: int, row: Row, chance: float | None) -> None:
        """Send the row of a finished step."""
        self.sender.send(row=row, step=done, chance=chance)


if __name__ == "__main__":
    from fgssl_edu.runs import rank as itself  # under the name that pickled classes of it have

    itself.main(Path(sys.argv[1]), int(sys.argv[2]))
