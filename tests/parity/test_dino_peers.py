"""DINO's loss and centre against lightly's; skipped where the dependency group `parity` is not installed."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fgssl_edu.losses import centred_softmax, dino_loss
from fgssl_edu.methods.distillation.dino import CENTRE_MOMENTUM

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]  # the peers' own warnings are theirs

CLOSE = {"rtol": 0, "atol": 1e-5}
PROTOTYPES = 12


def cosines(crops: int, seed: int) -> Tensor:
    return torch.rand(crops, 6, PROTOTYPES, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize(("local", "temperature"), [(0, 0.04), (8, 0.04), (2, 0.07)])
def test_loss_gradients_and_centre_are_lightlys_over_three_steps(local: int, temperature: float) -> None:
    peer = pytest.importorskip("lightly.loss").DINOLoss(PROTOTYPES, student_temp=0.1, center_momentum=CENTRE_MOMENTUM)
    centre = torch.zeros(PROTOTYPES)
    for step in range(3):  # the first centre is zero
        student, raw = cosines(2 + local, step).requires_grad_(), cosines(2, 100 + step) + 0.5
        ours = dino_loss([*student], [*centred_softmax(raw, centre, temperature)], temperature=0.1)
        theirs = peer([*raw], [*student], teacher_temp=temperature)  # the teacher comes first there
        centre = centre.lerp(raw.mean(dim=(0, 1)), 1 - CENTRE_MOMENTUM)
        torch.testing.assert_close(ours, theirs, **CLOSE)
        torch.testing.assert_close(*(torch.autograd.grad(loss, student)[0] for loss in (ours, theirs)), **CLOSE)
        torch.testing.assert_close(centre, peer.center.flatten(), **CLOSE)
