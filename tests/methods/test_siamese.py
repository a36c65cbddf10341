"""BYOL, Barlow Twins and VICReg: what a step computes, where gradients stop, and that each part can be taken away."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fgssl_edu import draws
from fgssl_edu.data.image_set import Batch
from fgssl_edu.losses import barlow_twins, normalized_mse, vicreg
from fgssl_edu.methods import PRESETS, build
from fgssl_edu.methods.base import Method, participation
from fgssl_edu.methods.siamese.byol import BYOL
from fgssl_edu.methods.siamese.parts import mlp
from fgssl_edu.nets import build_encoder, cosine_momentum
from fgssl_edu.recipe import Recipe
from fgssl_edu.train import pretrain

SIDE, COUNT = 24, 32
NAMES = ("byol", "barlow", "vicreg")
each_method = pytest.mark.parametrize("name", NAMES)
COLLAPSING = {"optimizer": "sgd", "lr": 0.1, "weight_decay": 1e-4}


def pictures(count: int = COUNT) -> Tensor:
    """Smooth random colours, so that crops of one picture look alike."""
    coarse = draws.uniform(1, 0, torch.arange(count), "pictures", 3 * 4).view(-1, 3, 2, 2)
    return (F.interpolate(coarse, size=SIDE, mode="bilinear") * 255).byte()


def batch(count: int = COUNT) -> Batch:
    return Batch(pictures(count), torch.arange(count))


def made(name: str, **fields) -> Method:
    return build(name, build_encoder("resnet10", seed=0), **{"size": 16, **fields})


def train(method: Method, steps: int, **changes):
    recipe = Recipe(**{"steps": steps, "batch": 16, "warmup": 5, "accelerator": "cpu", **changes})
    return pretrain(method, pictures(), recipe, progress=False)


def output(method: Method, views) -> dict[str, Tensor]:
    return method(batch(), views)


@each_method
def test_no_view_is_special(name: str):
    method = made(name).eval()
    views = method.views(batch(), 3)
    found = output(method, views)
    torch.testing.assert_close(output(method, views[::-1])["loss"], found["loss"])
    assert not found["embeddings"].requires_grad and not found["embedding_rank"].requires_grad


@each_method
def test_every_trained_weight_gets_a_gradient(name: str):
    method = made(name)
    output(method, method.views(batch(), 0))["loss"].backward()
    missing = [key for key, value in method.named_parameters() if value.requires_grad and value.grad is None]
    assert missing == []


def test_byols_loss_is_the_sum_of_both_directions_against_the_slow_copy():
    method = made("byol").eval()
    with torch.no_grad():
        for value in method.target.parameters():
            value.add_(0.05 * torch.randn_like(value))  # the copy is another network than the one that learns
    first, second = method.views(batch(), 0)
    seen, other = (method.predictor(method.projector(method.encoder(view))) for view in (first, second))
    expected = normalized_mse(seen, method.target(second)) + normalized_mse(other, method.target(first))
    torch.testing.assert_close(output(method, (first, second))["loss"], expected)


def test_no_gradient_reaches_byols_target_and_no_predictor_is_in_it():
    method = made("byol")
    output(method, method.views(batch(), 0))["loss"].backward()
    assert all(value.grad is None and not value.requires_grad for value in method.target.parameters())
    sizes = [sum(value.numel() for value in part.parameters()) for part in (method.encoder, method.projector)]
    assert sum(value.numel() for value in method.target.parameters()) == sum(sizes)


def test_with_the_stop_gradient_the_targets_are_constants():
    """Without slow copy: the gradient is that of predictions against fixed targets, and another without the stop."""
    views = made("byol").views(batch(), 0)
    gradients = {}
    for stopped in (True, False):
        method = made("byol", momentum=False, stop_gradient=stopped).eval()
        weight = method.projector[-1].weight
        gradients[stopped] = torch.autograd.grad(output(method, views)["loss"], weight)[0]
        z = [method.projector(method.encoder(view)) for view in views]
        fixed = normalized_mse(method.predictor(z[0]), z[1].detach())
        fixed = fixed + normalized_mse(method.predictor(z[1]), z[0].detach())
        gradients["by hand"] = torch.autograd.grad(fixed, weight)[0]
    torch.testing.assert_close(gradients[True], gradients["by hand"])
    assert (gradients[False] - gradients[True]).abs().max() > 1e-4


def test_without_predictor_and_copy_the_stop_gradient_halves_the_gradient_and_turns_nothing():
    views, found = made("byol").views(batch(), 0), []
    for stopped in (True, False):
        method = made("byol", momentum=False, predictor=False, stop_gradient=stopped).double().eval()
        weight = method.projector[-1].weight
        loss = output(method, tuple(view.double() for view in views))["loss"]
        found.append(torch.autograd.grad(loss, weight)[0])
    torch.testing.assert_close(found[0], 0.5 * found[1], rtol=1e-9, atol=1e-12)


def test_the_slow_copy_follows_by_a_momentum_that_rises_to_one():
    method = made("byol", ema=0.9)
    weight, copied = method.projector[-1].weight, method.target[1][-1].weight
    with torch.no_grad():
        weight.add_(1)
    kept, expected = copied.clone(), 1.0
    for done in range(1, 5):
        method.after_step(done / 4)
        expected *= cosine_momentum(0.9, done / 4)
    torch.testing.assert_close(copied, expected * kept + (1 - expected) * weight)
    assert cosine_momentum(0.9, 1) == 1 and cosine_momentum(0.996, 0.5) == pytest.approx(0.998)


@pytest.mark.parametrize("ema", [0.0, 0.5, 1.0])
def test_a_constant_momentum_forgets_at_its_rate(ema: float):
    """t updates from a towards a constant b: ema^t a + (1 - ema^t) b."""
    method = made("byol", ema=ema, schedule="constant")
    weight, copied = method.projector[-1].weight, method.target[1][-1].weight
    start = copied.clone()
    with torch.no_grad():
        weight.mul_(-2)
    for _ in range(3):
        method.after_step(0.1)
    torch.testing.assert_close(copied, ema**3 * start + (1 - ema**3) * weight)


def test_a_target_that_never_moves_is_where_it_began():
    method = made("byol", ema=1.0, schedule="constant")
    before = [value.clone() for value in method.target.parameters()]
    train(method, steps=3, warmup=1)
    assert all(torch.equal(now, then) for now, then in zip(method.target.parameters(), before, strict=True))


def test_a_norm_after_the_projector_learns_nothing_and_takes_the_bias_s_place():
    method = made("byol", last_norm=True)
    assert isinstance(method.projector[-1], nn.BatchNorm1d) and not method.projector[-1].affine
    assert method.projector[-2].bias is None and made("byol").projector[-1].bias is not None
    embeddings = method.projector(method.encoder(method.views(batch(), 0)[0]))
    torch.testing.assert_close(embeddings.mean(dim=0), torch.zeros(128), rtol=0, atol=1e-5)
    bare = build("byol", build_encoder("resnet10", norm="group", seed=0), size=16, last_norm=True)
    assert isinstance(bare.projector[-1], nn.LayerNorm)


def test_the_slow_copy_is_sound_in_evaluation_mode_too():
    """Its running statistics are averaged with it: what a panel sees is what training saw."""
    method = made("byol", ema=0.9)
    train(method, steps=40)
    view = method.views(batch(), 0)[0]
    with torch.no_grad():
        training, evaluating = method.target.train()(view), method.target.eval()(view)
    cosine = F.cosine_similarity(training - training.mean(dim=0), evaluating - evaluating.mean(dim=0), dim=1)
    assert cosine.mean() > 0.7  # 0 for unrelated ones


def test_barlow_and_vicreg_lose_what_their_functions_say():
    for name, loss, fields in (
        ("barlow", barlow_twins, {"invariance": 0.5, "redundancy": 0.1}),
        ("vicreg", vicreg, {"invariance": 2.0, "variance": 3.0, "covariance": 4.0}),
    ):
        method = made(name, out=6, **fields).eval()
        views = method.views(batch(), 0)
        first, second = (method.projector(method.encoder(view)) for view in views)
        torch.testing.assert_close(output(method, views)["loss"], loss(first, second, *fields.values()))


def test_chance_is_the_loss_of_constant_embeddings():
    for name, fields in (("barlow", {"out": 7}), ("vicreg", {}), ("vicreg", {"variance": 4.0})):
        method = made(name, **fields)
        nn.init.zeros_(method.projector[-1].weight)
        found = output(method, method.views(batch(), 0))["loss"]
        assert found.item() == pytest.approx(method.chance, rel=1e-5)
    assert made("vicreg").chance == pytest.approx(24.75) and made("barlow").chance == 128 and made("byol").chance == 4


@pytest.mark.parametrize("fields", [{"predictor": False}, {"momentum": False, "stop_gradient": False}])
def test_without_its_part_byols_embeddings_come_closer_to_one_another(fields: dict):
    whole, bare = (train(made("byol", **each), steps=40, **COLLAPSING).rows[-1] for each in ({}, fields))
    assert bare["embedding_std"] < 0.6 * whole["embedding_std"]
    assert bare["loss"] < whole["loss"]  # a lower loss, and no better for it


def test_without_variance_term_vicregs_embeddings_shrink():
    whole, bare = (train(made("vicreg", **each), steps=40, **COLLAPSING).rows[-1] for each in ({}, {"variance": 0.0}))
    assert bare["deviation"] < 0.3 * whole["deviation"]
    assert bare["loss"] < 0.1 * whole["loss"]


def test_participation_counts_the_dimensions_that_vary():
    corners = torch.cat([torch.eye(4), -torch.eye(4)])
    assert participation(corners).item() == pytest.approx(4)
    line = torch.tensor([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]]).repeat(5, 1)
    assert participation(line).item() == pytest.approx(1)
    assert participation(5 * corners).item() == pytest.approx(4)
    many = torch.randn(4000, 16, generator=torch.Generator().manual_seed(0))
    assert participation(many).item() == pytest.approx(16, rel=0.02)
    assert participation(torch.ones(8, 3)).isfinite()


@each_method
def test_beside_an_encoder_without_batch_norm_no_image_depends_on_its_batch(name: str):
    method = build(name, build_encoder("resnet10", norm="group", seed=0), size=16)
    first = method.views(batch(), 0)[0]
    whole, part = (method.projector(method.encoder(images)) for images in (first, first[:4]))
    torch.testing.assert_close(whole[:4], part, rtol=0, atol=1e-5)
    usual = made(name)
    whole, part = (usual.projector(usual.encoder(images)) for images in (first, first[:4]))
    assert (whole[:4] - part).abs().max() > 0.01  # the control


@each_method
def test_the_second_view_may_be_made_in_another_way(name: str):
    same, other = made(name), made(name, other_views="byol_b")
    assert torch.equal(same.views(batch(), 0)[0], other.views(batch(), 0)[0])
    assert not torch.equal(same.views(batch(), 0)[1], other.views(batch(), 0)[1])
    assert other.augment_other.preset.name == "byol_b"


@each_method
def test_the_published_preset_has_the_published_widths(name: str):
    fields = {field: value for field, (value, _) in PRESETS[name]["v1"].items()}
    assert all(source for _, source in PRESETS[name]["v1"].values())
    method = build(name, build_encoder("resnet10", seed=0), preset="v1", size=16)
    layers = [layer.out_features for layer in method.projector if isinstance(layer, nn.Linear)]
    assert layers == ([4096, 256] if name == "byol" else [8192, 8192, 8192])
    assert fields["views"] == "byol_a" and fields["other_views"] == "byol_b"


def test_only_the_last_layer_of_a_head_may_have_a_bias():
    layers = [layer for layer in mlp((4, 5, 6, 7), bias=True) if isinstance(layer, nn.Linear)]
    assert [layer.bias is None for layer in layers] == [True, True, False]
    assert mlp((4, 5, 7))(torch.randn(3, 4)).shape == (3, 7) and mlp((4, 5, 7))[-1].bias is None
    assert isinstance(mlp((4, 5, 7), batch_norm=False)[1], nn.LayerNorm)


@pytest.mark.parametrize(
    ("name", "fields", "complaint"),
    [
        ("byol", {"out": 1}, "out=1: a width"),
        ("byol", {"ema": 1.5}, "ema=1.5"),
        ("byol", {"schedule": "linear"}, "schedule='linear'"),
        ("byol", {"stop_gradient": False}, "give momentum=False"),
        ("barlow", {"redundancy": -1.0}, "redundancy=-1.0: the weight"),
        ("barlow", {"invariance": 0.0, "redundancy": 0}, "all 0"),
        ("vicreg", {"hidden": 2.5}, "hidden=2.5"),
        ("vicreg", {"variance": float("nan")}, "variance=nan"),
        ("vicreg", {"other_views": "wild"}, "views='wild' is unknown"),
    ],
)
def test_mistakes_are_refused_at_construction(name: str, fields: dict, complaint: str):
    with pytest.raises(ValueError, match=complaint):
        made(name, **fields)


def test_byol_says_what_it_was_built_with():
    assert "ema=0.7, schedule=constant" in repr(BYOL(build_encoder("resnet10"), ema=0.7, schedule="constant"))
