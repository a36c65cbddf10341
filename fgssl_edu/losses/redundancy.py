"""Many dimensions instead of negatives: Barlow Twins (arXiv 2103.03230, eq. 1 and 2), VICReg (2105.04906, eq. 1 to 6).

Both want an image's two embeddings to agree while every dimension varies over the batch and no two dimensions say the
same. Statistics are those of the rows given: on several ranks the method passes the joined batches.
"""

from __future__ import annotations

from torch import Tensor

from fgssl_edu.distributed import full_precision, precise

NORM_EPSILON = 1e-5  # added to a variance, as BatchNorm does
STD_EPSILON = 1e-4  # added to a variance before its root (VICReg): the root's slope at 0 stays finite


def _check_rows(first: Tensor, second: Tensor) -> None:
    if first.shape != second.shape or first.ndim != 2:
        raise ValueError(f"embeddings {tuple(first.shape)} and {tuple(second.shape)}: both should be (B, d)")
    if len(first) < 2:
        raise ValueError(f"a batch of {len(first)}: a variance needs at least 2 images; raise `batch`")


def _off_diagonal(matrix: Tensor) -> Tensor:
    """(d, d) -> the sum of the squares beside the diagonal."""
    return matrix.square().sum() - matrix.diagonal().square().sum()


def cross_correlation(first: Tensor, second: Tensor) -> Tensor:
    """Correlation over the batch of each dimension of one view with each of the other (Barlow Twins, eq. 2).

    Args:
        first, second: embeddings of the two views, (B, d), of any scale; the variance is the biased one.

    Returns:
        (d, d) in [-1, 1], rows of view 1. The identity is the aim; zeros for embeddings that do not vary.
    """
    _check_rows(first, second)
    with full_precision():
        ones, others = (_standardized(precise(each)) for each in (first, second))
        return ones.T @ others / len(ones)


def _standardized(rows: Tensor) -> Tensor:
    centred = rows - rows.mean(dim=0)
    return centred / (centred.square().mean(dim=0) + NORM_EPSILON).sqrt()


def barlow_twins(first: Tensor, second: Tensor, invariance: float = 1.0, redundancy: float = 0.0051) -> Tensor:
    """Sum of (1 - C_ii)², and `redundancy` times the sum of C_ij², C the cross-correlation (Barlow Twins, eq. 1).

    Args:
        first, second: embeddings of the two views, (B, d); gradients flow through both.
        invariance: weight of the diagonal, 1 in the paper; 0 leaves nothing that ties the views.
        redundancy: lambda, weight of all that lies beside the diagonal; 0 lets all dimensions say the same.

    Returns:
        Scalar sum over the d x d entries. Landmarks: d for constant embeddings, 0 for views that agree in uncorrelated
        dimensions, 4 d for opposite views of these. With B <= d rows 0 is out of reach. (solo-learn multiplies by a
        further factor, .1 in its recipes.)
    """
    correlation = cross_correlation(first, second)  # (d, d)
    diagonal = (1 - correlation.diagonal()).square().sum()
    return invariance * diagonal + redundancy * _off_diagonal(correlation)


def variance_term(embeddings: Tensor) -> Tensor:
    """How far each dimension's deviation over the batch falls short of 1, mean over dimensions (VICReg, eq. 1).

    Args:
        embeddings: (B, d), not normalised; the variance is the unbiased one, plus .0001 under the root.

    Returns:
        Scalar in [0, .99]: .99 for embeddings that do not vary, 0 where every dimension's deviation is 1 or more.
    """
    _check_rows(embeddings, embeddings)
    with full_precision():
        deviation = (precise(embeddings).var(dim=0) + STD_EPSILON).sqrt()  # (d,)
        return (1 - deviation).relu().mean()


def covariance_term(embeddings: Tensor) -> Tensor:
    """Squares of the covariances of different dimensions, summed and divided by d (VICReg, eq. 4); 0 if uncorrelated.

    Args:
        embeddings: (B, d), not normalised; covariances are divided by B - 1.
    """
    _check_rows(embeddings, embeddings)
    with full_precision():
        centred = precise(embeddings) - precise(embeddings).mean(dim=0)
        return _off_diagonal(centred.T @ centred / (len(centred) - 1)) / embeddings.shape[1]


def vicreg(
    first: Tensor, second: Tensor, invariance: float = 25.0, variance: float = 25.0, covariance: float = 1.0
) -> Tensor:
    """Invariance, variance and covariance of two views' embeddings, weighted (VICReg, eq. 6).

    Deviation: equation 5 divides the squared distance by the rows, B, alone. The released code takes the mean over B
    and d, and the published weights 25, 25, 1 belong to the code: so does this function.

    Args:
        first, second: embeddings of the two views, (B, d), not normalised; gradients flow through both.
        invariance: weight of the mean over B and d of the squared difference.
        variance: weight of the MEAN of the two views' `variance_term`; in solo-learn of their sum, twice as much.
        covariance: weight of the SUM of the two views' `covariance_term`.

    Returns:
        Scalar, 0 at best. Landmark: .99 `variance` for constant embeddings, 24.75 by default.
    """
    _check_rows(first, second)
    with full_precision():
        distance = (precise(first) - precise(second)).square().mean()
    spread = (variance_term(first) + variance_term(second)) / 2
    return invariance * distance + variance * spread + covariance * (covariance_term(first) + covariance_term(second))
