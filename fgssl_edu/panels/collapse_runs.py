"""Small trainings for the collapse panel: every method without negatives, whole and without one of its parts at a time.

A network of two stages on pictures of 16 px: seconds for all of them, and they collapse as large ones do. What is kept
of a training are, at a few steps, its numbers and the embeddings of the same pictures in the same two views.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from fgssl_edu.data.image_set import Batch
from fgssl_edu.methods import build
from fgssl_edu.methods.base import Method, spread
from fgssl_edu.nets.encoders import Block, Encoder, seeded
from fgssl_edu.nets.norm import frozen_statistics
from fgssl_edu.recipe import Recipe
from fgssl_edu.train import pretrain
from fgssl_edu.views import resized

WHOLE = "nothing"
PARTS: dict[str, dict[str, dict[str, object]]] = {  # method -> what is taken away -> its fields
    "byol": {
        WHOLE: {},
        "predictor": {"predictor": False},
        "slow copy": {"momentum": False},
        "slow copy and stop-gradient": {"momentum": False, "stop_gradient": False},
    },
    "simsiam": {WHOLE: {}, "stop-gradient": {"stop_gradient": False}, "predictor": {"predictor": False}},
    "barlow": {WHOLE: {}, "redundancy term": {"redundancy": 0.0}, "invariance term": {"invariance": 0.0}},
    "vicreg": {
        WHOLE: {},
        "variance term": {"variance": 0.0},
        "covariance term": {"covariance": 0.0},
        "invariance term": {"invariance": 0.0},
    },
}
NAMES = {"byol": "BYOL", "simsiam": "SimSiam", "barlow": "Barlow Twins", "vicreg": "VICReg"}
OWN: dict[str, dict[str, object]] = {  # for few dimensions and few steps
    "barlow": {"redundancy": 0.05},
    "byol": {"ema": 0.9, "schedule": "constant"},
}
PIXELS, SIZE = 20, 16  # of a picture and of a view
SHOWN, BATCH = 128, 64  # pictures that are looked at; in a step
HIDDEN, OUT = 64, 16  # widths of heads and embeddings
LOOKS = 8  # beside the one before training
RATE = 5e-3  # of AdamW
Run = dict[str, Any]


@dataclass
class Looks:
    """Monitor that keeps the embeddings of some pictures, in two views that are the same at every look."""

    batch: Batch
    every: int
    at: list[int] = field(default_factory=list)
    rows: list[dict[str, float]] = field(default_factory=list)
    pairs: list[Tensor] = field(default_factory=list)  # (2, n, d) each

    @torch.no_grad()
    def __call__(self, method: nn.Module, row: Mapping[str, float], step: int) -> dict[str, float]:
        """Embed with the batch's own statistics, as in training; the loop sees to it that the method's stay."""
        assert isinstance(method, Method)
        views = method.views(self.batch, 0)
        found, back = (method(self.batch, each) for each in (views, views[::-1]))
        embeddings = found.pop("embeddings")
        numbers = {name: float(value) for name, value in found.items()}
        self.at.append(step)
        self.rows.append({**numbers, "embedding_std": float(spread(embeddings))})
        self.pairs.append(torch.stack([embeddings, back["embeddings"]]))
        return {}


def tiny_encoder(seed: int) -> Encoder:
    """A stem and one residual block, 32-d."""
    with seeded(seed):
        entry = nn.Sequential(nn.Conv2d(3, 16, 3, 2, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True))
        return Encoder("tiny", "3x3 stride 2", entry, [Block(16, 32, 2, "batch")], 32)


def small_run(method: str, fields: Mapping[str, object], pictures: Tensor, steps: int, seed: int = 0) -> Run:
    """Train one method and look at it.

    Args:
        method: a key of `PARTS`.
        fields: of the method: what is taken away.
        pictures: (N, 3, H, W) uint8.
        steps: of training.
        seed: of everything.

    Returns:
        "chance"; "at", the steps of the looks from 0 on; "rows", their numbers, as `evaluate.monitor.symptom` takes
        them; "pairs" (looks, 2, n, d), embeddings of the same n pictures in two views.
    """
    given = {"size": SIZE, "hidden": HIDDEN, "out": OUT, "seed": seed, **OWN.get(method, {}), **fields}
    made = build(method, tiny_encoder(seed), None, **given)
    index = torch.arange(min(SHOWN, len(pictures)))
    looks = Looks(Batch(pictures[index], index), max(1, steps // LOOKS))
    with frozen_statistics(made):
        looks(made.train(), {}, 0)
    recipe = Recipe(
        steps=steps, batch=min(BATCH, len(pictures)), lr=RATE, warmup=min(5, steps), seed=seed, accelerator="cpu"
    )
    pretrain(made, pictures, recipe, [looks], progress=False)
    return {"chance": made.chance, "at": looks.at, "rows": looks.rows, "pairs": torch.stack(looks.pairs)}


def small_runs(images: Tensor, steps: int = 100, seed: int = 0) -> dict[str, dict[str, Run]]:
    """Every method of `PARTS`, whole and without each of its parts: method -> what is taken away -> run.

    Args:
        images: (N, 3, H, W) uint8, of any size; the first 512 are used, small.
        steps: of each training.
        seed: of everything.
    """
    small = resized(images[:512], PIXELS)
    pictures = small if small.dtype == torch.uint8 else (small.clamp(0, 1) * 255).round().to(torch.uint8)
    return {
        method: {part: small_run(method, fields, pictures, steps, seed) for part, fields in parts.items()}
        for method, parts in PARTS.items()
    }
