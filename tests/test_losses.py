from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fgssl_edu.losses import info_nce, negative_cosine, nt_xent
from fgssl_edu.nets import RingBuffer


def rows(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def turn(dim: int) -> Tensor:
    """A rotation of the embedding space."""
    return torch.linalg.qr(rows(dim, dim, seed=9)).Q


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "nt_xent": lambda a, b: nt_xent(a, b, 0.3),
    "info_nce": lambda a, b: info_nce(a, b, rows(7, a.shape[1], seed=5).to(a.dtype), 0.3),
    "negative_cosine": negative_cosine,
}


@pytest.mark.parametrize(("temperature", "value"), [(1.0, 0.551445), (0.5, 0.239545), (0.1, 9.08e-5)])
def test_nt_xent_of_two_orthogonal_images_whose_views_agree(temperature: float, value: float) -> None:
    eye = torch.eye(2, dtype=torch.float64)
    assert nt_xent(eye, eye, temperature).item() == pytest.approx(value, abs=5e-7)
    assert nt_xent(eye, eye, temperature).item() == pytest.approx(math.log(1 + 2 * math.exp(-1 / temperature)))


def test_nt_xent_of_equal_embeddings_is_log_of_all_other_views() -> None:
    same = torch.ones(4, 3)
    assert nt_xent(same, same, 0.1).item() == pytest.approx(math.log(7), rel=1e-6)


def test_nt_xent_equals_its_equation_written_out() -> None:
    first, second = rows(3, 5), rows(3, 5, seed=1)
    views, total = F.normalize(torch.cat([first, second]), dim=1), 0.0
    for i in range(6):
        similar = [math.exp((views[i] @ views[k]).item() / 0.2) for k in range(6)]
        total -= math.log(similar[(i + 3) % 6] / (sum(similar) - similar[i]))
    assert nt_xent(first, second, 0.2).item() == pytest.approx(total / 6, rel=1e-12)


@pytest.mark.parametrize("size", [1, 8, 65536])
def test_info_nce_landmarks(size: int) -> None:
    same = torch.ones(2, 4)
    assert info_nce(same, same, torch.ones(size, 4), 0.2).item() == pytest.approx(math.log(1 + size), rel=1e-5)
    query, queue = torch.eye(2)[:1], torch.eye(2)[1:].expand(size, 2)
    expected = math.log(1 + size * math.exp(-5))
    assert info_nce(query, query, queue, 0.2).item() == pytest.approx(expected, rel=1e-5)


def test_info_nce_of_the_worked_example() -> None:
    features = torch.tensor([[3.0, 4.0]], dtype=torch.float64, requires_grad=True)
    key, queue = torch.tensor([[1.0, 0.0]]).double(), torch.tensor([[0.0, 1.0]]).double()
    loss = info_nce(features, key, queue, 1.0)
    (gradient,) = torch.autograd.grad(loss, features)
    assert loss.item() == pytest.approx(0.798139, abs=5e-7)
    torch.testing.assert_close(gradient, torch.tensor([[-0.123163, 0.092372]]).double(), rtol=0, atol=5e-7)


def test_negative_cosine_from_agreement_to_opposition() -> None:
    east, north = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    assert negative_cosine(east, 3 * east) == -1
    assert negative_cosine(east, north) == 0
    assert negative_cosine(east, -east) == 1
    byol = (F.normalize(rows(6, 4), dim=1) - F.normalize(rows(6, 4, seed=1), dim=1)).square().sum(dim=1).mean()
    assert (2 + 2 * negative_cosine(rows(6, 4), rows(6, 4, seed=1))).item() == pytest.approx(byol.item())


@pytest.mark.parametrize("name", LOSSES)
def test_order_of_the_batch_and_length_of_embeddings_do_not_matter(name: str) -> None:
    loss, first, second = LOSSES[name], rows(6, 5), rows(6, 5, seed=1)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    value = loss(first, second)
    torch.testing.assert_close(loss(first[order], second[order]), value)
    torch.testing.assert_close(loss(first * rows(6, 1, seed=3).abs(), 7 * second), value)
    assert (loss(first, second[order]) - value).abs() > 0.01  # but who is whose partner does


def test_a_common_rotation_of_all_embeddings_does_not_matter() -> None:
    first, second, queue, rotation = rows(6, 5), rows(6, 5, seed=1), rows(7, 5, seed=2), turn(5)
    pairs = [
        (nt_xent(first, second), nt_xent(first @ rotation, second @ rotation)),
        (info_nce(first, second, queue), info_nce(first @ rotation, second @ rotation, queue @ rotation)),
        (negative_cosine(first, second), negative_cosine(first @ rotation, second @ rotation)),
    ]
    for before, after in pairs:
        torch.testing.assert_close(after, before)


def test_views_may_change_places() -> None:
    first, second = rows(6, 5), rows(6, 5, seed=1)
    torch.testing.assert_close(nt_xent(second, first), nt_xent(first, second))
    torch.testing.assert_close(negative_cosine(second, first), negative_cosine(first, second))


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_those_of_finite_differences_and_reach_both_arguments(name: str) -> None:
    first, second = rows(4, 3).requires_grad_(), rows(4, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(LOSSES[name], (first, second))
    for gradient in torch.autograd.grad(LOSSES[name](first, second), (first, second)):
        assert gradient.norm() > 1e-3


@pytest.mark.parametrize("name", LOSSES)
def test_the_method_decides_what_is_a_constant(name: str) -> None:
    first, second = rows(4, 3).requires_grad_(), rows(4, 3, seed=1).requires_grad_()
    LOSSES[name](first, second.detach()).backward()
    assert first.grad is not None and second.grad is None


def test_simsiams_symmetric_loss_without_predictor_has_half_the_gradient_of_the_undetached_one() -> None:
    first, second = rows(4, 3).requires_grad_(), rows(4, 3, seed=1).requires_grad_()
    stopped = negative_cosine(first, second.detach()) / 2 + negative_cosine(second, first.detach()) / 2
    free = negative_cosine(first, second)
    for half, whole in zip(
        torch.autograd.grad(stopped, (first, second)), torch.autograd.grad(free, (first, second)), strict=True
    ):
        torch.testing.assert_close(half, whole / 2)


def test_writing_to_the_queue_before_backward_spoils_no_gradient() -> None:
    queue, query, key = RingBuffer(6, 3), rows(2, 3, dtype=torch.float32).requires_grad_(), rows(2, 3, seed=1).float()
    expected = torch.autograd.grad(info_nce(query, key, queue.read()), query)[0]
    loss = info_nce(query, key, queue.read())
    queue.write(F.normalize(key, dim=1))
    torch.testing.assert_close(torch.autograd.grad(loss, query)[0], expected)
    assert not queue.values.requires_grad


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", LOSSES)
def test_half_precision_embeddings_give_finite_float32_losses(name: str, dtype: torch.dtype) -> None:
    first, second = rows(4, 3).to(dtype).requires_grad_(), rows(4, 3, seed=1).to(dtype)
    loss = {"nt_xent": lambda: nt_xent(first, second, 0.01), "info_nce": lambda: info_nce(first, second, second, 0.01)}
    value = loss.get(name, lambda: negative_cosine(first, second))()
    (gradient,) = torch.autograd.grad(value, first)
    assert value.dtype == torch.float32 and value.isfinite() and gradient.isfinite().all()


@pytest.mark.parametrize("name", LOSSES)
def test_autocast_does_not_coarsen_a_loss(name: str) -> None:
    first, second = rows(8, 16, dtype=torch.float32), rows(8, 16, seed=1, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = LOSSES[name](first, second)
    assert torch.equal(inside, LOSSES[name](first, second))


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="temperature=0"):
        nt_xent(rows(2, 3), rows(2, 3), 0)
    with pytest.raises(ValueError, match="temperature=-1"):
        info_nce(rows(2, 3), rows(2, 3), rows(4, 3), -1)
    with pytest.raises(ValueError, match="at least 2 images"):
        nt_xent(rows(1, 3), rows(1, 3))
