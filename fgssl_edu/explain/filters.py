"""The first layer of a network: its filters as pictures, and two numbers that tell edges and colours from noise.

What a first layer learns is much the same whatever it was trained on, oriented edges and colour blobs, so that one
photograph may do (Asano, Rupprecht and Vedaldi, arXiv 1904.13132, figure 2).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

BINS = 2  # of the Fourier spectrum: an oriented edge or bar lies in one or two of them
# Share of a filter's energy in them above which it counts as oriented: of 20,000 random filters of 7 px and 3 channels
# none had more than .37; Gabor filters have .5 to .9
ORIENTED = 0.4
ROUNDING = 1e-20  # share of a filter's energy below which its contrast is none


def first_filters(network: nn.Module) -> Tensor:
    """Weights of the first convolution, (C, 3, k, k), detached, on the CPU.

    Raises:
        ValueError: there is none, or it does not look at three channels.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            if layer.in_channels != 3:
                raise ValueError(
                    f"the first convolution sees {layer.in_channels} channels: its filters are no pictures"
                )
            return layer.weight.detach().float().cpu()
    raise ValueError(f"{type(network).__name__} has no convolution, so no filters")


def filter_pictures(filters: Tensor) -> Tensor:
    """Each filter from its own least to its own largest weight, (C, 3, k, k) in [0, 1]; a constant one becomes grey."""
    flat = filters.flatten(1)
    low, high = flat.amin(dim=1)[:, None, None, None], flat.amax(dim=1)[:, None, None, None]
    return torch.where(high > low, (filters - low) / (high - low).clamp(min=1e-30), torch.full_like(filters, 0.5))


def concentration(filters: Tensor, bins: int = BINS) -> Tensor:
    """Share of each filter's energy in its `bins` largest Fourier bins, (C,) in [0, 1]; 0 for one without contrast.

    The power spectra of the three channels are added, without their means; a bin and its mirror image count as one. A
    grating has 1; white noise of 7 x 7 px with 24 bins has about .2.

    Args:
        filters: (C, 3, k, k), k at least 3.
        bins: how many, 1 to (k² - 1) / 2.
    """
    power = torch.fft.fft2(filters.double()).abs().square().sum(dim=1).flatten(1)  # (C, k²)
    contrast = power[:, 1:]  # without the means
    pairs = contrast + contrast[:, _mirror(filters.shape[2], filters.shape[3])]  # each pair twice
    top = pairs.sort(dim=1, descending=True).values[:, : 2 * bins].sum(dim=1)
    share = top / (2 * contrast.sum(dim=1)).clamp(min=1e-30)
    return torch.where(contrast.sum(dim=1) > ROUNDING * power.sum(dim=1), share, 0.0).float()


def _mirror(rows: int, columns: int) -> Tensor:
    """Where the mirror image of each bin but the first stands, (rows x columns - 1,) int64."""
    down, across = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    return ((-down % rows) * columns + (-across % columns)).flatten()[1:] - 1


def oriented(filters: Tensor) -> Tensor:
    """(C,) bool: filters with more than `ORIENTED` of their energy in two bins. Random ones are not."""
    return concentration(filters) > ORIENTED


def chromatic(filters: Tensor) -> Tensor:
    """(C,) bool: filters that answer more to colour than to grey.

    A weight's part along (1, 1, 1) answers to grey; the rest is colour. Two of three directions are colour, so nearly
    all random filters count, and a trained layer has fewer.
    """
    energy = filters.square().sum(dim=(1, 2, 3))
    grey = filters.sum(dim=1).square().sum(dim=(1, 2)) / 3
    return energy - grey > grey


def filter_numbers(network: nn.Module) -> dict[str, float]:
    """ "filters/oriented" and "filters/chromatic", shares of the first layer's filters."""
    filters = first_filters(network)
    return {
        "filters/oriented": float(oriented(filters).float().mean()),
        "filters/chromatic": float(chromatic(filters).float().mean()),
    }
