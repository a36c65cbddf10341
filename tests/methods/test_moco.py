"""MoCo: the queue, the slow copy, where gradients go, and what an image is contrasted with."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from fgssl_edu import draws
from fgssl_edu.data.image_set import Batch
from fgssl_edu.losses import info_nce
from fgssl_edu.methods import build
from fgssl_edu.nets import SplitBatchNorm, build_encoder
from fgssl_edu.recipe import Recipe
from fgssl_edu.train import pretrain
from fgssl_edu.views.presets import VIEWS, scaled

SIDE, QUEUE, EMA = 24, 20, 0.9


def pictures(count: int = 8) -> torch.Tensor:
    coarse = draws.uniform(1, 0, torch.arange(count), "pictures", 3 * 4).view(-1, 3, 2, 2)
    return (torch.nn.functional.interpolate(coarse, size=SIDE, mode="bilinear") * 255).byte()


def batch() -> Batch:
    return Batch(pictures(), torch.arange(8))


def moco(**fields):
    fields = {"size": 16, "queue": QUEUE, "ema": EMA, **fields}
    return build("moco", build_encoder("resnet10", seed=0), **fields)


def flat(*modules: nn.Module) -> torch.Tensor:
    return torch.cat([value.detach().reshape(-1) for module in modules for value in module.parameters()])


def train(method, steps: int, **changes):
    recipe = Recipe(**{"steps": steps, "batch": 8, "warmup": 0, "accelerator": "cpu", **changes})
    return pretrain(method, pictures(), recipe, progress=False)


def test_it_learns_eight_images_by_heart_down_to_its_own_old_keys():
    """The queue of 8 holds the last keys of the same 8 images: own key and own old key tie, which costs log 2."""
    method = moco(queue=8, views=scaled(VIEWS["mild"], 0.25))
    history = train(method, steps=100, warmup=5)
    assert history.chance == pytest.approx(math.log(9))
    assert history.rows[-1]["loss"] < math.log(2) + 0.35 < 0.5 * history.chance  # five seeds: log 2 + 0 to 0.23
    assert history.rows[-1]["embedding_std"] > 0.3
    first, second = method.views(batch(), 1000)
    with torch.no_grad():
        cosine = method.head(method.encoder(first)) @ method.keys(second).T
    assert torch.equal(cosine.argmax(dim=1), torch.arange(8))  # every new view finds its own image


def test_the_loss_is_info_nce_of_queries_keys_and_the_queue_as_it_was():
    method = moco(temperature=0.3)
    views = method.views(batch(), 0)
    before = method.queue.values.clone()
    loss = method(batch(), views)["loss"]
    query = method.head(method.encoder(views[0]))
    key = method.key_network(views[1])
    assert torch.allclose(loss, info_nce(query, key, before, 0.3), atol=1e-6)
    assert torch.equal(method.queue.values, before)  # forward reads, after_step writes


def test_the_own_key_is_never_among_the_negatives():
    method = moco()
    views = method.views(batch(), 0)
    keys = nn.functional.normalize(method.key_network(views[1]), dim=1)
    for _ in range(3):
        queue = method.queue.read()
        method(batch(), views)  # the same views thrice: the same keys, if the key network stands still
        assert (method.new_keys[0] @ queue.T).max() < 0.999
        method.new_keys.clear()
    method.queue.write(keys)
    assert (keys @ method.queue.read().T).max() > 0.999  # the control: written before, they would be there


def test_keys_have_no_gradient_and_the_key_network_none_either():
    method = moco()
    method(batch(), method.views(batch(), 0))["loss"].backward()
    assert not any(key.requires_grad for key in method.new_keys)
    assert all(value.grad is None and not value.requires_grad for value in method.key_network.parameters())
    assert all(value.grad is not None for value in [*method.encoder.parameters(), *method.head.parameters()])
    assert not method.queue.values.requires_grad


def test_a_queue_written_before_backward_does_not_spoil_it():
    method = moco()
    loss = method(batch(), method.views(batch(), 0))["loss"]
    method.after_step(0.5)
    loss.backward()
    assert method.encoder.entry[0].weight.grad.abs().sum() > 0


def test_the_slow_copy_follows_the_closed_form():
    method = moco()
    assert torch.equal(flat(method.key_network), flat(method.encoder, method.head))
    slow = flat(method.key_network)
    step = method.after_step

    def checked(progress: float) -> None:
        nonlocal slow
        slow = EMA * slow + (1 - EMA) * flat(method.encoder, method.head)
        step(progress)
        assert torch.allclose(flat(method.key_network), slow, atol=1e-6)  # float32, written in two ways

    method.after_step = checked
    train(method, steps=4)
    assert not torch.allclose(slow, flat(method.encoder, method.head), atol=1e-3)


def test_keys_come_from_the_copy_that_the_released_code_would_use():
    """The released code moves the copy at the start of a forward, by the weights of that moment."""
    method, released = moco(), None
    forward, used = method.forward, []

    def checked(batch, views):
        nonlocal released
        online = flat(method.encoder, method.head)
        released = online if released is None else EMA * released + (1 - EMA) * online
        used.append(torch.allclose(flat(method.key_network), released, atol=1e-6))
        return forward(batch, views)

    method.forward = checked
    train(method, steps=4)
    assert used == [True] * 4


def test_the_queue_wraps_around_and_holds_the_newest_keys_in_their_places():
    method, written = moco(), []
    write = method.queue.write
    method.queue.write = lambda rows: (written.append(rows.clone()), write(rows))
    train(method, steps=4)  # 32 keys through 20 places
    rows = torch.cat(written)
    assert int(method.queue.pointer) == 32 % QUEUE and int(method.queue.filled) == QUEUE
    for number in range(32 - QUEUE, 32):
        assert torch.equal(method.queue.values[number % QUEUE], rows[number])
    assert torch.allclose(method.queue.values.norm(dim=1), torch.ones(QUEUE), atol=1e-5)


def test_accumulated_pieces_enqueue_every_key_once_and_move_the_copy_once():
    method, moved = moco(), []
    after_step = method.after_step
    method.after_step = lambda progress: (moved.append(len(method.new_keys)), after_step(progress))
    train(method, steps=2, accumulate=2)
    assert moved == [2, 2] and int(method.queue.pointer) == 16 and method.new_keys == []


def test_the_symmetric_loss_is_the_mean_of_both_directions():
    method = moco(symmetric=True).eval()
    first, second = method.views(batch(), 0)
    both = method(batch(), (first, second))["loss"].item()
    assert len(method.new_keys) == 2
    method.symmetric = False
    halves = [method(batch(), pair)["loss"] for pair in ((first, second), (second, first))]
    assert both == pytest.approx(sum(halves).item() / 2, abs=1e-6)


def test_split_statistics_shuffle_the_keys_and_give_each_its_own_back():
    method = moco(splits=2)
    assert any(isinstance(layer, SplitBatchNorm) for layer in method.encoder.modules())
    assert any(isinstance(layer, SplitBatchNorm) for layer in method.key_network.modules())
    *views, shuffle = method.views(batch(), 0)
    assert shuffle.shape == (8,)
    shuffled, in_order = method.keys(views[1], shuffle), method.keys(views[1])
    assert (shuffled - in_order).abs().max() > 1e-3  # other statistics
    cosine = shuffled @ in_order.T
    method.eval()
    assert torch.allclose(method.keys(views[1], shuffle), method.keys(views[1]), atol=1e-5)  # none: only the order
    assert cosine.diagonal().mean() > cosine.mean()


def test_the_heads_statistics_are_split_too_so_that_no_part_of_a_batch_reads_another():
    method = moco(splits=2, head="simclr")
    for head in (method.head, method.key_network[1]):
        assert sum(isinstance(layer, SplitBatchNorm) for layer in head) == 2
    assert not method.head[-1].bias.requires_grad  # it learned no shift before it was split, and learns none now
    first = method.views(batch(), 0)[0]
    other = torch.cat([first[:4], 1 - first[4:]])
    embeddings = [method.head(method.encoder(images))[:4] for images in (first, other)]
    assert torch.equal(*embeddings)
    whole = build("moco", build_encoder("resnet10", seed=0), size=16, head="simclr")
    leaking = [whole.head(whole.encoder(images))[:4] for images in (first, other)]
    assert (leaking[0] - leaking[1]).abs().max() > 0.1  # the control


def test_without_splits_a_shuffle_would_change_nothing():
    method = moco()
    images = method.views(batch(), 0)[1]
    order = torch.rand(8, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(method.keys(images, order), method.keys(images), atol=1e-4)


@pytest.mark.parametrize(("preset", "head", "temperature"), [("v1", nn.Linear, 0.07), ("v2", nn.Sequential, 0.2)])
def test_versions_are_presets(preset: str, head: type, temperature: float):
    method = build("moco", build_encoder("resnet10", seed=0), preset=preset, queue=64)
    assert isinstance(method.head, head) and method.temperature == temperature
    assert method.augment.preset.name == f"moco_{preset}" and method.augment.size == 224
    assert method.ema == 0.999 and method.chance == pytest.approx(math.log(65))


@pytest.mark.parametrize(
    ("fields", "complaint"), [({"ema": 1.5}, "ema=1.5"), ({"queue": 0}, "size=0"), ({"splits": 0}, "splits=0")]
)
def test_mistakes_are_refused_at_construction(fields: dict, complaint: str):
    with pytest.raises(ValueError, match=complaint):
        moco(**fields)
