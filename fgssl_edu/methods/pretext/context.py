"""Context prediction: two patches of a picture; where does the second lie from the first? (Doersch et al., ICCV 2015).

Skip-gram learns words from the words around them; here the patches around a patch are the supervision. What a
neighbour looks like is ill posed, so that its place is asked for: eight classes (arXiv 1505.05192).
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fgssl_edu.data.image_set import Batch
from fgssl_edu.distributed import full_precision
from fgssl_edu.methods.base import HEAD_SEED, Method, Presets, augmentation
from fgssl_edu.methods.pretext.tiles import cut, tile_side
from fgssl_edu.nets.encoders import Encoder, seeded
from fgssl_edu.views.patches import GRID, Tiling
from fgssl_edu.views.presets import ViewPreset

PAPER, CODE = "arXiv 1505.05192, section 3", "cdoersch/deepcontext"
DIRECTIONS = 8


def direction(row: int, column: int) -> int:
    """Class of a neighbour that lies `row` down and `column` right, each -1, 0 or 1: row by row without the centre."""
    if (row, column) == (0, 0) or max(abs(row), abs(column)) > 1:
        raise ValueError(f"row={row}, column={column}: a neighbour is one step away, straight or across")
    place = GRID * (row + 1) + column + 1
    return place - (place > DIRECTIONS // 2)


def neighbours() -> tuple[Tensor, Tensor]:
    """All ordered pairs of neighbours on the grid and their classes: (40, 2) tiles, (40,) int64."""
    tiles = [divmod(tile, GRID) for tile in range(GRID * GRID)]
    pairs = [
        (i, j, direction(there[0] - here[0], there[1] - here[1]))
        for i, here in enumerate(tiles)
        for j, there in enumerate(tiles)
        if i != j and abs(there[0] - here[0]) <= 1 and abs(there[1] - here[1]) <= 1
    ]
    table = torch.tensor(pairs)  # (40, 3)
    return table[:, :2].contiguous(), table[:, 2].contiguous()


class ContextPrediction(Method):
    """Cross-entropy over eight directions, for every pair of neighbours of a 3 x 3 grid, both ways (released code).

    Deviation: patches are not made coarse and fine again at random, the paper's trick against marks of resampling.
    """

    pairs: Tensor
    answers: Tensor

    presets: ClassVar[Presets] = {
        "paper": {
            "views": ("context", PAPER),
            "tile": (96, PAPER),
            "gap": (48, PAPER),
            "jitter": (7, PAPER),
            "per_tile_norm": (True, CODE),
            "color_drop": (1.0, CODE),
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
        gap: int = 2,
        jitter: int | None = None,
        per_tile_norm: bool = True,
        gray: float = 0.0,
        color_drop: float = 0.0,
        channel_jitter: int = 0,
        lens: float = 0.0,
        hidden: int = 256,
        seed: int = 0,
    ) -> None:
        """Prepare patches and head.

        Args:
            encoder: trained from where it is; it sees one patch at a time.
            views: preset or its name, of the picture before it is cut up.
            size: side in pixels of the views of other methods; gives `tile`.
            tile: side of a patch in pixels; None: 7/16 of `size`, so that nine have about the pixels of two views.
            gap: pixels between patches; 0 lets edges meet.
            jitter: most pixels by which a patch is moved, each way; None: half the gap, 0: none.
            per_tile_norm: each patch at mean 0 and deviation 1.
            gray: share of pictures made grey.
            color_drop: share of pictures of whose patches one channel is kept.
            channel_jitter: pixels that each channel of each tile is moved each way.
            lens: shortcut: a lens that magnifies red by this share and shrinks blue, -.1 to .1; 0 none.
            hidden: width of the layer that sees a pair.
            seed: of views and head.
        """
        super().__init__()
        self.encoder, self.seed = encoder, seed
        preset, side = augmentation(views, size).preset, tile_side(size) if tile is None else tile
        moved = gap // 2 if jitter is None else jitter
        self.tiling = Tiling(preset, side, gap, moved, per_tile_norm, gray, color_drop, channel_jitter, lens)
        pairs, answers = neighbours()
        self.register_buffer("pairs", pairs, persistent=False)
        self.register_buffer("answers", answers, persistent=False)
        with seeded(HEAD_SEED + seed):
            self.head = nn.Sequential(
                nn.Linear(2 * encoder.dim, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, DIRECTIONS)
            )
        self.chance = math.log(DIRECTIONS)

    def extra_repr(self) -> str:
        return f"seed={self.seed}, {self.tiling}"

    def views(self, batch: Batch, step: int) -> tuple[Tensor, ...]:
        """Patches in their own order, (B, 9, 3, tile, tile)."""
        return (cut(self.tiling, batch, self.seed, step, self.encoder),)

    def forward(self, batch: Batch, views: tuple[Tensor, ...]) -> dict[str, Tensor]:
        patches = views[0]  # (B, 9, 3, t, t)
        features = self.encoder(patches.flatten(0, 1))  # (9B, D), no patch sees another
        grids = features.view(*patches.shape[:2], -1)  # (B, 9, D)
        pairs = grids[:, self.pairs].flatten(2)  # (B, 40, 2D): a patch and a neighbour
        logits = self.head(pairs).flatten(0, 1)  # (40B, 8)
        answers = self.answers.repeat(len(patches))
        with full_precision():
            loss = F.cross_entropy(logits.float(), answers)
        hits = (logits.argmax(dim=1) == answers).float().mean()
        return {"loss": loss, "accuracy": hits.detach(), "embeddings": features.detach()}
