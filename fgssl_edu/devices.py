"""The devices, the precision and the processes of a run, by Lightning Fabric; the loop asks for them once."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import nn

from fgssl_edu.methods.base import Method
from fgssl_edu.recipe import Recipe

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def open_fabric(recipe: Recipe, method: Method) -> Fabric:
    """The devices, precision and processes of a recipe; ValueError where this machine or this process has them not."""
    from lightning_fabric import Fabric  # before `quiet`: its import sets the level of its logger
    from lightning_fabric.plugins.environments import LightningEnvironment
    from lightning_fabric.strategies import DDPStrategy

    with quiet():
        started = dist.get_world_size() if dist.is_initialized() else int(os.environ.get("WORLD_SIZE", "1"))
        if started != recipe.processes:
            raise ValueError(
                f"devices={recipe.devices}, nodes={recipe.nodes}: {recipe.processes} processes needed, {started} "
                "started. Call `runs.launch.pretrain`, which starts them, or start the script with `torchrun`"
            )
        accelerator, precision = find_devices(recipe, method), recipe.precision
        if precision == "auto":  # bf16 is quick from Ampere on; on a CPU it is slower, and bits differ between machines
            ampere = accelerator == "cuda" and torch.cuda.get_device_capability() >= (8, 0)
            precision = "bf16-mixed" if ampere else "32-true"
        # DDP's default copies process 0's buffers over all others' at each forward: a bank would lose their rows.
        strategy: Any = "auto" if started == 1 else DDPStrategy(broadcast_buffers=False)
        shape: Any = {"devices": recipe.devices, "num_nodes": recipe.nodes, "precision": precision}
        # Whoever started this process says what it is; Fabric's guess would take a Slurm job's tasks for them.
        fabric = Fabric(accelerator=accelerator, strategy=strategy, plugins=LightningEnvironment(), **shape)
        fabric.launch()
    return fabric


def find_devices(recipe: Recipe, method: Method) -> str:
    """ "cuda", "mps" or "cpu"; ValueError where devices are not there, or BatchNorm would span CPU processes."""
    cuda = recipe.accelerator == "cuda" or (recipe.accelerator == "auto" and torch.cuda.is_available())
    accelerator = "cuda" if cuda else recipe.accelerator.replace("auto", "cpu")
    if cuda and torch.cuda.device_count() < recipe.devices:
        have = f"accelerator='cuda', devices={recipe.devices}: there are {torch.cuda.device_count()} GPUs here"
        raise ValueError(f"{have}; use fewer devices or accelerator='cpu'")
    if recipe.processes > 1 and accelerator == "mps":
        raise ValueError(f"accelerator='mps', devices={recipe.devices}, nodes={recipe.nodes}: it trains on one alone")
    norms = [layer for layer in method.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    if recipe.processes > 1 and accelerator == "cpu" and norms:
        raise ValueError(
            "BatchNorm over several CPU processes: build the encoder with norm='group' (of a lesson: -p norm=group or "
            "FGSSL_NORM=group), or use devices=1"
        )
    return accelerator


@contextmanager
def quiet() -> Iterator[None]:
    """Fabric's hints on hardware and start-up are no news to a reader of a lesson; its errors are."""
    logger = logging.getLogger("lightning_fabric")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning_fabric\b")
            yield
    finally:
        logger.setLevel(level)
