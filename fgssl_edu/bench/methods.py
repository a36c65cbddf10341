"""What a training step of each method costs: images a second of CPU beside SimCLR's, and the memory that it takes.

Every method is built as a lesson has it, the live arm where one is the method's own, at that lesson's settings, on few
rendered birds. What a method does between steps (clustering, deciding on boxes) is not in a step.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.optim import Optimizer

from fgssl_edu import config
from fgssl_edu.bench.rounds import Contestant, Rates, interleave, medians, ratio
from fgssl_edu.data.image_set import Images, ImageSet
from fgssl_edu.data.loader import Loader
from fgssl_edu.methods.base import Method
from fgssl_edu.recipe import Recipe
from fgssl_edu.runs import arms
from fgssl_edu.runs.arm_tables import ARMS, Arm
from fgssl_edu.runs.experiment import LIVE_ARMS

BASE = "simclr"  # the method that the others are compared with
OWN_STEP = {"inpainting_adv": ("inpainting", "inpainting_adv")}  # arms whose step is another than their method's
ROUNDS, STEPS = {"ci": 1, "lecture": 7}, {"ci": 1, "lecture": 2}  # steps a round
IMAGES = {"ci": 96, "lecture": 512}  # at most, of which batches are drawn
MEGABYTE = 1e6


def run(scale: str, chosen: Sequence[tuple[str, str]] = ()) -> dict[str, object]:
    """Steps of all contestants in turns, on one thread.

    Args:
        scale: whose settings.
        chosen: (lesson, arm) pairs; one arm of every method that has one if empty.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        pairs = (
            {ARMS[slug][name].method: (slug, name) for slug, name in chosen}
            if chosen
            else arm_of_each_method() | OWN_STEP
        )
        learners = {str(method): learner(slug, name, scale) for method, (slug, name) in pairs.items()}
        if BASE not in learners:
            learners[BASE] = learner("contrast", BASE, scale)
        device = next(iter(learners.values())).device
        memory = {name: each.megabytes() for name, each in learners.items()}
        contestants = {name: each.steps(STEPS[scale]) for name, each in learners.items()}
        clock = time.process_time if device == "cpu" else time.perf_counter
        rates: Rates = interleave(contestants, ROUNDS[scale], device, clock)
    finally:
        torch.set_num_threads(threads)
    ratios = {f"{name} to {BASE}": ratio(rates, name, BASE) for name in learners if name != BASE}
    table = {
        "images_per_second": medians(rates),
        "megabytes": memory,
        "ratios": ratios,
        "arms": {str(method): "/".join(pair) for method, pair in pairs.items()},
        "rounds": rates,
        "bars": {},
    }
    return {"ratios": ratios, "tables": {"methods": table}}


def arm_of_each_method() -> dict[str, tuple[str, str]]:
    """Method -> (lesson, arm): a lesson's live arm where it has one of its own, else the first arm that trains it."""
    live = [(slug, LIVE_ARMS[slug]) for slug in ARMS if LIVE_ARMS.get(slug) in ARMS[slug]]
    every = [(slug, name) for slug in ARMS for name in ARMS[slug]]
    found: dict[str, tuple[str, str]] = {}
    for slug, name in [*live, *every]:
        method = ARMS[slug][name].method
        if method is not None:
            found.setdefault(method, (slug, name))
    return found


def learner(slug: str, name: str, scale: str) -> Learner:
    """An arm of a lesson, ready for its first step."""
    arm = ARMS[slug][name]
    settings = arms.arm_settings(arm, config.resolve(slug, {"scale": scale}).settings, seed=0)
    few = max(settings.batch, min(IMAGES[scale], settings.train_images))
    settings = dataclasses.replace(settings, train_images=few, test_images=few, queue=min(settings.queue, few // 2))
    return Learner(arm, settings, arms.load(settings).train)


class Learner:
    """One method with its optimisers and batches."""

    def __init__(self, arm: Arm, settings: config.Settings, images: ImageSet) -> None:
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.recipe = Recipe.of(settings)
        self.method: Method = arms.build_arm(arm, settings, images).to(self.device).train()
        seen = Images(images.images, self.device)
        self.method.start(seen, resumed=False)
        self.optimizers: list[Optimizer] = self.method.optimizers(self.recipe)
        self.method.before_epoch(seen, 0)
        self.loader, self.done = Loader(images.images, settings.batch, seed=0, device=self.device), 0

    def step(self) -> None:
        """One update, as `train.pretrain` makes it, without Fabric around it."""
        batch = next(self.loader)
        with torch.no_grad():
            views = self.method.views(batch, self.done)
        self.method(batch, views)["loss"].backward()
        self.method.before_step(0.5)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        self.done += 1
        self.method.after_step(0.5)

    def steps(self, count: int) -> Contestant:
        """The contestant of `count` steps a round."""

        def trained(_turn: int) -> int:
            for _ in range(count):
                self.step()
            return count * self.recipe.batch

        return trained

    def megabytes(self) -> float:
        """What a step holds: on a GPU at most, as its allocator counts; else what is kept, see `kept_for_backward`."""
        if self.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
            self.step()
            return torch.cuda.max_memory_allocated() / MEGABYTE
        own = storages([*self.method.parameters(), *self.method.buffers()])
        with kept_for_backward() as kept:
            self.step()
        state = [value for each in self.optimizers for values in each.state.values() for value in values.values()]
        own |= storages([value for value in state if isinstance(value, Tensor)])
        return sum({**kept, **own}.values()) / MEGABYTE


@contextmanager
def kept_for_backward() -> Iterator[dict[int, int]]:
    """Inside, every storage that autograd keeps for a backward pass: address -> bytes, each counted once."""
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept.update(storages([tensor]))
        return tensor.detach()  # itself would refer to its own graph

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield kept


def storages(tensors: Sequence[Tensor]) -> dict[int, int]:
    """Address -> bytes of what tensors lie in; views of one storage count once."""
    held = [tensor.untyped_storage() for tensor in tensors]
    return {each.data_ptr(): each.nbytes() for each in held if each.nbytes()}
