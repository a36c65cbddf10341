"""DINO's loss and its targets: landmarks, invariances, and that batch softmax is one iteration of Sinkhorn-Knopp."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fgssl_edu import draws
from fgssl_edu.losses.clustering import sinkhorn_knopp
from fgssl_edu.losses.distillation import batch_softmax, centred_softmax, dino_loss


def logits(*shape: int, purpose: str = "logits") -> Tensor:
    count = math.prod(shape[1:])
    return draws.normal(0, 0, torch.arange(shape[0]), purpose, count).view(shape).double()


def targets_of(raw: Tensor, temperature: float = 0.04) -> Tensor:
    return centred_softmax(raw, torch.zeros(raw.shape[-1], dtype=raw.dtype), temperature)


@pytest.mark.parametrize(("count", "landmark"), [(5, 1.609438), (65536, 11.090355)])
def test_logits_of_zero_lose_log_k(count: int, landmark: float):
    crops = [torch.zeros(2, count)] * 4
    loss = dino_loss(crops, [targets_of(crops[0])] * 2)
    assert loss.item() == pytest.approx(landmark, abs=1e-5) and landmark == pytest.approx(math.log(count), abs=1e-6)


def test_the_loss_is_the_mean_over_pairs_of_different_crops():
    student, raw = logits(5, 4, 6), logits(2, 4, 6, purpose="teacher")
    targets = targets_of(raw)
    pairs = [(t, v) for t in range(2) for v in range(5) if v != t]
    assert len(pairs) == 2 * 5 - 2
    by_hand = [-(targets[t] * F.log_softmax(student[v] / 0.1, dim=1)).sum(dim=1).mean() for t, v in pairs]
    torch.testing.assert_close(dino_loss([*student], [*targets]), torch.stack(by_hand).mean())


def test_ten_crops_make_eighteen_pairs():
    """One local crop out of ten, and it alone, tells the truth: two of eighteen pairs lose nothing."""
    crops = [torch.zeros(1, 3) for _ in range(9)] + [torch.tensor([[100.0, 0, 0]])]
    targets = [torch.tensor([[1.0, 0, 0]])] * 2
    assert dino_loss(crops, targets).item() == pytest.approx(16 / 18 * math.log(3), abs=1e-6)


def test_a_constant_added_to_teacher_and_centre_or_to_a_students_row_changes_nothing():
    raw, centre, shift = logits(3, 6), logits(1, 6, purpose="centre")[0], logits(1, 6, purpose="shift")[0]
    torch.testing.assert_close(centred_softmax(raw + shift, centre + shift, 0.04), centred_softmax(raw, centre, 0.04))
    student, targets = logits(2, 3, 6), [targets_of(raw)]
    moved = student + logits(2, 3, 1, purpose="rows")
    torch.testing.assert_close(dino_loss([*student], targets), dino_loss([*moved], targets))


def test_a_low_temperature_sharpens_and_a_high_one_is_uniform():
    raw = logits(4, 8)
    sharp, flat = targets_of(raw, 1e-3), targets_of(raw, 1e4)
    torch.testing.assert_close(sharp, F.one_hot(raw.argmax(dim=1), 8).double())
    torch.testing.assert_close(flat, torch.full_like(flat, 1 / 8), atol=1e-3, rtol=0)


def test_the_loss_is_target_entropy_plus_divergence():
    raw, student = logits(1, 4, 6), logits(1, 4, 6, purpose="student")
    targets = targets_of(raw)
    divergence = F.kl_div(F.log_softmax(student[0] / 0.1, dim=1), targets[0], reduction="batchmean")
    entropy = torch.special.entr(targets[0]).sum(dim=1).mean()
    blind = torch.zeros(4, 6, dtype=torch.float64)
    torch.testing.assert_close(dino_loss([blind, student[0]], [targets[0]]), entropy + divergence)


def test_batch_softmax_is_one_iteration_of_sinkhorn():
    raw = logits(6, 5)
    one = batch_softmax(raw, 0.2)
    torch.testing.assert_close(one, sinkhorn_knopp(raw, 0.2, iterations=1), atol=1e-7, rtol=0)
    torch.testing.assert_close(one.sum(dim=1), torch.ones(6, dtype=torch.float64))
    many = sinkhorn_knopp(raw, 0.2, iterations=100)
    torch.testing.assert_close(many.sum(dim=0), torch.full((5,), 6 / 5, dtype=torch.float64), atol=1e-4, rtol=0)
    assert (one.sum(dim=0) - 6 / 5).abs().max() > 0.05


def test_gradients_are_right_and_reach_every_crop_and_both_sides():
    student, raw = logits(3, 4, 3).requires_grad_(), logits(2, 4, 3, purpose="teacher").requires_grad_()
    centre = logits(1, 3, purpose="centre")[0]

    def loss(student: Tensor, raw: Tensor) -> Tensor:
        return dino_loss([*student], [*centred_softmax(raw, centre, 0.5)])

    assert torch.autograd.gradcheck(loss, (student, raw))
    gradients = torch.autograd.grad(loss(student, raw), (student, raw))  # nothing is detached in a loss
    assert all(bool((each.abs().sum(dim=(1, 2)) > 0).all()) for each in gradients)
    assert torch.autograd.gradcheck(lambda raw: batch_softmax(raw, 0.5), raw[0].detach().requires_grad_())


def test_half_precision_at_the_sharpest_temperature_stays_finite():
    raw = F.normalize(logits(4, 16).float(), dim=1).to(torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for targets in (centred_softmax(raw, torch.zeros(16), 0.02), batch_softmax(raw, 0.02)):
            assert targets.dtype == torch.float32 and dino_loss([raw, raw], [targets]).isfinite()
