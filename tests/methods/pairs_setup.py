"""Small birds, a method around them, and one step as the loop does it: for the tests of synthesised pairs."""

from __future__ import annotations

import torch
from torch import Tensor

from fgssl_edu.data.birds import Knobs, bird_set
from fgssl_edu.data.image_set import Batch, Images
from fgssl_edu.methods.contrastive.moco import MoCo
from fgssl_edu.methods.finegrained.synthesized_pairs import SynthesizedPairs
from fgssl_edu.methods.siamese.simsiam import SimSiam
from fgssl_edu.nets import build_encoder
from fgssl_edu.recipe import Recipe

COUNT, BATCH, SMALL = 24, 8, {"size": 16, "queue": 20, "ema": 0.9}
BIRDS = bird_set(COUNT, size=32, knobs=Knobs(background=1.0))
BASES = {"moco": lambda: MoCo(encoder(), **SMALL), "simsiam": lambda: SimSiam(encoder(), size=16)}


def encoder():
    return build_encoder("resnet10", seed=0)


def make(**fields) -> SynthesizedPairs:
    method = SynthesizedPairs(encoder(), **{**SMALL, "decoder_size": 32, **fields})
    method.start(Images(BIRDS.images), resumed=False)
    return method


def batch(step: int = 0) -> Batch:
    index = (torch.arange(BATCH) + step * BATCH) % COUNT
    return Batch(BIRDS.images[index], index)


def recipe(**changes) -> Recipe:
    return Recipe(**{"steps": 5, "batch": BATCH, "warmup": 2, "accelerator": "cpu", **changes})


def step(method, optimizers, number: int) -> dict[str, Tensor]:
    """What the loop does in a step."""
    with torch.no_grad():
        views = method.views(batch(number), number)
    outputs = method(batch(number), views)
    outputs["loss"].backward()
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad()
    method.after_step((number + 1) / 10)
    return outputs


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(value, second[name]) for name, value in first.items())
