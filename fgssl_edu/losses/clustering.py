"""Clusters as labels: Sinkhorn-Knopp (SeLa, arXiv 1911.05371; SwAV, 2006.09882, eq. 3), swapped prediction (eq. 2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from fgssl_edu.distributed import full_precision, precise


def sinkhorn_knopp(scores: Tensor, epsilon: float = 0.05, iterations: int = 3) -> Tensor:
    """Share samples out to prototypes by their scores, so that all prototypes get equally many.

    The matrix exp(scores / epsilon) is scaled until its columns have equal sums and its rows sum to one: the plan that
    is largest in sum(codes * scores) + epsilon * entropy. In logarithms: exp(1 / .01) is more than float32 holds.

    Args:
        scores: of each sample for each prototype, (B, K); B may be smaller than K. All samples that are to share the
            prototypes: the batch of all processes, or the whole data set.
        epsilon: softness in units of scores. Towards 0 the best balanced assignment, which is hard; large: 1 / K.
        iterations: of first columns, then rows. Three, as in SwAV, leave a large prototype large (spec: 499 of 600
            samples where 200 is its share); in the limit every column sums to B / K.

    Returns:
        Codes (B, K) in [0, 1], float32 or the scores' float64; each row sums to 1 after any number of iterations.
    """
    if not epsilon > 0:
        raise ValueError(f"epsilon={epsilon}: it divides scores and must be above 0; SwAV has 0.05")
    if iterations < 1:
        raise ValueError(f"iterations={iterations}: at least 1, or the codes are shared out by nothing; SwAV has 3")
    with full_precision():
        log_codes = precise(scores) / epsilon  # (B, K)
        for _ in range(iterations):
            log_codes = log_codes - log_codes.logsumexp(dim=0, keepdim=True)  # prototypes: equal shares
            log_codes = log_codes - log_codes.logsumexp(dim=1, keepdim=True)  # samples: one each
        return log_codes.exp()


def swav_loss(scores: Sequence[Tensor], codes: Sequence[Tensor], temperature: float = 0.1) -> Tensor:
    """Cross-entropy of each view's prediction with the code of every other view that has one (SwAV, eq. 2).

    Args:
        scores: cosines of each view with the prototypes, (B, K) a view; those with a code come first.
        codes: targets of the first views, (B, K) each, rows summing to 1; the method passes them without gradient.
        temperature: divides cosines in the prediction.

    Returns:
        Scalar mean over len(codes) * (len(scores) - 1) pairs, in nats; log K where scores say nothing, or codes do and
        scores do not.
    """
    if temperature <= 0:
        raise ValueError(f"temperature={temperature}: it divides cosines and must be above 0; SwAV has 0.1")
    if not 1 <= len(codes) <= len(scores) or len(scores) < 2:
        raise ValueError(f"{len(codes)} codes for {len(scores)} views: at least two views, and no more codes")
    with full_precision():
        logits = [precise(score) / temperature for score in scores]
        pairs = [(i, v) for i in range(len(codes)) for v in range(len(scores)) if v != i]
        return torch.stack([F.cross_entropy(logits[v], codes[i].to(logits[v])) for i, v in pairs]).mean()
