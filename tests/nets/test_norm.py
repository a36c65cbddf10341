from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from fgssl_edu.nets import SplitBatchNorm, build_encoder, frozen_statistics, norm_layer, split_batch_norms
from fgssl_edu.nets.norm import has_batch_norm


def batch(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 3 + 1


def buffers(module: nn.Module) -> list[Tensor]:
    return [buffer.clone() for buffer in module.buffers()]


@pytest.mark.parametrize("training", [True, False])
def test_frozen_statistics_leave_every_buffer_as_it_was_and_every_output_too(training: bool) -> None:
    encoder, images = build_encoder("resnet10", seed=0).train(training), torch.rand(4, 3, 32, 32)
    split = split_batch_norms(build_encoder("resnet10", seed=0), 2).train(training)
    for module in (encoder, split):
        before = buffers(module)
        with frozen_statistics(module):
            inside = module(images)
        assert all(torch.equal(a, b) for a, b in zip(before, module.buffers(), strict=True))
        assert torch.equal(inside, module(images))
        moved = not all(torch.equal(a, b) for a, b in zip(before, module.buffers(), strict=True))
        assert moved == training  # outside, statistics move in training mode


def test_statistics_move_again_after_an_error_inside() -> None:
    layer = nn.BatchNorm1d(3)
    with pytest.raises(RuntimeError, match="on purpose"), frozen_statistics(layer):
        raise RuntimeError("on purpose")
    layer(batch(4, 3))
    assert layer.num_batches_tracked == 1


def test_shuffling_the_batch_is_seen_by_split_batch_norm_and_by_no_plain_one() -> None:
    images, order = batch(8, 5, 2, 2), torch.tensor([5, 2, 7, 0, 3, 6, 1, 4])
    back = order.argsort()
    plain, split = nn.BatchNorm2d(5), SplitBatchNorm(5, splits=4)
    torch.testing.assert_close(plain(images[order])[back], plain(images), rtol=0, atol=1e-6)
    assert (split(images[order])[back] - split(images)).abs().max() > 0.1


@pytest.mark.parametrize("shape", [(8, 5), (8, 5, 3, 3)])
def test_split_batch_norm_is_batch_norm_of_each_chunk(shape: tuple[int, ...]) -> None:
    images, split = batch(*shape), SplitBatchNorm(5, splits=2)
    plain = [nn.BatchNorm1d(5) if len(shape) == 2 else nn.BatchNorm2d(5) for _ in range(2)]
    expected = torch.cat([layer(chunk) for layer, chunk in zip(plain, images.chunk(2), strict=True)])
    torch.testing.assert_close(split(images), expected)
    torch.testing.assert_close(split.running_mean, (plain[0].running_mean + plain[1].running_mean) / 2)
    torch.testing.assert_close(split.running_var, (plain[0].running_var + plain[1].running_var) / 2)
    assert split.num_batches_tracked == 1


def test_split_batch_norm_in_eval_mode_and_with_one_split_is_plain() -> None:
    images, split, plain = batch(6, 5), SplitBatchNorm(5, splits=1), nn.BatchNorm1d(5)
    torch.testing.assert_close(split(images), plain(images))
    torch.testing.assert_close(split.eval()(images), plain.eval()(images))


def test_splitting_a_network_keeps_its_weights_and_its_results_in_eval_mode() -> None:
    whole, images = build_encoder("resnet10", seed=0), torch.rand(4, 3, 32, 32)
    whole(images)
    split = build_encoder("resnet10", seed=1)
    split.load_state_dict(whole.state_dict())
    assert split_batch_norms(split, 2) is split
    assert sum(isinstance(layer, SplitBatchNorm) for layer in split.modules()) == sum(
        isinstance(layer, nn.BatchNorm2d) for layer in whole.modules()
    )
    assert list(split.state_dict()) == list(whole.state_dict())
    torch.testing.assert_close(split.eval()(images), whole.eval()(images))
    assert (split.train()(images) - whole.train()(images)).abs().max() > 1e-3


def test_splitting_leaves_what_is_learned_and_what_is_not() -> None:
    whole = nn.Sequential(nn.BatchNorm1d(5), nn.BatchNorm1d(5))
    whole[1].bias.requires_grad_(False)
    split = split_batch_norms(whole, 2)
    assert [parameter.requires_grad for parameter in split.parameters()] == [True, True, True, False]


def test_a_batch_that_does_not_split_is_refused() -> None:
    with pytest.raises(ValueError, match="batch of 7.*2 splits"):
        SplitBatchNorm(5, splits=2)(batch(7, 5))


@pytest.mark.parametrize(("channels", "groups"), [(4, 1), (16, 2), (128, 16), (2048, 32)])
def test_group_norm_has_at_least_eight_channels_a_group_where_it_can(channels: int, groups: int) -> None:
    layer = norm_layer("group", channels)
    assert isinstance(layer, nn.GroupNorm) and layer.num_groups == groups


def test_batch_norm_is_found_split_or_whole_and_group_norm_is_none() -> None:
    encoder = build_encoder("resnet10", seed=0)
    assert has_batch_norm(encoder) and has_batch_norm(split_batch_norms(encoder, 2))
    assert not has_batch_norm(build_encoder("resnet10", norm="group", seed=0))
