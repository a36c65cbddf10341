from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fgssl_edu.nets import HEADS, RingBuffer, build_encoder, cosine_momentum, ema_copy, ema_update, projection, seeded


@pytest.mark.parametrize("kind", HEADS)
def test_heads_turn_features_into_embeddings(kind: str) -> None:
    head = projection(kind, dim=16, hidden=24, out=8)
    assert head(torch.randn(4, 16)).shape == (4, 16 if kind == "none" else 8)


def test_layers_of_each_head_are_those_of_its_paper() -> None:
    kinds = {kind: [type(layer) for layer in projection(kind, 16, 24, 8).modules()][1:] for kind in HEADS}
    assert kinds["none"] == kinds["linear"] == []
    assert kinds["mlp"] == [nn.Linear, nn.ReLU, nn.Linear]  # MoCo v2: no BatchNorm at all
    head = projection("simclr", 16, 24, 8)
    assert (
        isinstance(head, nn.Sequential) and isinstance(head[1], nn.BatchNorm1d) and isinstance(head[4], nn.BatchNorm1d)
    )
    assert head[0].bias is None and head[3].bias is None
    assert head[4].weight.requires_grad and not head[4].bias.requires_grad  # scales, does not shift
    with pytest.raises(ValueError, match="'deep'.*mlp"):
        projection("deep", 16, 24, 8)


def test_heads_are_reproducible_inside_seeded() -> None:
    state = torch.random.get_rng_state()
    weights = []
    for seed in (1, 1, 2):
        with seeded(seed):
            weights.append(projection("mlp", 4, 4, 4)[0].weight)
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
    assert torch.equal(torch.random.get_rng_state(), state)


def test_moving_average_of_a_constant_network_has_its_closed_form() -> None:
    start, online = build_encoder("resnet10", seed=0), build_encoder("resnet10", seed=1)
    online(torch.rand(4, 3, 32, 32))  # other running statistics too
    target, momentum, steps = ema_copy(start), 0.9, 7
    for _ in range(steps):
        ema_update(target, online, momentum)
    share = momentum**steps
    for (name, moved), a, b in zip(
        target.state_dict().items(), start.state_dict().values(), online.state_dict().values(), strict=True
    ):
        expected = share * a + (1 - share) * b if a.is_floating_point() else b
        torch.testing.assert_close(moved, expected, msg=name)


@pytest.mark.parametrize(("momentum", "kept"), [(0.0, False), (1.0, True)])
def test_momentum_0_copies_and_1_keeps_every_bit(momentum: float, kept: bool) -> None:
    start, online = nn.Linear(3, 3), nn.Linear(3, 3)
    target = ema_copy(start)
    ema_update(target, online, momentum)
    assert torch.equal(target.weight, (start if kept else online).weight)


def test_no_gradient_reaches_a_moving_average_and_it_is_a_copy() -> None:
    online = nn.Linear(3, 3)
    target = ema_copy(online)
    assert not any(parameter.requires_grad for parameter in target.parameters())
    assert all(parameter.requires_grad for parameter in online.parameters())
    with torch.no_grad():
        online.weight.add_(1)
    assert not torch.equal(target.weight, online.weight)
    ema_update(target, online, 0.5)
    assert target.weight.grad_fn is None


@pytest.mark.parametrize("training", [True, False])
def test_a_target_gives_sane_features_in_both_modes(training: bool) -> None:
    online = build_encoder("resnet10", seed=0)
    target, images = ema_copy(online), torch.rand(8, 3, 32, 32)
    for _ in range(60):
        online(images)
        ema_update(target, online, 0.9)
    expected = online.train(training)(images)
    torch.testing.assert_close(target.train(training)(images), expected, rtol=0.05, atol=0.05)


def test_momentum_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"momentum=1\.1"):
        ema_update(nn.Linear(1, 1), nn.Linear(1, 1), 1.1)


def test_cosine_momentum_landmarks() -> None:
    assert [round(cosine_momentum(0.996, progress), 12) for progress in (0, 0.5, 1)] == [0.996, 0.998, 1]


def numbered(first: int, count: int) -> torch.Tensor:
    return torch.arange(first, first + count, dtype=torch.float32)[:, None].expand(count, 2)


def test_a_ring_buffer_wraps_around_and_the_oldest_rows_go_first() -> None:
    buffer = RingBuffer(5, 2)
    buffer.write(numbered(0, 3))
    assert (buffer.pointer, buffer.filled) == (3, 3)
    buffer.write(numbered(3, 3))
    assert (buffer.pointer, buffer.filled) == (1, 5)
    assert buffer.read()[:, 0].tolist() == [5, 1, 2, 3, 4]
    buffer.write(numbered(6, 4))
    assert buffer.read()[:, 0].tolist() == [5, 6, 7, 8, 9] and buffer.pointer == 0


@pytest.mark.parametrize("count", [5, 6, 12])
def test_of_more_rows_than_fit_the_last_ones_stay_where_one_by_one_would_put_them(count: int) -> None:
    at_once, one_by_one = RingBuffer(5, 2), RingBuffer(5, 2)
    at_once.write(numbered(0, 2))
    one_by_one.write(numbered(0, 2))
    at_once.write(numbered(2, count))
    for row in numbered(2, count).split(1):
        one_by_one.write(row)
    assert all(torch.equal(value, one_by_one.state_dict()[name]) for name, value in at_once.state_dict().items())


def test_a_ring_buffer_starts_with_the_same_random_unit_rows_for_the_same_seed() -> None:
    state = torch.random.get_rng_state()
    first, second, other = RingBuffer(64, 8).read(), RingBuffer(64, 8).read(), RingBuffer(64, 8, seed=1).read()
    assert torch.equal(first, second) and not torch.equal(first, other)
    torch.testing.assert_close(first.norm(dim=1), torch.ones(64))
    assert first.mean(dim=0).abs().max() < 0.2  # 4.5 standard errors: no common direction
    assert torch.equal(torch.random.get_rng_state(), state)


def test_what_was_read_is_a_copy_and_what_is_written_is_detached() -> None:
    buffer, rows = RingBuffer(4, 2), F.normalize(torch.ones(2, 2, requires_grad=True), dim=1)
    read = buffer.read()
    before = read.clone()
    buffer.write(rows)
    assert torch.equal(read, before) and not torch.equal(buffer.read(), before)
    assert not buffer.values.requires_grad


def test_state_of_a_ring_buffer_survives_a_checkpoint() -> None:
    buffer, restored = RingBuffer(5, 2), RingBuffer(5, 2, seed=3)
    buffer.write(numbered(0, 7))
    restored.load_state_dict(buffer.state_dict())
    for each in (buffer, restored):
        each.write(numbered(7, 2))
    assert torch.equal(buffer.read(), restored.read())


def test_a_queue_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="size=0"):
        RingBuffer(0, 4)
