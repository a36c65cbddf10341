"""Do classes form clusters? k-means on frozen features, compared with the labels it never saw."""

from __future__ import annotations

import warnings

import torch
import torch.nn.functional as F
from torch import Tensor

from fgssl_edu.evaluate.statistics import Score

STARTS = 5  # k-means++ starts, of which the one with the smallest inertia counts


def kmeans_scores(features: Tensor, labels: Tensor, k: int, seed: int = 0) -> dict[str, Score]:
    """Agreement of k clusters with the labels.

    nmi: I(cluster; label) / mean of their two entropies, 0..1. ari: Rand index minus its expectation under chance, over
        its
    largest value minus that: 0 for chance, 1 for the same partition. accuracy: share of images in their own class when
        clusters are matched to classes one to one in the best way (Hungarian); its interval takes that matching as
        given.

    Args:
        features: (N, D); compared by direction (unit norm).
        labels: (N,) int64.
        k: clusters, at most N; the number of classes where nothing else is meant.
        seed: of the k-means++ starts.

    Returns:
        "nmi", "ari", "accuracy".
    """
    from scipy.optimize import linear_sum_assignment  # late: sklearn and scipy take a second to import
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    points = F.normalize(features.float(), dim=1).numpy()
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", ConvergenceWarning
        )  # a collapsed encoder has fewer distinct points than clusters
        found = KMeans(min(k, len(points)), n_init=STARTS, random_state=seed).fit_predict(points)
    cluster = torch.from_numpy(found).long()
    classes = int(labels.max()) + 1
    table = torch.zeros(k, classes, dtype=torch.long)  # images of each cluster and class
    table.index_put_((cluster, labels), torch.ones(len(labels), dtype=torch.long), accumulate=True)
    rows, columns = linear_sum_assignment(table.numpy(), maximize=True)
    matched = torch.full((k,), -1).index_put((torch.from_numpy(rows),), torch.from_numpy(columns))
    protocol = {"clusters": k, "starts": STARTS, "seed": seed, "features": "unit norm", "images": len(labels)}
    return {
        "nmi": Score(
            float(normalized_mutual_info_score(labels, cluster)), protocol={"metric": "k-means NMI", **protocol}
        ),
        "ari": Score(float(adjusted_rand_score(labels, cluster)), protocol={"metric": "k-means ARI", **protocol}),
        "accuracy": Score.of(matched[cluster] == labels, {"metric": "k-means accuracy, Hungarian", **protocol}),
    }
