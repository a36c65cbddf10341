"""What each dimension of a feature vector is for, by the truth of rendered birds, and whether a criterion can tell.

Wang et al. (arXiv 2407.14676) call a dimension unimportant where its standard deviation over a bank is low, or where
its Grad-CAM score of the self-supervised loss is low. Rendered birds know better, twice over: by observation, which
share of a dimension's variance goes with the background, the genus, the species; by intervention, how far it moves
when a telling part is edited, and when the background is. A rank correlation then says where a criterion points.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fgssl_edu.data.birds import Factors
from fgssl_edu.data.image_set import ImageSet
from fgssl_edu.evaluate.edits import NEW_BACKGROUNDS, Edits
from fgssl_edu.evaluate.features import extract
from fgssl_edu.gradcam import gradcam_vector, normalize_map
from fgssl_edu.nets.encoders import Encoder
from fgssl_edu.nets.modes import frozen
from fgssl_edu.views.augment import Augment

BLOCK = 256  # images whose scores are computed at a time
Z95 = 1.959964  # standard deviations of a normal either side of its middle 95 %
Cell = str | tuple[float, float, float]  # of a table: a name, or a number with its interval
RANK_VARIANCE = 1.06  # of Fisher's z of a rank correlation, times n - 3 (Fieller, Hartley and Pearson 1957)


@dataclass(frozen=True)
class Roles:
    """What each of D dimensions holds. All (D,) float64, at least 0; 0 where a dimension is constant."""

    background: Tensor  # share of its variance that goes with the family of the background, 0..1
    genus: Tensor  # ... with the genus
    species: Tensor  # ... with the species within a genus
    edit: Tensor  # movement under an edit of a telling part; 1: as far as another bird
    sky: Tensor  # movement under a new background, in the same unit
    alive: Tensor  # (D,) bool: it is not the same for all birds

    @property
    def telling(self) -> Tensor:
        """edit / (edit + sky): 0 a dimension of the sky, 1 a dimension of the parts, one half of no preference."""
        both = self.edit + self.sky
        return self.edit / both.where(both > 0, 1.0)

    def named(self) -> dict[str, Tensor]:
        """What criteria are held against, by its name for a reader."""
        return {
            "background": self.background,
            "genus": self.genus,
            "species in genus": self.species,
            "edit against sky": self.telling,
        }


def eta_squared(features: Tensor, groups: Tensor, within: Tensor | None = None) -> Tensor:
    """Share of each dimension's variance that goes with a grouping (eta squared of a one-way analysis of variance).

    eta2_j = sum_g n_g (m_gj - c_gj)^2 / sum_i (x_ij - m_j)^2, with m_g the mean of group g and c_g the mean of
    everything, or of the coarser group around g where `within` names one.

    Args:
        features: (N, D).
        groups: (N,) int64.
        within: (N,) int64, a coarser grouping whose share is left out (species within genus).

    Returns:
        (D,) float64 in [0, 1]: 1 where groups are all that varies, 0 for a constant; for noise (G - 1) / (N - 1) in
        the mean, G the groups, less one for each coarser group.

    Raises:
        ValueError: not one group for each row, or a group that lies in two coarser ones.
    """
    coarse = torch.zeros_like(groups) if within is None else within
    if not len(features) == len(groups) == len(coarse):
        raise ValueError(f"{len(features)} rows of features, {len(groups)} and {len(coarse)} groups: one for each row")
    pairs = torch.stack([groups, coarse], dim=1).unique(dim=0)
    if len(pairs) > len(groups.unique()):
        raise ValueError("a group lies in two of the coarser groups around it: number the groups through")
    rows = features.double()
    between = (_group_means(rows, groups) - _group_means(rows, coarse)).square().sum(dim=0)  # (D,)
    total = (rows - rows.mean(dim=0)).square().sum(dim=0)
    varies = _varies(rows)
    return torch.where(varies, between / total.where(varies, 1.0), 0.0)


def _group_means(rows: Tensor, groups: Tensor) -> Tensor:
    """Each row's group mean, (N, D)."""
    _, which, counts = groups.unique(return_inverse=True, return_counts=True)
    sums = rows.new_zeros(len(counts), rows.shape[1]).index_add_(0, which, rows)
    return (sums / counts[:, None])[which]


def _varies(rows: Tensor) -> Tensor:
    """(D,) bool: not the same in all rows; asked of the values, as a mean of equal numbers may round."""
    return rows.amin(dim=0) < rows.amax(dim=0)


def moves(original: Tensor, moved: Tensor, variance: Tensor) -> Tensor:
    """How far each dimension moves: (x' - x)^2 / (2 variance), since two unrelated birds are 2 variance apart.

    Args:
        original, moved: (..., N, D) features of the same birds before and after.
        variance: (D,) of the dimension over birds.

    Returns:
        (..., N, D) float64: 0 unmoved, 1 in the mean for unrelated pictures; 0 for a constant dimension.
    """
    squared = (moved.double() - original.double()).square()
    return torch.where(variance > 0, squared / (2 * variance.double()).where(variance > 0, 1.0), 0.0)


def interventions(encoder: Encoder, edits: Edits, eval_size: int | None = None) -> tuple[Tensor, Tensor]:
    """How far every dimension moves under an edit of a part that tells the species, and under a new background.

    The two movements of the edit score (`evaluate.edits`), a dimension at a time: a mean over each bird's telling
    attributes, then over birds; and a mean over new backgrounds and birds.

    Args:
        encoder: frozen; left in the mode it was in.
        edits: from `rendered_edits`.
        eval_size: side in pixels at which the encoder sees them; None for the rendered one.

    Returns:
        edit (D,) and sky (D,) float64; see `moves` for the unit.
    """
    original = extract(encoder, edits.original, eval_size)  # (N, D)
    elsewhere = extract(encoder, edits.backgrounds.flatten(0, 1), eval_size).view(NEW_BACKGROUNDS, *original.shape)
    varies = _varies(original)
    variance = torch.where(varies, original.double().var(dim=0, correction=0), 0.0)
    sky = moves(original, elsewhere, variance).mean(dim=(0, 1))
    total, count = torch.zeros_like(original, dtype=torch.float64), torch.zeros(len(original), 1, dtype=torch.float64)
    for name, whose in edits.birds.items():
        moved = moves(original[whose], extract(encoder, edits.edited[name], eval_size), variance)  # (n, D)
        total.index_add_(0, whose, moved)
        count.index_add_(0, whose, torch.ones(len(whose), 1, dtype=torch.float64))
    edited = count[:, 0] > 0
    return (total[edited] / count[edited]).mean(dim=0), sky


def true_roles(encoder: Encoder, images: ImageSet, edits: Edits, eval_size: int | None = None) -> Roles:
    """The role of every feature dimension of a frozen encoder, from birds whose factors are known.

    Args:
        encoder: left in the mode it was in.
        images: rendered birds; their own factors are the truth.
        edits: birds with their edits, for what interventions say.
        eval_size: side in pixels at which the encoder sees them.

    Raises:
        ValueError: the pictures were not rendered, so that nothing is known about them.
    """
    factors = images.factors
    if not isinstance(factors, Factors):
        raise ValueError(f"the pictures of {images.name!r} have no factors: true roles need rendered birds")
    features = extract(encoder, images.images, eval_size)
    edit, sky = interventions(encoder, edits, eval_size)
    return Roles(
        background=eta_squared(features, factors.background_family),
        genus=eta_squared(features, factors.genus),
        species=eta_squared(features, factors.species, within=factors.genus),
        edit=edit,
        sky=sky,
        alive=_varies(features),
    )


def gradcam_scores(
    encoder: Encoder,
    head: nn.Module,
    images: Tensor,
    augment: Augment,
    eval_size: int | None = None,
    temperature: float = 0.2,
    sign: str = "helps",
) -> Tensor:
    """Grad-CAM score of the contrastive loss in every dimension of every whole picture, of a frozen network.

    Args:
        encoder: left in the mode it was in.
        head: (B, D) -> (B, d), what follows the encoder in training.
        images: (N, 3, H, W) uint8; the others are the negatives.
        augment: draws the other view of each.
        eval_size: side in pixels at which the encoder sees whole pictures.
        temperature, sign: see `loss_scores`.

    Returns:
        (N, D) float32 on the CPU, at least 0.
    """
    keys = []
    with frozen(encoder) as device, frozen(head), torch.no_grad():
        for index in torch.arange(len(images)).split(BLOCK):
            views = augment(images[index].to(device), 0, 0, index.to(device), "dimensions/key")
            keys.append(head(encoder.features(views)).float().cpu())
    return loss_scores(head, extract(encoder, images, eval_size), torch.cat(keys), temperature, sign)


def loss_scores(
    head: nn.Module, features: Tensor, keys: Tensor, temperature: float = 0.2, sign: str = "helps"
) -> Tensor:
    """Grad-CAM vectors of the loss that picks each picture's own key among all keys (arXiv 2407.14676, eq. 3).

    g_i = max(0, -h_i dl_i/dh_i) with l_i the cross-entropy of cosines of head(h_i) and all keys over the temperature.

    Args:
        head: (B, D) -> (B, d); in evaluation mode here, left as it was.
        features: h (N, D) of the pictures as they are.
        keys: (N, d) embeddings of another view of each, of any length.
        temperature: divides cosines.
        sign: "helps" or "hurts", as in `gradcam.gradcam_vector`.

    Returns:
        (N, D) float32 on the CPU, at least 0.
    """
    found = []
    with frozen(head) as device, torch.enable_grad():
        bank = F.normalize(keys.to(device), dim=1)
        for index in torch.arange(len(features)).split(BLOCK):
            rows = features[index].to(device).requires_grad_()
            logits = F.normalize(head(rows), dim=1) @ bank.T / temperature  # (B, N)
            losses = F.cross_entropy(logits, index.to(device), reduction="none")  # (B,)
            found.append(gradcam_vector(losses, rows, sign).cpu())
    return torch.cat(found)


def importance(scores: Tensor) -> Tensor:
    """One number a dimension from scores an image (N, D): min-max within each image, as the noise uses it, the mean."""
    return normalize_map(scores).mean(dim=0)


def ranks(values: Tensor) -> Tensor:
    """Ranks 0..D-1 of (D,) values, ties sharing the mean of their places; float64."""
    _, which, counts = values.unique(return_inverse=True, return_counts=True)
    last = counts.cumsum(0).double() - 1
    return (last - (counts.double() - 1) / 2)[which]


def spearman(first: Tensor, second: Tensor) -> tuple[float, float, float]:
    """Spearman's rank correlation of two (D,) vectors, with its 95 % interval over dimensions.

    The correlation of the two `ranks`; the interval is Fisher's, tanh(atanh(r) +- 1.96 sqrt(1.06 / (D - 3))), as if
    dimensions were independent, which they are not quite.

    Returns:
        (r, low, high): 1 same order, -1 reversed, 0 +- 1.96 / sqrt(D - 1) for unrelated vectors; 0 where one is
        constant and so orders nothing.
    """
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"shapes {tuple(first.shape)} and {tuple(second.shape)}: needs two vectors of one length")
    a, b = (ranks(values) - (len(values) - 1) / 2 for values in (first, second))
    scale = math.sqrt(float(a @ a) * float(b @ b))
    r = float(a @ b) / scale if scale > 0 else 0.0
    if len(a) <= 3 or abs(r) >= 1:
        return max(-1.0, min(1.0, r)), math.nan, math.nan
    half = Z95 * math.sqrt(RANK_VARIANCE / (len(a) - 3))
    return r, math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half)


def agreement(criteria: Mapping[str, Tensor], roles: Roles) -> list[dict[str, Cell]]:
    """Rank correlation of every criterion with every true role, over the dimensions that are alive.

    Args:
        criteria: name -> (D,), high where the criterion calls a dimension important and leaves it alone.
        roles: the truth.

    Returns:
        A row a criterion, for `figures.table`. A good one is below 0 at the background and above 0 elsewhere.
    """
    alive = roles.alive
    return [
        {"criterion": name}
        | {f"alignment, {r}": spearman(values[alive], truth[alive]) for r, truth in roles.named().items()}
        for name, values in criteria.items()
    ]


def profile(criterion: Tensor, roles: Roles, groups: int = 8) -> dict[str, Tensor]:
    """What a criterion spares: the mean role of its dimensions, from the lowest values (noise) to the highest.

    Args:
        criterion: (D,), high where a dimension is called important.
        roles: the truth.
        groups: equal shares of the dimensions, in the criterion's order.

    Returns:
        role -> (groups,) mean role over the mean of all dimensions: 1 throughout for a criterion that knows nothing.
    """
    order = criterion[roles.alive].argsort(stable=True)
    if len(order) < groups:
        raise ValueError(f"{len(order)} dimensions that vary do not make {groups} groups")
    return {
        name: torch.stack([part.mean() for part in truth[roles.alive][order].tensor_split(groups)])
        / truth[roles.alive].mean().clamp(min=1e-30)
        for name, truth in roles.named().items()
    }
