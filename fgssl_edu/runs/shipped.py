"""Make the networks that the package ships: train, score by a reader that never saw them, write files and record.

The encoder is SimCLR's, longer and on more birds than a lesson has; the decoder is fitted to its frozen features.
Pixels are a poor judge of a decoder, so a supervised reader is asked which bird a decoded unseen picture shows.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from importlib import resources
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch import Tensor

from fgssl_edu import config, paths, records
from fgssl_edu.data.image_set import Images, ImageSet, Splits
from fgssl_edu.evaluate.features import extract
from fgssl_edu.evaluate.knn import knn
from fgssl_edu.evaluate.probe import linear_probe
from fgssl_edu.methods.contrastive.simclr import SimCLR
from fgssl_edu.methods.finegrained.decoding import fit_decoder
from fgssl_edu.methods.supervised import Supervised
from fgssl_edu.nets import weights
from fgssl_edu.nets.decoders import Decoder
from fgssl_edu.nets.encoders import Encoder
from fgssl_edu.recipe import Recipe
from fgssl_edu.runs import arms
from fgssl_edu.train import pretrain
from fgssl_edu.views.geometry import resized

TRAIN_IMAGES = 12_000  # four times a lesson's
READER_SEED = 77  # another network than any lesson's
PROBED = 3000  # training birds whose labels the probes see, as in the lessons


def make(
    folder: Path | None = None, steps: int = 3000, decoder_steps: int = 2500, train_images: int = TRAIN_IMAGES
) -> Path:
    """Train encoder, decoder and reader, and write them with their record; 15 minutes of one core.

    Args:
        folder: where to; the package's own `weights` folder if None.
        steps: of SimCLR; the reader is trained for a third of them.
        decoder_steps: of the decoder.
        train_images: rendered birds.

    Returns:
        The path of the record.
    """
    started = time.process_time()
    settings = dataclasses.replace(
        config.resolve("synthesised-pairs", {"scale": "lecture"}).settings,
        init="random",
        method="simclr",
        steps=steps,
        warmup=min(10, steps),
        lr=2e-3,
        train_images=train_images,
    )
    splits = arms.load(settings)
    encoder, head = contrastive(settings, splits.train)
    decoder = Decoder(encoder.dim, weights.DECODER_SIZE, seed=settings.seed)
    losses = fit_decoder(decoder, encoder, Images(splits.train.images), decoder_steps, seed=settings.seed)
    states = {
        "encoder": encoder.state_dict() | {f"{weights.HEAD}{k}": v for k, v in head.items()},
        "decoder": decoder.state_dict(),
    }
    halves = {weights.FILES[name]: save(weights.half(state)) for name, state in states.items()}
    rounded = {name: {k: v.float() for k, v in weights.half(state).items()} for name, state in states.items()}
    encoder.load_state_dict({k: v for k, v in rounded["encoder"].items() if not k.startswith(weights.HEAD)})
    decoder.load_state_dict(rounded["decoder"])
    target = folder or Path(str(resources.files("fgssl_edu") / "weights"))
    for name, content in halves.items():
        paths.atomic_write(target / name, content)
    record = {
        "command": "fgssl weights",
        "settings": dataclasses.asdict(settings),
        "decoder": {"steps": decoder_steps, "size": weights.DECODER_SIZE, "loss_last": sum(losses[-50:]) / 50},
        "scores": scores(encoder, decoder, reader(settings, splits.train), splits, settings.eval_size),
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in halves.items()},
        "cpu_seconds": time.process_time() - started,
        "environment": records.environment(),
    }
    paths.atomic_write(target / weights.RECORD, json.dumps(record, indent=1) + "\n")
    return target / weights.RECORD


def contrastive(settings: config.Settings, images: ImageSet) -> tuple[Encoder, dict[str, Tensor]]:
    """SimCLR by these settings: its encoder and the state of its head."""
    method = arms.build_arm(arms.SIMCLR, settings, images)
    assert isinstance(method, SimCLR)
    pretrain(method, images, Recipe.of(settings), progress=False)
    return method.encoder.cpu(), method.head.cpu().state_dict()


def reader(settings: config.Settings, images: ImageSet) -> Supervised:
    """A supervised network that tells the species of pictures: the judge of the decoder."""
    own = dataclasses.replace(settings, seed=READER_SEED, steps=max(settings.warmup, settings.steps // 3))
    method = arms.build_arm(arms.SUPERVISED, own, images)
    assert isinstance(method, Supervised)
    pretrain(method, images, Recipe.of(own), progress=False)
    return method.cpu()


@torch.no_grad()
def decoded(encoder: Encoder, decoder: Decoder, images: Tensor) -> Tensor:
    """Pictures (N, 3, size, size) in [0, 1] of images (N, 3, H, W) uint8 by way of their features."""
    features = extract(encoder, images, decoder.size)
    decoder.eval()
    return torch.cat([decoder(block) for block in features.split(256)]).clamp(0, 1)


def explained(pictures: Tensor, originals: Tensor, mean: Tensor, mask: Tensor) -> float:
    """1 - sum m (x - y)^2 / sum m (x - mean training picture)^2 over pictures y of originals x, at most 1.

    Args:
        pictures: y, (N, 3, h, w).
        originals: x, (N, 3, h, w).
        mean: (3, h, w), of the training pictures: scores 0.
        mask: m, (N, 1, h, w) in [0, 1].
    """
    return float(1 - (mask * (originals - pictures) ** 2).sum() / (mask * (originals - mean) ** 2).sum())


@torch.no_grad()
def scores(encoder: Encoder, decoder: Decoder, judge: Supervised, splits: Splits, size: int) -> dict[str, float]:
    """Shares in 0..1: what the reader names of originals and of decoded pictures, variance explained, probes."""
    train, test = splits.train, splits.test
    assert test.foreground is not None and test.coarse is not None
    originals, pictures = resized(test.images, decoder.size), decoded(encoder, decoder, test.images)
    found = {}
    genus_of = torch.zeros(len(test.classes), dtype=torch.long).scatter_(0, test.labels, test.coarse)
    judge.eval()
    for name, seen in (("original", originals), ("decoded", pictures)):
        guess = torch.cat([judge.classifier(judge.encoder.features(block)) for block in seen.split(256)]).argmax(dim=1)
        found[f"reader/{name}_species"] = float((guess == test.labels).float().mean())
        found[f"reader/{name}_genus"] = float((genus_of[guess] == test.coarse).float().mean())
    mask = F.interpolate(test.foreground[:, None] / 255, (decoder.size, decoder.size), mode="bilinear", antialias=True)
    mean = resized(train.images[:PROBED], decoder.size).mean(dim=0)
    found["explained/bird"] = explained(pictures, originals, mean, mask)
    found["explained/picture"] = explained(pictures, originals, mean, torch.ones_like(mask))
    features = extract(encoder, train.images[:PROBED], size), extract(encoder, test.images, size)
    data = (features[0], train.labels[:PROBED], features[1], test.labels)
    return found | {"species/knn": knn(*data).value, "species/linear": linear_probe(*data).value}
