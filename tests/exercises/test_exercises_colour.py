"""The checks of the lesson `colour` accept the library's functions and name what a wrong answer breaks."""

from __future__ import annotations

import torch

from fgssl_edu import exercises
from fgssl_edu.exercises.colour import check_annealed_mean, check_soft_code
from fgssl_edu.views.color_bins import annealed_mean, soft_code


def library_code(ab, centers, count, sigma):
    return soft_code(ab[:, :, None, None], centers, count, sigma)[:, :, 0, 0]


def gaussian(ab, centers, sigma, power=2, factor=2.0):
    apart = torch.cdist(ab, centers) ** power
    return (-apart / (factor * sigma**2)).exp(), apart


def kept(weights, apart, count):
    near = apart.topk(count, dim=1, largest=False).indices
    return weights * torch.zeros_like(weights).scatter(1, near, 1.0)


def code(ab, centers, count, sigma, **changes):
    weights = kept(*gaussian(ab, centers, sigma, **changes), count)
    return weights / weights.sum(dim=1, keepdim=True)


def library_mean(z, centers, temperature):
    return annealed_mean(z.log()[:, :, None, None], centers, temperature)[:, :, 0, 0]


def mean(z, centers, temperature):
    sharp = z ** (1 / temperature)
    return sharp / sharp.sum(dim=1, keepdim=True) @ centers


RIGHT = [
    (check_soft_code, library_code),
    (check_soft_code, code),
    (check_annealed_mean, library_mean),
    (check_annealed_mean, mean),
]
WRONG = [
    (check_soft_code, lambda ab, c, n, s: code(ab, c, n, s).sum(dim=1), "(3, 6)"),
    (check_soft_code, lambda ab, c, n, s: kept(*gaussian(ab, c, s), n), "sum to 1"),
    (check_soft_code, lambda ab, c, n, s: code(ab, c, len(c), s), "three bins"),
    (check_soft_code, lambda ab, c, n, s: code(-ab, c, n, s), "the nearest bin"),
    (check_soft_code, lambda ab, c, n, s: code(ab, c, n, s, factor=1.0), "(2 sigma^2)"),
    (check_soft_code, lambda ab, c, n, s: code(ab, c, n, s, power=1), "square the distances"),
    (check_soft_code, lambda ab, c, n, s: code(ab, c, n, 5.0), "narrow sigma"),
    (check_soft_code, lambda ab, c, n, s: code(ab, c, n, s).tolist(), "should return a tensor"),
    (check_annealed_mean, lambda z, c, t: mean(z, c, t).sum(), "one a and one b"),
    (check_annealed_mean, lambda z, c, t: (z / t).softmax(dim=1) @ c, "changes nothing"),
    (check_annealed_mean, lambda z, c, t: mean(z, c, t**2), "(.6, .3, .1) at .38"),
    (check_annealed_mean, lambda z, c, t: z @ c, "at .38"),
    (check_annealed_mean, lambda z, c, t: z @ c if t == 1 else (z / t).softmax(dim=1) @ c, "or their logarithms"),
    (check_annealed_mean, lambda z, c, t: mean(z, c, max(t, 0.38)), "the likeliest bin"),
    (check_annealed_mean, lambda z, c, t: (z + 1e-3).pow(1 / t).div((z + 1e-3).pow(1 / t).sum(1, True)) @ c, "not"),
    (check_annealed_mean, lambda z, c, t: (z.log() / t).nan_to_num(neginf=0).softmax(dim=1) @ c, "probability 0"),
    (
        check_annealed_mean,
        lambda z, c, t: mean(z, c, t) if len(z) == 1 or t != 0.38 else mean(z, c, t).flip(0),
        "itself",
    ),
]


def test_the_lesson_finds_them():
    assert exercises.check_soft_code is check_soft_code and exercises.check_annealed_mean is check_annealed_mean
