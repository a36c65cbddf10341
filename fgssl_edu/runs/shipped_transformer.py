"""Make the transformer that the package ships: DINO for longer, and on more birds, than a lesson has.

In a lesson's compute no head finds the bird. The record has every head's attention on it, before and after this longer
training.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from importlib import resources
from pathlib import Path

import torch
from safetensors.torch import save

from fgssl_edu import config, paths, records
from fgssl_edu.data.image_set import Splits
from fgssl_edu.evaluate import suite
from fgssl_edu.evaluate.attention import foreground_lift
from fgssl_edu.explain.attention import looked_at, self_attention
from fgssl_edu.nets import weights
from fgssl_edu.nets.vit import VisionTransformer
from fgssl_edu.recipe import Recipe
from fgssl_edu.runs import arms
from fgssl_edu.train import pretrain

TRAIN_IMAGES = 12_000  # four times a lesson's
STEPS, WARMUP = 2500, 100  # 20 times a lesson's
LR, EMA = 1e-3, 0.99  # slower, teacher and all, for there is time
PROBED = 3000  # training birds whose labels the probes see, as in the lessons


def make(folder: Path | None = None, steps: int = STEPS, train_images: int = TRAIN_IMAGES) -> Path:
    """Train the lesson's transformer and write it with its record; 15 minutes of one core.

    Args:
        folder: where to; the package's own `weights` folder if None.
        steps: of DINO, 32 images each.
        train_images: rendered birds.

    Returns:
        The path of the record.
    """
    started = time.process_time()
    arm, settings = recipe(steps, train_images)
    splits = arms.load(settings)
    method = arms.build_arm(arm, settings, splits.train)
    untrained = scores(_transformer(method.evaluated()), splits, settings)
    pretrain(method, splits.train, Recipe.of(settings), progress=False)
    encoder = _transformer(method.evaluated().cpu())
    state = weights.half(encoder.state_dict())
    encoder.load_state_dict({name: value.float() for name, value in state.items()})  # as a reader gets it
    content = save(state)
    record = {
        "command": "fgssl weights transformer",
        "settings": dataclasses.asdict(settings),
        "fields": dict(arm.fields),
        "scores": scores(encoder, splits, settings),
        "untrained": untrained,
        "sha256": {weights.TRANSFORMER: hashlib.sha256(content).hexdigest()},
        "cpu_seconds": time.process_time() - started,
        "environment": records.environment(),
    }
    target = folder or Path(str(resources.files("fgssl_edu") / "weights"))
    paths.atomic_write(target / weights.TRANSFORMER, content)
    paths.atomic_write(target / weights.TRANSFORMER_RECORD, json.dumps(record, indent=1) + "\n")
    return target / weights.TRANSFORMER_RECORD


def recipe(steps: int, train_images: int) -> tuple[arms.Arm, config.Settings]:
    """The lesson's arm with prototypes that move from the start, and its settings for a longer training."""
    arm = arms.arm_named("dino", "dino_vit").at("lecture")
    arm = dataclasses.replace(arm, fields={**arm.fields, "freeze_epochs": 0})
    lesson = config.resolve("dino", {"scale": "lecture"}).settings
    own = arms.arm_settings(arm, dataclasses.replace(lesson, train_images=train_images), seed=0)
    return arm, dataclasses.replace(own, method="dino_vit", steps=steps, warmup=min(WARMUP, steps), lr=LR, ema=EMA)


def scores(encoder: VisionTransformer, splits: Splits, settings: config.Settings) -> dict[str, float]:
    """Attention of every head on the test birds' true masks, energy over area, and the suite's scores of the tokens."""
    side = settings.eval_size // encoder.patch
    seen = looked_at(self_attention(encoder, splits.test.images, settings.eval_size), (side, side))
    assert splits.test.foreground is not None
    found = {
        f"attention/head_{i + 1}_foreground_lift": foreground_lift(seen[:, i], splits.test.foreground).value
        for i in range(encoder.heads)
    }
    own = suite.on_own_attention(encoder, splits.test, settings)
    probed = splits.train.subset(torch.arange(min(PROBED, len(splits.train))))
    read = suite.by_cls(encoder, probed, splits.test, settings, settings.seed)
    found |= {f"attention/{name}": score.value for name, score in own.items()}
    return found | {f"cls/{name}": score.value for name, score in read.items()}


def _transformer(encoder: object) -> VisionTransformer:
    assert isinstance(encoder, VisionTransformer)
    return encoder
