"""Sinkhorn-Knopp and SwAV's loss against lightly's; skipped where the dependency group `parity` is not installed."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fgssl_edu.losses import sinkhorn_knopp, swav_loss

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]  # the peers' own warnings are theirs

CLOSE = {"rtol": 0, "atol": 1e-5}


def cosines(samples: int, prototypes: int, seed: int = 0) -> Tensor:
    rows = F.normalize(torch.randn(samples + prototypes, 16, generator=torch.Generator().manual_seed(seed)), dim=1)
    return rows[:samples] @ rows[samples:].T


@pytest.mark.parametrize(("epsilon", "iterations"), [(0.05, 3), (0.05, 1), (0.03, 3), (0.5, 10)])
def test_codes_are_lightlys(epsilon: float, iterations: int) -> None:
    peer = pytest.importorskip("lightly.loss.swav_loss").sinkhorn
    scores = cosines(32, 12)
    ours, theirs = sinkhorn_knopp(scores, epsilon, iterations), peer(scores, iterations, epsilon)
    torch.testing.assert_close(ours, theirs, **CLOSE)


@pytest.mark.parametrize("small", [0, 4])
def test_the_loss_is_lightlys_with_and_without_small_crops_and_queue(small: int) -> None:
    peer = pytest.importorskip("lightly.loss").SwaVLoss(temperature=0.1, sinkhorn_iterations=3, sinkhorn_epsilon=0.05)
    scores = [cosines(32, 12, seed).requires_grad_() for seed in range(2 + small)]
    stored = [cosines(20, 12, seed) for seed in (90, 91)]
    for queue in (None, stored):
        older = queue or [torch.zeros(0, 12)] * 2  # the peer has them after the batch's rows, which changes no code
        codes = [sinkhorn_knopp(torch.cat([older[i], scores[i].detach()]))[-32:] for i in range(2)]
        ours, theirs = swav_loss(scores, codes, 0.1), peer(scores[:2], scores[2:], queue)[0]
        torch.testing.assert_close(ours, theirs, **CLOSE)
        gradients = [torch.autograd.grad(loss, scores) for loss in (ours, theirs)]
        for a, b in zip(*gradients, strict=True):
            torch.testing.assert_close(a, b, **CLOSE)
