"""The branch of LCR by itself: K projections and their maximum, what its map is fitted to, and pooling by it.

Shu, van den Hengel and Liu, arXiv 2303.01669; the method around it is in common_rationale.py. `paper_code` is the
released code's behaviour.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fgssl_edu.distributed import full_precision
from fgssl_edu.gradcam import normalize_map
from fgssl_edu.nets.encoders import Encoder

RELEASED_EPSILON = 1e-7  # in the released normalisation's denominator


def log_target(maps: Tensor, softness: float, paper_code: bool = False) -> Tensor:
    """Logarithm of the distribution over positions that a map stands for.

    Args:
        maps: (B, h, w).
        softness: temperature of the softmax over all h*w positions.
        paper_code: a softmax over each row of the map by itself, at temperature 1, as released: a map then says nothing
            about which rows matter.

    Returns:
        (B, 1, h*w), or (B, h, w) with paper_code; each distribution lies along the last axis.
    """
    with full_precision():
        if paper_code:
            return maps.float().log_softmax(dim=2)
        return (maps.float() / softness).flatten(1).log_softmax(dim=1)[:, None]


def target_entropy(maps: Tensor, softness: float, paper_code: bool = False) -> Tensor:
    """How little a target says: its entropy over that of the uniform distribution, (B,) in [0, 1].

    1: nothing, whatever is fitted to it learns to be flat. Landmark: raw Grad-CAM of a mean loss, of order .001, has
    1 - 1e-6 in the released form; its min-max to [0, 1] is clearly below 1.

    Args:
        maps: (B, h, w) targets: `normalize_map` of a Grad-CAM, or with paper_code the Grad-CAM as it is.
        softness: as in `log_target`.
        paper_code: as in `log_target`; the mean over rows.
    """
    logs = log_target(maps, softness, paper_code)
    return -(logs.exp() * logs).sum(dim=2).mean(dim=1) / math.log(max(2, logs.shape[2]))


def misfit(
    fitted: Tensor, target: Tensor, align: str = "kl", softness: float = 0.4, paper_code: bool = False
) -> Tensor:
    """How far a fitted map is from its target, (B,), 0 if they agree; nothing is detached here.

    Args:
        fitted: the branch's map, (B, h, w) in [0, 1].
        target: (B, h, w), in [0, 1] but with paper_code.
        align: "kl" (nats, of target from fitted), "mse" (mean over positions), "cosine" (1 minus it). The released
            code has the first alone.
        softness: temperature of both softmaxes of "kl".
        paper_code: rows are distributions of their own; their divergences are summed.
    """
    with full_precision():
        fitted, target = fitted.float(), target.float()
        if align == "mse":
            return (fitted - target).square().mean(dim=(1, 2))
        if align == "cosine":
            return 1 - F.cosine_similarity(fitted.flatten(1), target.flatten(1), dim=1)
        wanted, found = (log_target(maps, softness, paper_code) for maps in (target, fitted))
        return (wanted.exp() * (wanted - found)).sum(dim=(1, 2))


def normalized(maps: Tensor, paper_code: bool = False) -> Tensor:
    """Min-max of (B, h, w) to [0, 1], of each image by itself; a constant map becomes zeros.

    With paper_code over the whole batch, as released: an image's map then depends on the images beside it.
    """
    if not paper_code:
        return normalize_map(maps)
    above = maps - maps.min()
    return above / (RELEASED_EPSILON + above.max())


def attention_pool(feature_map: Tensor, attention: Tensor) -> Tensor:
    """Mean of (B, C, h, w) over positions, weighted by (B, h, w), at least 0: (B, C).

    A map of zeros weighs all positions alike. Deviation: the paper divides by h*w and brings the result to length one;
    divided by the weights' sum it has the same direction, and the length of an average.
    """
    attention = torch.where(attention.flatten(1).any(dim=1)[:, None, None], attention, 1.0)
    weights = attention / attention.sum(dim=(1, 2), keepdim=True)  # (B, h, w)
    return (feature_map * weights[:, None].to(feature_map.dtype)).sum(dim=(2, 3))


class Branch(nn.Module):
    """K projections of the features at each position, and the largest of them: (B, C, h, w) -> (B, h, w), at least 0.

    Deviation: an encoder without BatchNorm gets a GroupNorm here too, so that no image depends on its batch.
    """

    def __init__(self, dim: int, kernels: int, batch_norm: bool = True) -> None:
        super().__init__()
        self.project = nn.Conv2d(dim, kernels, 1, bias=False)
        self.norm = nn.BatchNorm2d(kernels) if batch_norm else nn.GroupNorm(1, kernels)

    def forward(self, feature_map: Tensor) -> Tensor:
        with full_precision():
            found: Tensor = self.norm(self.project(feature_map.float()))  # (B, K, h, w)
            return found.amax(dim=1).relu()


class AttentionPooled(Encoder):
    """An encoder whose positions are weighed by a branch's map where they are pooled.

    It shares the weights of both. `paper_code` normalises maps over the batch, as released; else the features of an
    image are the same in every batch (in evaluation mode).
    """

    def __init__(self, encoder: Encoder, branch: nn.Module, paper_code: bool = False) -> None:
        nn.Module.__init__(self)  # Encoder's own would build layers; these are there already
        self.encoder, self.branch, self.paper_code = encoder, branch, paper_code
        self.name, self.stem, self.dim = f"{encoder.name}, attention-pooled", encoder.stem, encoder.dim

    def stages(self, images: Tensor) -> list[Tensor]:
        return self.encoder.stages(images)

    def feature_map(self, images: Tensor) -> Tensor:
        return self.encoder.feature_map(images)

    def attention(self, feature_map: Tensor) -> Tensor:
        """The branch's map of (B, C, h, w), (B, h, w) in [0, 1]; zeros where it is constant."""
        return normalized(self.branch(feature_map), self.paper_code)

    def pool(self, feature_map: Tensor) -> Tensor:
        return attention_pool(feature_map, self.attention(feature_map))
