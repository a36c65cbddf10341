"""Barlow Twins and VICReg: hand values, what leaves them unchanged, where gradients reach, and what is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fgssl_edu.evaluate.geometry import effective_rank
from fgssl_edu.losses import (
    barlow_twins,
    covariance_term,
    cross_correlation,
    normalized_mse,
    variance_term,
    vicreg,
)

H = torch.tensor(
    [[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64
)  # two dimensions, no overlap
TWICE = H[:, [0, 0]]  # one dimension said twice


def rows(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"barlow_twins": barlow_twins, "vicreg": vicreg}
each_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


def test_barlow_twins_by_hand():
    assert barlow_twins(H, H).item() == pytest.approx(0, abs=1e-8)
    assert barlow_twins(H, -H).item() == pytest.approx(7.99992, abs=1e-6)  # 8, but for the .00001 beside the variance
    assert barlow_twins(TWICE, TWICE, redundancy=5e-3).item() == pytest.approx(0.01, abs=1e-6)
    assert barlow_twins(TWICE, TWICE, redundancy=0.0).item() == pytest.approx(0, abs=1e-8)  # and nobody complains
    assert barlow_twins(H, -H, invariance=0.0).item() == pytest.approx(0, abs=1e-8)


@pytest.mark.parametrize("dim", [2, 16, 128])
def test_barlow_twins_of_constant_embeddings_is_their_dimension(dim: int):
    constant = torch.full((8, dim), 3.0)
    assert barlow_twins(constant, constant).item() == pytest.approx(dim)


def test_the_cross_correlation_is_the_biased_one_of_every_pair_of_dimensions():
    first, second = rows(40, 3), rows(40, 3, seed=1)
    both = torch.corrcoef(torch.cat([first, second], dim=1).T)  # (6, 6), unlike ours without the .00001
    torch.testing.assert_close(cross_correlation(first, second), both[:3, 3:], rtol=1e-4, atol=1e-5)
    assert cross_correlation(first, second).abs().max() < 1


def test_barlow_twins_does_not_see_scale_and_shift_of_a_dimension():
    first, second = rows(32, 5), rows(32, 5, seed=1)
    scale, shift = rows(5, seed=2).abs() + 0.5, 10 * rows(5, seed=3)
    plain = barlow_twins(first, second)
    torch.testing.assert_close(barlow_twins(first, second * scale + shift), plain, rtol=1e-4, atol=0)
    assert (barlow_twins(first, -second) - plain).abs() > 0.1  # the control: a negative scale is seen


def test_a_batch_no_larger_than_the_dimensions_cannot_be_decorrelated():
    narrow, wide = (torch.linalg.qr(rows(9, 9))[0][:, :dim] for dim in (4, 8))
    wide = wide - wide.mean(dim=0)  # eight centred directions in nine rows
    few = rows(6, 8)
    assert barlow_twins(few, few, redundancy=1.0) > 1 > barlow_twins(narrow, narrow, redundancy=1.0)


def test_vicreg_by_hand():
    assert vicreg(torch.zeros(4, 2), torch.zeros(4, 2)).item() == pytest.approx(24.75, abs=1e-5)
    assert vicreg(H, H).item() == pytest.approx(0, abs=1e-12)  # the deviation is above 1: the hinge is at rest
    assert vicreg(H, -H).item() == pytest.approx(100)  # squared difference 4, mean over rows AND dimensions
    assert vicreg(TWICE, TWICE).item() == pytest.approx(2 * (2 * (4 / 3) ** 2) / 2)  # 3.5556
    wide = H.repeat(1, 8)
    assert vicreg(wide, -wide, covariance=0.0).item() == pytest.approx(100)  # not 800: d does not lengthen the distance


def test_each_weight_of_vicreg_is_that_of_its_term():
    first, second = 0.3 * rows(16, 4), 0.3 * rows(16, 4, seed=1)
    terms = [vicreg(first, second, *weights).item() for weights in ((1, 0, 0), (0, 1, 0), (0, 0, 1))]
    assert terms[0] == pytest.approx((first - second).square().mean().item())
    assert terms[1] == pytest.approx(((variance_term(first) + variance_term(second)) / 2).item())
    assert terms[2] == pytest.approx((covariance_term(first) + covariance_term(second)).item())
    assert vicreg(first, second, 2.0, 3.0, 5.0).item() == pytest.approx(2 * terms[0] + 3 * terms[1] + 5 * terms[2])


def test_variance_and_covariance_terms_equal_their_equations():
    z = 0.5 * rows(10, 3)
    covariance = torch.cov(z.T)
    hinge = sum(max(0.0, 1 - (float(covariance[i, i]) + 1e-4) ** 0.5) for i in range(3)) / 3
    beside = sum(float(covariance[i, j]) ** 2 for i in range(3) for j in range(3) if i != j) / 3
    assert variance_term(z).item() == pytest.approx(hinge) and covariance_term(z).item() == pytest.approx(beside)
    assert variance_term(torch.ones(4, 3)).item() == pytest.approx(0.99)
    assert covariance_term(H).item() == 0


@each_loss
def test_the_order_of_the_batch_and_of_the_views_does_not_matter(loss: Callable):
    first, second = rows(12, 4), rows(12, 4, seed=1)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(loss(first[order], second[order]), loss(first, second))
    torch.testing.assert_close(loss(second, first), loss(first, second))
    assert (loss(first[order], second) - loss(first, second)).abs() > 1e-3  # the control: pairs matter


@each_loss
def test_gradients_are_those_of_finite_differences_and_reach_both_views(loss: Callable):
    first, second = rows(4, 3).requires_grad_(), rows(4, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(loss, (first, second))
    for gradient in torch.autograd.grad(loss(first, second), (first, second)):
        assert gradient.abs().sum() > 0


def test_the_variance_term_pushes_constant_embeddings_nowhere_and_nearly_constant_ones_apart():
    """The root's slope is finite: with no epsilon it would be infinite at a constant."""
    constant = torch.zeros(4, 2, requires_grad=True)
    (gradient,) = torch.autograd.grad(variance_term(constant), constant)
    assert gradient.isfinite().all() and not gradient.any()
    near = (1e-3 * H).requires_grad_()
    (gradient,) = torch.autograd.grad(variance_term(near), near)
    assert torch.equal(-gradient.sign(), H.sign())  # downhill is outwards


@each_loss
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_embeddings_are_computed_in_float32(loss: Callable, dtype: torch.dtype):
    first, second = (100 * rows(16, 8, seed=seed, dtype=torch.float32) for seed in (0, 1))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = loss(first.to(dtype), second.to(dtype))
    assert found.dtype == torch.float32 and found.isfinite()
    torch.testing.assert_close(found, loss(first, second), rtol=0.05, atol=0)


@each_loss
def test_what_has_no_variance_or_no_partner_is_refused(loss: Callable):
    with pytest.raises(ValueError, match="a batch of 1"):
        loss(rows(1, 4), rows(1, 4))
    with pytest.raises(ValueError, match="both should be"):
        loss(rows(4, 3), rows(4, 2))


def test_byols_distance_by_hand():
    x = torch.tensor([[2.0, 0.0]], dtype=torch.float64)
    across, opposite = torch.tensor([[0.0, 5.0]], dtype=torch.float64), -3 * x
    assert [normalized_mse(x, y).item() for y in (7 * x, across, opposite)] == pytest.approx([0, 2, 4])
    first, second = rows(6, 5), rows(6, 5, seed=1)
    unit = [each / each.norm(dim=1, keepdim=True) for each in (first, second)]
    assert normalized_mse(first, second).item() == pytest.approx((unit[0] - unit[1]).square().sum(1).mean().item())
    assert torch.autograd.gradcheck(normalized_mse, (first.requires_grad_(), second))


def descended(loss: Callable[[Tensor, Tensor], Tensor], start: Tensor, steps: int = 300) -> Tensor:
    """Free embeddings, equal in both views, after gradient descent."""
    z = start.clone().requires_grad_()
    made = torch.optim.Adam([z], lr=0.02)
    for _ in range(steps):
        made.zero_grad()
        loss(z, z).backward()
        made.step()
    return z.detach()


@pytest.mark.parametrize(
    ("whole", "bare"),
    [
        (lambda a, b: barlow_twins(a, b, redundancy=0.05), lambda a, b: barlow_twins(a, b, redundancy=0.0)),
        (vicreg, lambda a, b: vicreg(a, b, covariance=0.0)),
    ],
    ids=LOSSES,
)
def test_the_term_beside_the_diagonal_turns_a_line_into_a_cloud(whole: Callable, bare: Callable):
    line = rows(32, 1) + 0.1 * rows(32, 4, seed=1)  # four dimensions that say nearly the same
    kept, opened = (effective_rank(descended(loss, line)) for loss in (bare, whole))
    assert opened > 3.9 > 2.5 > kept


def test_without_variance_term_nothing_keeps_vicreg_from_a_point():
    first, second = rows(16, 3), rows(16, 3, seed=1)

    def deviation(variance: float) -> float:
        z = rows(3, 3, seed=2).requires_grad_()
        made = torch.optim.Adam([z], lr=0.02)
        for _ in range(300):
            made.zero_grad()
            vicreg(first @ z, second @ z, variance=variance).backward()
            made.step()
        return float((first @ z.detach()).std(dim=0).mean())

    assert deviation(0.0) < 1e-3 < 0.4 < deviation(25.0)
