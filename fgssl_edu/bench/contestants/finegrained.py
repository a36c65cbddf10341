"""Panels of the fine-grained methods, with untrained networks and random features."""

from __future__ import annotations

import torch

from fgssl_edu.bench.contestants.contestant import EVAL_SIZE, NETWORKS_MS, PICTURES_MS, Contestant, states
from fgssl_edu.data.image_set import UNLABELLED, ImageSet, Splits
from fgssl_edu.data.open_set import OpenSet
from fgssl_edu.methods.finegrained.common_rationale import CommonRationale
from fgssl_edu.methods.finegrained.pairs_shown import remember
from fgssl_edu.methods.finegrained.synthesized_pairs import SynthesizedPairs
from fgssl_edu.nets.encoders import Encoder, build_encoder
from fgssl_edu.panels.coreset_budget import BUDGETS, KS, TAUS, CoresetBudget
from fgssl_edu.panels.perturbation import PerturbationStrength
from fgssl_edu.panels.rationale import RationaleMaps

TARGET, HEAP = 480, 6000  # pictures of X and of the open set, the lesson's own at lecture: times grow with them
TESTS = 480  # at lecture; with fewer the heap is smaller too
SHARE_RELEVANT = 0.12  # of the heap


def rationale(splits: Splits, moves: int) -> Contestant:
    """Two untrained LCR methods of as many kernels as the lesson's."""
    methods = {
        f"seed {seed}": CommonRationale(build_encoder("resnet10", seed=seed), queue=256, seed=seed) for seed in (0, 1)
    }
    return (
        lambda: RationaleMaps(methods, splits, EVAL_SIZE),
        {
            "picture": [{"picture": i} for i in range(1, moves + 1)],
            "kernel": [{"picture": moves + 1 + i // 20, "kernel": 1 + i % 20} for i in range(moves)],
        },
        NETWORKS_MS,
    )


def perturbation(splits: Splits, encoders: dict[str, Encoder], moves: int) -> Contestant:
    """An untrained method that has seen the training pictures, asked about by two encoders as in the lesson."""
    method = SynthesizedPairs(
        build_encoder("resnet10", seed=0), decoder_size=EVAL_SIZE, queue=256, memory=len(splits.train)
    )
    remember(method, splits.train.views())
    pictures = range(1, moves + 1)
    return (
        lambda: PerturbationStrength(method, splits, encoders),
        {
            "picture": [{"picture": i} for i in pictures],
            "sigma_cam": [
                {"picture": moves + 1 + i // 20, "sigma_cam": round(0.1 * (i % 20), 1)} for i in range(moves)
            ],
            "renderer": [{"picture": i, "decoder": "renderer"} for i in pictures],
        },
        NETWORKS_MS,
    )


def coreset_budget(splits: Splits, moves: int) -> Contestant:
    """Random features of a heap as large as the lesson's, whose pictures are the test birds again and again."""
    count = HEAP * len(splits.test) // TESTS
    draw = torch.Generator().manual_seed(0)
    target = torch.randn(min(TARGET, len(splits.train)), 128, generator=draw)
    features, relevant = torch.randn(count, 128, generator=draw), torch.rand(count, generator=draw) < SHARE_RELEVANT
    pictures = splits.test.images[torch.arange(count) % len(splits.test)]
    heap = ImageSet(pictures, torch.full((count,), UNLABELLED), (), name="heap", provenance="made here", licence="none")
    pool = OpenSet(heap, relevant, relevant.long(), ("other", "relevant"))
    ks = [k for k in KS if k <= len(target)]
    return (
        lambda: CoresetBudget(target, pool, features),
        {
            "k": states(moves, budget=[0.2], tau=TAUS[1:8], k=ks),
            "budget": states(moves, k=ks[-1:], tau=TAUS[8:], budget=BUDGETS),
            "tau": states(moves, budget=[0.5], k=ks[:-1], tau=TAUS),
        },
        PICTURES_MS,
    )
