"""What a transformer looks at: attention of its last block, and its patches' principal components as colours.

Heads and threshold as in DINO's figures 1 and 8 (arXiv 2104.14294), components as in DINOv2's figure 1 (2304.07193,
appendix B). A map that looks like the object is no proof that the object is used: set it against true masks and against
the same network untrained.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fgssl_edu.nets.modes import frozen
from fgssl_edu.nets.vit import VisionTransformer
from fgssl_edu.views.geometry import resized

BATCH = 128  # images a pass
MASS = 0.6  # of the attention that DINO's figures show


@torch.no_grad()
def self_attention(encoder: VisionTransformer, images: Tensor, size: int | None = None) -> Tensor:
    """Attention of the last block over a set of pictures; the encoder stays as it was.

    Args:
        encoder: a transformer.
        images: (N, 3, H, W) uint8.
        size: side at which the encoder sees them, pixels, a multiple of its patch; None for their own.

    Returns:
        (N, heads, 1 + n, 1 + n) float32 on the CPU, for `looked_at`; rows sum to 1.
    """
    with frozen(encoder) as device:
        return torch.cat(
            [encoder.attention(resized(block, size, device)).float().cpu() for block in images.split(BATCH)]
        )


@torch.no_grad()
def patch_maps(encoder: VisionTransformer, images: Tensor, size: int | None = None) -> Tensor:
    """Patch tokens of the last block over a set of pictures, (N, D, h, w) on the CPU; arguments as above."""
    with frozen(encoder) as device:
        return torch.cat(
            [encoder.feature_map(resized(block, size, device)).float().cpu() for block in images.split(BATCH)]
        )


def looked_at(attention: Tensor, grid: tuple[int, int], query: int | None = None) -> Tensor:
    """Where one token looks, as maps.

    Args:
        attention: (N, heads, 1 + n, 1 + n), rows are the tokens that look.
        grid: rows and columns of patches, n together.
        query: the patch that looks, counted row by row; None: CLS.

    Returns:
        (N, heads, rows, columns), at least 0; each map sums to 1 less what the token gives to CLS.
    """
    count = grid[0] * grid[1]
    if attention.shape[-1] != 1 + count or not (query is None or 0 <= query < count):
        raise ValueError(
            f"query={query} on a grid of {grid}: a patch of 0 to {count - 1}; {attention.shape[-1]} tokens"
        )
    return attention[:, :, 0 if query is None else 1 + query, 1:].unflatten(2, grid)


def heaviest(maps: Tensor, mass: float = MASS) -> Tensor:
    """The fewest patches of each map that hold a share of its sum; of equal patches the first.

    Args:
        maps: (..., h, w), at least 0.
        mass: share to hold, in (0, 1].

    Returns:
        (..., h, w) bool; at least one patch of each map.
    """
    if not 0 < mass <= 1:
        raise ValueError(f"mass={mass}: a share of the attention, above 0 and at most 1; DINO's figures have .6")
    flat = maps.flatten(-2).double()
    ordered, order = flat.sort(dim=-1, descending=True, stable=True)
    before = ordered.cumsum(dim=-1) - ordered  # what the heavier ones hold already
    needed = before < mass * flat.sum(dim=-1, keepdim=True) * (1 - 1e-12)
    needed[..., 0] = True
    return torch.zeros_like(needed).scatter(-1, order, needed).view(maps.shape)


def components(rows: Tensor, count: int = 3) -> Tensor:
    """Rows along the directions in which they vary most, (n, D) -> (n, count) float32; zeros beyond the rank.

    The sign of each is such that its largest value is positive.
    """
    centred = rows.double() - rows.double().mean(dim=0)
    _, vectors = torch.linalg.eigh(centred.T @ centred)  # ascending
    along = centred @ vectors.flip(1)[:, :count]
    largest = along.gather(0, along.abs().argmax(dim=0, keepdim=True))
    along = along * torch.where(largest < 0, -1.0, 1.0)
    return torch.nn.functional.pad(along, (0, count - along.shape[1])).float()


def first_component_mask(feature_maps: Tensor) -> Tensor:
    """Patches on the object's side of the first component, without any label.

    Which side that is, the frame tells: what most patches at a picture's border are is background.

    Args:
        feature_maps: (N, D, h, w), of pictures that are looked at together.

    Returns:
        (N, h, w) bool.
    """
    images, _, rows, columns = feature_maps.shape
    first = components(feature_maps.permute(0, 2, 3, 1).flatten(0, 2), count=1).view(images, rows, columns)
    frame = torch.ones(rows, columns, dtype=torch.bool)
    frame[1:-1, 1:-1] = False
    side = first > 0
    return ~side if float(side[:, frame].float().mean()) > 0.5 else side


def patch_colours(feature_maps: Tensor, mask: Tensor | None = None) -> Tensor:
    """Patches as colours: alike in colour, alike in what the network says of them.

    Args:
        feature_maps: (N, D, h, w), of pictures that are looked at together: their colours can be compared.
        mask: (N, h, w) bool; components are those of these patches, the others become black. None: all patches.

    Returns:
        (N, 3, h, w) float in [0, 1]: the first three components as red, green and blue, each from its least to its
        largest value.
    """
    images, _, rows, columns = feature_maps.shape
    patches = feature_maps.permute(0, 2, 3, 1).flatten(0, 2)  # (N h w, D)
    chosen = torch.ones(len(patches), dtype=torch.bool) if mask is None else mask.flatten()
    colours = torch.zeros(len(patches), 3)
    if chosen.any():
        along = components(patches[chosen])
        low, high = along.aminmax(dim=0)
        colours[chosen] = (along - low) / (high - low).where(high > low, 1.0)
    return colours.view(images, rows, columns, 3).permute(0, 3, 1, 2)


def mask_iou(mask: Tensor, foreground: Tensor) -> Tensor:
    """Overlap of a patch mask with the true object, each over its picture.

    Args:
        mask: (N, h, w) bool; enlarged to the pictures' size without smoothing.
        foreground: (N, H, W) uint8, 255 where the object covers the pixel.

    Returns:
        (N,) intersection over union, 0..1. Landmark: a mask that takes all patches has the object's area.
    """
    large = torch.nn.functional.interpolate(mask[:, None].float(), foreground.shape[-2:], mode="nearest-exact")[:, 0]
    inside, true = large > 0.5, foreground > 127
    union = (inside | true).sum(dim=(1, 2))
    return (inside & true).sum(dim=(1, 2)).double() / union.clamp(min=1)
