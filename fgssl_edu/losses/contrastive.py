"""Contrast: SimCLR (arXiv 2002.05709, eq. 1), MoCo (1911.05722, eq. 1); agreement: SimSiam (2011.10566), BYOL."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fgssl_edu.distributed import full_precision


def _unit(x: Tensor) -> Tensor:
    """Rows of length one, in float32 at least: a half-precision cosine over temperature .07 is off by .01 and more."""
    return F.normalize(x if x.dtype == torch.float64 else x.float(), dim=1)


def _check_temperature(temperature: float) -> None:
    if temperature <= 0:
        raise ValueError(f"temperature={temperature}: it divides cosines and must be above 0; papers use 0.07 to 1")


def nt_xent(first: Tensor, second: Tensor, temperature: float = 0.2) -> Tensor:
    """Cross-entropy that picks each view's partner out of all other 2B - 1 views of the batch (SimCLR, eq. 1).

    Args:
        first: embeddings of view 1, (B, d), of any length: only their direction counts.
        second: embeddings of view 2, (B, d); row i is the partner of row i of `first`. Gradients flow through both.
        temperature: divides cosine similarities; smaller is sharper.

    Returns:
        Scalar mean over 2B in nats. Landmarks: log(2B - 1) when all embeddings are equal, log(1 + (2B - 2)
        exp(-1/temperature)) when partners agree and all others are orthogonal. (SimCLR's TensorFlow code adds its two
        halves: twice this value.)
    """
    _check_temperature(temperature)
    if len(first) < 2:
        raise ValueError(f"a batch of {len(first)}: contrast needs at least 2 images; raise `batch`")
    count = len(first)
    with full_precision():
        views = _unit(torch.cat([first, second]))  # (2B, d)
        logits = views @ views.T / temperature  # (2B, 2B)
        self_pairs = torch.eye(2 * count, dtype=torch.bool, device=views.device)
        logits = logits.masked_fill(self_pairs, -torch.inf)
        partner = torch.arange(2 * count, device=views.device).roll(count)
        return F.cross_entropy(logits, partner)


def info_nce(query: Tensor, key: Tensor, queue: Tensor, temperature: float = 0.2, reduction: str = "mean") -> Tensor:
    """Cross-entropy that picks each query's own key out of a queue of other images' keys (MoCo, eq. 1).

    Args:
        query: embeddings of view 1, (B, d), of any length: only their direction counts.
        key: embeddings of view 2, (B, d); MoCo passes them detached.
        queue: keys of older batches, (size, d), read BEFORE this batch is written (`RingBuffer.read` returns a copy).
        temperature: divides cosine similarities; smaller is sharper.
        reduction: "mean", or "none" for the loss of each query, (B,).

    Returns:
        Scalar mean over B in nats. Landmarks: log(1 + size) for features that say nothing, log(1 + size
        exp(-1/temperature)) when a query equals its key and is orthogonal to the queue.
    """
    _check_temperature(temperature)
    with full_precision():
        query, key, queue = _unit(query), _unit(key), _unit(queue)
        positive = (query * key).sum(dim=1, keepdim=True)  # (B, 1)
        negative = query @ queue.T  # (B, size)
        logits = torch.cat([positive, negative], dim=1) / temperature
        target = torch.zeros(len(logits), dtype=torch.long, device=logits.device)  # column 0 holds the positive
        return F.cross_entropy(logits, target, reduction=reduction)


def negative_cosine(prediction: Tensor, target: Tensor) -> Tensor:
    """Minus the mean cosine between paired rows (SimSiam, eq. 1); BYOL's distance is 2 + 2 times this.

    Args:
        prediction: (B, d), of any length.
        target: (B, d), of any length; the method detaches it, or teaches what happens if it does not.

    Returns:
        Scalar in [-1, 1]: -1 for agreement, and for collapse too (watch the embeddings' spread), 0 for orthogonal rows,
        1 for opposite ones.
    """
    with full_precision():
        return -(_unit(prediction) * _unit(target)).sum(dim=1).mean()


def normalized_mse(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean squared distance of paired rows, each brought to length one: 2 - 2 cos (BYOL, 2006.07733, eq. 2).

    Args:
        prediction: (B, d), of any length.
        target: (B, d), of any length; the method detaches it.

    Returns:
        Scalar in [0, 4]: 0 for agreement, and for collapse too, 2 for orthogonal rows, 4 for opposite ones.
    """
    return 2 + 2 * negative_cosine(prediction, target)
