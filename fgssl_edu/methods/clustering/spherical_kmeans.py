"""Spherical k-means: points and centroids on the unit sphere, each point with the centroid of largest cosine."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fgssl_edu import draws
from fgssl_edu.distributed import full_precision


def spherical_kmeans(
    points: Tensor, k: int, iterations: int, seed: int, round: int = 0, purpose: str = "kmeans"
) -> tuple[Tensor, Tensor]:
    """Centroids and labels (released code of DeepCluster-v2).

    Starts at k different points (of fewer, at some of them again); a cluster without points keeps its centroid.

    Args:
        points: unit rows, (N, d).
        k: clusters.
        iterations: of assignment and means; ten in the released code.
        seed, round, purpose: of the first centroids; another round (the epoch) gives others.

    Returns:
        Unit centroids (k, d), and the label of each point, (N,) int64 in [0, k).
    """
    order = draws.uniform(seed, round, torch.arange(len(points), device=points.device), purpose, 1)[:, 0].argsort()
    centroids = points[order[torch.arange(k, device=points.device) % len(points)]]  # (k, d)
    with full_precision():
        for _ in range(iterations):
            label = (points @ centroids.T).argmax(dim=1)  # (N,)
            sums = torch.zeros_like(centroids).index_add_(0, label, points)
            alive = label.bincount(minlength=k)[:, None] > 0
            centroids = F.normalize(torch.where(alive, sums, centroids), dim=1)
        return centroids, (points @ centroids.T).argmax(dim=1)
