"""Colour as a class: bins of Lab's ab plane, soft codes, weights of rare colours, and how a distribution is painted.

Zhang, Isola and Efros (arXiv 1603.08511, section 2): a red or green apple may have the same lightness, and the mean of
red and green is brown. So a network answers with a distribution over bins, not with a colour.

Deviation: the paper has 313 bins 10 apart, a list that comes with its code and that no rule gives back; here a bin is
what some sRGB colour is nearest to, 261 of them 10 apart and 77 of them 20 apart.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from fgssl_edu.views.lab import rgb_to_lab

LEVELS = 256  # of a channel: the gamut is that of 8-bit pictures


@lru_cache(maxsize=8)
def gamut_bins(spacing: float) -> Tensor:
    """Centres of the bins, (Q, 2) float32 a and b, on a grid around grey; do not change it in place.

    Args:
        spacing: units of ab between neighbours, 5 to 50; the paper has 10.
    """
    if not 5 <= spacing <= 50:
        raise ValueError(f"spacing={spacing!r}: bins are 5 to 50 units of ab apart; the paper has 10")
    level = torch.linspace(0, 1, LEVELS, dtype=torch.float64)
    one, other = (grid.flatten() for grid in torch.meshgrid(level, level, indexing="ij"))
    faces = []  # each colour has one of the same a and b on a face of the RGB cube
    for channel in range(3):
        for end in (0.0, 1.0):
            face = [one, other]
            face.insert(channel, torch.full_like(one, end))
            faces.append(torch.stack(face))
    colors = torch.cat(faces, dim=1)[None, :, :, None]  # (1, 3, n, 1)
    cells = (rgb_to_lab(colors)[0, 1:, :, 0] / spacing).round().long()  # (2, n)
    reach = int(cells.abs().max())
    found = torch.unique((cells[0] + reach) * (2 * reach + 1) + cells[1] + reach)  # one number a cell
    row, column = found.div(2 * reach + 1, rounding_mode="floor"), found % (2 * reach + 1)
    return torch.stack([row - reach, column - reach], dim=1).float() * spacing


def distances(ab: Tensor, centers: Tensor) -> Tensor:
    """Squared distance of each place's colour to each centre, (B, 2, h, w) and (Q, 2) -> (B, Q, h, w)."""
    a, b = ab.float().split(1, dim=1)  # (B, 1, h, w)
    return (a - centers[:, 0, None, None]) ** 2 + (b - centers[:, 1, None, None]) ** 2


def nearest_bin(ab: Tensor, centers: Tensor) -> Tensor:
    """(B, 2, h, w) -> (B, h, w) int64 in [0, Q)."""
    return distances(ab, centers).argmin(dim=1)


def soft_code(ab: Tensor, centers: Tensor, count: int = 5, sigma: float = 5.0) -> Tensor:
    """A colour as shares of its nearest bins, exp(-d^2 / 2 sigma^2) each, normalised (Z in the paper).

    Args:
        ab: (B, 2, h, w).
        centers: (Q, 2).
        count: bins that get a share; 1 is the nearest alone. The paper has 5 (reported), its code 10.
        sigma: units of ab; 5 in the paper, half the spacing of its bins.

    Returns:
        (B, Q, h, w), sums to 1 over Q. Landmark: (3, 4) on a grid of 10 with 5 bins: .406, .272, .183, .122, .017.
    """
    near, which = distances(ab, centers).topk(min(count, len(centers)), dim=1, largest=False)  # (B, count, h, w)
    shares = torch.softmax(-near / (2 * sigma**2), dim=1)
    code = shares.new_zeros(len(ab), len(centers), *ab.shape[2:])
    return code.scatter(1, which, shares)


def smoothed(shares: Tensor, centers: Tensor, sigma: float = 5.0) -> Tensor:
    """How common each bin is, (Q,), spread over its neighbours by a Gaussian; the sum stays."""
    apart = torch.cdist(centers, centers) ** 2  # (Q, Q)
    return shares @ torch.softmax(-apart / (2 * sigma**2), dim=1).to(shares)


def rarity_weights(shares: Tensor, mix: float = 0.5) -> Tensor:
    """Weights of bins, larger where they are rare, whose mean over the shares is 1 (section 2.2).

    w_q is proportional to 1 / ((1 - mix) p_q + mix / Q).

    Args:
        shares: p, (Q,), sums to 1.
        mix: share of the uniform distribution, in [0, 1]; 1/2 in the paper. 1 gives all the weight 1, 0 the inverse.

    Returns:
        w (Q,). Landmark: shares (.8, .15, .05) give (.770, 1.804, 2.275).
    """
    if not 0 <= mix <= 1:
        raise ValueError(f"mix={mix!r}: a share in [0, 1]; 1 switches rebalancing off, the paper has 0.5")
    inverse = 1 / ((1 - mix) * shares + mix / len(shares)).clamp(min=torch.finfo(shares.dtype).tiny)
    return inverse / (shares * inverse).sum()


def annealed_mean(logits: Tensor, centers: Tensor, temperature: float = 0.38) -> Tensor:
    """The colour that a distribution over bins is painted with: its mean after sharpening (section 2.3).

    Args:
        logits: or logarithms of probabilities, (B, Q, h, w).
        centers: (Q, 2).
        temperature: T, at least 0; 1 is the mean (greyish), 0 the mode (vivid and patchy), .38 the paper's.

    Returns:
        ab (B, 2, h, w). Landmark: probabilities (.6, .3, .1) become (.855, .138, .008) at .38.
    """
    if not temperature >= 0:
        raise ValueError(f"temperature={temperature!r}: at least 0; 0 is the mode, 1 the mean, the paper has 0.38")
    if temperature == 0:
        return centers[logits.argmax(dim=1)].permute(0, 3, 1, 2)
    sharpened = torch.softmax(logits.float() / temperature, dim=1)
    return (centers.T @ sharpened.flatten(2)).unflatten(2, logits.shape[2:])
