"""The checks of the lesson `clusters` accept the library's functions and name what a wrong answer breaks."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from fgssl_edu.exercises.clusters import check_sinkhorn_knopp, check_swapped_prediction
from fgssl_edu.losses import sinkhorn_knopp, swav_loss


def released(scores, epsilon, iterations):
    q = ((scores - scores.max()).double() / epsilon).exp().T
    for _ in range(iterations):
        q = q / q.sum(dim=1, keepdim=True) / len(q)
        q = q / q.sum(dim=0, keepdim=True) / q.shape[1]
    return (q * q.shape[1]).T


def looped(scores, epsilon, iterations, last="rows"):
    q = (scores - scores.max()) / epsilon
    for _ in range(iterations):
        for dim in (0, 1) if last == "rows" else (1, 0):
            q = q.log_softmax(dim=dim)
    return q.exp()


def naive(scores, epsilon, iterations):
    q = (scores / epsilon).exp()
    for _ in range(iterations):
        q = q / q.sum(dim=0, keepdim=True)
        q = q / q.sum(dim=1, keepdim=True)
    return q


def rows_first(scores, epsilon, iterations):
    q = (scores / epsilon).softmax(dim=1).log()
    for _ in range(iterations):
        q = q.log_softmax(dim=1)
        q = q - q.logsumexp(dim=0) if iterations > 1 else q
    return q.softmax(dim=1)


def loss(first, second, first_codes, second_codes, temperature):
    return swav_loss([first, second], [first_codes.detach(), second_codes.detach()], temperature)


def ce(scores, codes, temperature):
    return -(codes * (scores / temperature).log_softmax(dim=1)).sum(dim=1).mean()


RIGHT = [
    (check_sinkhorn_knopp, sinkhorn_knopp),
    (check_sinkhorn_knopp, released),
    (check_sinkhorn_knopp, looped),
    (check_swapped_prediction, loss),
    (check_swapped_prediction, lambda a, b, p, q, t: (ce(a, q.detach(), t) + ce(b, p.detach(), t)) / 2),
    (
        check_swapped_prediction,
        lambda a, b, p, q, t: F.cross_entropy(torch.cat([a, b]) / t, torch.cat([q, p]).detach()),
    ),
]
WRONG = [
    (check_sinkhorn_knopp, lambda s, e, n: sinkhorn_knopp(s, e, n).T, "one row a sample"),
    (check_sinkhorn_knopp, lambda s, e, n: looped(s, e, n, "columns"), "rows are scaled last"),
    (check_sinkhorn_knopp, lambda s, e, n: sinkhorn_knopp(s.T, e, n).T, "should sum to 1"),
    (check_sinkhorn_knopp, lambda s, e, n: (s / e).softmax(dim=1), "should hold 12 / 4 = 3"),
    (check_sinkhorn_knopp, lambda s, e, n: sinkhorn_knopp(s, e, 1), "should hold 12 / 4 = 3"),
    (check_sinkhorn_knopp, lambda s, e, n: sinkhorn_knopp(s, 0.05, n), "sigmoid"),
    (check_sinkhorn_knopp, lambda s, e, n: sinkhorn_knopp(s, 1 / e, n), "sigmoid"),
    (check_sinkhorn_knopp, rows_first, "scale the columns first"),
    (check_sinkhorn_knopp, lambda s, e, n: sinkhorn_knopp(s - s.amax(dim=1, keepdim=True), e, n), "sample's own"),
    (check_sinkhorn_knopp, lambda s, e, n: sinkhorn_knopp(s, e, 1000), "should differ"),
    (check_sinkhorn_knopp, naive, "more than float32 holds"),
    (check_sinkhorn_knopp, lambda s, e, n: sinkhorn_knopp(s, e, n).tolist(), "one row a sample"),
    (check_swapped_prediction, lambda a, b, p, q, t: [1, 2], "one number"),
    (check_swapped_prediction, lambda a, b, p, q, t: ce(a, q.detach(), t) + ce(b, p.detach(), t), "ln 4"),
    (check_swapped_prediction, lambda a, b, p, q, t: loss(a, b, q, p, t), "the OTHER view"),
    (check_swapped_prediction, lambda a, b, p, q, t: loss(a, b, p, q, 0.1), "divided by the temperature"),
    (check_swapped_prediction, lambda a, b, p, q, t: ce(a, q.detach(), t), "both directions"),
    (check_swapped_prediction, lambda a, b, p, q, t: swav_loss([a, b], [p, q], t), "constants"),
    (check_swapped_prediction, lambda a, b, p, q, t: loss(a.detach(), b, p, q, t), "both views' scores"),
    (check_swapped_prediction, lambda a, b, p, q, t: loss(a, b, p, q, t).item(), "no gradient"),
]
