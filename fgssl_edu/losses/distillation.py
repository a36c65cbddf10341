"""Self-distillation: DINO's cross-entropy, and what keeps its targets from collapse (arXiv 2104.14294, section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from fgssl_edu.distributed import full_precision, precise
from fgssl_edu.losses.clustering import swav_loss


def centred_softmax(logits: Tensor, centre: Tensor, temperature: Tensor | float) -> Tensor:
    """The teacher's distribution: less what it says of every image, then sharpened.

    Args:
        logits: (..., K).
        centre: (K,), a running mean of the teacher's raw logits; zeros: no centring.
        temperature: sharper below the student's, .04 to .07 in the paper; towards 1 it tends to 1 / K everywhere.

    Returns:
        (..., K), rows sum to 1. A constant added to logits and centre alike changes nothing.
    """
    with full_precision():
        return ((precise(logits) - centre) / temperature).softmax(dim=-1)


def batch_softmax(logits: Tensor, temperature: Tensor | float) -> Tensor:
    """Softmax over the batch, then rows that sum to 1: one iteration of Sinkhorn-Knopp (table 15 of the paper).

    Args:
        logits: (B, K), the joined batch of all processes.
        temperature: divides logits.

    Returns:
        (B, K), each row sums to 1.
    """
    with full_precision():
        shares = (precise(logits) / temperature).softmax(dim=0)
        return shares / shares.sum(dim=1, keepdim=True)


def dino_loss(student: Sequence[Tensor], targets: Sequence[Tensor], temperature: float = 0.1) -> Tensor:
    """Cross-entropy of the student on each crop with the teacher on every other crop that it saw (DINO, eq. 1 to 3).

    It is the sum that SwAV minimises. What differs is who makes the targets: there the network itself, balanced over a
    batch; here a slow copy of it, centred and sharpened.

    Args:
        student: logits of each crop, (B, K) a crop; the crops that the teacher saw come first.
        targets: the teacher's distributions, (B, K) a large crop, rows summing to 1; passed without gradient.
        temperature: of the student.

    Returns:
        Scalar mean over len(targets) * (len(student) - 1) pairs, in nats: 18 pairs of 2 + 8 crops. Landmark: log K
        where all logits are zero. It is the targets' entropy plus the divergence of the student from them: a low loss
        may be agreement, or targets that all say the same.
    """
    return swav_loss(student, targets, temperature)
