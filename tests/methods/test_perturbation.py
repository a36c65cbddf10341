"""The disturbance of features: by hand, in its moments, and where it must do nothing."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fgssl_edu import draws
from fgssl_edu.gradcam import gradcam_vector
from fgssl_edu.losses import info_nce
from fgssl_edu.methods.finegrained.perturbation import (
    Perturbation,
    disturbed,
    gradcam_noise,
    low_spread,
    low_variance_noise,
    min_max,
    noise_scale,
    spread_of,
)


def normal(rows: int, dim: int, purpose: str) -> Tensor:
    return draws.normal(0, 0, torch.arange(rows), purpose, dim)


def hand_case() -> tuple[Tensor, Tensor]:
    """Features (3, 4), key (1, 0), one negative (0, 1), temperature 1, no head."""
    features = torch.tensor([[3.0, 4.0]], dtype=torch.float64, requires_grad=True)
    key, queue = torch.tensor([[1.0, 0.0]]).double(), torch.tensor([[0.0, 1.0]]).double()
    return features, info_nce(features, key, queue, 1.0, reduction="none")


def test_the_loss_and_gradient_of_the_hand_case():
    features, loss = hand_case()
    assert loss.item() == pytest.approx(0.798139, abs=1e-6)
    (gradient,) = torch.autograd.grad(loss.sum(), features)
    assert gradient[0].tolist() == pytest.approx([-0.123163, 0.092372], abs=1e-6)


@pytest.mark.parametrize(
    ("sign", "scores", "std"), [("helps", [0.369488, 0], [0.0, 1.0]), ("hurts", [0, 0.369488], [1.0, 0.0])]
)
def test_the_sign_decides_which_dimension_is_disturbed(sign: str, scores: list, std: list):
    features, loss = hand_case()
    found = gradcam_vector(loss, features, sign)
    assert found[0].tolist() == pytest.approx(scores, abs=1e-6)
    assert gradcam_noise(found, torch.ones(1, 2), 1.0)[0].tolist() == pytest.approx(std, abs=1e-6)


@pytest.mark.parametrize(("bias", "zero"), [(False, True), (True, False)])
def test_unrectified_scores_sum_to_zero_only_without_biases(bias: bool, zero: bool):
    """Normalised outputs of a bias-free head do not change with the length of the features (Euler)."""
    features = normal(4, 6, "features").double().abs().requires_grad_()
    torch.manual_seed(0)
    head = nn.Sequential(nn.Linear(6, 8, bias=bias), nn.ReLU(), nn.Linear(8, 5, bias=bias)).double()
    loss = info_nce(head(features), normal(4, 5, "key").double(), normal(7, 5, "queue").double(), 0.2, "none")
    sums = gradcam_vector(loss, features, rectify=False).sum(dim=1).abs()
    assert (sums < 1e-6).all() if zero else (sums > 1e-3).all()


def test_min_max_by_hand_and_of_equal_scores():
    assert min_max(torch.tensor([[0.0, 2.0, 4.0]])).tolist() == [[0.0, 0.5, 1.0]]
    assert min_max(torch.tensor([0.0, 2.0, 4.0])).tolist() == [0.0, 0.5, 1.0]
    assert min_max(torch.full((2, 3), 7.0)).tolist() == [[0.0] * 3] * 2  # no dimension is above another: disturb all


def test_the_scale_of_the_loss_does_not_matter():
    scores = normal(5, 8, "scores").relu()
    for factor in (1e-6, 3.0, 1e6):
        assert torch.allclose(min_max(factor * scores), min_max(scores), atol=1e-5)  # float32


def test_noise_has_the_stated_deviation_in_each_dimension():
    noise = normal(100_000, 3, "noise")
    found = gradcam_noise(torch.tensor([[0.0, 2.0, 4.0]]), noise, 0.3).std(dim=0)
    assert found.tolist() == pytest.approx([0.3, 0.15, 0.0], rel=0.02)  # 1e5 draws: .3 %
    spread = torch.tensor([0.0, 0.2, 0.4])
    found = low_variance_noise(spread, noise, 0.3, threshold=0.3).std(dim=0)
    assert found.tolist() == pytest.approx([0.3, 0.15, 0.0], rel=0.02)


def test_spread_of_a_constant_dimension_is_zero_and_it_is_always_chosen():
    memory = F.normalize(normal(50, 4, "memory"), dim=1)
    memory = torch.cat([0.5 * memory * math.sqrt(3), torch.full((50, 1), 0.5)], dim=1)  # rows of length 1
    for stat in ("std", "variance"):
        spread = spread_of(memory, stat)
        assert spread[4].item() == pytest.approx(0, abs=1e-6) and (spread[:4] > 0.05).all()
        assert low_spread(spread, 1e-5)[4]
    assert spread_of(memory, "std").square().tolist() == pytest.approx(spread_of(memory, "variance").tolist(), abs=1e-6)


def test_spread_does_not_see_the_length_of_a_row():
    memory = normal(50, 6, "memory")
    longer = memory * (1 + normal(50, 1, "length").abs())
    assert torch.allclose(spread_of(longer), spread_of(memory), atol=1e-6)


def test_as_a_variance_the_published_threshold_chooses_every_dimension():
    memory = normal(512, 2048, "memory")
    assert spread_of(memory).mean().item() == pytest.approx(1 / math.sqrt(2048), rel=0.01)
    assert low_spread(spread_of(memory, "variance"), 0.02).all()
    assert not low_spread(spread_of(memory, "std"), 0.02).all()


@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (0.25, 2), (1.0, 8)])
def test_a_quantile_chooses_that_share_of_dimensions(share: float, count: int):
    spread = torch.tensor([5.0, 1, 1, 7, 3, 1, 2, 0])  # ties do not make it more
    chosen = low_spread(spread, share, "quantile")
    assert int(chosen.sum()) == count
    if count == 2:
        assert chosen.nonzero()[:, 0].tolist() == [1, 7]


def made(rule: Perturbation, features: Tensor, scores: Tensor | None = None, spread: Tensor | None = None) -> Tensor:
    noises = normal(*features.shape, "first"), normal(*features.shape, "second")
    return disturbed(features, rule, 2.0, noises, scores, spread)


def test_threshold_zero_is_gradcam_alone_bit_by_bit():
    features, scores, spread = normal(4, 6, "h").abs(), normal(4, 6, "g").relu(), torch.linspace(0, 0.1, 6)
    both = made(Perturbation(threshold=0.0), features, scores, spread)
    assert torch.equal(both, made(Perturbation(criteria="gradcam"), features, scores))
    assert not torch.equal(both, made(Perturbation(threshold=0.05), features, scores, spread))


def test_a_threshold_without_end_and_full_scores_leave_the_variance_noise_alone():
    features, spread = normal(4, 6, "h").abs(), torch.linspace(0, 0.1, 6)
    highest = torch.zeros(4, 6).index_fill(1, torch.arange(1, 6), 3.0)  # ghat = 1 but in dimension 0
    found = made(Perturbation(threshold=math.inf), features, highest, spread) - features
    alone = made(Perturbation(threshold=math.inf, criteria="variance"), features, None, spread) - features
    assert torch.allclose(found[:, 1:], alone[:, 1:], atol=1e-6) and not torch.allclose(found[:, 0], alone[:, 0])
    assert (alone[:, :5] != 0).all() and (alone[:, 5] == 0).all()  # nothing where the spread is highest


def test_sigmas_of_zero_change_no_bit():
    features, scores, spread = normal(4, 6, "h").abs(), normal(4, 6, "g").relu(), torch.linspace(0, 0.1, 6)
    for criteria in ("both", "random", "none"):
        still = Perturbation(criteria=criteria, sigma_cam=0.0, sigma_var=0.0)
        assert torch.equal(made(still, features, scores, spread), features)


def test_random_noise_is_alike_in_every_dimension():
    features = torch.zeros(50_000, 3)
    found = made(Perturbation(criteria="random", sigma_cam=0.5), features).std(dim=0)
    assert found.tolist() == pytest.approx([1.0, 1.0, 1.0], rel=0.02)  # sigma .5 in units of 2


def test_before_the_bank_holds_enough_there_is_no_variance_noise():
    features, scores = normal(4, 6, "h").abs(), normal(4, 6, "g").relu()
    assert torch.equal(made(Perturbation(), features, scores), made(Perturbation(criteria="gradcam"), features, scores))


def test_clamp_keeps_features_where_pooled_relu_maps_have_them():
    features = normal(4, 6, "h").abs()
    rule = Perturbation(criteria="random", sigma_cam=2.0)
    assert made(rule, features).min() < 0
    clamped = made(Perturbation(criteria="random", sigma_cam=2.0, clamp=True), features)
    assert torch.equal(clamped, made(rule, features).clamp(min=0))


def test_a_sigma_is_in_units_of_the_features_or_of_each_dimension():
    features = normal(64, 3, "h") * torch.tensor([10.0, 1.0, 0.0])
    published = noise_scale(features, None, Perturbation())
    assert published.item() == pytest.approx(features.square().mean().sqrt().item())
    corrected = noise_scale(features, features, Perturbation(per_dimension=True))
    assert corrected.tolist() == pytest.approx(features.std(dim=0, correction=0).tolist()) and corrected[2] == 0
    same = disturbed(features, Perturbation(criteria="random"), corrected, (normal(64, 3, "n"), None)) - features
    assert (same[:, 2] == 0).all()  # a dimension that never varies is not disturbed


def test_the_gradient_passes_as_through_the_identity():
    features = normal(4, 6, "h").requires_grad_()
    made(Perturbation(criteria="random"), features).sum().backward()
    assert torch.equal(features.grad, torch.ones(4, 6))


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"criteria": "cam"}, "criteria='cam' is unknown: use one of both, gradcam"),
        ({"sign": "score"}, "sign='score' is unknown: use one of helps, hurts"),
        ({"stat": "sd"}, "stat='sd'"),
        ({"mode": "share"}, "mode='share'"),
        ({"sigma_cam": -0.1}, "sigma_cam=-0.1 should be"),
        ({"sigma_var": math.inf}, "should be finite"),
        ({"threshold": float("nan")}, "threshold=nan"),
        ({"threshold": 2.0, "mode": "quantile"}, "threshold=2.0 with mode='quantile'"),
    ],
)
def test_mistakes_are_refused(fields: dict, complaint: str):
    with pytest.raises(ValueError, match=complaint):
        Perturbation(**fields)
