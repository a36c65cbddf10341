"""Sets of features drawn in a plane and on a ring, in one map for all of them, with numbers that the plane cannot bend.

Figure 5 of SimCore (arXiv 2303.11101) shows pool, target and coreset side by side. A map fitted to each set on its own
turns and stretches each as it likes, and points set to unit length all have the same density under a Gaussian about the
centre. So one map is fitted, on equally many points of every set, and the density is one of the angle.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from fgssl_edu import coreset
from fgssl_edu.coreset.ranking import similarity_blocks
from fgssl_edu.draws import uniform

PER_SET = 1000  # points of each set that a map is fitted to
BLOCK = 4096  # rows handled at a time


@dataclass(frozen=True)
class SetStatistics:
    """What is true of a set in all its dimensions, whatever a map shows."""

    images: int
    nearest: float  # mean over images of the largest cosine to a target: how close the set is, -1..1
    coverage: float  # mean over targets of the largest cosine to an image, f(S) / K: how well it surrounds them
    histogram: dict[str, int]  # images of each group, in the order of the groups; empty without labels


def balanced_sample(*sets: Tensor, per_set: int = PER_SET, seed: int = 0) -> list[Tensor]:
    """Equally many rows of every set: positions of each, (m,) int64 ascending, m the smallest set's size or `per_set`.

    A set's draw depends on its place among the sets and on its length alone.
    """
    if not sets or per_set < 1 or min(map(len, sets)) < 1:
        raise ValueError(f"per_set={per_set} of {[len(rows) for rows in sets]} rows: each set should have at least 1")
    count = min(per_set, *map(len, sets))
    found = []
    for place, rows in enumerate(sets):
        draw = uniform(seed, 0, torch.arange(len(rows)), f"maps/set {place}", 1)[:, 0]
        found.append(draw.argsort(stable=True)[:count].sort().values)
    return found


def pca_map(*sets: Tensor, per_set: int = PER_SET, seed: int = 0) -> list[Tensor]:
    """The two directions in which a balanced sample of all sets varies most, and every set along them.

    Args:
        sets: features, (n, D) each, compared by direction (unit norm).
        per_set: rows of each set that the directions are fitted to.
        seed: of the sample.

    Returns:
        (n, 2) float32 for each set; the origin is the sample's mean, and on both axes the sample's largest value is
        positive, so that the map is the same on every machine.
    """
    points, sample = _prepared(sets, per_set, seed)
    centre = sample.mean(dim=0)
    axes = torch.linalg.svd(sample - centre, full_matrices=False).Vh[:2]  # (2, D), fewer if D or the sample is 1
    axes = F.pad(axes, (0, 0, 0, 2 - len(axes)))
    along = (sample - centre) @ axes.T
    largest = along.gather(0, along.abs().argmax(dim=0, keepdim=True))  # (1, 2)
    axes = axes * torch.where(largest < 0, -1.0, 1.0).T
    return [((rows - centre) @ axes.T).float() for rows in points]


def umap_map(*sets: Tensor, per_set: int = PER_SET, seed: int = 0, neighbours: int = 15) -> list[Tensor]:
    """UMAP (arXiv 1802.03426) fitted once on a balanced sample of all sets; the other points are laid into it.

    Distances between far clusters mean nothing in it. The first call in a process compiles for about a minute.

    Args:
        sets: features, (n, D) each, compared by cosine.
        per_set: rows of each set that the map is fitted to; with those of all sets at least 4.
        seed: of the sample and of UMAP.
        neighbours: of each point that UMAP keeps near; fewer where the sample is smaller.

    Returns:
        (n, 2) float32 for each set; the origin is the sample's mean.
    """
    points, sample = _prepared(sets, per_set, seed)
    if len(sample) < 4:
        raise ValueError(f"UMAP needs 4 points to lay out, the sample has {len(sample)}; take pca_map")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of numba and scikit-learn, about their own future
        from umap import UMAP  # type: ignore[import-untyped]  # late: it compiles when imported

        # In float32 the unit rows' Euclidean distance is a function of their cosine.
        near = min(neighbours, len(sample) - 1)
        fitted = UMAP(n_neighbors=near, random_state=seed, n_jobs=1, init="pca").fit(sample.float().numpy())
        laid = [torch.from_numpy(fitted.transform(rows.float().numpy())) for rows in points]
    centre = torch.from_numpy(fitted.embedding_).mean(dim=0)
    return [(rows - centre).float() for rows in laid]


def ring(points: Tensor) -> Tensor:
    """The direction of each point of a map from its origin, (n, 2) -> (n,) radians in (-pi, pi]; 0 for the origin."""
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"points should be (n, 2), as pca_map and umap_map give them, not {tuple(points.shape)}")
    return torch.atan2(points[:, 1], points[:, 0])


def von_mises_density(angles: Tensor, at: Tensor, kappa: float) -> Tensor:
    """How dense angles are on the ring: the mean of von Mises densities centred on each.

    Args:
        angles: (n,) radians, n at least 1.
        at: (m,) radians, where the density is wanted.
        kappa: sharpness, at least 0; about 1 / width^2 in radians. 0 gives the uniform 1 / (2 pi) everywhere.

    Returns:
        (m,) per radian; integrates to 1 over the ring.
    """
    if not 0 <= kappa < math.inf or not len(angles):
        raise ValueError(f"kappa={kappa} of {len(angles)} angles: kappa should be at least 0 and an angle be there")
    total = at.new_zeros(len(at), dtype=torch.float64)
    for block in angles.double().split(BLOCK):
        # exp(kappa (cos - 1)) over exp(-kappa) I0(kappa): neither overflows for a large kappa.
        total += torch.exp(kappa * (torch.cos(at.double()[:, None] - block) - 1)).sum(dim=1)
    scale = torch.special.i0e(torch.tensor(kappa, dtype=torch.float64))
    return (total / (2 * math.pi * scale * len(angles))).to(at.dtype)


def set_statistics(
    features: Tensor, targets: Tensor, groups: Tensor | None = None, names: tuple[str, ...] = ()
) -> SetStatistics:
    """The numbers to print beside a map, in all dimensions.

    Args:
        features: of one set, (n, D), rows of any length.
        targets: centroids or features of the target set, (K, D).
        groups: (n,) int64, what each image shows, known for rendered sets; negative where unknown.
        names: of the groups; needed with `groups`.
    """
    if groups is not None and (len(groups) != len(features) or int(groups.max()) >= len(names)):
        raise ValueError(f"groups should name one of {len(names)} names for each of {len(features)} images")
    nearest = [block.amax(dim=0) for block in similarity_blocks([features], targets, BLOCK)]
    histogram = {}
    if groups is not None:
        counts = groups[groups >= 0].bincount(minlength=len(names)).tolist()
        histogram = dict(zip(names, counts, strict=True))
    return SetStatistics(
        len(features),
        float(torch.cat(nearest).double().mean()),
        coreset.coverage(features, targets) / len(targets),
        histogram,
    )


def _prepared(sets: tuple[Tensor, ...], per_set: int, seed: int) -> tuple[list[Tensor], Tensor]:
    """Unit rows of every set, and the balanced sample of all of them, float64 on the CPU."""
    if any(rows.ndim != 2 or rows.shape[1] != sets[0].shape[1] or not bool(rows.isfinite().all()) for rows in sets):
        raise ValueError(
            f"sets of features should be finite, (n, D) with one D: {[tuple(rows.shape) for rows in sets]}"
        )
    points = [F.normalize(rows.detach().cpu().double(), dim=1) for rows in sets]
    chosen = balanced_sample(*points, per_set=per_set, seed=seed)
    return points, torch.cat([rows[index] for rows, index in zip(points, chosen, strict=True)])
