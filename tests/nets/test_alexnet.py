"""AlexNet: the map sizes of the literature, and the interface of every encoder."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fgssl_edu.nets import build_encoder
from fgssl_edu.nets.alexnet import ALEXNETS


def maps(name: str, size: int) -> list[tuple[int, int]]:
    with torch.no_grad():
        found = build_encoder(name, seed=0).eval().stages(torch.zeros(1, 3, size, size))
    assert all(each.shape[2] == each.shape[3] for each in found)
    return [(each.shape[1], each.shape[2]) for each in found]


def test_maps_of_the_big_one_are_those_of_the_papers():
    assert maps("alexnet", 224) == [(96, 55), (256, 27), (384, 13), (384, 13), (256, 13)]


@pytest.mark.parametrize(("size", "sides"), [(32, (16, 8, 4, 4, 4)), (40, (20, 10, 5, 5, 5)), (64, (32, 16, 8, 8, 8))])
def test_maps_of_the_small_one_stay_useful(size: int, sides: tuple[int, ...]):
    assert maps("alexnet_small", size) == list(zip((32, 64, 128, 128, 128), sides, strict=True))


@pytest.mark.parametrize("name", ALEXNETS)
def test_every_convolution_is_normed_and_rectified_before_the_next_pooling(name: str):
    encoder = build_encoder(name, seed=0)
    kinds = [[type(part) for part in stage] for stage in encoder.blocks]
    plain = [nn.Conv2d, nn.BatchNorm2d, nn.ReLU]
    assert kinds == [plain, [nn.MaxPool2d, *plain], [nn.MaxPool2d, *plain], plain, plain]
    assert all(layer.bias is None for layer in encoder.modules() if isinstance(layer, nn.Conv2d))
    assert "stride" in encoder.stem and encoder.dim == ALEXNETS[name][-1].width


def test_features_are_the_mean_of_the_last_map():
    encoder = build_encoder("alexnet_small", seed=0).eval()
    images = torch.rand(3, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    stages = encoder.stages(images)
    assert len(stages) == 5 and all(stage.min() >= 0 for stage in stages)
    assert torch.equal(encoder(images), stages[-1].mean(dim=(2, 3))) and encoder(images).shape == (3, encoder.dim)
    assert torch.equal(encoder.feature_map(images), stages[-1])


def test_without_batch_norm_no_image_depends_on_its_batch():
    encoder = build_encoder("alexnet_small", norm="group", seed=0)
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(encoder(images)[:1], encoder(images[:1]), rtol=1e-4, atol=1e-5)


def test_there_are_no_shipped_weights():
    with pytest.raises(ValueError, match="alexnet.*only resnet18, resnet50"):
        build_encoder("alexnet", init="imagenet")
