"""Fixed positions: sines and cosines of row and column, so that a place is known before anything is learned."""

from __future__ import annotations

import torch
from torch import Tensor

LONGEST = 10_000.0  # the slowest wave, over 2 pi, in patches (Vaswani et al., arXiv 1706.03762)


def sincos_positions(side: int, dim: int) -> Tensor:
    """Embeddings of a square grid of patches, (1, side * side, dim), each value in [-1, 1].

    As in MAE's code (arXiv 2111.06377): the first half of `dim` tells the column, the second the row, each by dim / 4
    sines and as many cosines of slower and slower waves.

    Raises:
        ValueError: `dim` is no multiple of four.
    """
    if dim < 4 or dim % 4:
        raise ValueError(f"dim={dim}: positions need sine and cosine of row and column, so a multiple of 4")
    waves = LONGEST ** -(torch.arange(dim // 4, dtype=torch.float64) / (dim // 4))  # (dim / 4,)
    angles = torch.arange(side, dtype=torch.float64)[:, None] * waves  # (side, dim / 4)
    axis = torch.cat([angles.sin(), angles.cos()], dim=1)  # (side, dim / 2)
    columns, rows = axis.repeat(side, 1), axis.repeat_interleave(side, dim=0)  # (side * side, dim / 2) each
    return torch.cat([columns, rows], dim=1)[None].float()
