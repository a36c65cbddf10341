"""The checks of the lesson `inpainting` accept right answers and name what a wrong one breaks."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from fgssl_edu.exercises.inpainting import check_band, check_hole_error
from fgssl_edu.losses import hole_error
from fgssl_edu.views.holes import shrunk


def by_hand(filled, pictures, hole):
    errors = [(f - p).square()[:, h].mean() for f, p, h in zip(filled, pictures, hole, strict=True)]
    return torch.stack(errors).mean()


def band(hole, pixels):
    return hole + 9.0 * (hole & ~shrunk(hole, pixels))


def band_by_pooling(hole, pixels):
    wide = F.pad(hole.float()[:, None], [pixels] * 4, value=1.0)
    inner = -F.max_pool2d(-wide, 2 * pixels + 1, stride=1)[:, 0]
    return torch.where(hole, torch.where(inner > 0.5, 1.0, 10.0), 0.0)


RIGHT = [
    (check_hole_error, by_hand),
    (check_hole_error, lambda f, p, h: hole_error(f, p, h)),
    (check_band, band),
    (check_band, band_by_pooling),
]
WRONG = [
    (check_hole_error, lambda f, p, h: F.mse_loss(f, p), "whatever is outside"),
    (check_hole_error, lambda f, p, h: ((f - p).square() * h[:, None]).sum(), "no sum"),
    (check_hole_error, lambda f, p, h: ((f - p).square() * h[:, None]).mean(), "not by the picture's"),
    (check_hole_error, lambda f, p, h: ((f - p).square().mean(1) * h).sum() / h.sum(), "counts alike"),
    (check_hole_error, lambda f, p, h: by_hand(f.detach(), p, h), "no gradient"),
    (check_hole_error, lambda f, p, h: by_hand(f, p, h) + 0 * (f - p).sum() + 1e-7 * f[0].sum(), "never asked for"),
    (check_hole_error, lambda f, p, h: by_hand(f, p, h).sqrt(), ".25"),
    (check_band, lambda h, n: band(h, n)[0], "one weight a pixel"),
    (check_band, lambda h, n: band(h, n) + 1, "outside of the hole"),
    (check_band, lambda h, n: band(h, n + 1), "without a band"),
    (check_band, lambda h, n: h.float(), "has weight 10"),
    (check_band, lambda h, n: h + 9.0 * h * (n > 0), "has weight 1"),
    (
        check_band,
        lambda h, n: torch.where(
            h, torch.where(-F.max_pool2d(F.pad(-h.float(), [n] * 4), 2 * n + 1, 1) > 0.5, 1.0, 10.0), 0.0
        ),
        "no edge",
    ),
    (check_band, lambda h, n: band(h, min(n, 1)), "3 x 3 px"),
    (
        check_band,
        lambda h, n: band(h, n)[:1].expand(len(h), -1, -1) if len(h) == 1 else band(h.flip(0), n),
        "of its own",
    ),
]
