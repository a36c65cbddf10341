"""Panels that any encoder can fill, with two untrained ones."""

from __future__ import annotations

from fgssl_edu.bench.contestants.contestant import EVAL_SIZE, NETWORKS_MS, PICTURES_MS, Contestant
from fgssl_edu.data.image_set import Splits
from fgssl_edu.evaluate.features import extract
from fgssl_edu.nets.encoders import Encoder
from fgssl_edu.panels.augmentation import AugmentationStrength
from fgssl_edu.panels.gradcam_views import GradCAMViews
from fgssl_edu.panels.neighbours import NeighbourBrowser


def neighbours(splits: Splits, encoders: dict[str, Encoder], moves: int) -> Contestant:
    """Neighbours of test pictures."""
    features = {name: extract(encoder, splits.test.images, EVAL_SIZE) for name, encoder in encoders.items()}
    return (
        lambda: NeighbourBrowser(features, splits.test),
        {"picture": [{"query": i} for i in range(1, moves + 1)]},
        PICTURES_MS,
    )


def strength(splits: Splits, encoders: dict[str, Encoder], moves: int) -> Contestant:
    """Views of pictures, and strengths of one after the other."""
    return (
        lambda: AugmentationStrength(encoders["seed 0"], splits.test),
        {
            "picture": [{"picture": i} for i in range(1, moves + 1)],
            "strength": [{"picture": moves + 1 + i // 20, "strength": i % 20 / 10} for i in range(moves)],
        },
        NETWORKS_MS,
    )


def gradcam(splits: Splits, encoders: dict[str, Encoder], moves: int) -> Contestant:
    """Maps of pictures, of their parts and before other skies."""
    pictures = range(1, moves + 1)
    return (
        lambda: GradCAMViews(encoders, splits, EVAL_SIZE),
        {
            "picture": [{"picture": i} for i in pictures],
            "part": [{"picture": i, "attribute": "crown"} for i in pictures],
            "sky": [{"sky": i} for i in pictures],
        },
        NETWORKS_MS,
    )
