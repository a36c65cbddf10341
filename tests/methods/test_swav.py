"""SwAV: whose codes train whom, what the queue and the freeze do, and collapse without balance."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from fgssl_edu import draws
from fgssl_edu.data.image_set import Batch
from fgssl_edu.losses import sinkhorn_knopp, swav_loss
from fgssl_edu.methods import build
from fgssl_edu.methods.clustering.crops import code_statistics, unit_embeddings
from fgssl_edu.methods.clustering.swav import SwAV
from fgssl_edu.nets import build_encoder
from fgssl_edu.recipe import Recipe
from fgssl_edu.train import pretrain

COUNT, SIDE, K = 12, 24, 6


def pictures(count: int = COUNT) -> torch.Tensor:
    """Smooth random colours, so that crops of one picture look alike."""
    coarse = draws.uniform(1, 0, torch.arange(count), "pictures", 3 * 4).view(-1, 3, 2, 2)
    return (F.interpolate(coarse, size=SIDE, mode="bilinear") * 255).byte()


def batch(count: int = COUNT) -> Batch:
    return Batch(pictures(count), torch.arange(count))


def swav(**fields) -> SwAV:
    return SwAV(build_encoder("resnet10", seed=0), **{"size": 16, "prototypes": K, **fields})


def train(method: SwAV, steps: int, **changes):
    recipe = Recipe(**{"steps": steps, "batch": COUNT, "warmup": 0, "accelerator": "cpu", **changes})
    return pretrain(method, pictures(), recipe, progress=False)


def test_the_loss_is_swapped_prediction_of_balanced_codes():
    method = swav().eval()
    views = method.views(batch(), 3)
    assert [view.shape[-1] for view in views] == [16, 16, 10, 10, 10, 10]
    z = [F.normalize(method.projector(method.encoder(view)), dim=1) for view in views]
    scores = [each @ method.prototypes.T for each in z]
    expected = swav_loss(scores, [sinkhorn_knopp(each.detach()) for each in scores[:2]])
    outputs = method(batch(), views)
    assert outputs["loss"].item() == pytest.approx(expected.item(), abs=1e-5)
    assert torch.allclose(outputs["embeddings"], z[0], atol=1e-5) and not outputs["embeddings"].requires_grad
    swapped = method(batch(), (views[1], views[0], *views[2:]))["loss"]
    assert swapped.item() == pytest.approx(expected.item(), abs=1e-5)


def test_small_crops_are_taught_and_do_not_teach():
    method = swav().eval()
    views = method.views(batch(), 0)
    alone = method(batch(), views[:2])
    beside = method(batch(), views)
    for name in ("usage", "target_entropy"):  # codes are the large views', whatever stands beside them
        assert beside[name].item() == pytest.approx(alone[name].item(), abs=1e-5)
    assert beside["loss"].item() != pytest.approx(alone["loss"].item(), abs=1e-4)


def test_codes_are_targets_and_get_no_gradient():
    method = swav().eval()
    scores = torch.randn(5, K, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert not method.codes(scores, 0).requires_grad
    views = method.views(batch(), 0)
    got = torch.autograd.grad(method(batch(), views)["loss"], method.prototypes)[0]
    z = unit_embeddings(method.encoder, method.projector, views)
    constant = [method.codes((each @ method.prototypes.T).detach(), 0) for each in z[:2]]
    expected = torch.autograd.grad(swav_loss([e @ method.prototypes.T for e in z], constant), method.prototypes)[0]
    assert torch.allclose(got, expected, atol=1e-6) and got.abs().sum() > 0


def test_every_trained_weight_gets_a_gradient():
    method = swav()
    method(batch(), method.views(batch(), 0))["loss"].backward()
    assert [name for name, value in method.named_parameters() if value.grad is None] == []


def test_prototypes_are_drawn_of_unit_length_and_stay_so():
    method = swav(freeze=0.0)
    before = method.prototypes.detach().clone()
    train(method, 3, lr=0.1)
    assert torch.allclose(before.norm(dim=1), torch.ones(K), atol=1e-6)
    assert torch.allclose(method.prototypes.norm(dim=1), torch.ones(K), atol=1e-6)
    assert not torch.equal(before, method.prototypes)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_frozen_prototypes_do_not_move_a_bit(optimizer: str):
    for steps, moves in ((4, False), (5, True)):  # of ten, the first four are frozen; after_step 4 is the fifth
        method = swav(freeze=0.4)
        before, seen = F.normalize(method.prototypes.detach(), dim=1), []
        keep = method.after_step
        method.after_step = lambda progress, keep=keep, seen=seen, method=method: (
            keep(progress),
            seen.append(method.prototypes.detach().clone()),
        )
        train(method, 10, optimizer=optimizer)
        assert torch.allclose(seen[steps - 1], before, atol=1e-6) is not moves


def test_the_queue_shares_the_prototypes_once_it_is_full_and_learns_nothing():
    method = swav(memory=2 * COUNT, local_views=0).eval()
    scores = torch.randn(COUNT, K, generator=torch.Generator().manual_seed(0))
    alone = sinkhorn_knopp(scores)
    for filled in (False, False, True):
        assert torch.allclose(method.codes(scores, 0), alone, atol=1e-6) is not filled
        outputs = method(batch(), method.views(batch(), 0))
        method.after_step(0.5)
    stored = method.queues[0].values @ method.prototypes.detach().T
    expected = sinkhorn_knopp(torch.cat([stored, scores]))[-COUNT:]
    assert torch.allclose(method.codes(scores, 0), expected, atol=1e-6)
    assert torch.allclose(method.queues[0].values[:COUNT], outputs["embeddings"], atol=1e-6)  # the oldest left
    assert not torch.allclose(method.queues[0].values, method.queues[1].values)  # one a large view
    assert all(not value.requires_grad for value in method.queues.buffers())


def test_without_balance_prototypes_die_and_with_it_they_live():
    """Before any training: prototypes near the common direction of all embeddings get all of them."""
    scores = torch.randn(64, K, generator=torch.Generator().manual_seed(0)) * 0.02 + torch.arange(K) * 0.3
    used = [code_statistics(swav(codes=codes).codes(scores, 0))["usage"].item() for codes in ("softmax", "sinkhorn")]
    assert used[0] < 1.2 / K and used[1] > 0.95


def test_usage_and_entropy_have_their_landmarks():
    one = F.one_hot(torch.zeros(8, dtype=torch.long), 4).float()
    even = F.one_hot(torch.arange(8) % 4, 4).float()
    flat = torch.full((8, 4), 0.25)
    for codes, usage, entropy in ((one, 0.25, 0.0), (even, 1.0, 0.0), (flat, 1.0, 1.0)):
        found = code_statistics(codes)
        assert found["usage"].item() == pytest.approx(usage)
        assert found["target_entropy"].item() == pytest.approx(entropy)
    heads = code_statistics(torch.stack([one, even], dim=1))
    assert heads["usage"].item() == pytest.approx((0.25 + 1) / 2)
    half = code_statistics(torch.tensor([[0.5, 0.5, 0, 0]] * 3))
    assert half["usage"].item() == pytest.approx(0.5) and half["target_entropy"].item() == pytest.approx(0.5)


def test_beside_an_encoder_without_batch_norm_no_embedding_depends_on_its_batch():
    method = SwAV(build_encoder("resnet10", norm="group", seed=0), size=16, prototypes=K)
    views = method.views(batch(), 0)
    whole = unit_embeddings(method.encoder, method.projector, views)
    part = unit_embeddings(method.encoder, method.projector, [view[:4] for view in views])
    assert torch.allclose(whole[5][:4], part[5], atol=1e-5)  # sums in another order


def test_a_view_goes_through_the_encoder_with_those_of_its_size():
    method = swav().eval()
    views = method.views(batch(), 0)
    together = unit_embeddings(method.encoder, method.projector, views)
    for view, found in zip(views, together, strict=True):
        assert torch.allclose(F.normalize(method.projector(method.encoder(view)), dim=1), found, atol=1e-5)
    passes = []
    method.encoder.register_forward_hook(lambda module, given, out: passes.append(len(given[0])))
    unit_embeddings(method.encoder, method.projector, views)
    assert passes == [2 * COUNT, 4 * COUNT]


def test_the_papers_numbers_are_a_preset():
    method = build("swav", build_encoder("resnet10", seed=0), "paper", prototypes=40, hidden=16)
    assert (method.epsilon, method.iterations, method.temperature, method.crops.count) == (0.05, 3, 0.1, 6)
    assert (method.crops.size, method.crops.small_size) == (224, 96)
    assert (method.crops.large[0].crop, method.crops.small.crop) == ((0.14, 1.0), (0.05, 0.14))
    assert method.chance == pytest.approx(math.log(40))


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"prototypes": 1}, "prototypes=1"),
        ({"epsilon": 0.0}, "epsilon=0.0"),
        ({"iterations": 0}, "iterations=0"),
        ({"codes": "argmax"}, "codes='argmax'"),
        ({"freeze": 1.0}, "freeze=1.0"),
        ({"local_views": -1}, "local_views=-1"),
        ({"local_area": (0.5, 0.1)}, "local_area="),
        ({"local_size": 4}, "size=4"),
        ({"temperature": 0.0}, "temperature=0.0"),
        ({"hidden": 0}, "hidden=0"),
        ({"out": 1}, "out=1"),
    ],
)
def test_mistakes_are_refused_at_construction(fields: dict, complaint: str):
    with pytest.raises(ValueError, match=complaint):
        swav(**fields)
