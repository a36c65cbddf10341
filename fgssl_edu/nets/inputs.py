"""What an encoder sees of a picture: all of it, its lightness alone, its colour alone, or each with half of itself.

Colour space is the first layer of an encoder, so that whoever trains or scores one always gives RGB in [0, 1].
Lightness alone is how colorization (arXiv 1603.08511) looks at a picture, two halves is the split-brain autoencoder
(arXiv 1611.09842).
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from fgssl_edu.nets.encoders import Encoder
from fgssl_edu.views.lab import lab_to_rgb, rgb_to_lab

CHANNELS = {"lightness": (0,), "colour": (1, 2)}  # of Lab
SEES = ("rgb", *CHANNELS, "split")
LAB_MEAN, LAB_STD = (50.0, 0.0, 0.0), (25.0, 25.0, 25.0)  # ours; mid grey, and about the spread of pictures


def seeing(encoder: Encoder, sees: str) -> Encoder:
    """An encoder that sees only a part of what this one does, with a copy of its layers.

    Args:
        encoder: sees RGB; left as it is.
        sees: "rgb" (the encoder itself), "lightness", "colour", or "split": one half of it lightness, the other colour.
    """
    if sees not in SEES:
        raise ValueError(f"sees={sees!r} is unknown: use one of {', '.join(SEES)}")
    if sees == "rgb":
        return encoder
    return SplitBrainEncoder(encoder) if sees == "split" else LabEncoder(encoder, sees)


class LabEncoder(Encoder):
    """Takes RGB in [0, 1] and sees some channels of Lab.

    Its first convolution answers a small change of these channels at mid grey as the given one answers the same change
    in RGB, so that the filters of a trained encoder keep their meaning.
    """

    def __init__(self, encoder: Encoder, sees: str) -> None:
        """Copy the encoder and give it another first layer; `sees` is a key of `CHANNELS`."""
        nn.Module.__init__(self)  # Encoder's own would build layers; these are there already
        check_rgb(encoder)
        self.encoder, self.channels = copy.deepcopy(encoder), CHANNELS[sees]
        self.name, self.stem, self.dim = f"{encoder.name}, sees {sees}", encoder.stem, encoder.dim
        first = first_convolution(self.encoder)
        first.weight = nn.Parameter(adapted(first.weight, encoder.std, self.channels))
        first.in_channels = len(self.channels)
        self.encoder.mean = encoder.mean.new_tensor([LAB_MEAN[c] for c in self.channels]).view(-1, 1, 1)
        self.encoder.std = encoder.std.new_tensor([LAB_STD[c] for c in self.channels]).view(-1, 1, 1)

    def stages(self, images: Tensor) -> list[Tensor]:
        if not images.is_floating_point():
            raise ValueError(f"an encoder takes float images in [0, 1], not {images.dtype}: use views.as_float")
        return self.encoder.stages(rgb_to_lab(images)[:, self.channels])

    def pool(self, feature_map: Tensor) -> Tensor:
        return self.encoder.pool(feature_map)


class SplitBrainEncoder(Encoder):
    """Two halves of one encoder, side by side: the first sees lightness, the second colour; no information crosses.

    Each half has half of every layer's channels: the same as one network whose convolutions all have two groups.
    """

    def __init__(self, encoder: Encoder) -> None:
        """Cut a copy of the encoder into two."""
        nn.Module.__init__(self)
        check_rgb(encoder)
        self.halves = nn.ModuleList(LabEncoder(half(encoder, which), sees) for which, sees in enumerate(CHANNELS))
        self.name, self.stem, self.dim = f"{encoder.name}, split", encoder.stem, encoder.dim

    def half_maps(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The last maps of both halves, (B, D/2, h, w) each: what lightness says, and what colour says."""
        first, second = (half.feature_map(images) for half in self.halves)  # type: ignore[operator]
        return first, second

    def stages(self, images: Tensor) -> list[Tensor]:
        both = [half.stages(images) for half in self.halves]  # type: ignore[operator]
        return [torch.cat(maps, dim=1) for maps in zip(*both, strict=True)]


def check_rgb(encoder: Encoder) -> None:
    """Refuse an encoder that does not see RGB, or that does not begin with a convolution."""
    if not isinstance(getattr(encoder, "std", None), Tensor) or encoder.std.shape[0] != 3:
        raise ValueError(f"{encoder.name}: what it sees was changed already; give an encoder as `build_encoder` does")


def first_convolution(encoder: nn.Module) -> nn.Conv2d:
    """The layer that meets the picture."""
    return next(layer for layer in encoder.modules() if isinstance(layer, nn.Conv2d))


def adapted(weight: Tensor, std: Tensor, channels: tuple[int, ...]) -> Tensor:
    """First-layer weights for channels of Lab out of those for RGB, (out, 3, k, k) -> (out, n, k, k).

    Args:
        weight: acts on (RGB - mean) / std.
        std: (3, 1, 1).
        channels: of Lab.
    """
    step = torch.eye(3, dtype=torch.float64)[:, :, None, None]  # one unit of L, of a, of b
    grey = step.new_tensor([50.0, 0.0, 0.0]).view(1, 3, 1, 1)
    slope = (lab_to_rgb(grey + step) - lab_to_rgb(grey - step))[:, :, 0, 0] / 2  # (Lab, RGB)
    scaled = slope * step.new_tensor(LAB_STD)[:, None] / std.detach().double().view(1, 3).cpu()
    mixed = torch.einsum("nc,ockl->onkl", scaled[list(channels)].to(weight), weight.detach())
    return mixed.contiguous(memory_format=torch.channels_last)


def half(encoder: Encoder, which: int) -> Encoder:
    """One half of every layer's channels, with the weights that lead from that half to itself.

    Args:
        encoder: of convolutions with BatchNorm or GroupNorm alone.
        which: 0 the first half, 1 the second.

    Raises:
        ValueError: it has other layers with weights (a transformer), which have no channels to part.
    """
    cut = copy.deepcopy(encoder)
    first = first_convolution(cut)
    for layer in cut.modules():
        if isinstance(layer, nn.Conv2d):
            _cut_convolution(layer, which, whole_input=layer is first)
        elif isinstance(layer, _BatchNorm | nn.GroupNorm):
            _cut_norm(layer, which)
        elif [*layer.parameters(recurse=False)]:
            raise ValueError(f"{encoder.name} has a {type(layer).__name__}: only convolutions can be cut into halves")
    cut.dim = encoder.dim // 2
    return cut


def _cut_convolution(layer: nn.Conv2d, which: int, whole_input: bool) -> None:
    weight = layer.weight.detach().chunk(2, dim=0)[which]
    weight = weight if whole_input else weight.chunk(2, dim=1)[which]
    layer.weight = nn.Parameter(weight.clone(memory_format=torch.channels_last))
    layer.out_channels, layer.in_channels = weight.shape[:2]
    if layer.bias is not None:
        layer.bias = nn.Parameter(layer.bias.detach().chunk(2)[which].clone())


def _cut_norm(layer: nn.Module, which: int) -> None:
    """Affine weights and running statistics of one half; groups of channels stay as wide as they were."""
    for name, value in [*layer.named_parameters(recurse=False)]:
        setattr(layer, name, nn.Parameter(value.detach().chunk(2)[which].clone(), value.requires_grad))
    for name, buffer in [*layer.named_buffers(recurse=False)]:
        if buffer.ndim:  # the count of batches has none
            setattr(layer, name, buffer.chunk(2)[which].clone())
    if isinstance(layer, nn.GroupNorm):
        layer.num_groups, layer.num_channels = max(1, layer.num_groups // 2), layer.num_channels // 2
    elif isinstance(layer, _BatchNorm):
        layer.num_features //= 2
