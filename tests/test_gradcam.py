from __future__ import annotations

import gc

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fgssl_edu.gradcam import gradcam, gradcam_vector, normalize_map
from fgssl_edu.losses import info_nce
from fgssl_edu.nets import build_encoder


def rows(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def worked_example() -> tuple[Tensor, Tensor]:
    features = torch.tensor([[3.0, 4.0]], dtype=torch.float64, requires_grad=True)
    east, north = torch.eye(2, dtype=torch.float64).split(1)
    return info_nce(features, east, north, 1.0), features


def test_vector_of_the_worked_example() -> None:
    loss, features = worked_example()
    near = {"rtol": 0, "atol": 5e-7}
    whole = gradcam_vector(loss, features, "helps", rectify=False)
    torch.testing.assert_close(whole, torch.tensor([[0.369488, -0.369488]]).double(), **near)
    torch.testing.assert_close(gradcam_vector(loss, features), torch.tensor([[0.369488, 0.0]]).double(), **near)
    torch.testing.assert_close(
        gradcam_vector(loss, features, "hurts"), torch.tensor([[0.0, 0.369488]]).double(), **near
    )
    plain = gradcam_vector(loss, features, "hurts", times_feature=False, rectify=False)
    torch.testing.assert_close(plain, torch.tensor([[-0.123163, 0.092372]]).double(), **near)
    assert normalize_map(gradcam_vector(loss, features)).tolist() == [[1, 0]]


@pytest.mark.parametrize("pooled", [True, False])
def test_map_of_a_linear_head_is_the_class_weights_times_the_features(pooled: bool) -> None:
    feature_map, weight = rows(3, 5, 4, 6).requires_grad_(), rows(7, 5, seed=1)
    logits = feature_map.mean(dim=(2, 3)) @ weight.T
    analytic = torch.einsum("bchw,c->bhw", feature_map.detach(), weight[2]) / (4 * 6)
    ours = gradcam(logits[:, 2], feature_map, "score", pooled=pooled, rectify=False)
    torch.testing.assert_close(ours, analytic)
    torch.testing.assert_close(gradcam(logits[:, 2], feature_map, "score", pooled=pooled), analytic.relu())
    torch.testing.assert_close(gradcam(logits[:, 2].sum(), feature_map, "score", pooled=pooled), analytic.relu())


def test_pooled_and_product_differ_where_positions_have_gradients_of_their_own() -> None:
    feature_map = rows(1, 2, 3, 3).requires_grad_()
    scalar = (feature_map * rows(1, 2, 3, 3, seed=1)).sum()
    product = gradcam(scalar, feature_map, "score", pooled=False, rectify=False)
    torch.testing.assert_close(product, (feature_map * rows(1, 2, 3, 3, seed=1)).sum(dim=1).detach())
    weights = rows(1, 2, 3, 3, seed=1).mean(dim=(2, 3), keepdim=True)
    pooled = gradcam(scalar, feature_map, "score", rectify=False)
    torch.testing.assert_close(pooled, (feature_map * weights).sum(dim=1).detach())


@pytest.mark.parametrize("pooled", [True, False])
@pytest.mark.parametrize("bias", [False, True])
def test_helping_and_hurting_parts_balance_exactly_when_the_head_has_no_bias(pooled: bool, bias: bool) -> None:
    feature_map = rows(3, 6, 4, 4).requires_grad_()
    hidden = F.relu(feature_map.mean(dim=(2, 3)) @ rows(6, 8, seed=1) + (rows(8, seed=2) if bias else 0))
    loss = info_nce(hidden @ rows(8, 5, seed=3), rows(3, 5, seed=4), rows(9, 5, seed=5))
    totals = gradcam(loss, feature_map, "helps", pooled=pooled, rectify=False).sum(dim=(1, 2))
    helps, hurts = (gradcam(loss, feature_map, sign, pooled=pooled) for sign in ("helps", "hurts"))
    if bias:
        assert totals.abs().max() > 1e-4
    else:
        assert totals.abs().max() < 1e-12  # Euler: a normalised output does not change with the features' length
        torch.testing.assert_close(helps.sum(dim=(1, 2)), hurts.sum(dim=(1, 2)))
    assert helps.min() == 0 and (helps * hurts).abs().max() == 0  # each position is on one side


def test_growing_what_helps_lowers_the_loss_and_growing_what_hurts_raises_it() -> None:
    head, key, queue = rows(6, 5), rows(1, 5, seed=1), rows(9, 5, seed=2)
    features = rows(1, 6, seed=3).abs().requires_grad_()
    loss = info_nce(features @ head, key, queue)
    for sign, direction in (("helps", -1), ("hurts", 1)):
        grown = features.detach() * (1 + 0.01 * normalize_map(gradcam_vector(loss, features, sign)))
        change = info_nce(grown @ head, key, queue) - loss.detach()
        assert change * direction > 0


def test_scalars_of_one_image_do_not_reach_the_map_of_another() -> None:
    feature_map = rows(2, 3, 2, 2).requires_grad_()
    logit = feature_map[0].sum()
    assert gradcam(logit, feature_map, "score", rectify=False)[1].abs().max() == 0


def test_the_loss_can_be_trained_after_it_was_explained_and_no_grad_field_is_touched() -> None:
    encoder = build_encoder("resnet10", seed=0)
    feature_map = encoder.feature_map(torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    loss = info_nce(encoder.pool(feature_map), torch.eye(4, 128), torch.eye(9, 128))
    maps = gradcam(loss, feature_map)
    assert maps.shape == (4, 4, 4) and not maps.requires_grad
    assert all(parameter.grad is None for parameter in encoder.parameters())
    loss.backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())
    assert not any(module._forward_hooks or module._backward_hooks for module in encoder.modules())


def test_a_map_with_graph_trains_the_features() -> None:
    features = rows(2, 3, 4, 4).requires_grad_()
    score = features.square().mean(dim=(2, 3)).sum(dim=1)
    gradcam(score, features, "score", create_graph=True).sum().backward()
    assert features.grad is not None and features.grad.norm() > 0


def test_half_precision_features_give_float32_maps() -> None:
    features = rows(1, 3, 4, 4).bfloat16().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        maps = gradcam(features.sum(), features, "score")
    assert maps.dtype == torch.float32


def test_a_hundred_calls_hold_memory_flat() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())

    def explain() -> None:
        feature_map = net(torch.ones(2, 3, 16, 16))
        gradcam(feature_map.mean(dim=(2, 3)).square().sum(), feature_map)

    def tensors() -> int:
        return sum(issubclass(type(thing), Tensor) for thing in gc.get_objects())

    explain()
    gc.collect()
    gc.disable()  # what only the collector of cycles would free counts as held
    try:
        before = tensors()
        for _ in range(100):
            explain()
        assert tensors() == before
    finally:
        gc.enable()


def test_normalised_maps_span_zero_to_one_per_image_and_constants_become_zeros() -> None:
    assert normalize_map(torch.tensor([[0.0, 2, 4], [-1, 0, 1], [5, 5, 5]])).tolist() == [
        [0, 0.5, 1],
        [0, 0.5, 1],
        [0, 0, 0],
    ]
    maps = rows(3, 4, 5)
    torch.testing.assert_close(normalize_map(maps * 1e-9), normalize_map(maps))
    torch.testing.assert_close(normalize_map(maps)[1:2], normalize_map(maps[1:2]))


def test_mistakes_are_named() -> None:
    loss, features = worked_example()
    with pytest.raises(ValueError, match="sign='up'"):
        gradcam_vector(loss, features, "up")
    with pytest.raises(ValueError, match="does not depend"):
        gradcam_vector(loss, rows(1, 2).requires_grad_())
    with pytest.raises(ValueError, match="gradients enabled"), torch.no_grad():
        gradcam_vector(features.sum(), features)
