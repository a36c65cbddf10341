"""One training on several processes, GPUs or nodes, from a notebook or script that itself stays one process.

Each process gets the method as it was built, pickled: an arm's name and settings would not say what a lesson has made
of it. The pixels lie in a file that all processes of a node map into memory, so that a machine holds them once. The
trained state comes back as the last checkpoint.
"""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from fgssl_edu import checkpoints, paths, train
from fgssl_edu.data.image_set import Images, ImageSet
from fgssl_edu.devices import find_devices
from fgssl_edu.methods.base import Method
from fgssl_edu.progress import Progress
from fgssl_edu.recipe import Recipe
from fgssl_edu.runs import nodes, rank
from fgssl_edu.runs.crew import Crew, describe
from fgssl_edu.runs.lines import Message


def pretrain(
    method: Method,
    images: ImageSet | Images | Tensor,
    recipe: Recipe,
    monitors: Sequence[train.Monitor] = (),
    folder: Path | None = None,
    progress: str | bool = "auto",
) -> train.History:
    """Train a method in place, as `train.pretrain` does, on as many processes as the recipe asks for.

    Args:
        method: its classes must stand in a module, not in a notebook's cell, where there are several processes.
        images: (N, 3, H, W) uint8, or a set that holds them.
        recipe: with devices x nodes processes. Of one process, this is `train.pretrain`.
        monitors: one with `of_rows = True` looks at rows alone and is called here, as the rows come; another is pickled
            and called in process 0, and what it keeps for itself is lost. What they add to rows is in the history.
        folder: for checkpoints, on a file system that all nodes share; a run found there goes on, also one of another
            number of processes.
        progress: see `train.pretrain`.

    Raises:
        ValueError: what cannot be trained or handed over; TrainingDiverged; ProcessFailed. No process is left behind.
    """
    if recipe.processes == 1 or dist.is_initialized() or "LOCAL_RANK" in os.environ:  # torchrun has started them
        return train.pretrain(method, images, recipe, monitors, folder, progress)
    device, seen = find_devices(recipe, method), train.pixels(images, torch.device("cpu"))
    with ExitStack() as stack:
        if folder is None:
            folder = _new_folder(stack, paths.cache_dir(), "training-")
        work = _new_folder(stack, folder.absolute(), "processes-")
        hand_over(work, method, seen, monitors)
        head = stack.enter_context(nodes.head_of(recipe.nodes))
        store = describe(work, head, recipe, seen.shape, device)
        reached = checkpoints.latest(folder)
        report = stack.enter_context(Progress(progress, recipe.steps, checkpoints.step_of(reached) if reached else 0))
        crew = stack.enter_context(Crew(head, recipe, work, store))
        history = crew.attend(lambda message: _show(message, method, monitors, recipe, report))
        state: Any = checkpoints.load(checkpoints.path_of(folder, recipe.steps))["method"]
    method.to(device).train()
    method.start(seen.on(torch.device(device)), resumed=True)  # gives buffers their shape
    method.load_state_dict(state)
    method.chance = history.chance
    return history


def _new_folder(stack: ExitStack, place: Path, prefix: str) -> Path:
    """A new folder that only the user can read, gone when `stack` is; some network file systems let go of it late."""
    place.mkdir(parents=True, exist_ok=True)
    return Path(stack.enter_context(TemporaryDirectory(prefix=prefix, dir=place, ignore_cleanup_errors=True)))


def hand_over(work: Path, method: Method, images: Images, monitors: Sequence[train.Monitor]) -> None:
    """Write what every process reads; ValueError where it is made of what only this process knows.

    A set that lies in files is opened by each process; of another one the pixels are written once.
    """
    others: list[Any] = [rank.Asked(each.every) if _of_rows(each) else each for each in monitors]
    for each in (*method.modules(), *others):
        if type(each).__module__ == "__main__":
            raise ValueError(
                f"{type(each).__name__} is defined here, where no other process finds it: put it into a module, or "
                "train with devices=1"
            )
    handed = {"method": method, "monitors": others, "random": torch.get_rng_state(), "seed": torch.initial_seed()}
    handed["images"] = None if images.digest is None else images
    try:
        torch.save(handed, work / rank.HANDED)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ValueError(f"{error}: it cannot be handed to other processes; train with devices=1") from error
    if images.digest is None:
        images.images.contiguous().numpy().tofile(work / rank.PIXELS)


def _of_rows(monitor: train.Monitor) -> bool:
    return bool(getattr(monitor, "of_rows", False))


def _show(
    message: Message, method: Method, monitors: Sequence[train.Monitor], recipe: Recipe, report: Progress
) -> None:
    """A row has come: to the progress, and to the monitors that look at rows."""
    if "begun" in message:
        report.begun = time.perf_counter()  # the time left is not told by how long processes take to start
        return
    done, row, method.chance = message["step"], message["row"], message["chance"]
    report(done, row, method.chance)
    for monitor in filter(_of_rows, monitors):
        if done % monitor.every == 0 or done == recipe.steps:
            monitor(method, row, done)
