"""Losses without negatives, LARS, geometry and neighbours against lightly's, with the factors between them."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fgssl_edu.evaluate.geometry import alignment, uniformity
from fgssl_edu.evaluate.knn import knn_predict
from fgssl_edu.losses import barlow_twins, normalized_mse, vicreg
from fgssl_edu.methods.lars import LARS
from fgssl_edu.nets import cosine_momentum

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]  # the peer's own warnings are its own

CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def rows(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def same_with_gradients(ours: Tensor, theirs: Tensor, views: tuple[Tensor, Tensor]) -> None:
    """Equal values and equal gradients of both views."""
    torch.testing.assert_close(ours, theirs, **CLOSE)
    for a, b in zip(torch.autograd.grad(ours, views), torch.autograd.grad(theirs, views), strict=True):
        torch.testing.assert_close(a, b, **CLOSE)


def views() -> tuple[Tensor, Tensor]:
    first = rows(24, 8)
    return first.requires_grad_(), (first.detach() + 0.7 * rows(24, 8, seed=1)).requires_grad_()


def test_byols_distance_is_two_and_twice_the_negative_cosine() -> None:
    peer = pytest.importorskip("lightly.loss").NegativeCosineSimilarity()
    first, second = views()
    same_with_gradients(normalized_mse(first, second), 2 + 2 * peer(first, second), (first, second))


@pytest.mark.parametrize("redundancy", [5e-3, 0.0051, 1.0])
def test_barlow_twins_is_lightlys(redundancy: float) -> None:
    peer = pytest.importorskip("lightly.loss").BarlowTwinsLoss(lambda_param=redundancy)
    first, second = views()
    same_with_gradients(barlow_twins(first, second, redundancy=redundancy), peer(first, second), (first, second))


@pytest.mark.parametrize("weights", [(25.0, 25.0, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)])
def test_vicreg_is_lightlys_term_by_term(weights: tuple[float, float, float]) -> None:
    peer = pytest.importorskip("lightly.loss").VICRegLoss(*weights)
    first, second = ((0.5 * view.detach()).requires_grad_() for view in views())  # below 1: the hinge is at work
    same_with_gradients(vicreg(first, second, *weights), peer(first, second), (first, second))


def stepped(made: type, value: Tensor, gradients: list[Tensor], **options: float) -> Tensor:
    weight = nn.Parameter(value.clone())
    optimizer = made([weight], **options)
    for gradient in gradients:
        weight.grad = gradient.clone()
        optimizer.step()
    return weight.detach()


def test_lars_differs_from_lightlys_in_one_norm_and_where_nothing_decays() -> None:
    """Ours divides by the norm of g + wd w, lightly's by |g| + wd |w|: the same where the two point one way."""
    peer = pytest.importorskip("lightly.utils.lars").LARS
    weight, gradients = rows(4, 3), [rows(4, 3, seed=seed) for seed in (1, 2, 3)]
    both = {"lr": 0.5, "momentum": 0.9}
    for decay, close in ((1e-6, 1e-5), (0.5, None)):
        ours, theirs = (stepped(made, weight, gradients, weight_decay=decay, **both) for made in (LARS, peer))
        apart = float((ours - theirs).abs().max())
        assert apart < close if close else apart > 1e-4
    along = [0.2 * weight]
    ours, theirs = (stepped(made, weight, along, weight_decay=0.5, **both) for made in (LARS, peer))
    torch.testing.assert_close(ours, theirs, **CLOSE)
    plain = stepped(torch.optim.SGD, weight, gradients, **both)
    torch.testing.assert_close(stepped(peer, weight, gradients, weight_decay=0.0, **both), plain)  # theirs is SGD here
    assert (stepped(LARS, weight, gradients, weight_decay=0.0, **both) - plain).abs().max() > 0.1


def test_alignment_and_uniformity_are_lightlys_hypersphere_loss_at_t_2() -> None:
    """The sum of alignment and the mean uniformity of both views; lightly's default is t = 1."""
    made = pytest.importorskip("lightly.loss.hypersphere_loss").HypersphereLoss
    first, second = (view.detach() for view in views())
    ours = alignment(first, second).mean() + (uniformity(first) + uniformity(second)) / 2
    assert made(t=2.0)(first, second).item() == pytest.approx(ours.item(), abs=1e-5)
    assert abs(made()(first, second).item() - ours.item()) > 0.1
    aligned = made(t=2.0, lam=0.0)(first, second)
    assert aligned.item() == pytest.approx(alignment(first, second).mean().item(), abs=1e-5)


@pytest.mark.parametrize(("k", "temperature"), [(1, 0.07), (20, 0.07), (20, 0.1), (200, 0.1)])
def test_neighbours_are_lightlys_where_the_caller_normalises(k: int, temperature: float) -> None:
    peer = pytest.importorskip("lightly.utils.benchmarking.knn").knn_predict
    bank, labels, queries = rows(300, 16), torch.arange(300) % 7, rows(90, 16, seed=1)
    unit_queries, unit_bank = F.normalize(queries, dim=1), F.normalize(bank, dim=1)
    theirs = peer(unit_queries, unit_bank.T, labels, num_classes=7, knn_k=k, knn_t=temperature)[:, 0]
    assert torch.equal(knn_predict(bank, labels, queries, k, temperature), theirs)


def test_the_momentum_of_a_slow_copy_is_lightlys_but_for_one_step() -> None:
    """lightly divides by steps - 1 and is at its end one step early; solo-learn and we divide by the steps."""
    peer = pytest.importorskip("lightly.utils.scheduler").cosine_schedule
    steps, start = 50, 0.99
    ours = [cosine_momentum(start, step / steps) for step in range(steps + 1)]
    theirs = [peer(step, steps, start, 1.0) for step in range(steps)]
    assert ours[0] == pytest.approx(theirs[0]) and ours[-1] == theirs[-1] == 1
    one_step = (1 - start) * math.pi / 2 / steps  # the steepest part of the cosine, over one step
    assert max(abs(a - b) for a, b in zip(ours, theirs, strict=False)) < one_step
    assert max(abs(a - b) for a, b in zip(ours, theirs, strict=False)) > 1e-5
