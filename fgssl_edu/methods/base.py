"""What every method is: a module that turns a batch of images into a loss, with hooks that the training loop calls.

A step, as the loop runs it: `views` (every random draw), `forward` (the loss; one backward), `before_step`, the
optimisers, `after_step`. All state that training needs (queues, banks, moving averages, assignments) lives in
parameters and buffers, so that a killed run goes on where it was. A method sees pixels and positions, never labels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from fgssl_edu.data.image_set import Batch, Images
from fgssl_edu.distributed import full_precision
from fgssl_edu.methods.lars import LARS
from fgssl_edu.nets.encoders import Encoder
from fgssl_edu.recipe import Recipe
from fgssl_edu.views.augment import Augment
from fgssl_edu.views.presets import VIEWS, ViewPreset

Presets: TypeAlias = Mapping[str, Mapping[str, tuple[object, str]]]  # preset -> field -> value, source
HEAD_SEED = 1 << 31  # added to a method's seed, so that heads do not repeat the random numbers of the encoder


class Method(nn.Module):
    """Base of all methods; `views` and `forward` must be given, the hooks do nothing by default.

    Attributes:
        encoder: what is trained.
        seed: of every draw.
        chance: loss in nats of a network that knows nothing; None where no such value exists or is known yet.
        presets: published settings by name, each field with its value and the source of that value.
    """

    presets: ClassVar[Presets] = {}

    encoder: Encoder
    seed: int = 0
    chance: float | None = None

    def views(self, batch: Batch, step: int) -> tuple[Tensor, ...]:
        """Everything random in a step, from `draws` by (seed, step, image, purpose)."""
        raise NotImplementedError(f"{type(self).__name__} needs views(batch, step)")

    def forward(self, batch: Batch, views: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """The loss of given views.

        Returns:
            "loss" (scalar, with gradient); optional, detached: "embeddings" (n, d) and named scalars. What `after_step`
            needs is appended to a list: with accumulation there are several forwards a step. A parameter that a step
            does not use has `requires_grad` False in it.
        """
        raise NotImplementedError(f"{type(self).__name__} needs forward(batch, views)")

    def start(self, images: Images, resumed: bool) -> None:
        """Always called first; gives buffers their shape. Costly work only if not `resumed`: its result is state."""

    def before_epoch(self, images: Images, epoch: int) -> None:
        """At the first step of an epoch; a run resumed within one does not call it again.

        `images.batches` gives each process its share, and shares differ by an image where the count does not divide: a
        `gather` inside the loop would wait for ever, or join rows of unlike number. Write what is computed into rows of
        zeros, (count, ...), at `batch.index`, then `gather(rows[None]).sum(dim=0)` once: all rows, on every process.
        """

    def before_step(self, progress: float) -> None:
        """After backward and clipping, before the optimisers; `progress` is the share of steps done, in [0, 1)."""

    def after_step(self, progress: float) -> None:
        """After the optimisers; `progress` includes this step, in (0, 1]."""

    def optimizers(self, recipe: Recipe) -> list[Optimizer]:
        """One for all trainable parameters. A group may carry schedule="constant" and final_weight_decay=VALUE."""
        return [optimizer(self, recipe)]

    def evaluated(self) -> Encoder:
        """The encoder that is scored."""
        return self.encoder


def optimizer(module: nn.Module, recipe: Recipe, lr: float | None = None, **group: object) -> Optimizer:
    """The recipe's optimiser over the trainable parameters of a module.

    Deviation: MoCo's released code decays all parameters; here 1-d ones are left out, as in SimCLR's and DINO's.

    Args:
        module: whose parameters; biases, norms and other 1-d parameters get no weight decay.
        recipe: which optimiser, weight decay and momentum.
        lr: peak learning rate; the recipe's if None.
        group: marks for the schedule, as schedule="constant".
    """
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": recipe.weight_decay, **group},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0, **group},
    ]
    groups, lr = [each for each in groups if each["params"]], recipe.lr if lr is None else lr
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=lr, momentum=recipe.momentum)
    if recipe.optimizer == "lars":
        return LARS(groups, lr=lr, momentum=recipe.momentum)
    return torch.optim.AdamW(groups, lr=lr)


def set_rates(optimizers: Sequence[Optimizer], recipe: Recipe, step: int) -> None:
    """Give every parameter group its learning rate and weight decay of this step."""
    for group in (group for optimizer in optimizers for group in optimizer.param_groups):
        constant = group.get("schedule") == "constant"
        group["lr"] = group["peak"] * (1.0 if constant else recipe.rate(step))
        if "final_weight_decay" in group:
            group["weight_decay"] = recipe.decay(step, group["start_weight_decay"], group["final_weight_decay"])


def spread(embeddings: Tensor) -> Tensor:
    """Spread of (n, d) embeddings' directions, scalar: 1 if they point everywhere alike, 0 if they have collapsed.

    The mean over dimensions of the standard deviation over rows of unit embeddings, times the square root of d
    (SimSiam, arXiv 2011.10566, figure 2).
    """
    unit = F.normalize(embeddings.detach().float(), dim=1)
    return unit.std(dim=0, correction=0).mean() * math.sqrt(unit.shape[1])


def participation(embeddings: Tensor) -> Tensor:
    """How many dimensions share the variance of (n, d) embeddings' directions, scalar from 1 (a line) to min(n - 1, d).

    The participation ratio of the covariance's eigenvalues, their sum squared over the sum of their squares: no
    eigenvalue has to be computed. Meaningless for directions that do not vary, whose `spread` is 0.
    """
    unit = F.normalize(embeddings.detach().float(), dim=1)
    centred = unit - unit.mean(dim=0)
    with full_precision():
        squares = (centred.T @ centred).square().sum()
    return centred.square().sum().square() / squares.clamp(min=torch.finfo(squares.dtype).tiny)


def augmentation(views: str | ViewPreset, size: int) -> Augment:
    """Views by the name of a preset, or by the preset itself, at `size` pixels."""
    if isinstance(views, str) and views not in VIEWS:
        raise ValueError(f"views={views!r} is unknown: use one of {', '.join(VIEWS)}")
    if isinstance(size, bool) or not isinstance(size, int) or size < 8:
        raise ValueError(f"size={size!r}: the side of a view is a whole number of pixels, 8 or more")
    return Augment(VIEWS[views] if isinstance(views, str) else views, size)


def check_contrast(temperature: float, out: int) -> None:
    """Refuse a temperature or an embedding size that no contrast can use."""
    if not (isinstance(temperature, int | float) and math.isfinite(temperature) and temperature > 0):
        raise ValueError(f"temperature={temperature!r}: it divides cosines and must be above 0; papers use 0.07 to 1")
    if isinstance(out, bool) or not isinstance(out, int) or out < 2:
        raise ValueError(f"out={out!r}: embeddings need at least 2 dimensions; papers use 128")
