"""Panels of the methods that learn an embedding, with untrained networks and random numbers."""

from __future__ import annotations

import torch

from fgssl_edu.bench.contestants.contestant import NETWORKS_MS, PICTURES_MS, Contestant, states
from fgssl_edu.data.image_set import Splits
from fgssl_edu.methods.masked.mae import MAE
from fgssl_edu.nets.encoders import Encoder, build_encoder
from fgssl_edu.panels.attention_heads import AttentionHeads
from fgssl_edu.panels.collapse import WithoutPart
from fgssl_edu.panels.collapse_runs import LOOKS, OUT, PARTS, SHOWN
from fgssl_edu.panels.concepts import ORDERS, ConceptBrowser
from fgssl_edu.panels.crop_farm import CropFarm
from fgssl_edu.panels.masked import MaskedGuess
from fgssl_edu.panels.sinkhorn import EPSILONS, ITERATIONS, SinkhornLive

PROTOTYPES = 256  # of the clusters that are browsed


def without_part(moves: int) -> Contestant:
    """Trainings that never were: as many random embeddings as the lesson's."""
    row = {"loss": 1.0, "embedding_std": 0.9, "embedding_rank": 3.0, "deviation": 0.9}
    pairs = torch.randn(LOOKS + 1, 2, SHOWN, OUT, generator=torch.Generator().manual_seed(0))
    run = {"chance": 2.0, "at": list(range(LOOKS + 1)), "rows": [row] * (LOOKS + 1), "pairs": pairs}
    looks = [
        {"method": m, "part": p, "look": i} for m, parts in PARTS.items() for p in [*parts][1:] for i in range(LOOKS)
    ]
    runs = {method: dict.fromkeys(parts, run) for method, parts in PARTS.items()}
    return lambda: WithoutPart(runs), {"look": looks[:moves]}, PICTURES_MS


def sinkhorn(moves: int) -> Contestant:
    """Drawn scores; the most iterations take the longest."""
    return (
        SinkhornLive,
        {
            "epsilon": states(moves, crowd=[0.1, 0.3, 0.4, 0.5, 0.7], epsilon=EPSILONS),
            "iterations": states(moves, favour=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6], iterations=ITERATIONS[::-1]),
        },
        PICTURES_MS,
    )


def concepts(splits: Splits, moves: int) -> Contestant:
    """As many prototypes as the lesson's, with random scores."""
    scores = torch.randn(len(splits.test), PROTOTYPES, generator=torch.Generator().manual_seed(0))
    kinds = list(ORDERS)
    return (
        lambda: ConceptBrowser({"random": scores}, splits.test),
        {
            "place": states(moves, place=range(2, 16), order=kinds),
            "order": states(moves, place=range(16, 30), order=kinds),
        },
        PICTURES_MS,
    )


def masked(splits: Splits, moves: int) -> Contestant:
    """An untrained MAE of the lesson's size."""
    model = MAE(build_encoder("vit_mini", seed=0))
    return (
        lambda: MaskedGuess({"MAE": model}, splits.test),
        {
            "picture": [{"picture": i} for i in range(1, moves + 1)],
            "mask": [{"picture": moves + 1 + i, "kind": "blocks", "ratio": 0.5} for i in range(moves)],
        },
        NETWORKS_MS,
    )


def farm(encoders: dict[str, Encoder], moves: int) -> Contestant:
    """Crops of the shipped photographs; every draw makes 24 new ones, and another crop draws the same again."""
    return (
        lambda: CropFarm(encoders=encoders),
        {
            "draw": [{"draw": i} for i in range(1, moves + 1)],
            "crop": states(moves, draw=[0], flip=[True, False], crop=range(2, 25)),
        },
        PICTURES_MS,
    )


def attention(splits: Splits, moves: int) -> Contestant:
    """Two untrained transformers at the stored size, where they have most patches."""
    encoders = {f"seed {seed}": build_encoder("vit_mini", seed=seed) for seed in (0, 1)}
    rows = splits.test.size // 4  # of patches
    return (
        lambda: AttentionHeads(encoders, splits),
        {
            "picture": [{"picture": i} for i in range(1, moves + 1)],
            "place": [{"picture": moves + 1 + i // rows, "row": 1 + i % rows} for i in range(moves)],
        },
        NETWORKS_MS,
    )
