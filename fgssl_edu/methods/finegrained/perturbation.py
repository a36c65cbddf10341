"""Where to disturb a feature vector: strongly in dimensions that seem not to matter, little or not at all elsewhere.

Wang et al. (arXiv 2407.14676, section 3) call a dimension unimportant by two criteria: a low Grad-CAM score of the
self-supervised loss (of this image), and a low spread over a bank of features (of all images). Pure functions: noise
comes in, nothing is drawn here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from fgssl_edu.gradcam import normalize_map

CRITERIA = ("both", "gradcam", "variance", "random", "none")
STATS = ("std", "variance")
MODES = ("value", "quantile")


@dataclass(frozen=True, kw_only=True)
class Perturbation:
    """What a disturbance depends on. Sigmas are in units of the features: their RMS, or each dimension's own spread."""

    criteria: str = "both"  # gradcam, variance, or both; random: sigma_cam in every dimension alike
    sigma_cam: float = 0.2  # standard deviation at the lowest Grad-CAM score; 0 at the highest
    sigma_var: float = 0.2  # standard deviation at the lowest spread; 0 at the highest and above the threshold
    threshold: float = 0.02  # l: a dimension with less spread is disturbed; as a quantile, the share of such dimensions
    stat: str = "std"  # of unit features over the bank; "variance" as the paper's name says selects all dimensions
    mode: str = "value"  # or "quantile"
    sign: str = "helps"  # what a high score does to the loss; "hurts" keeps the other half
    times_feature: bool = True  # score = feature x gradient, or the gradient alone
    per_dimension: bool = False  # noise in units of each dimension's own spread: an almost constant one stays so
    clamp: bool = False  # no negative features: pooled ReLU maps have none

    def __post_init__(self) -> None:
        allowed = {"criteria": CRITERIA, "stat": STATS, "mode": MODES, "sign": ("helps", "hurts")}
        for name, known in allowed.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name}={getattr(self, name)!r} is unknown: use one of {', '.join(known)}")
        for name in ("sigma_cam", "sigma_var", "threshold"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
                raise ValueError(f"{name}={value!r} should be a number of at least 0")
        if not (math.isfinite(self.sigma_cam) and math.isfinite(self.sigma_var)):
            raise ValueError(f"sigma_cam={self.sigma_cam}, sigma_var={self.sigma_var} should be finite")
        if self.mode == "quantile" and self.threshold > 1:
            raise ValueError(f"threshold={self.threshold} with mode='quantile' is a share of dimensions, 0 to 1")

    @property
    def by_gradcam(self) -> bool:
        """Whether the Grad-CAM score is needed."""
        return self.criteria in ("both", "gradcam")

    @property
    def by_variance(self) -> bool:
        """Whether the spread over the bank is needed."""
        return self.criteria in ("both", "variance")


def min_max(scores: Tensor) -> Tensor:
    """(..., D) to [0, 1] along the last dimension; all 0 where they are equal: none is then above another."""
    return normalize_map(scores.reshape(-1, scores.shape[-1])).view_as(scores)


def gradcam_noise(scores: Tensor, noise: Tensor, sigma: float | Tensor) -> Tensor:
    """n = sigma (1 - ghat) noise (eq. 5): nothing in an image's highest dimension, all of sigma in its lowest.

    Args:
        scores: g of each image, (B, D), at least 0; only ratios of differences within a row count.
        noise: standard normal, (B, D).
        sigma: standard deviation, in units of the features; a number, or (D,) of each dimension.

    Returns:
        (B, D).
    """
    return noise * sigma * (1 - min_max(scores))


def spread_of(memory: Tensor, stat: str = "std") -> Tensor:
    """v: spread of each dimension over a bank, whose rows are brought to length 1 first (eq. 6).

    Args:
        memory: features, (N, D), of any length.
        stat: "std" or "variance", of a population (divided by N).

    Returns:
        (D,). Landmarks: 0 for a constant dimension; 1 / sqrt(D) is the std of isotropic unit features, 1 / D their
        variance, which for 2048 dimensions lies below any of the paper's thresholds.
    """
    unit = F.normalize(memory.float(), dim=1)
    return unit.std(dim=0, correction=0) if stat == "std" else unit.var(dim=0, correction=0)


def low_spread(spread: Tensor, threshold: float, mode: str = "value") -> Tensor:
    """Dimensions that vary little: (D,) to (D,) bool.

    Args:
        spread: from `spread_of`.
        threshold: l. By value, spreads below it; as a quantile, that share of dimensions, the lowest first.
        mode: "value" or "quantile".
    """
    if mode == "value":
        return spread < threshold
    return spread.argsort(stable=True).argsort() < round(threshold * len(spread))


def low_variance_noise(
    spread: Tensor, noise: Tensor, sigma: float | Tensor, threshold: float, mode: str = "value"
) -> Tensor:
    """r = sigma (1 - vhat) noise where the spread is below the threshold, else 0 (eq. 6); (B, D).

    Args:
        spread: (D,), from `spread_of`; vhat is its min-max over all dimensions.
        noise: standard normal, (B, D): the same dimensions for all images, fresh noise for each.
        sigma: as in `gradcam_noise`.
        threshold: as in `low_spread`; 0 disturbs nothing.
        mode: as in `low_spread`.
    """
    return noise * sigma * (1 - min_max(spread)) * low_spread(spread, threshold, mode)


def noise_scale(features: Tensor, memory: Tensor | None, rule: Perturbation) -> Tensor:
    """What a sigma of 1 means, in units of the features.

    Args:
        features: of this step's images, of all processes, (B, D).
        memory: of the bank, (N, D); needed where the rule goes by dimension.
        rule: published form: the root mean square of `features`, (); by dimension: standard deviations, (D,).
    """
    if not rule.per_dimension:
        return features.float().square().mean().sqrt()
    assert memory is not None, "the spread of each dimension is that of the bank"
    return memory.float().std(dim=0, correction=0)


def disturbed(
    features: Tensor,
    rule: Perturbation,
    scale: float | Tensor,
    noises: tuple[Tensor | None, Tensor | None],
    scores: Tensor | None = None,
    spread: Tensor | None = None,
) -> Tensor:
    """h + n + r: features (B, D) with the noise of a rule (section 3.3).

    Args:
        features: h; a gradient passes as through the identity.
        rule: which noise, how strong.
        scale: from `noise_scale`.
        noises: standard normal (B, D) each, for Grad-CAM (or random) and for low variance; None where not needed.
        scores: g (B, D), for Grad-CAM.
        spread: v (D,), for low variance; None leaves r out, as before the bank holds enough.
    """
    first, second = noises
    moved = features
    if rule.criteria == "random":
        assert first is not None
        moved = moved + rule.sigma_cam * scale * first
    if rule.by_gradcam:
        assert first is not None and scores is not None
        moved = moved + gradcam_noise(scores, first, rule.sigma_cam * scale)
    if rule.by_variance and spread is not None:
        assert second is not None
        moved = moved + low_variance_noise(spread, second, rule.sigma_var * scale, rule.threshold, rule.mode)
    return torch.clamp(moved, min=0) if rule.clamp else moved
