"""The checks of the lesson `no-negatives` accept the library's functions and name what a wrong answer breaks."""

from __future__ import annotations

import torch

from fgssl_edu import losses
from fgssl_edu.exercises.no_negatives import check_barlow_twins, check_variance_term


def correlation(first, second, correction=0, epsilon=1e-5):
    ones, others = (
        (z - z.mean(dim=0)) / (z.var(dim=0, correction=correction) + epsilon).sqrt() for z in (first, second)
    )
    return ones.T @ others / len(first)


def by_hand(first, second, redundancy):
    c, total = correlation(first, second), 0
    for i in range(len(c)):
        for j in range(len(c)):
            total = total + ((1 - c[i, i]) ** 2 if i == j else redundancy * c[i, j] ** 2)
    return total


def of(c, redundancy, diagonal=1.0):
    apart = c - torch.diag(c.diagonal())
    return diagonal * (1 - c.diagonal()).square().sum() + redundancy * apart.square().sum()


def hinge(z, correction=1):
    return (1 - (z.var(dim=0, correction=correction) + 1e-4).sqrt()).relu()


RIGHT = [
    (check_barlow_twins, lambda a, b, w: losses.barlow_twins(a, b, redundancy=w)),
    (check_barlow_twins, by_hand),
    (check_variance_term, losses.variance_term),
    (check_variance_term, lambda z: hinge(z).mean()),
]
WRONG = [
    (check_barlow_twins, lambda a, b, w: of(correlation(a, b, correction=1), w), "the biased variance"),
    (check_barlow_twins, lambda a, b, w: of(correlation(a, b), w, 0.5), "sum over the diagonal"),
    (check_barlow_twins, lambda a, b, w: of(correlation(a, b), w / 2), ".01"),
    (check_barlow_twins, lambda a, b, w: of(correlation(a, b), 0.005), "should weigh"),
    (check_barlow_twins, lambda a, b, w: of(a.T @ b / len(a), w), "should not matter"),
    (check_barlow_twins, lambda a, b, w: of(correlation(a, b, epsilon=0.0).nan_to_num(1.0), w), "add a small number"),
    (check_barlow_twins, lambda a, b, w: by_hand(a, b.detach(), w), "both views should learn"),
    (check_barlow_twins, lambda a, b, w: by_hand(a, b, w).item(), "no gradient"),
    (check_variance_term, lambda z: (1 - z.std(dim=0)).relu().mean(), ".99"),
    (check_variance_term, lambda z: (1 - (z.var(dim=0) + 1e-4).sqrt()).abs().mean(), "a hinge"),
    (check_variance_term, lambda z: hinge(z, 0).mean(), "unbiased"),
    (check_variance_term, lambda z: (1 - (z.var(dim=0).mean() + 1e-4).sqrt()).relu(), "the hinge of each"),
    (check_variance_term, lambda z: hinge(z).sum(), ".99"),
    (
        check_variance_term,
        lambda z: (1 - (z.square().sum(0) / (len(z) - 1) + 1e-4).sqrt()).relu().mean(),
        "common shift",
    ),
    (check_variance_term, lambda z: hinge(z).mean().item(), "no gradient"),
    (check_variance_term, lambda z: hinge(z).mean() + (z - z.detach()).sum(), "away from the mean"),
]
