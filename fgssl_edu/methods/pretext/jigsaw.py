"""Jigsaw: nine tiles of a picture in one of P known orders; which order is it? (Noroozi and Favaro, arXiv 1603.09246).

One encoder looks at each tile by itself; only the head sees them together. So where a tile belongs has to be told by
what it shows: by parts, if the shortcuts (edges, brightness, colour fringes) are closed.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fgssl_edu import draws
from fgssl_edu.data.image_set import Batch
from fgssl_edu.distributed import full_precision
from fgssl_edu.methods.base import HEAD_SEED, Method, Presets, augmentation
from fgssl_edu.methods.pretext.tiles import cut, tile_side
from fgssl_edu.nets.encoders import Encoder, seeded
from fgssl_edu.views.patches import TILES, Tiling
from fgssl_edu.views.permutations import permutation_set
from fgssl_edu.views.presets import ViewPreset

PAPER, CODE = "arXiv 1603.09246, section 4", "bbrattoli/JigsawPuzzlePytorch"


class Jigsaw(Method):
    """Cross-entropy over orders of tiles."""

    permutations: Tensor

    presets: ClassVar[Presets] = {
        "paper": {
            "views": ("jigsaw", PAPER),
            "tile": (64, PAPER),
            "gap": (11, PAPER),
            "permutations": (1000, PAPER),
            "criterion": ("mean", PAPER),
            "gray": (0.3, CODE),
            "channel_jitter": (2, PAPER),  # pixels; the port moves grey levels instead
            "embedding": (1024, PAPER),
            "hidden": (4096, PAPER),
        },
    }

    def __init__(
        self,
        encoder: Encoder,
        *,
        views: str | ViewPreset = "mild",
        size: int = 32,
        tile: int | None = None,
        permutations: int = 64,
        criterion: str = "min",
        gap: int = 2,
        jitter: bool = True,
        per_tile_norm: bool = True,
        gray: float = 0.0,
        color_drop: float = 0.0,
        channel_jitter: int = 0,
        lens: float = 0.0,
        embedding: int = 128,
        hidden: int = 256,
        seed: int = 0,
    ) -> None:
        """Prepare tiles, orders and head.

        Args:
            encoder: trained from where it is; it sees one tile at a time.
            views: preset or its name, of the picture before it is cut up.
            size: side in pixels of the views of other methods; gives `tile`.
            tile: side of a tile in pixels; None: 7/16 of `size`, so that nine have about the pixels of two views.
            permutations: P, classes.
            criterion: how the orders are chosen, see `views.permutation_set`.
            gap: pixels between tiles; 0 lets edges meet.
            jitter: move each tile by itself, up to half the gap each way.
            per_tile_norm: each tile at mean 0 and deviation 1.
            gray: share of pictures made grey.
            color_drop: share of pictures of whose tiles one channel is kept.
            channel_jitter: pixels that each channel of each tile is moved each way.
            lens: shortcut: a lens that magnifies red by this share and shrinks blue, -.1 to .1; 0 none.
            embedding: what the head makes of each tile, with the same weights for all of them.
            hidden: width of the layer that sees all tiles.
            seed: of views, orders and head.
        """
        super().__init__()
        self.encoder, self.seed, self.criterion = encoder, seed, criterion
        preset, side = augmentation(views, size).preset, tile_side(size) if tile is None else tile
        moved = gap // 2 if jitter else 0
        self.tiling = Tiling(preset, side, gap, moved, per_tile_norm, gray, color_drop, channel_jitter, lens)
        orders = permutation_set(permutations, TILES, criterion, seed)
        self.register_buffer("permutations", orders, persistent=False)
        with seeded(HEAD_SEED + seed):
            self.embed = nn.Sequential(nn.Linear(encoder.dim, embedding), nn.ReLU(inplace=True))
            widths = TILES * embedding, hidden, permutations
            self.head = nn.Sequential(nn.Linear(*widths[:2]), nn.ReLU(inplace=True), nn.Linear(*widths[1:]))
        self.chance = math.log(permutations)

    def extra_repr(self) -> str:
        return f"seed={self.seed}, permutations={len(self.permutations)}, criterion={self.criterion}, {self.tiling}"

    def views(self, batch: Batch, step: int) -> tuple[Tensor, ...]:
        """Shuffled tiles, (B, 9, 3, tile, tile), and the number of each picture's order, (B,): place i shows tile
        permutations[answer, i]."""
        tiles = cut(self.tiling, batch, self.seed, step, self.encoder)
        draw = draws.uniform(self.seed, step, batch.index, "order", 1)[:, 0]
        answer = (draw * len(self.permutations)).long()  # (B,)
        return arranged(tiles, self.permutations[answer]), answer

    def logits(self, tiles: Tensor) -> tuple[Tensor, Tensor]:
        """What it says of tiles (B, 9, 3, t, t): a logit for each order, (B, P), and each tile's features, (9B, D)."""
        features = self.encoder(tiles.flatten(0, 1))  # (9B, D), no tile sees another
        return self.head(self.embed(features).view(len(tiles), -1)), features

    def forward(self, batch: Batch, views: tuple[Tensor, ...]) -> dict[str, Tensor]:
        tiles, answer = views  # (B, 9, 3, t, t), (B,)
        logits, features = self.logits(tiles)  # (B, P), (9B, D)
        with full_precision():
            loss = F.cross_entropy(logits.float(), answer)
        hits = (logits.argmax(dim=1) == answer).float().mean()
        return {"loss": loss, "accuracy": hits.detach(), "embeddings": features.detach()}


def arranged(tiles: Tensor, order: Tensor) -> Tensor:
    """Tiles (B, n, ...) in an order each, (B, n): place i gets tile order[i]; `order.argsort(dim=1)` undoes it."""
    return tiles[torch.arange(len(tiles), device=tiles.device)[:, None], order]
