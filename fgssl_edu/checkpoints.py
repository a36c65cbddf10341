"""Checkpoints: written whole or not at all, read without running any code in them.

A checkpoint of step 300 is `step_00000300.pt` in the run's folder; the last two are kept, so that there is one to go
back to.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fgssl_edu.data.image_set import Images
from fgssl_edu.distributed import gather, rank
from fgssl_edu.methods.base import Method
from fgssl_edu.nets.norm import frozen_statistics
from fgssl_edu.recipe import Recipe

FORMAT = "fgssl_edu checkpoint 2"  # in every file: what tells ours from another program's
KEPT = 2
OF_THE_WAY = ("checkpoint_every", "devices", "nodes")  # of a recipe; processes compute together what one does
NAME = re.compile(r"step_(\d{8,})\.pt")


def path_of(folder: Path, step: int) -> Path:
    """The file of a step."""
    return folder / f"step_{step:08d}.pt"


def step_of(path: Path) -> int:
    """The number of finished steps that a checkpoint's name tells."""
    match = NAME.fullmatch(path.name)
    if match is None:
        raise ValueError(f"{path} is not named like a checkpoint (step_00000300.pt)")
    return int(match[1])


def found(folder: Path) -> list[Path]:
    """The checkpoints in a folder, oldest first; none where there is no folder."""
    names = (path for path in folder.glob("step_*.pt") if NAME.fullmatch(path.name))
    return sorted(names, key=step_of)


def latest(folder: Path) -> Path | None:
    """The newest checkpoint in a folder, whole or not; None if it has none."""
    paths = found(folder)
    return paths[-1] if paths else None


def save(path: Path, state: dict[str, object]) -> Path:
    """Write a checkpoint so that whoever looks sees the old files or the new one, whatever happens meanwhile.

    Args:
        path: from `path_of`; older checkpoints beside it are deleted, but for the last one.
        state: tensors, numbers, strings, and dicts and lists of them; must hold "step".
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    try:
        with partial.open("wb") as file:
            torch.save({**state, "format": FORMAT}, file)
            file.flush()
            os.fsync(file.fileno())  # else the name could reach the disk before the content
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    _settle(path.parent)
    for old in found(path.parent)[:-KEPT]:
        old.unlink(missing_ok=True)
    return path


def _settle(folder: Path) -> None:
    """Have the folder's entries on disk, and what a killed writer left deleted."""
    for left in folder.glob("step_*.partial"):
        left.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # not every system lets a folder be opened
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def load(path: Path) -> dict[str, object]:
    """Read a checkpoint.

    Args:
        path: as written by `save`.

    Returns:
        The state, on the CPU.

    Raises:
        ValueError: no such file, damaged, or not ours; names the file and the one before it.
    """
    if not path.is_file():
        raise ValueError(f"{path}: there is no such checkpoint")
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()  # compares every checksum: torch.load would take a flipped bit for a weight
        if broken:
            raise ValueError(f"{broken} does not match its checksum")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can fail anywhere in two parsers
        raise ValueError(f"{path} is truncated or damaged ({error}). {_instead(path)}") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise ValueError(f"{path} was not written by this package or is of another version of it. {_instead(path)}")
    return state


def finite(state: Mapping[str, Tensor]) -> bool:
    """Whether no weight or buffer has become infinite or NaN."""
    checks = [value.isfinite().all() for value in state.values() if value.is_floating_point()]
    return not checks or bool(torch.stack(checks).all())


def random_state(device: torch.device) -> dict[str, Tensor]:
    """torch's global random state (dropout's), (processes, bytes) uint8; all processes must call it together."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return {name: gather(state[None].to(device)).cpu() for name, state in states.items()}


def set_random_state(states: Mapping[str, Tensor], device: torch.device) -> None:
    """Give this process its part of what `random_state` returned; another kind of device keeps its own.

    A process that is new, because more go on than had stopped, is seeded by the first one's seed and its own rank.
    """
    row = rank() if rank() < len(states["cpu"]) else 0
    torch.set_rng_state(states["cpu"][row].clone())  # a copy: torch 2.15 crashes on a row of a larger tensor
    if row != rank():
        torch.manual_seed(torch.initial_seed() + rank())
    elif "cuda" in states and device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"][row].clone(), device)


@contextlib.contextmanager
def undisturbed(method: Method) -> Iterator[None]:
    """Whatever is drawn, switched or run inside: random state, modes, statistics and gradients are as before."""
    modes = {module: module.training for module in method.modules()}
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices), frozen_statistics(method):
        yield
    method.zero_grad()
    for module, mode in modes.items():
        module.training = mode


def digest(method: Method) -> str:
    """A hash of every bit of a method's parameters and buffers, those that no checkpoint holds too."""
    total = hashlib.sha256()
    for name, value in itertools.chain(method.named_parameters(), method.named_buffers()):
        total.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        total.update(value.detach().cpu().reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def identity(recipe: Recipe, method: Method, images: Images) -> dict[str, object]:
    """What must be the same for a run to be gone on with: recipe, method with settings and state, images, threads.

    Args:
        recipe: of the run.
        method: as it was built, before `start`: a resumed run builds the same.
        images: what it trains on.
    """
    return {
        "recipe": asdict(recipe),
        "about": re.sub(r" at 0x[0-9a-f]+", "", repr(method)),
        "initial": digest(method),
        "images": images.identity(),
        "threads": torch.get_num_threads(),
    }


def resume(folder: Path, now: dict[str, object]) -> dict[str, object] | None:
    """The newest checkpoint of a folder if it belongs to this run, None where there is none.

    Raises:
        ValueError: it cannot be read, or its run had another recipe, method, images or initial weights; says which.
    """
    path = latest(folder)
    if path is None:
        return None
    saved = load(path)
    names = ("recipe", "about", "images", "initial")
    differing = [sentence for name in names for sentence in _differences(name, saved[name], now[name])]
    if differing:
        raise ValueError(
            f"{path} belongs to another run: {'; '.join(differing)}. Give it what it was started with, "
            "or another folder to a new run"
        )
    if saved["threads"] != now["threads"]:
        warnings.warn(
            f"{path} was computed with {saved['threads']} threads, now there are {now['threads']}: "
            "the run goes on, but its last bits may differ from those of a run that was never stopped",
            stacklevel=3,
        )
    return saved


def _differences(name: str, saved: Any, now: Any) -> list[str]:
    """What differs, in words, each as 'was ..., is ...', but for what does not change the course of a run."""
    if name == "recipe":
        keys = [key for key in now if key not in OF_THE_WAY and saved.get(key) != now[key]]
        return [f"{key} was {saved.get(key)!r}, is {now[key]!r}" for key in keys]
    if saved == now:
        return []
    if name == "about":
        pairs = itertools.zip_longest(saved.splitlines(), now.splitlines(), fillvalue="nothing")
        before, after = next(pair for pair in pairs if pair[0] != pair[1])
        return [f"the method was {before.strip()!r}, is {after.strip()!r}"]
    if name == "initial":
        return ["the method has other initial weights or buffers: build it anew, with the seeds and data it had"]
    return [f"the images were {saved[:4]}, are {now[:4]}" if saved[:4] != now[:4] else "the images' pixels differ"]


def _instead(path: Path) -> str:
    """What to do without this file."""
    before = [other for other in found(path.parent) if NAME.fullmatch(path.name) and step_of(other) < step_of(path)]
    if not before:
        return "There is none before it: delete it, and the run starts anew."
    older = before[-1]
    return f"The one before it is {older.name}: delete {path.name}, and the run goes on from step {step_of(older)}."
