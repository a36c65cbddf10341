"""Retrieval on frozen features: rank-1, rank-5 and mean average precision, as fine-grained papers report them.

The gallery is the test set without the query itself, the query every test image, the similarity a cosine, the ranking
in full (arXiv 2303.01669). Retrieval against the training set is another number, never put beside this one.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fgssl_edu.evaluate.statistics import Score

BLOCK = 1024  # queries ranked at a time: memory grows with the gallery, not with its square


def retrieval(features: Tensor, labels: Tensor, gallery: tuple[Tensor, Tensor] | None = None) -> dict[str, Score]:
    """How early same-class images come when the gallery is sorted by similarity to a query.

    rank-k: share of queries with a same-class image among the first k. AP of a query: mean over its n relevant images,
    in rank order j = 1..n, of j / position_j; mAP: mean over queries (about the class's share for features that say
    nothing).

    Args:
        features: of the queries, (N, D).
        labels: (N,) int64.
        gallery: (features, labels) to search; None for the queries themselves, each without itself (by index: exact
            duplicates stay). Equal similarities keep the gallery's order.

    Returns:
        "rank1", "rank5", "map"; queries without a relevant image are dropped, and counted in the protocol.
    """
    bank, bank_labels = (features, labels) if gallery is None else gallery
    bank, queries = F.normalize(bank.float(), dim=1), F.normalize(features.float(), dim=1)
    rows = []
    for start in range(0, len(queries), BLOCK):
        similarity = queries[start : start + BLOCK] @ bank.T  # (b, M)
        if gallery is None:
            similarity[torch.arange(len(similarity)), torch.arange(start, start + len(similarity))] = -torch.inf
        order = similarity.argsort(dim=1, descending=True, stable=True)
        order = order[:, :-1] if gallery is None else order  # the query itself comes last
        rows.append(_per_query(bank_labels[order] == labels[start : start + BLOCK, None]))
    first, five, precision, found = torch.cat(rows).T
    kept = found > 0
    if not kept.any():
        raise ValueError(
            f"none of the {len(labels)} queries shares its class with another image: retrieval has no answer"
        )
    protocol = {
        "gallery": "test set without the query" if gallery is None else "training set",
        "similarity": "cosine",
        "gallery_images": len(bank) - (gallery is None),
        "dropped_queries": int((~kept).sum()),
    }
    scores = {"rank1": first, "rank5": five, "map": precision}
    return {
        name: Score.of(values[kept], {"metric": f"retrieval {name}", **protocol}) for name, values in scores.items()
    }


def _per_query(relevant: Tensor) -> Tensor:
    """(b, 4) of rank-1, rank-5, average precision and number of relevant images, from (b, M) bool in rank order."""
    position = torch.arange(1, relevant.shape[1] + 1, device=relevant.device)
    count = relevant.sum(dim=1)
    precision = (relevant.cumsum(dim=1) / position * relevant).sum(dim=1, dtype=torch.float64) / count.clamp(min=1)
    return torch.stack([relevant[:, 0], relevant[:, :5].any(dim=1), precision, count], dim=1)
