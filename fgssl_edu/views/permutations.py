"""Which orders of the tiles a jigsaw asks for: sets of permutations that differ in many places.

Where two permutations of a set differ in few places, one tile decides between them. So a set is judged by its smallest
Hamming distance. The mean says nothing: two random permutations of nine differ in exactly 9 - 1 = 8 places on average.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import permutations as orders
from itertools import product
from math import factorial

import numpy as np
import torch
from torch import Tensor

from fgssl_edu.draws import uniform

CRITERIA = ("min", "mean", "group", "random")
MOST_TILES = 9  # of which all orders, 362,880, are held in memory
FIELD, CUBIC = 8, 0b1011  # the field of eight elements: polynomials over {0, 1} modulo x^3 + x + 1
INFINITY = 8  # the ninth point of the projective line over it


@lru_cache(maxsize=16)
def permutation_set(count: int, tiles: int = 9, criterion: str = "min", seed: int = 0) -> Tensor:
    """A set of orders, the same for the same arguments; none leaves all tiles where they are.

    Args:
        count: P.
        tiles: n, up to 9.
        criterion: "min", greedy by the smallest distance to those chosen, then by the sum of distances; "mean", greedy
            by the sum alone, as in the paper (Noroozi and Favaro, arXiv 1603.09246, algorithm 1); "group", from the
            sharply 3-transitive groups on nine points, distance at least 7 up to 504, at least 6 up to 1,512; "random".
        seed: of the first order, of a random set, and of the order in which a group's elements are taken.

    Returns:
        (P, n) int64; row p, place i: the tile that lies there. Do not write into it.

    Raises:
        ValueError: more orders than there are, or a criterion that is unknown.
    """
    if criterion not in CRITERIA:
        raise ValueError(f"criterion={criterion!r}: use one of {', '.join(CRITERIA)}")
    if not 2 <= tiles <= MOST_TILES or (criterion == "group" and tiles != MOST_TILES):
        raise ValueError(f"tiles={tiles}: 2 to {MOST_TILES}, and exactly {MOST_TILES} for criterion='group'")
    most = 1512 if criterion == "group" else factorial(tiles) - 1
    if not 2 <= count <= most:
        raise ValueError(f"permutations={count}: choose 2 to {most:,} of {tiles} tiles with criterion={criterion!r}")
    if criterion == "group":
        return _of_groups(count, seed)
    everything = _all_orders(tiles)[1:]  # without the identity, which comes first
    if criterion == "random":
        return everything[_shuffled(len(everything), seed)[:count]].long()
    return _greedy(everything, count, criterion == "min", seed)


def distances(permutations: Tensor) -> Tensor:
    """Hamming distances, (P, n) -> (P, P) int64: in how many places two orders differ; never 1."""
    return torch.cdist(permutations.float(), permutations.float(), p=0).long()


def spread_of(permutations: Tensor) -> tuple[int, float]:
    """Smallest and mean distance between two different rows; 0 where a row occurs twice, mean n - 1 at random."""
    first, second = torch.triu_indices(len(permutations), len(permutations), offset=1)
    between = distances(permutations)[first, second]
    return int(between.min()), float(between.double().mean())


@lru_cache(maxsize=2)
def _all_orders(tiles: int) -> Tensor:
    """Every order in lexicographic sequence, (n!, n) uint8."""
    return torch.from_numpy(np.array(list(orders(range(tiles))), dtype=np.uint8))


def _shuffled(count: int, seed: int) -> Tensor:
    return uniform(seed, 0, torch.arange(count), "permutations", 1)[:, 0].argsort(stable=True)


def _greedy(candidates: Tensor, count: int, by_least: bool, seed: int) -> Tensor:
    """Add, again and again, the order that is farthest from those chosen; of equal ones the first."""
    places = candidates.T.contiguous()  # (n, N): one place at a time is read in one piece
    least = torch.full((len(candidates),), candidates.shape[1], dtype=torch.int32)
    total = torch.zeros(len(candidates), dtype=torch.int32)
    latest = int(_shuffled(len(candidates), seed)[0])
    chosen = [latest]
    while len(chosen) < count:
        away = torch.zeros(len(candidates), dtype=torch.uint8)
        for place in places:
            away += place != place[latest]
        total += away
        torch.minimum(least, away.int(), out=least)
        score = total + least * (candidates.shape[1] * count + 1) if by_least else total.clone()
        score[chosen] = -1  # by the mean alone the farthest may be one that is there already
        latest = int(score.argmax())
        chosen.append(latest)
    return candidates[chosen].long()


def _of_groups(count: int, seed: int) -> Tensor:
    """PGL(2, 8) in random sequence, then the rest of PGammaL(2, 8), with two tiles exchanged in all of them.

    A map of the projective line over eight elements is fixed by three points, so that two of the 504 agree in two
    places at most. The exchange keeps distances and leaves no identity.
    """
    first = _fractions()
    square = torch.tensor([_times(x, x) for x in range(FIELD)] + [INFINITY])
    rest = torch.cat([first[:, square], first[:, square[square]]])  # the field's automorphisms, x -> x^2 and x^4, first
    ordered = torch.cat([group[_shuffled(len(group), seed)] for group in (first, rest)])
    exchange = torch.tensor([1, 0, *range(2, MOST_TILES)])
    return exchange[ordered[:count]]


def _fractions() -> Tensor:
    """All x -> (ax + b) / (cx + d) with ad != bc as orders of the nine points, (504, 9) int64, sorted."""
    inverse = {x: y for x in range(1, FIELD) for y in range(1, FIELD) if _times(x, y) == 1}

    def of(a: int, b: int, c: int, d: int) -> tuple[int, ...]:
        def divided(above: int, below: int) -> int:
            return _times(above, inverse[below]) if below else INFINITY

        return (*(divided(_times(a, x) ^ b, _times(c, x) ^ d) for x in range(FIELD)), divided(a, c))

    matrices = product(range(FIELD), repeat=4)
    return torch.tensor(sorted({of(a, b, c, d) for a, b, c, d in matrices if _times(a, d) != _times(b, c)}))


def _times(x: int, y: int) -> int:
    """Product in the field of eight elements; the sum is `^`."""
    found = 0
    for bit in range(3):
        found ^= (x << bit) if y >> bit & 1 else 0
    for degree in (4, 3):
        found ^= (CUBIC << (degree - 3)) if found >> degree & 1 else 0
    return found
