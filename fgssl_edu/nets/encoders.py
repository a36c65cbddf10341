"""Encoders: images to features, behind one interface.

Small ResNets for pictures of 32 to 96 px that train in minutes without a GPU, and torchvision's ResNet-18 and ResNet-50
with their ImageNet weights (He et al., arXiv 1512.03385). Everything below an encoder speaks RGB in [0, 1]; an encoder
normalises for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from fgssl_edu.nets import weights
from fgssl_edu.nets.alexnet import ALEXNETS, alexnet_stages
from fgssl_edu.nets.encoder import Encoder
from fgssl_edu.nets.norm import norm_layer
from fgssl_edu.nets.vit import VITS, VisionTransformer

INITS = ("random", "imagenet", "birds")
SHIPPED = {"resnet10": weights.encoder_state, "vit_mini": weights.transformer_state}  # by SimCLR, by DINO


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Inside, CPU random numbers come from `seed` and the global generator is left as it was; None: nothing changes."""
    if seed is None:
        yield
        return
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would reseed GPUs too, which this fork does not restore
        torch.default_generator.manual_seed(seed)
        yield


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut (ResNet's basic block)."""

    def __init__(self, entering: int, leaving: int, stride: int, norm: str) -> None:
        super().__init__()
        self.first = nn.Conv2d(entering, leaving, 3, stride, padding=1, bias=False)
        self.first_norm = norm_layer(norm, leaving)
        self.second = nn.Conv2d(leaving, leaving, 3, padding=1, bias=False)
        self.second_norm = norm_layer(norm, leaving)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or entering != leaving:
            self.shortcut = nn.Sequential(
                nn.Conv2d(entering, leaving, 1, stride, bias=False), norm_layer(norm, leaving)
            )

    def forward(self, x: Tensor) -> Tensor:
        inside = torch.relu_(self.first_norm(self.first(x)))
        return torch.relu_(self.second_norm(self.second(inside)) + self.shortcut(x))


@dataclass(frozen=True)
class Shape:
    """Form of a small ResNet: first width (doubled each stage), blocks a stage, strides of stem and last stage."""

    width: int
    blocks: int
    stem_stride: int
    last_stride: int


SMALL = {
    "resnet10": Shape(width=16, blocks=1, stem_stride=2, last_stride=1),  # .3 M parameters, 128-d, an 8x8 map at 64 px
    "resnet18_small": Shape(width=32, blocks=2, stem_stride=2, last_stride=1),  # 2.8 M, 256-d, 8x8 at 64 px
    "resnet18_cifar": Shape(width=64, blocks=2, stem_stride=1, last_stride=2),  # 11 M, 512-d, 4x4 at 32 px (SimCLR)
}
TORCHVISION = ("resnet18", "resnet50", "resnet101", "resnext50_32x4d", "efficientnet_b0")  # with ImageNet weights
ENCODERS = (*SMALL, *TORCHVISION, *VITS, *ALEXNETS)


def _small(name: str, norm: str) -> Encoder:
    """A four-stage ResNet with a 3x3 stem and no max-pooling: a bird's eye ring is 3 pixels wide."""
    shape, entering = SMALL[name], SMALL[name].width
    stem = nn.Conv2d(3, entering, 3, shape.stem_stride, padding=1, bias=False)
    entry, stages = nn.Sequential(stem, norm_layer(norm, entering), nn.ReLU(inplace=True)), []
    for depth, stride in enumerate((1, 2, 2, shape.last_stride)):
        leaving = shape.width * 2**depth
        blocks = [
            Block(entering, leaving, stride, norm),
            *(Block(leaving, leaving, 1, norm) for _ in range(shape.blocks - 1)),
        ]
        stages.append(nn.Sequential(*blocks))
        entering = leaving
    encoder = Encoder(name, f"3x3 stride {shape.stem_stride}", entry, stages, entering)
    for layer in encoder.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return encoder


def _torchvision(name: str, norm: str, init: str) -> Encoder:
    """torchvision's network without its classifier; weights are version 1, as in papers (ResNet-50: 76.1 % top-1)."""
    from torchvision import models  # late: a second of import that the small networks do not need

    layers: Callable[[int], nn.Module] = partial(norm_layer, norm)
    net = getattr(models, name)(norm_layer=layers)
    if init == "imagenet":
        net.load_state_dict(imagenet_weights(name))
    if name.startswith("efficientnet"):  # its last layer is a stage of its own: 1x1 to what is pooled
        return Encoder(name, "3x3 stride 2", net.features[0], net.features[1:], net.classifier[1].in_features)
    entry = nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool)
    return Encoder(
        name, "7x7 stride 2, max-pool", entry, [net.layer1, net.layer2, net.layer3, net.layer4], net.fc.in_features
    )


def imagenet_file(name: str) -> Path:
    """Where the ImageNet weights of "resnet18" or "resnet50" lie once they were fetched: torch's own folder."""
    from torchvision import models

    url = models.get_model_weights(name)["IMAGENET1K_V1"].url
    return Path(torch.hub.get_dir()) / "checkpoints" / str(url).rsplit("/", 1)[-1]


def imagenet_weights(name: str) -> dict[str, Tensor]:
    """torchvision's ImageNet weights, version 1, fetched where they are not on disk; ValueError says what to do."""
    from torchvision import models

    weights = models.get_model_weights(name)["IMAGENET1K_V1"]
    try:
        return dict(weights.get_state_dict(progress=False, check_hash=True))
    except (OSError, RuntimeError) as error:  # no network, no space, or a truncated file
        file = imagenet_file(name)
        raise ValueError(
            f"init='imagenet': the weights of {name} are not here and could not be fetched ({error}). "
            f"Put {file.name} into {file.parent}, or run `fgssl weights {name}` with a network, or use init='random'"
        ) from error


def _alexnet(name: str, norm: str) -> Encoder:
    first, last = ALEXNETS[name][0], ALEXNETS[name][-1]
    stem = f"{first.kernel}x{first.kernel} stride {first.stride}"
    return Encoder(name, stem, nn.Identity(), alexnet_stages(name, norm), last.width)


def build_encoder(name: str, norm: str = "batch", init: str = "random", seed: int | None = None) -> Encoder:
    """Build an encoder.

    Args:
        name: "resnet10", "resnet18_small", "resnet18_cifar" (3x3 stem, for 32 to 96 px), "resnet18", "resnet50",
            "resnet101", "resnext50_32x4d", "efficientnet_b0" (torchvision's), "vit_mini" (patches of 4 px),
            "vit_tiny", "vit_small", "vit_base" (of 16 px), "alexnet" (for 224 px), "alexnet_small" (for 32 to 64 px).
        norm: "batch", or "group" where images must not depend on their batch (see `norm_layer`); a transformer has
            LayerNorm either way.
        init: "random"; "imagenet" (torchvision's only); "birds", a shipped start (resnet10 and
            vit_mini, `nets.weights`).
        seed: of the random weights; the global generator is left untouched. None draws from the global generator.

    Returns:
        An encoder in training mode, on the CPU, in channels-last layout.
    """
    if name not in ENCODERS:
        raise ValueError(f"encoder={name!r} is unknown: use one of {', '.join(ENCODERS)}")
    if init not in INITS:
        raise ValueError(f"init={init!r} is unknown: use one of {', '.join(INITS)}")
    if init == "birds" and (name not in SHIPPED or norm != "batch"):
        raise ValueError(
            f"init='birds' with encoder={name!r}, norm={norm!r}: the shipped starts are {' and '.join(SHIPPED)} with "
            "norm='batch'"
        )
    if init == "imagenet" and (name not in TORCHVISION or norm != "batch"):
        raise ValueError(
            f"init='imagenet' with encoder={name!r}, norm={norm!r}: only {', '.join(TORCHVISION)} with "
            "norm='batch' have such weights"
        )
    with seeded(seed):
        if name in VITS:
            encoder: Encoder = VisionTransformer(name, VITS[name])
        elif name in ALEXNETS:
            encoder = _alexnet(name, norm)
        else:
            encoder = _small(name, norm) if name in SMALL else _torchvision(name, norm, init)
    if init == "birds":
        encoder.load_state_dict(SHIPPED[name]())
    return encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
