"""Probes of every layer: sizes of the literature, a trunk that stands still, and layers that do not know each other."""

from __future__ import annotations

import pytest
import torch

from fgssl_edu.data.image_set import ImageSet
from fgssl_edu.evaluate.layers import PAPERS, TARGET, layer_features, layer_scores, pool_layer, pooled_side, target_of
from fgssl_edu.evaluate.probe import linear_probe
from fgssl_edu.nets import build_encoder

BIG, ROTNET = (
    (96, 256, 384, 384, 256),
    (64, 192, 384, 256, 256),
)  # widths: one-column AlexNet; RotNet's and Decoupling's


def flags(count: int, seed: int, size: int = 32) -> ImageSet:
    """Three classes by one colour: a probe of raw pixels tells them apart."""
    labels = torch.arange(count) % 3
    images = 60 * torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed))
    images[torch.arange(count), labels] += 120
    return ImageSet(images.byte(), labels, ("red", "green", "blue"), "flags", "made here", "none")


def noise(count: int, seed: int) -> ImageSet:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (count, 3, 32, 32), generator=generator, dtype=torch.uint8)
    return ImageSet(images, torch.arange(count) % 3, ("a", "b", "c"), "noise", "made here", "none")


@pytest.mark.parametrize(
    ("widths", "sides", "features"),
    [
        (BIG, [10, 6, 5, 5, 6], [9600, 9216, 9600, 9600, 9216]),
        (ROTNET, [12, 7, 5, 6, 6], [9216, 9408, 9600, 9216, 9216]),
    ],
)
def test_sizes_are_those_of_the_papers(widths: tuple[int, ...], sides: list[int], features: list[int]):
    found = [pooled_side(width, 10_000) for width in widths]
    assert found == sides and [s * s * width for s, width in zip(found, widths, strict=True)] == features


def test_the_big_network_gives_the_papers_features():
    sizes = [
        each.shape[1] for each in layer_features(build_encoder("alexnet", seed=0), flags(1, 0).images, 224, 10_000)
    ]
    assert sizes == [9600, 9216, 9600, 9600, 9216]


def test_the_small_network_gives_about_as_many_features_a_layer():
    encoder = build_encoder("alexnet_small", seed=0)
    assert [each.shape[1] for each in layer_features(encoder, flags(2, 0).images, 40, TARGET)] == [
        288,
        256,
        128,
        128,
        128,
    ]


def test_pooling_takes_the_largest_and_no_more_places_than_there_are():
    maps = torch.arange(16.0).view(1, 1, 4, 4)
    assert pool_layer(maps, 4).tolist() == [[5, 7, 13, 15]]
    assert torch.equal(pool_layer(maps, 100), maps.flatten(1))


@pytest.mark.parametrize("training", [True, False])
def test_the_trunk_is_bit_unchanged_with_its_statistics_and_modes(training: bool):
    encoder = build_encoder("alexnet_small", seed=0).train(training)
    encoder.blocks[1].eval()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    layer_scores(encoder, flags(48, 0), flags(24, 1), 32, 64 * 4)
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    assert encoder.training is training and not encoder.blocks[1].training
    assert all(parameter.grad is None for parameter in encoder.parameters())


def test_features_do_not_depend_on_the_batch_and_are_those_of_evaluation_mode():
    encoder, images = build_encoder("alexnet_small", seed=0), flags(12, 0).images
    whole, part = layer_features(encoder, images, 32, 128), layer_features(encoder, images[:5], 32, 128)
    for ours, theirs in zip(whole, part, strict=True):
        torch.testing.assert_close(ours[:5], theirs, rtol=1e-4, atol=1e-5)


def test_what_pixels_tell_the_first_layer_tells_even_untrained():
    scores = layer_scores(build_encoder("alexnet_small", seed=0), flags(90, 0), flags(60, 1), 32, 512)
    assert list(scores) == [f"layer/conv{n}" for n in range(1, 6)]
    assert scores["layer/conv1"].value == 1.0 and all(score.value > 1 / 3 for score in scores.values())
    assert scores["layer/conv1"].protocol["pooling"] == "adaptive max"
    assert scores["layer/conv1"].protocol["feature_dim"] == 512


def test_noise_tells_nothing():
    scores = layer_scores(build_encoder("alexnet_small", seed=0), noise(120, 0), noise(120, 1), 32, 128)
    assert all(0.15 < score.value < 0.55 for score in scores.values())  # chance .33, standard error .04


def test_each_probe_is_as_if_it_were_alone():
    encoder, train, test = build_encoder("alexnet_small", seed=0), flags(60, 0), flags(30, 1)
    both = [layer_features(encoder, images.images, 32, 128) for images in (train, test)]
    scores = layer_scores(encoder, train, test, 32, 128)
    for score, ours, theirs in zip(scores.values(), *both, strict=True):
        alone = linear_probe(ours, train.labels, theirs, test.labels)
        assert torch.equal(score.per_item, alone.per_item) and score.protocol["chosen"] == alone.protocol["chosen"]


def test_other_encoders_have_stages():
    scores = layer_scores(build_encoder("resnet10", seed=0), flags(30, 0), flags(15, 1), 32, 128)
    assert list(scores) == ["layer/stage1", "layer/stage2", "layer/stage3", "layer/stage4"]


def test_a_target_below_the_channels_is_refused():
    with pytest.raises(ValueError, match="target=20"):
        pool_layer(torch.rand(1, 32, 4, 4), 20)


def test_the_papers_alexnet_is_read_with_the_papers_features():
    assert (
        target_of(build_encoder("alexnet", seed=0)) == PAPERS and target_of(build_encoder("resnet10", seed=0)) == TARGET
    )
    with torch.no_grad():
        features = layer_features(build_encoder("alexnet", seed=0), flags(2, 0).images, 224)
    assert [each.shape[1] for each in features] == [9600, 9216, 9600, 9600, 9216]
