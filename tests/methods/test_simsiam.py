"""SimSiam: its loss, where gradients stop, what keeps it from collapse, and what pairs ask of it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fgssl_edu import draws
from fgssl_edu.data.image_set import Batch
from fgssl_edu.losses import negative_cosine
from fgssl_edu.methods.base import set_rates
from fgssl_edu.methods.siamese.simsiam import SimSiam
from fgssl_edu.nets import build_encoder
from fgssl_edu.recipe import Recipe
from fgssl_edu.train import pretrain
from fgssl_edu.views.presets import VIEWS, scaled

SIDE = 24


def pictures(count: int = 8) -> torch.Tensor:
    """Smooth random colours, so that crops of one picture look alike."""
    coarse = draws.uniform(1, 0, torch.arange(count), "pictures", 3 * 4).view(-1, 3, 2, 2)
    return (F.interpolate(coarse, size=SIDE, mode="bilinear") * 255).byte()


def batch(count: int = 8) -> Batch:
    return Batch(pictures(count), torch.arange(count))


def simsiam(**fields) -> SimSiam:
    return SimSiam(build_encoder("resnet10", seed=0), **{"size": 16, **fields})


def train(method: SimSiam, steps: int, **changes):
    recipe = Recipe(**{"steps": steps, "batch": 8, "warmup": 5, "accelerator": "cpu", **changes})
    return pretrain(method, pictures(), recipe, progress=False)


def test_it_learns_eight_images_by_heart_without_collapse():
    history = train(simsiam(views=scaled(VIEWS["mild"], 0.25)), steps=60)
    assert history.chance == 0.0
    assert history.rows[-1]["loss"] < -0.7 and history.rows[-1]["embedding_std"] > 0.3


def test_the_loss_is_the_mean_of_both_directions_with_targets_as_constants():
    method = simsiam().eval()
    views = method.views(batch(), 3)
    first, second = (method.projector(method.encoder(view)) for view in views)
    forth = negative_cosine(method.predictor(first), second)
    back = negative_cosine(method.predictor(second), first)
    outputs = method(batch(), views)
    assert torch.allclose(outputs["loss"], (forth + back) / 2, atol=1e-6)
    assert torch.allclose(method(batch(), views[::-1])["loss"], outputs["loss"], atol=1e-6)  # no view is special
    assert not outputs["embeddings"].requires_grad and -1 <= outputs["loss"] <= 1


class Rows(nn.Module):
    """An encoder without weights: the mean colours of three rows."""

    dim, name, stem = 9, "rows", "none"

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return F.adaptive_avg_pool2d(images, (3, 1)).flatten(1)


def gradients(**fields) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradient of each embedding of a symmetric loss, without predictor."""
    method = SimSiam(Rows(), predictor=False, **fields).double()  # type: ignore[arg-type]
    first = draws.normal(0, 0, torch.arange(4), "first", 5).double().requires_grad_()
    second = draws.normal(0, 0, torch.arange(4), "second", 5).double().requires_grad_()
    return torch.autograd.grad(method._loss(first, second), (first, second))


def test_no_gradient_goes_through_the_target():
    method = simsiam()
    first = method.projector(method.encoder(method.views(batch(), 0)[0])).detach().requires_grad_()
    target = torch.randn(8, 128, generator=torch.Generator().manual_seed(0), requires_grad=True)
    method._loss(first, target).backward()
    both = first.grad.clone(), target.grad.clone()
    first.grad = target.grad = None
    (negative_cosine(method.predictor(first), target.detach()) / 2).backward()
    assert torch.allclose(both[0], first.grad, atol=1e-7) and both[1].abs().sum() > 0


def test_without_predictor_the_gradient_is_half_of_that_without_stop_gradient():
    """So the stop-gradient alone changes no direction: the predictor is what makes it matter (section 4.2)."""
    for stopped, free in zip(gradients(), gradients(stop_gradient=False), strict=True):
        assert torch.allclose(stopped, 0.5 * free, atol=1e-12)


def test_without_stop_gradient_or_predictor_embeddings_come_closer_to_one_another():
    changes = {"optimizer": "sgd", "lr": 0.1, "weight_decay": 1e-4}
    whole = train(simsiam(), steps=40, **changes).rows[-1]
    for broken in ({"stop_gradient": False}, {"predictor": False}):
        bare = train(simsiam(**broken), steps=40, **changes).rows[-1]
        assert bare["embedding_std"] < whole["embedding_std"]
        assert bare["loss"] < whole["loss"]  # a lower loss, and no better for it


def test_every_trained_weight_gets_a_gradient():
    for fields in ({}, {"predictor": False}):
        method = simsiam(**fields)
        method(batch(), method.views(batch(), 0))["loss"].backward()
        missing = [name for name, value in method.named_parameters() if value.requires_grad and value.grad is None]
        assert missing == []


def test_only_the_predictor_keeps_its_learning_rate():
    method, recipe = simsiam(), Recipe(steps=10, batch=8, warmup=0, lr=0.1)
    optimizers = method.optimizers(recipe)
    trained = [id(each) for optimizer in optimizers for group in optimizer.param_groups for each in group["params"]]
    assert sorted(trained) == sorted(id(each) for each in method.parameters() if each.requires_grad)
    for group in (group for optimizer in optimizers for group in optimizer.param_groups):
        group["peak"] = group["lr"]
    set_rates(optimizers, recipe, 9)
    rates = [{group["lr"] for group in optimizer.param_groups} for optimizer in optimizers]
    assert max(rates[0]) < 0.01 and rates[1] == {0.1}
    assert len(simsiam(predictor=False).optimizers(recipe)) == 1


def test_sizes_follow_the_papers_proportions_and_the_last_norm_learns_nothing():
    method = simsiam()
    assert [layer.out_features for layer in method.projector if isinstance(layer, nn.Linear)] == [128, 128, 128]
    assert method.predictor[0].out_features == 32 and method.predictor[-1].out_features == 128
    assert not method.projector[-1].affine and not isinstance(method.predictor[-1], nn.BatchNorm1d)
    assert all(layer.bias is None for layer in method.projector if isinstance(layer, nn.Linear))  # BatchNorm cancels it
    wide = simsiam(hidden=64, out=20, predictor_hidden=3)
    assert wide.projector[0].out_features == 64 and wide.predictor[0].weight.shape == (3, 20)


def test_the_loss_of_pictures_is_against_the_first_view_of_the_latest_forward():
    method = simsiam().eval()
    first, second = method.views(batch(), 0)
    method(batch(), (first, second))
    features = method.encoder(second)
    found = method.image_loss(features)
    expected = negative_cosine(method.predictor(method.projector(features)), method.projector(method.encoder(first)))
    assert found.shape == (8,) and found.mean().item() == pytest.approx(expected.item(), abs=1e-6)
    (gradient,) = torch.autograd.grad(found[2], features)
    assert gradient[2].abs().sum() > 0 and gradient[3].abs().sum() == 0  # each picture has a loss of its own
    with pytest.raises(AssertionError, match="forward before it"):
        simsiam().image_loss(features)


def test_the_loss_of_a_pair_is_the_methods_own():
    method = simsiam().eval()
    first, second = method.views(batch(), 0)
    assert torch.equal(method.pair_loss(first, second), method(batch(), (first, second))["loss"])
    assert torch.allclose(method.pair_loss(first, first), method.pair_loss(first, first.clone()), atol=1e-6)


def test_beside_an_encoder_without_batch_norm_no_image_depends_on_its_batch():
    method = SimSiam(build_encoder("resnet10", norm="group", seed=0), size=16)
    first = method.views(batch(), 0)[0]
    whole, part = (method.predictor(method.projector(method.encoder(images))) for images in (first, first[:4]))
    assert torch.allclose(whole[:4], part, atol=1e-5)  # sums in another order
    usual = simsiam()
    whole, part = (usual.projector(usual.encoder(images)) for images in (first, first[:4]))
    assert (whole[:4] - part).abs().max() > 0.1  # the control


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [({"out": 1}, "out=1: a width"), ({"hidden": 0}, "hidden=0"), ({"predictor_hidden": 2.5}, "predictor_hidden=2.5")],
)
def test_mistakes_are_refused_at_construction(fields: dict, complaint: str):
    with pytest.raises(ValueError, match=complaint):
        simsiam(**fields)
