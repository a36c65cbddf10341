"""Panels of the methods that learn an embedding, with untrained networks and random numbers."""

from __future__ import annotations

import torch

from fgssl_edu.bench.contestants.contestant import PICTURES_MS, Contestant
from fgssl_edu.panels.collapse import WithoutPart
from fgssl_edu.panels.collapse_runs import LOOKS, OUT, PARTS, SHOWN


def without_part(moves: int) -> Contestant:
    """Trainings that never were: as many random embeddings as the lesson's."""
    row = {"loss": 1.0, "embedding_std": 0.9, "embedding_rank": 3.0, "deviation": 0.9}
    pairs = torch.randn(LOOKS + 1, 2, SHOWN, OUT, generator=torch.Generator().manual_seed(0))
    run = {"chance": 2.0, "at": list(range(LOOKS + 1)), "rows": [row] * (LOOKS + 1), "pairs": pairs}
    states = [
        {"method": m, "part": p, "look": i} for m, parts in PARTS.items() for p in [*parts][1:] for i in range(LOOKS)
    ]
    runs = {method: dict.fromkeys(parts, run) for method, parts in PARTS.items()}
    return lambda: WithoutPart(runs), {"look": states[:moves]}, PICTURES_MS
