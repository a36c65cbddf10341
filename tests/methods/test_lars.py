"""LARS: the definition that was chosen, what is left to plain SGD, and a state that resumes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from fgssl_edu.methods.base import optimizer
from fgssl_edu.methods.lars import LARS, trust_ratio
from fgssl_edu.recipe import Recipe


def stepped(value: Tensor, gradient: Tensor, steps: int = 1, **options: float) -> Tensor:
    """A parameter after some steps with one and the same gradient."""
    weight = nn.Parameter(value.clone())
    made = LARS([weight], **{"lr": 1.0, **options})
    for _ in range(steps):
        weight.grad = gradient.clone()
        made.step()
    return weight.detach()


@pytest.mark.parametrize("weight_decay", [0.0, 1e-6])
def test_a_layer_moves_by_a_thousandth_of_its_length_also_without_weight_decay(weight_decay: float):
    """|w| = 5, |g| = 1: the ratio is .005. lightly's goes [2.4, 3.2] at weight_decay=0: plain SGD."""
    found = stepped(torch.tensor([[3.0, 4.0]]), torch.tensor([[0.6, 0.8]]), weight_decay=weight_decay)
    torch.testing.assert_close(found, torch.tensor([[2.997, 3.996]]), rtol=0, atol=1e-5)


@pytest.mark.parametrize("options", [{"momentum": 0.0}, {"momentum": 0.9}, {"momentum": 0.9, "weight_decay": 0.1}])
def test_one_dimension_follows_plain_sgd_exactly(options: dict):
    ours, theirs = (nn.Parameter(torch.tensor([3.0, -4.0, 0.5])) for _ in range(2))
    pair = [(ours, LARS([ours], lr=0.3, **options)), (theirs, torch.optim.SGD([theirs], lr=0.3, **options))]
    for step in range(5):
        for weight, made in pair:
            weight.grad = torch.tensor([0.6, 0.8, -1.0]) * (step + 1)
            made.step()
    assert torch.equal(ours, theirs)


def test_the_length_of_a_gradient_does_not_matter_to_a_layer():
    weight, gradient = torch.tensor([[3.0, 4.0]]), torch.tensor([[0.6, -0.8]])
    for scale in (1e-6, 1.0, 1e6):
        torch.testing.assert_close(stepped(weight, scale * gradient, steps=3), stepped(weight, gradient, steps=3))


def test_the_rate_stands_outside_the_velocity():
    """Half the rate halves the next move; inside the velocity it would not halve what is left of the old ones."""
    weight = nn.Parameter(torch.tensor([1.0]))
    made = LARS([weight], lr=1.0, momentum=0.5)
    for rate, expected in ((1.0, 0.9), (0.5, 0.9 - 0.5 * 0.15)):  # velocities .1, then .05 + .1
        made.param_groups[0]["lr"] = rate
        weight.grad = torch.tensor([0.1])
        made.step()
        assert weight.item() == pytest.approx(expected)


def test_weight_decay_turns_the_step_and_the_ratio_knows_it():
    weight, gradient = torch.tensor([[3.0, 4.0]]), torch.tensor([[1.0, 0.0]])
    update = gradient + 0.5 * weight
    expected = weight - 1e-3 * 5 / update.norm() * update
    torch.testing.assert_close(stepped(weight, gradient, weight_decay=0.5), expected)


def test_what_has_no_length_has_the_ratio_1():
    zero, some = torch.zeros(1, 2), torch.ones(1, 2)
    assert trust_ratio(zero, some) == 1 and trust_ratio(some, zero) == 1
    assert trust_ratio(some, some) == pytest.approx(1e-3)
    torch.testing.assert_close(stepped(zero, some), -some)


def test_a_recipe_names_it_and_norms_and_biases_are_not_decayed():
    module = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    made = optimizer(module, Recipe(steps=4, batch=8, warmup=0, optimizer="lars", lr=0.7, momentum=0.8))
    assert isinstance(made, LARS)
    assert [(group["weight_decay"], len(group["params"])) for group in made.param_groups] == [(0.05, 1), (0.0, 3)]
    assert all((group["lr"], group["momentum"]) == (0.7, 0.8) for group in made.param_groups)


def test_a_frozen_parameter_is_left_alone_and_a_closure_is_called():
    weight, frozen = (nn.Parameter(torch.ones(2, 2)) for _ in range(2))
    made = LARS([weight, frozen], lr=1.0)
    frozen.requires_grad_(False)

    def closure() -> float:
        loss = weight.sum()
        loss.backward()
        return float(loss.detach())

    assert made.step(closure) == 4 and torch.equal(frozen, torch.ones(2, 2)) and not torch.equal(weight, frozen)


def test_a_run_with_lars_that_was_stopped_ends_with_the_same_bits(tmp_path):
    from fgssl_edu import draws
    from fgssl_edu.methods import build
    from fgssl_edu.nets import build_encoder
    from fgssl_edu.train import pretrain

    pictures = (draws.uniform(3, 0, torch.arange(16), "pictures", 3 * 256) * 256).byte().view(-1, 3, 16, 16)
    recipe = Recipe(steps=6, batch=8, warmup=2, optimizer="lars", lr=1.0, accelerator="cpu", checkpoint_every=2)

    class Stop:
        every = 5

        def __call__(self, method, row, step):
            raise InterruptedError

    def train(folder=None, monitors=()):
        method = build("barlow", build_encoder("resnet10", seed=0), size=16)
        return method, pretrain(method, pictures, recipe, monitors, folder, progress=False)

    whole, _ = train()
    with pytest.raises(InterruptedError):
        train(tmp_path, [Stop()])
    resumed, history = train(tmp_path)
    assert history.resumed_from == 4
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
