"""Linear probes of every layer: how early in a network is the answer already there to be read?

The protocol of the AlexNet literature, adapted to its rule: each layer's map is pooled to a small square, so that all
layers give about as many numbers, and a linear classifier reads it (RotNet, arXiv 1803.07728, and Asano's linear-probes
pool by maxima; DeepCluster, arXiv 1807.05520, by means). Pretext tasks peak in the middle, labels at the end.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from fgssl_edu.data.image_set import ImageSet
from fgssl_edu.evaluate.probe import linear_probe
from fgssl_edu.evaluate.statistics import Score
from fgssl_edu.nets.alexnet import ALEXNETS
from fgssl_edu.nets.encoders import Encoder
from fgssl_edu.nets.modes import frozen
from fgssl_edu.views.geometry import resized

# Features a layer, at most. Papers take 10,000 with a million labels, of which 9,216 to 9,600 are used. Ours: of few
# pictures a large probe reads species from any random map, and hardly a trained network can be told from it
TARGET, PAPERS = 300, 10_000
BATCH = 256


def pooled_side(channels: int, target: int = TARGET) -> int:
    """Side of the square that a map of so many channels is pooled to: the largest with at most `target` numbers.

    With 10,000: 10, 6, 5, 5, 6 for the widths 96, 256, 384, 384, 256 of AlexNet, so 9,600 or 9,216 features a layer.
    """
    if target < channels:
        raise ValueError(f"target={target}: a layer of {channels} channels gives at least as many features")
    return math.isqrt(target // channels)


def target_of(encoder: Encoder) -> int:
    """Features a layer at most: the papers' for their AlexNet, whose layers are wider than ours has features."""
    return PAPERS if encoder.name == "alexnet" else TARGET


def pool_layer(maps: Tensor, target: int = TARGET) -> Tensor:
    """Maxima, (B, C, h, w) -> (B, C s²) with s = `pooled_side`, or the map's own side where that is smaller."""
    side = pooled_side(maps.shape[1], target)
    return F.adaptive_max_pool2d(maps, (min(side, maps.shape[2]), min(side, maps.shape[3]))).flatten(1)


@torch.no_grad()
def layer_features(
    encoder: Encoder, images: Tensor, size: int | None = None, target: int | None = None
) -> list[Tensor]:
    """Features of a set after every stage, in one pass and in evaluation mode: nothing in the encoder changes.

    BatchNorm in training mode would move its running statistics while the probe learns: the classic bug of this
    protocol, harmless only where it was absorbed into the convolutions before.

    Args:
        encoder: left in the mode it was in.
        images: (N, 3, H, W) uint8.
        size: side at which the encoder sees them, pixels; None for their own.
        target: see `pool_layer`; None: `target_of` the encoder.

    Returns:
        One (N, C s²) float32 a stage, on the CPU.
    """
    target = target_of(encoder) if target is None else target
    with frozen(encoder) as device:
        blocks = [
            [pool_layer(maps.float(), target).cpu() for maps in encoder.stages(resized(block, size, device))]
            for block in images.split(BATCH)
        ]
    return [torch.cat(parts) for parts in zip(*blocks, strict=True)]


def layer_scores(
    encoder: Encoder,
    train: ImageSet,
    test: ImageSet,
    size: int | None = None,
    target: int | None = None,
    seed: int = 0,
) -> dict[str, Score]:
    """Test accuracy of `linear_probe` after every stage.

    Deviation: the papers train all probes by SGD for 28 to 90 epochs; this is the minimum of the same convex loss with
    weight decay chosen on a fifth of the training set, so that no schedule has to be believed.

    Args:
        encoder: whose `stages` are read; each probe knows only its own.
        train, test: labelled.
        size, target: see `layer_features`.
        seed: of the part of `train` that the strength is chosen on.

    Returns:
        "layer/conv1" to "layer/conv5" of an AlexNet, "layer/stage1" ... of another encoder.
    """
    word = "conv" if encoder.name in ALEXNETS else "stage"
    ours, theirs = (layer_features(encoder, images.images, size, target) for images in (train, test))
    scores = {}
    for number, (seen, new) in enumerate(zip(ours, theirs, strict=True), start=1):
        score = linear_probe(seen, train.labels, new, test.labels, seed)
        about = {
            "pooling": "adaptive max",
            "feature_dim": seen.shape[1],
            "eval_size": size,
            "dataset": test.name,
        }
        scores[f"layer/{word}{number}"] = score.under(**about)
    return scores
