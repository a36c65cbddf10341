from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fgssl_edu.nets import ENCODERS, Encoder, build_encoder
from fgssl_edu.nets.alexnet import ALEXNETS
from fgssl_edu.nets.encoders import TORCHVISION
from fgssl_edu.nets.vit import VITS

SMALL = ["resnet10", "resnet18_small", "resnet18_cifar"]


def pictures(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("name", "dim", "side"),  # side of the last map for a picture of 64 px
    [
        ("resnet10", 128, 8),
        ("resnet18_small", 256, 8),
        ("resnet18_cifar", 512, 8),
        ("resnet18", 512, 2),
        ("resnet50", 2048, 2),
        ("resnet101", 2048, 2),
        ("resnext50_32x4d", 2048, 2),
        ("efficientnet_b0", 1280, 2),
    ],
)
def test_shapes(name: str, dim: int, side: int) -> None:
    encoder, images = build_encoder(name, seed=0).eval(), pictures(2, 3, 64, 64)
    with torch.no_grad():
        stages, feature_map, features = encoder.stages(images), encoder.feature_map(images), encoder.features(images)
    assert encoder.dim == dim and encoder.name == name and "stride" in encoder.stem
    assert feature_map.shape == (2, dim, side, side) and features.shape == (2, dim)
    assert len(stages) == (8 if name == "efficientnet_b0" else 4) and torch.equal(stages[-1], feature_map)
    assert [stage.shape[2] for stage in stages] == sorted((stage.shape[2] for stage in stages), reverse=True)
    assert torch.equal(encoder.pool(feature_map), features) and torch.equal(encoder(images), features)


def test_every_encoder_is_tested_above() -> None:
    assert set(ENCODERS) == {*SMALL, *TORCHVISION, *VITS, *ALEXNETS}  # test_vit.py, test_alexnet.py


@pytest.mark.parametrize("size", [32, 40, 48, 96])
def test_resnet10_takes_pictures_of_any_size(size: int) -> None:
    assert build_encoder("resnet10", seed=0)(pictures(2, 3, size, size)).shape == (2, 128)


def test_resnet10_has_the_size_that_a_laptop_can_train() -> None:
    assert 290_000 < sum(parameter.numel() for parameter in build_encoder("resnet10").parameters()) < 320_000


def test_same_seed_same_weights_and_the_global_generator_is_left_alone() -> None:
    state = torch.random.get_rng_state()
    first, second, other = (build_encoder("resnet10", seed=seed).state_dict() for seed in (3, 3, 4))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)
    torch.manual_seed(5)
    unseeded = build_encoder("resnet10").state_dict()
    torch.manual_seed(5)
    assert all(torch.equal(unseeded[name], value) for name, value in build_encoder("resnet10").state_dict().items())


@pytest.mark.parametrize("name", ["resnet10", "resnet18"])
def test_in_eval_mode_features_do_not_depend_on_the_batch(name: str) -> None:
    encoder, images = build_encoder(name, seed=0), pictures(6, 3, 32, 32)
    encoder(images)  # give BatchNorm statistics that are not its first ones
    encoder.eval()
    with torch.no_grad():
        whole, alone = encoder(images), torch.cat([encoder(images[i : i + 1]) for i in range(6)])
    torch.testing.assert_close(alone, whole, rtol=1e-4, atol=1e-5)


def test_with_group_norm_features_do_not_depend_on_the_batch_in_training_either() -> None:
    encoder, images = build_encoder("resnet10", norm="group", seed=0), pictures(4, 3, 32, 32)
    assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in encoder.modules())
    torch.testing.assert_close(encoder(images)[:1], encoder(images[:1]), rtol=1e-4, atol=1e-5)


def test_images_are_normalised_inside() -> None:
    encoder, images = build_encoder("resnet10", seed=0).eval(), pictures(1, 3, 32, 32)
    plain = copy.deepcopy(encoder)
    plain.mean.zero_()
    plain.std.fill_(1)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    by_hand = (images - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    torch.testing.assert_close(plain(by_hand), encoder(images))


def test_layout_changes_no_result() -> None:
    encoder, images = build_encoder("resnet10", seed=0).eval(), pictures(2, 3, 32, 32)
    assert encoder.entry[0].weight.is_contiguous(memory_format=torch.channels_last)
    strided = copy.deepcopy(encoder).to(memory_format=torch.contiguous_format)
    torch.testing.assert_close(strided(images), encoder(images), rtol=1e-4, atol=1e-5)


def learns_eight_pictures(encoder: Encoder) -> float:
    head = torch.nn.Linear(encoder.dim, 8)
    optimizer = torch.optim.AdamW([*encoder.parameters(), *head.parameters()], lr=2e-3)
    images, labels = pictures(8, 3, 32, 32), torch.arange(8)
    for _ in range(20):
        loss = F.cross_entropy(head(encoder(images)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_resnet10_learns_eight_pictures_by_heart(norm: str) -> None:
    torch.manual_seed(0)
    assert learns_eight_pictures(build_encoder("resnet10", norm=norm, seed=0)) < 0.3  # chance is log 8 = 2.08


def test_resnet18_is_torchvisions() -> None:
    from torchvision import models

    encoder = build_encoder("resnet18", seed=0).eval()
    net = models.resnet18().eval()
    ours, theirs = list(encoder.state_dict().items())[2:], list(net.state_dict().items())[:-2]  # mean, std; classifier
    net.load_state_dict({name: value for (name, _), (_, value) in zip(theirs, ours, strict=True)}, strict=False)
    net.fc = torch.nn.Identity()
    images = pictures(2, 3, 64, 64)
    torch.testing.assert_close(encoder(images), net((images - encoder.mean) / encoder.std), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"name": "resnet11"}, "resnet11.*resnet10"),
        ({"name": "resnet10", "norm": "layer"}, "layer.*batch"),
        ({"name": "resnet10", "init": "imagenet"}, "resnet10.*resnet50"),
        ({"name": "resnet50", "init": "imagenet", "norm": "group"}, "group"),
        ({"name": "resnet50", "init": "best"}, "best.*random"),
    ],
)
def test_mistakes_are_named(arguments: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        build_encoder(**arguments)


def test_missing_imagenet_weights_are_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise OSError("unreachable")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", no_network)
    with pytest.raises(ValueError, match=r"resnet18.*unreachable.*resnet18-.*\.pth.*init='random'"):
        build_encoder("resnet18", init="imagenet")


def test_bytes_are_refused() -> None:
    with pytest.raises(ValueError, match="uint8"):
        build_encoder("resnet10", seed=0)(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
