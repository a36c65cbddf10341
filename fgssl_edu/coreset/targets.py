"""The target set of a selection, told by a few points: k-means of its features."""

from __future__ import annotations

import warnings

import torch
import torch.nn.functional as F
from torch import Tensor

STARTS = 10  # what scikit-learn did unasked when SimCore was published; since 1.4 it would be one


def centroids(features: Tensor, k: int, seed: int = 0, starts: int = STARTS) -> Tensor:
    """Centres of k-means on the directions of features, set back to unit norm (SimCore, arXiv 2303.11101).

    Args:
        features: of the target's training images, (N, D), rows of any length but zero.
        k: that count; 100 in the paper, 1 for the mean direction. From N on the points themselves are returned.
        seed: of the k-means++ starts.
        starts: of which the one with the smallest inertia counts.

    Returns:
        (min(k, N), D) float32 on the features' device, unit rows.
    """
    if k < 1 or starts < 1:
        raise ValueError(f"k={k}, starts={starts}: both should be at least 1")
    if features.ndim != 2 or not len(features) or not bool(features.isfinite().all()):
        raise ValueError(
            f"features of the target should be finite and (N, D), N at least 1, not {tuple(features.shape)}"
        )
    points = F.normalize(features.detach().float(), dim=1)
    if k >= len(points):
        return points
    from sklearn.cluster import KMeans  # late: it takes a second to import
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a collapsed encoder has fewer distinct points than k
        found = KMeans(k, n_init=starts, random_state=seed).fit(points.cpu().numpy())
    return F.normalize(torch.from_numpy(found.cluster_centers_).float(), dim=1).to(features.device)
