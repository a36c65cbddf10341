"""The shape of a cloud of features, without labels: has it collapsed, to a point or to a plane?

Two effective ranks are kept apart by name: RankMe (arXiv 2210.02885) looks at the features as they are, so that a
common mean alone pulls it down; `effective_rank` (Roy and Vetterli 2007) looks at them after the mean is taken off.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from fgssl_edu.evaluate.statistics import Score

EPSILON = 1e-7  # added to each share of the spectrum, as RankMe does in float32
PAIRED = 2048  # images whose pairs uniformity looks at: n(n-1)/2 distances


def std_ratio(features: Tensor) -> float:
    """sqrt(D) · mean over dimensions of the deviation of unit-norm features (2011.10566): 1 isotropic, 0 a point."""
    unit = F.normalize(features.double(), dim=1)
    return float(unit.std(dim=0, correction=0).mean()) * math.sqrt(features.shape[1])


def rankme(features: Tensor) -> float:
    """exp(-sum p log p), p = s / sum(s) + 1e-7, of the singular values s of the (N, D) features, uncentred.

    From 1 (all on a line through the origin) to min(N, D); says whether dimensions are used, not what for.
    """
    values = torch.linalg.svdvals(features.double())
    share = values / values.sum().clamp(min=torch.finfo(values.dtype).tiny) + EPSILON
    return float(torch.exp(-(share * share.log()).sum()))


def effective_rank(features: Tensor) -> float:
    """`rankme` of features with their mean taken off; 1 for features that vary along a line, and for a constant."""
    centred = features.double() - features.double().mean(dim=0)
    scale = features.double().abs().amax()
    if centred.abs().amax() <= 1e-6 * scale:  # what float32 leaves of a constant is noise of full rank
        return 1.0
    return rankme(centred)


def spectrum(features: Tensor) -> Tensor:
    """(D,) eigenvalues of the covariance of unit-norm features, largest first, float64.

    A cliff is a dimensional collapse (arXiv 2110.09348).
    """
    unit = F.normalize(features.double(), dim=1)
    return torch.linalg.eigvalsh(torch.cov(unit.T, correction=0)).flip(0).clamp(min=0)


def alignment(first: Tensor, second: Tensor) -> Tensor:
    """(N,) squared distance of each image's two unit-norm views (arXiv 2005.10242): 0 aligned, 2 for unrelated ones."""
    return (F.normalize(first.double(), dim=1) - F.normalize(second.double(), dim=1)).square().sum(dim=1)


def uniformity(features: Tensor) -> float:
    """log mean over pairs of exp(-2 |x - y|²) of unit-norm features (arXiv 2005.10242): 0 for a point, near -4 if even.

    Looks at the first 2048 images: the pairs grow with the square.
    """
    unit = F.normalize(features[:PAIRED].double(), dim=1)
    squared = torch.pdist(unit).square()
    return float(torch.logsumexp(-2 * squared, dim=0)) - math.log(len(squared))


def geometry(features: Tensor, views: tuple[Tensor, Tensor] | None = None) -> dict[str, Score]:
    """Every number above as a score.

    Args:
        features: (N, D) of whole images.
        views: features of two views of the same images, each (M, D); without them there is no alignment.

    Returns:
        "std_ratio", "effective_rank" (centred), "rankme" (uncentred), "uniformity", and with views "alignment", the
        only one with an interval: the others are numbers of the whole set at once.
    """
    protocol = {"images": len(features), "feature_dim": features.shape[1]}
    units = {
        "std_ratio": (std_ratio(features), "1 = isotropic, 0 = collapsed; unit norm"),
        "effective_rank": (effective_rank(features), "dimensions; centred"),
        "rankme": (rankme(features), "dimensions; uncentred"),
        "uniformity": (uniformity(features), f"log mean of exp(-2 d²), t = 2, first {PAIRED} images; unit norm"),
    }
    scores = {
        name: Score(value, protocol={"metric": name, "unit": unit, **protocol}) for name, (value, unit) in units.items()
    }
    if views is not None:
        about = {
            "metric": "alignment",
            "unit": "squared distance of two views, alpha = 2; unit norm",
            "images": len(views[0]),
        }
        scores["alignment"] = Score.of(alignment(*views), about)
    return scores
