"""Projection heads: the few layers between the features that are kept and the embeddings that the loss compares.

Initialised by torch's defaults from the global generator: build them inside `encoders.seeded(seed)` for a reproducible
start.
"""

from __future__ import annotations

from torch import nn

HEADS = ("none", "linear", "mlp", "simclr")


class _ScaleOnlyNorm(nn.BatchNorm1d):
    """BatchNorm that learns a scale and no shift."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.bias.requires_grad_(False)


def projection(kind: str, dim: int, hidden: int, out: int) -> nn.Module:
    """A head from (B, dim) features to (B, out) embeddings, not normalised.

    Args:
        kind: "none" (features themselves; `hidden` and `out` unused), "linear" (MoCo v1), "mlp" (one hidden layer,
            ReLU, no BatchNorm: MoCo v2 and SimCore), "simclr" (BatchNorm after both layers, the second scales only:
            SimCLR's released code).
        dim: of the features.
        hidden: of the middle layer; the papers take `dim`.
        out: of the embeddings; 128 in SimCLR and MoCo.
    """
    if kind == "none":
        return nn.Identity()
    if kind == "linear":
        return nn.Linear(dim, out)
    if kind == "mlp":
        return nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, out))
    if kind == "simclr":
        first = [nn.Linear(dim, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU(inplace=True)]
        return nn.Sequential(*first, nn.Linear(hidden, out, bias=False), _ScaleOnlyNorm(out))
    raise ValueError(f"head={kind!r} is unknown: use one of {', '.join(HEADS)}")
