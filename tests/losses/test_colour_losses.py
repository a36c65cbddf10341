"""Losses of predicted colours: by hand, at their landmarks, and what their least value paints."""

from __future__ import annotations

import math

import pytest
import torch

from fgssl_edu.losses import color_distance, soft_cross_entropy


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_equal_logits_cost_the_logarithm_of_the_bins():
    code = draw(2, 7, 3, 3).softmax(dim=1)
    assert soft_cross_entropy(torch.zeros(2, 7, 3, 3), code).item() == pytest.approx(math.log(7))


def test_the_least_value_is_the_entropy_of_the_code():
    code = torch.tensor([0.7, 0.2, 0.1]).view(1, 3, 1, 1)
    entropy = -(0.7 * math.log(0.7) + 0.2 * math.log(0.2) + 0.1 * math.log(0.1))
    logits = code.log().requires_grad_()
    loss = soft_cross_entropy(logits, code)
    assert loss.item() == pytest.approx(entropy)
    loss.backward()
    assert logits.grad.abs().max() < 1e-6


def test_weighting_the_loss_weights_the_gradient():
    """The released layer does the second and logs the loss without weights."""
    logits, code, weights = draw(2, 5, 3, 3).requires_grad_(), draw(2, 5, 3, 3, seed=1).softmax(dim=1), draw(2, 3, 3)
    (weighted,) = torch.autograd.grad(soft_cross_entropy(logits, code, weights), logits)
    (plain,) = torch.autograd.grad(soft_cross_entropy(logits, code), logits)
    assert torch.allclose(weighted, weights[:, None] * plain, atol=1e-7)  # logits are taken as float32


def test_a_place_without_weight_says_nothing():
    logits, code = draw(1, 4, 1, 2), draw(1, 4, 1, 2, seed=1).softmax(dim=1)
    weights = torch.tensor([[[1.0, 0.0]]])
    changed = logits.clone()
    changed[..., 1] += draw(1, 4, 1)
    assert soft_cross_entropy(changed, code, weights) == soft_cross_entropy(logits, code, weights)


def test_color_distance_by_hand():
    predicted, ab = torch.zeros(1, 2, 1, 2), torch.tensor([[3.0, 0.0], [4.0, 0.0]]).view(1, 2, 1, 2)
    assert color_distance(predicted, ab).item() == pytest.approx(12.5 / 2)  # (25 / 2 + 0) / 2
    assert color_distance(predicted, ab, torch.tensor([[[2.0, 1.0]]])).item() == pytest.approx(12.5)


def test_the_least_distance_to_two_colours_is_the_grey_between_them():
    apples = torch.tensor([[60.0, 20.0], [-60.0, 20.0]]).T.reshape(1, 2, 1, 2)  # red and green
    answer = torch.tensor([50.0, -10.0], requires_grad=True)
    for _ in range(200):
        (gradient,) = torch.autograd.grad(color_distance(answer.view(1, 2, 1, 1).expand(-1, -1, -1, 2), apples), answer)
        answer = (answer - 0.1 * gradient).detach().requires_grad_()
    assert answer.tolist() == pytest.approx([0, 20], abs=1e-3)
