"""What a coreset is compared with: chance, the objective's own greedy, the right answer; and the objective itself.

SimCore with one centroid is `select_coreset` with `centroids(features, 1)`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fgssl_edu.coreset.ranking import Features, repeatable, similarity_blocks
from fgssl_edu.coreset.select import BLOCK_ROWS, Coreset
from fgssl_edu.draws import uniform

TAKEN = -1.0  # in place of a gain, which is never negative
TOGETHER = 256  # doubtful gains computed at once


def random_selection(count: int, budget: int, seed: int = 0) -> Coreset:
    """`budget` of `count` images, all equally likely; a smaller budget's choice is the beginning. Has no rounds."""
    _check_budget(budget)
    if count < 1:
        raise ValueError(f"count={count}: the open set is empty")
    draw = uniform(seed, 0, torch.arange(count), "coreset/random", 1)[:, 0]
    return _without_rounds(draw.argsort(stable=True)[:budget])


def oracle(relevant: Tensor, budget: int, seed: int = 0, labels: Tensor | None = None) -> Coreset:
    """Relevant images only, at random: what no method without labels can beat in precision. It is told the answer.

    Args:
        relevant: (N,) bool, which images of the pool are of the target's kind.
        budget: most images; with fewer relevant ones, all of those.
        seed: of the order.
        labels: (N,) classes, to take the classes in turn so that each has an equal share; None for their own shares.
    """
    _check_budget(budget)
    if relevant.dtype != torch.bool or relevant.ndim != 1 or not bool(relevant.any()):
        raise ValueError("relevant should be (N,) bool with at least one True")
    found = relevant.nonzero()[:, 0]
    draw = uniform(seed, 0, found, "coreset/oracle", 1)[:, 0]
    found = found[draw.argsort(stable=True)]
    if labels is not None:
        classes = labels[found]
        turn = torch.empty_like(found)  # how many of its class come before an image
        for name in classes.unique():
            mine = classes == name
            turn[mine] = torch.arange(int(mine.sum()))
        found = found[turn.argsort(stable=True)]
    return _without_rounds(found[:budget])


def facility_location(features: Features, targets: Tensor, budget: int) -> Coreset:
    """The greedy maximiser of f(S) = sum over targets of their largest cosine to S, by lazy evaluation.

    At least 1 - 1/e of the best f(S) (Nemhauser et al. 1978; lazily, Minoux 1978). Equal gains go to the lower index.
    Deviation: at most K picks can gain anything, after them every image is as good as another; so a new cover is begun
    with what is left. Keeps the (N, K) similarities in memory.

    Args:
        features: of the pool, (N, D), as in `select_coreset`.
        targets: (K, D), centroids or all features of the target set.
        budget: images; N at most are taken.

    Returns:
        In the order of picking; `rounds` numbers the covers, `values` has the mean best cosine of each.
    """
    _check_budget(budget)
    blocks = similarity_blocks(repeatable(features)(), targets, BLOCK_ROWS)
    similarity = torch.cat([block.T for block in blocks]).cpu().contiguous()  # (N, K)
    left = torch.ones(len(similarity), dtype=torch.bool)
    covers: list[list[int]] = []
    values: list[float] = []
    room = min(budget, len(similarity))
    while room:
        cover = _cover(similarity, left, room)
        left[cover] = False
        room -= len(cover)
        covers.append(cover)
        values.append(float(similarity[cover].amax(dim=0).double().mean()))
    return Coreset(
        torch.tensor([index for cover in covers for index in cover]),
        torch.repeat_interleave(torch.arange(len(covers)), torch.tensor([len(cover) for cover in covers])),
        torch.tensor(values, dtype=torch.float64),
        stopped=False,
        similarity=torch.zeros(0),
    )


def coverage(selected: Features, targets: Tensor) -> float:
    """f(S), eq. 2 of SimCore: the sum over targets of the largest cosine to a selected image.

    Args:
        selected: features of S, (n, D), as in `select_coreset`; n at least 1.
        targets: (K, D), the target set's features or centroids.

    Returns:
        At most K; divided by K it is the mean best cosine. Never falls when S grows.
    """
    best: Tensor | None = None
    for block in similarity_blocks(repeatable(selected)(), targets, BLOCK_ROWS):
        if block.shape[1]:
            nearest = block.amax(dim=1)
            best = nearest if best is None else torch.maximum(best, nearest)
    if best is None:
        raise ValueError("coverage of an empty set is not defined: cosines have no lowest value to begin with")
    return float(best.double().sum())


def _cover(similarity: Tensor, left: Tensor, room: int) -> list[int]:
    """Greedy picks until nothing is gained: (N, K) similarities, (N,) which may be taken, picks at most."""
    covered = similarity.new_full((similarity.shape[1],), -1.0)  # a cosine's lowest: gains are never negative
    gains = _gains(similarity, covered).masked_fill(~left, TAKEN)
    current = torch.ones_like(left)  # the others' gains are from earlier, upper bounds: f is submodular
    picks: list[int] = []
    while len(picks) < room:
        best = int(gains.argmax())  # the first of equal ones
        if not current[best]:
            doubtful = torch.cat([gains.topk(min(TOGETHER, len(gains))).indices, torch.tensor([best])])
            doubtful = doubtful[gains[doubtful] != TAKEN]
            gains[doubtful] = _gains(similarity[doubtful], covered)
            current[doubtful] = True
        elif gains[best] == 0 and picks:
            break
        else:
            picks.append(best)
            covered = torch.maximum(covered, similarity[best])
            gains[best] = TAKEN
            current.zero_()
    return picks


def _gains(similarity: Tensor, covered: Tensor) -> Tensor:
    return (similarity - covered).clamp(min=0).sum(dim=1, dtype=torch.float64)


def _without_rounds(indices: Tensor) -> Coreset:
    values = torch.zeros(0, dtype=torch.float64)
    return Coreset(indices, torch.zeros_like(indices), values, stopped=False, similarity=torch.zeros(0))


def _check_budget(budget: int) -> None:
    if isinstance(budget, bool) or not isinstance(budget, int) or budget < 1:
        raise ValueError(f"budget={budget!r} should be a number of images, at least 1; for a share take round(p * N)")
