"""SimCLR: two views of an image agree, all other images of the batch disagree (Chen et al., arXiv 2002.05709)."""

from __future__ import annotations

import math
from typing import ClassVar

from torch import Tensor
from torch.optim import Optimizer

from fgssl_edu.data.image_set import Batch
from fgssl_edu.distributed import gather_with_gradient
from fgssl_edu.losses import nt_xent
from fgssl_edu.methods.base import HEAD_SEED, Method, Presets, augmentation, check_contrast
from fgssl_edu.nets.encoders import Encoder, seeded
from fgssl_edu.nets.heads import projection
from fgssl_edu.recipe import Recipe
from fgssl_edu.views.background import BackgroundSwap
from fgssl_edu.views.presets import ViewPreset

SOURCE, HEAD = "arXiv 2002.05709, section 3 and table 5", "released code: BatchNorm after both layers"
SIMCORE = "arXiv 2303.11101, released code, sungnyun/openssl-simcore"


class SimCLR(Method):
    """Contrast within the batch; nothing is detached, the head is thrown away after training."""

    presets: ClassVar[Presets] = {
        "v1": {
            "views": ("simclr", SOURCE),
            "size": (224, SOURCE),
            "temperature": (0.1, SOURCE),
            "head": ("simclr", HEAD),
            "out": (128, SOURCE),
        },
        "simcore": {
            "views": ("simcore", SIMCORE),
            "size": (224, SIMCORE),
            "temperature": (0.07, SIMCORE),
            "head": ("mlp", SIMCORE),
            "out": (128, SIMCORE),
        },
    }

    def __init__(
        self,
        encoder: Encoder,
        *,
        views: str | ViewPreset = "mild",
        size: int = 32,
        temperature: float = 0.2,
        head: str = "mlp",
        out: int = 128,
        seed: int = 0,
        swap: BackgroundSwap | None = None,
    ) -> None:
        """Prepare head and views.

        Args:
            encoder: trained from where it is.
            views: preset or its name.
            size: side of a view in pixels.
            temperature: divides cosines; smaller attends to the hardest negatives.
            head: kind of projection, see `nets.projection`.
            out: dimensions of the embeddings.
            seed: of the views and the head.
            swap: gives every view another true background before anything else: the oracle view.
        """
        super().__init__()
        check_contrast(temperature, out)
        self.encoder, self.seed, self.temperature, self.swap = encoder, seed, temperature, swap
        self.augment = augmentation(views, size)
        with seeded(HEAD_SEED + seed):
            self.head = projection(head, encoder.dim, encoder.dim, out)

    def extra_repr(self) -> str:
        views = f"views={self.augment.preset}, size={self.augment.size}"
        return f"seed={self.seed}, temperature={self.temperature}, {views}"

    def optimizers(self, recipe: Recipe) -> list[Optimizer]:
        if recipe.piece < 2:
            raise ValueError(f"batch={recipe.batch}, accumulate={recipe.accumulate}: a contrast needs 2 images a piece")
        self.chance = math.log(2 * recipe.piece - 1)  # one partner among all other views
        return super().optimizers(recipe)

    def views(self, batch: Batch, step: int) -> tuple[Tensor, ...]:
        """Two views of each image, each (B, 3, size, size)."""
        return self._view(batch, step, "view0"), self._view(batch, step, "view1")

    def _view(self, batch: Batch, step: int, purpose: str) -> Tensor:
        images = batch.images
        if self.swap is not None:
            images = self.swap(images, self.seed, step, batch.index, purpose)
        return self.augment(images, self.seed, step, batch.index, purpose)

    def forward(self, batch: Batch, views: tuple[Tensor, ...]) -> dict[str, Tensor]:
        first = self.head(self.encoder(views[0]))  # z_i (B, d)
        second = self.head(self.encoder(views[1]))  # z_j (B, d)
        everyone = gather_with_gradient(first), gather_with_gradient(second)  # (N, d) each: the batch of all processes
        return {"loss": nt_xent(*everyone, self.temperature), "embeddings": first.detach()}
