"""What context prediction and jigsaw share: the tiles of a picture as an encoder takes them."""

from __future__ import annotations

from torch import Tensor

from fgssl_edu.data.image_set import Batch
from fgssl_edu.nets.encoders import Encoder
from fgssl_edu.views.patches import Tiling

TILE_SHARE = 7 / 16  # of a view's side: nine tiles then have about the pixels of two views, and cost as much


def tile_side(size: int) -> int:
    """Pixels of a tile where other methods' views have `size`: 14 for 32."""
    return round(TILE_SHARE * size)


def cut(tiling: Tiling, batch: Batch, seed: int, step: int, encoder: Encoder) -> Tensor:
    """A batch's tiles in their own order, (B, 9, 3, tile, tile), as an encoder takes them.

    Normalised ones are brought to the encoder's own mean and deviation, which it takes off again.
    """
    tiles = tiling(batch.images, seed, step, batch.index)
    return tiles * encoder.std + encoder.mean if tiling.per_tile_norm else tiles
