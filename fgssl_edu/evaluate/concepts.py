"""What became of a method's prototypes: which pictures each has, and how pure it is by labels it never saw."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from fgssl_edu.data.image_set import UNLABELLED
from fgssl_edu.methods.clustering.swav import SwAV
from fgssl_edu.nets.modes import frozen
from fgssl_edu.views.geometry import resized

BATCH = 256  # images a pass; the result does not depend on it


@torch.no_grad()
def prototype_scores(method: SwAV, images: Tensor, size: int | None = None) -> Tensor:
    """Cosine of each whole picture with each prototype, in evaluation mode.

    Args:
        method: trained or not; left as it was.
        images: (N, 3, H, W) uint8.
        size: side at which the encoder sees them, pixels; None for their own.

    Returns:
        (N, K) float32 in [-1, 1] on the CPU.
    """
    with frozen(method) as device:
        blocks = [method.projector(method.encoder(resized(each, size, device))) for each in images.split(BATCH)]
        embeddings = F.normalize(torch.cat(blocks).float(), dim=1)  # (N, d)
        return (embeddings @ method.prototypes.T).cpu()


@dataclass(frozen=True)
class Purity:
    """Agreement of clusters with labels.

    Attributes:
        sizes: (K,) pictures of each cluster.
        shares: (K,) share of the cluster's commonest label among its labelled pictures; 0 where it has none.
        majority: (K,) that label; -1 where there is none.
        overall: mean share, weighted by size: 1 where every cluster has one label only, which many small ones nearly
            do; so compare with `chance`.
        chance: the same clusters with shuffled labels.
    """

    sizes: Tensor
    shares: Tensor
    majority: Tensor
    overall: float
    chance: float


def purity(assigned: Tensor, labels: Tensor, k: int) -> Purity:
    """How pure clusters are.

    Args:
        assigned: cluster of each picture, (N,) int64 in [0, k).
        labels: of each picture, (N,) int64, -1 where nobody knows.
        k: clusters; some may be empty.
    """
    known = labels != UNLABELLED
    cluster, label = assigned[known], labels[known]
    shuffled = label[torch.randperm(len(label), generator=torch.Generator().manual_seed(0))]
    table, by_chance = (_table(cluster, each, k) for each in (label, shuffled))
    most, majority = table.max(dim=1)  # (k,)
    total = table.sum(dim=1)
    return Purity(
        sizes=assigned.bincount(minlength=k),
        shares=most / total.clamp(min=1),
        majority=torch.where(total > 0, majority, UNLABELLED),
        overall=float(most.sum() / total.sum().clamp(min=1)),
        chance=float(by_chance.amax(dim=1).sum() / total.sum().clamp(min=1)),
    )


def _table(cluster: Tensor, label: Tensor, k: int) -> Tensor:
    """Pictures of each cluster and label, (k, classes) int64."""
    classes = int(label.max()) + 1 if len(label) else 1
    return (cluster * classes + label).bincount(minlength=k * classes).view(k, classes)
