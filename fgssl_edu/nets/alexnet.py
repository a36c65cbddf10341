"""AlexNet without its fully connected layers: five convolutions, the network of the pretext tasks and their probes.

The one-column form of that literature, with BatchNorm after each convolution (Krizhevsky et al. 2012; layout as in the
released code of DeepCluster, arXiv 1807.05520, and SeLa, arXiv 1911.05371), and one for pictures of 32 to 64 px.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from fgssl_edu.nets.norm import norm_layer


@dataclass(frozen=True)
class Layer:
    """One convolution with norm and ReLU; `pool` puts a max-pooling of 3 by 3, stride 2, before it."""

    width: int
    kernel: int
    stride: int = 1
    padding: int = 0
    pool: bool = False
    pool_padding: int = 0


# Maps conv1 to conv5: 55, 27, 13, 13, 13 for 224 px
BIG = (
    Layer(96, 11, stride=4, padding=2),
    Layer(256, 5, padding=2, pool=True),
    Layer(384, 3, padding=1, pool=True),
    Layer(384, 3, padding=1),
    Layer(256, 3, padding=1),
)
# Ours: 16, 8, 4, 4, 4 for 32 px, 20, 10, 5, 5, 5 for 40; filters of 7 px are the smallest in which an edge can be seen
SMALL = (
    Layer(32, 7, stride=2, padding=3),
    Layer(64, 5, padding=2, pool=True, pool_padding=1),
    Layer(128, 3, padding=1, pool=True, pool_padding=1),
    Layer(128, 3, padding=1),
    Layer(128, 3, padding=1),
)
# Standard deviation at the start (Krizhevsky et al., section 5). Small weights turn quickly under a norm: at He's
# scale hardly a first filter of ours had left its noise after 400 steps, at this one a third had after 120
WEIGHTS = 0.01
ALEXNETS = {"alexnet": BIG, "alexnet_small": SMALL}  # 3.7 M parameters, 256-d; .4 M, 128-d


def alexnet_stages(name: str, norm: str) -> list[nn.Sequential]:
    """The five stages, each (B, C, h, w) -> (B, C', h', w') after its ReLU and before the next pooling.

    Deviation: the last pooling and the fully connected layers are left out; features are means over the last map.

    Args:
        name: a key of `ALEXNETS`.
        norm: see `norm_layer`.
    """
    stages, entering = [], 3
    for layer in ALEXNETS[name]:
        before = [nn.MaxPool2d(3, 2, layer.pool_padding)] if layer.pool else []
        convolution = nn.Conv2d(entering, layer.width, layer.kernel, layer.stride, layer.padding, bias=False)
        nn.init.normal_(convolution.weight, std=WEIGHTS)
        stages.append(nn.Sequential(*before, convolution, norm_layer(norm, layer.width), nn.ReLU(inplace=True)))
        entering = layer.width
    return stages
