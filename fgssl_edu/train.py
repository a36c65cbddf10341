"""The training loop: a plain PyTorch loop that survives being killed, on any device and any number of processes.

Lightning Fabric places tensors, casts and averages gradients over processes; with one process the loop reads and
computes as if it were not there. Nothing in a step waits for the GPU: losses stay on it and are read every few steps.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from fgssl_edu import checkpoints
from fgssl_edu.data.image_set import Batch, Images, ImageSet
from fgssl_edu.devices import open_fabric, quiet
from fgssl_edu.methods.base import Method, set_rates, spread
from fgssl_edu.nets.norm import join_batch_norms
from fgssl_edu.progress import History, Progress, Row
from fgssl_edu.recipe import Recipe

if TYPE_CHECKING:
    from lightning_fabric import Fabric

MOST_ROWS = 400  # of a history; beyond, every second, third, ... step has a row
READS, READ_EVERY = 20, 25  # looks at the losses: at least so many a run, at most so many steps apart
State = dict[str, Any]


class Monitor(Protocol):
    """What looks at a run every few steps; it may read the method, not train it."""

    every: int

    def __call__(self, method: Method, row: Row, step: int) -> dict[str, float]:
        """Numbers to add to the row of this step (finished steps, 1 after the first)."""


class TrainingDiverged(RuntimeError):
    """The loss or the weights are no longer finite."""


def pretrain(
    method: Method,
    images: ImageSet | Images | Tensor,
    recipe: Recipe,
    monitors: Sequence[Monitor] = (),
    folder: Path | None = None,
    progress: str | bool | Progress = "auto",
) -> History:
    """Train a method in place, in this process; `runs.launch.pretrain` starts several where the recipe asks for them.

    Args:
        method: on the CPU or not; it ends on the training device.
        images: (N, 3, H, W) uint8, a set that holds them, or one that reads them; labels are not looked at.
        recipe: how long, how fast, on what.
        monitors: called as monitor(method, row, step) every `monitor.every` steps and at the end, on process 0.
        folder: for checkpoints; a run found there goes on, a finished one is returned at once.
        progress: "bar", "lines", False, or "auto": a bar where somebody watches, else at most 20 lines; or one's own.

    Raises:
        ValueError: what cannot be trained, before it is; TrainingDiverged: loss or weights are not finite.
    """
    fabric = open_fabric(recipe, method)
    seen = pixels(images, fabric.device)
    run = Run(fabric, method, seen, recipe, folder)
    shown = progress if fabric.is_global_zero else False
    bar = shown if isinstance(shown, Progress) else Progress(shown, recipe.steps, run.first)
    with closing(run.loader), bar as report:
        for step in range(run.first, recipe.steps):
            if run.epoch(step) != run.epoch(step - 1):
                method.before_epoch(seen, run.epoch(step))
            set_rates(run.optimizers, recipe, step)
            for piece in range(recipe.accumulate):
                batch = next(run.loader)
                with torch.no_grad():
                    views = method.views(batch, step)
                with fabric.no_backward_sync(run.forward, enabled=piece + 1 < recipe.accumulate):
                    outputs = run.forward(batch.images, batch.index, *views)
                    fabric.backward(outputs["loss"] / recipe.accumulate)
                run.note(outputs)
            for optimizer in run.steppers if recipe.clip is not None else []:
                fabric.clip_gradients(run.forward, optimizer, max_norm=recipe.clip, error_if_nonfinite=False)
            method.before_step(step / recipe.steps)
            for optimizer in run.steppers:
                optimizer.step()
                optimizer.zero_grad()
            done = step + 1
            method.after_step(done / recipe.steps)
            watchers = [each for each in monitors if done % each.every == 0 or done == recipe.steps]
            run.finish_step(done, row=bool(watchers))
            if watchers or run.due(done):
                run.read()
                run.watch(watchers, done)
                report(done, run.history.rows[-1], method.chance)
            if folder is not None and run.checkpoint_due(done):
                run.save(folder, done)
    return run.history


def pixels(images: ImageSet | Images | Tensor, device: torch.device) -> Images:
    """The images alone, whatever they came in."""
    if isinstance(images, Images):
        return images.on(device)
    tensor = images if isinstance(images, Tensor) else images.images
    if tensor.dtype != torch.uint8 or tensor.ndim != 4 or tensor.shape[1] != 3:
        raise ValueError(f"images: {tuple(tensor.shape)} {tensor.dtype}; training takes (N, 3, H, W) uint8")
    return Images(tensor, device)


class Run:
    """What the loop turns: wrapped network, optimisers, history, and losses not read yet."""

    def __init__(self, fabric: Fabric, method: Method, seen: Images, recipe: Recipe, folder: Path | None) -> None:
        """Begin, or go on: start the method, load its state, build its optimisers, wrap both, load the rest."""
        self.fabric, self.method, self.recipe, self.folder = fabric, method, recipe, folder
        self.loader = seen.loader(recipe.piece, recipe.seed, fabric.global_rank, fabric.world_size)
        self.identity = {} if folder is None else checkpoints.identity(recipe, method, seen)
        saved: State | None = checkpoints.resume(folder, self.identity) if folder is not None else None
        if fabric.world_size > 1 and fabric.device.type == "cuda":
            join_batch_norms(method)  # several processes compute what one does
        method.to(fabric.device).train()
        method.start(seen, resumed=saved is not None)
        if saved is not None:
            method.load_state_dict(saved["method"])
        self.optimizers = method.optimizers(recipe)
        for group in (group for optimizer in self.optimizers for group in optimizer.param_groups):
            group.update(peak=group["lr"], start_weight_decay=group["weight_decay"])
        with quiet():
            self.forward = fabric.setup_module(_Forward(method))
            self.steppers: list[Any] = [fabric.setup_optimizers(optimizer) for optimizer in self.optimizers]
        self.first, self.history = 0, History()
        if saved is not None:
            self._restore(saved)
        self.history.chance = method.chance
        self.sums: dict[str, Tensor] = {}  # of the step that is being computed
        self.pending: list[tuple[int, float, dict[str, Tensor]]] = []  # steps whose values have not been read
        self.clock = time.perf_counter()

    def _restore(self, saved: State) -> None:
        for optimizer, state in zip(self.optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        self.loader.load_state_dict(saved["loader"])
        self.fabric.strategy.precision.load_state_dict(saved["precision"])
        checkpoints.set_random_state(saved["rng"], self.fabric.device)
        self.first = saved["step"]
        self.history = History(saved["rows"], None, saved["seconds"], saved["shown"], resumed_from=saved["step"])

    def epoch(self, step: int) -> int:
        """Passes through the set that are over before a step; -1 before the first."""
        return step * self.recipe.accumulate // self.loader.steps_per_epoch

    def note(self, outputs: dict[str, Tensor]) -> None:
        """Add up the scalars of one piece of a step, without waiting for them."""
        for name, value in outputs.items():
            if name == "embeddings":
                name, value = "embedding_std", spread(value)
            share = value.detach().float() / self.recipe.accumulate
            self.sums[name] = self.sums[name] + share if name in self.sums else share

    def finish_step(self, done: int, row: bool) -> None:
        """Keep the step's values until they are read; all of them where it gets a row of the history, else the loss."""
        every = math.ceil(self.recipe.steps / MOST_ROWS)
        row = row or done % every == 0 or done in (1, self.recipe.steps)
        values = self.sums if row else {"loss": self.sums["loss"]}
        self.pending.append((done, self.optimizers[0].param_groups[0]["lr"] if row else math.nan, values))
        self.sums = {}

    def checkpoint_due(self, done: int) -> bool:
        return done % self.recipe.checkpoint_every == 0 or done == self.recipe.steps

    def due(self, done: int) -> bool:
        """Whether the losses are looked at after this step: seldom, and always before a checkpoint."""
        return done % max(1, min(READ_EVERY, self.recipe.steps // READS)) == 0 or self.checkpoint_due(done)

    def read(self) -> None:
        """Wait for the device, average over processes, write rows; TrainingDiverged if loss or weight is not finite."""
        flat = torch.stack([value for _, _, values in self.pending for value in values.values()])
        mean: Any = self.fabric.all_reduce(flat, reduce_op="mean")
        numbers = iter(mean.tolist())
        speed = len(self.pending) * self.recipe.batch / (time.perf_counter() - self.clock)
        self._tick(images=len(self.pending) * self.recipe.batch)
        for step, lr, values in self.pending:
            row = {name: next(numbers) for name in values}
            if not math.isfinite(row["loss"]):
                raise self._diverged(f"the loss of step {step} is {row['loss']}")
            if not math.isnan(lr):
                self.history.rows.append({"step": step, **row, "lr": lr, "img_s": speed})
        if not checkpoints.finite(self.method.state_dict()):
            raise self._diverged(f"after step {step} some weights are not finite, though the loss was")
        self.pending = []

    def watch(self, monitors: Sequence[Monitor], done: int) -> None:
        """Let monitors look; whatever they draw or switch, the run goes on as without them."""
        if monitors and self.fabric.is_global_zero:
            with checkpoints.undisturbed(self.method):
                for monitor in monitors:
                    self.history.rows[-1].update(monitor(self.method, self.history.rows[-1], done))
        self._tick()

    def save(self, folder: Path, done: int) -> None:
        """Write a checkpoint of a state that `read` has found to be good."""
        state = {
            "step": done,
            "method": self.method.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "loader": self.loader.state_dict(),
            "precision": self.fabric.strategy.precision.state_dict(),
            "rng": checkpoints.random_state(self.fabric.device),
            "rows": self.history.rows,
            "seconds": self.history.seconds,
            "shown": self.history.images,
            **self.identity,
        }
        if self.fabric.is_global_zero:
            checkpoints.save(checkpoints.path_of(folder, done), state)
        self._tick()

    def _tick(self, images: int = 0) -> None:
        now = time.perf_counter()
        self.history.seconds += now - self.clock
        self.history.images += images
        self.clock = now

    def _diverged(self, what: str) -> TrainingDiverged:
        good = checkpoints.latest(self.folder) if self.folder is not None else None
        kept = f"The last good checkpoint is {good}" if good else "No checkpoint has been written"
        return TrainingDiverged(
            f"{what}. {kept}. Try a lower lr (now {self.recipe.lr:g}), a longer warmup (now {self.recipe.warmup} "
            f"steps), clip=1.0 (now {self.recipe.clip}), a higher temperature, or precision='32-true'"
        )


class _Forward(nn.Module):
    """The method as the wrapped network calls it: by tensors alone, for Fabric cannot copy a frozen `Batch`."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, images: Tensor, index: Tensor, *views: Tensor) -> dict[str, Tensor]:
        return self.method(Batch(images, index), views)
