"""DeepCluster-v2: between epochs k-means labels all images, within an epoch the network learns these labels.

Caron et al. (arXiv 1807.05520) alternated k-means with a classifier that began anew each time. Version 2 (appendix of
arXiv 2006.09882 and its code) clusters the embeddings that the last epoch left behind, on the sphere, takes the
centroids themselves for the classifier, and has several clusterings at once. Nothing balances the clusters.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from fgssl_edu.data.image_set import Batch, Images
from fgssl_edu.distributed import full_precision, gather
from fgssl_edu.methods.base import HEAD_SEED, Method, Presets, check_contrast
from fgssl_edu.methods.clustering.crops import code_statistics, multi_crop, projector, unit_embeddings
from fgssl_edu.methods.clustering.spherical_kmeans import spherical_kmeans
from fgssl_edu.nets.encoders import Encoder, seeded
from fgssl_edu.nets.modes import frozen
from fgssl_edu.views.presets import ViewPreset

PAPER, CODE = "arXiv 2006.09882, appendix D", "released code, facebookresearch/swav, main_deepclusterv2"
BANKS = 2  # one a large view
PASS = 256  # images a pass through the untrained network


class DeepCluster(Method):
    """Cross-entropy of every crop with its image's cluster; the clusters' centroids are the classifier."""

    presets: ClassVar[Presets] = {
        "v2": {
            "views": ("swav", CODE),
            "size": (224, PAPER),
            "local_views": (6, PAPER),
            "local_size": (96, PAPER),
            "local_area": ((0.05, 0.14), PAPER),
            "prototypes": (3000, CODE),
            "heads": (3, CODE),
            "temperature": (0.1, CODE),
            "iterations": (10, CODE),
            "hidden": (2048, CODE),
            "out": (128, CODE),
        },
    }

    bank: Tensor
    centroids: Tensor
    assigned: Tensor

    def __init__(
        self,
        encoder: Encoder,
        *,
        views: str | ViewPreset = "mild",
        size: int = 32,
        local_views: int = 4,
        local_size: int | None = None,
        local_area: tuple[float, float] = (0.25, 0.75),
        prototypes: int = 128,
        heads: int = 3,
        temperature: float = 0.1,
        iterations: int = 10,
        hidden: int | None = None,
        out: int = 128,
        seed: int = 0,
    ) -> None:
        """Prepare projector and views.

        Args:
            encoder: trained from where it is; where it has no BatchNorm, the projector has LayerNorm.
            views: preset of the two large views or its name.
            size: side of a large view in pixels.
            local_views: small views of each image; 0 switches multi-crop off.
            local_size: side of a small view in pixels; None: five eighths of `size`.
            local_area: share of the picture that a small view shows, least and most.
            prototypes: K, clusters of each clustering; of more than there are images some stay empty.
            heads: clusterings at once, of different starts; every other one of the other large view.
            temperature: divides cosines with the centroids.
            iterations: of k-means.
            hidden: width of the projector; None: the encoder's D.
            out: dimensions of the embeddings.
            seed: of views, projector, k-means.
        """
        super().__init__()
        check_contrast(temperature, out)
        if any(isinstance(value, bool) or not isinstance(value, int) for value in (prototypes, heads)):
            raise ValueError(f"prototypes={prototypes!r}, heads={heads!r}: whole numbers")
        if prototypes < 1 or heads < 1 or iterations < 0:
            raise ValueError(f"prototypes={prototypes}, heads={heads}, iterations={iterations}: at least 1, 1 and 0")
        self.encoder, self.seed, self.temperature, self.iterations = encoder, seed, temperature, iterations
        self.clusters, self.heads, self.out, self.chance = prototypes, heads, out, math.log(prototypes)
        self.crops = multi_crop(views, size, local_views, local_size, local_area)
        with seeded(HEAD_SEED + seed):
            self.projector = projector(encoder, hidden, out)
        self.new: list[tuple[Tensor, Tensor]] = []  # index (B,) and embeddings (B, BANKS, d) of this step's forwards

    def extra_repr(self) -> str:
        numbers = f"seed={self.seed}, temperature={self.temperature}, iterations={self.iterations}"
        return f"{numbers}, clusters={self.clusters}, heads={self.heads}, crops={self.crops}"

    def start(self, images: Images, resumed: bool) -> None:
        place = images.device
        self.register_buffer("bank", torch.zeros(images.count, BANKS, self.out, device=place))
        self.register_buffer("centroids", torch.zeros(self.heads, self.clusters, self.out, device=place))
        self.register_buffer("assigned", torch.zeros(self.heads, images.count, dtype=torch.long, device=place))

    @torch.no_grad()
    def before_epoch(self, images: Images, epoch: int) -> None:
        """Cluster what the last epoch left in the bank; before the first, what the untrained network makes of all.

        Deviation: an image that an epoch left out (the incomplete last batch) keeps its older row and gets a label from
        it; the released code leaves it out of the next epoch's loss.
        """
        if epoch == 0:
            self.bank.copy_(self.first_embeddings(images))
        found = [
            spherical_kmeans(self.bank[:, i % BANKS], self.clusters, self.iterations, self.seed, epoch, f"head{i}")
            for i in range(self.heads)
        ]
        centroids, labels = (torch.stack(part) for part in zip(*found, strict=True))
        self.centroids.copy_(gather(centroids[None])[0])  # process 0's: a GPU adds up in no fixed order
        self.assigned.copy_(gather(labels[None])[0])

    def first_embeddings(self, images: Images) -> Tensor:
        """Embeddings of two large views of every image, (N, BANKS, d), in evaluation mode."""
        rows = torch.zeros_like(self.bank)
        with frozen(self):
            for batch in images.batches(PASS):
                views = self.views(batch, 0)[:BANKS]
                rows[batch.index] = torch.stack(unit_embeddings(self.encoder, self.projector, views), dim=1)
        return gather(rows[None]).sum(dim=0)

    def views(self, batch: Batch, step: int) -> tuple[Tensor, ...]:
        """Two large views, then the small ones, each (B, 3, side, side)."""
        return self.crops(batch.images, self.seed, step, batch.index)

    def forward(self, batch: Batch, views: tuple[Tensor, ...]) -> dict[str, Tensor]:
        embeddings = torch.stack(unit_embeddings(self.encoder, self.projector, views), dim=1)  # (B, V, d)
        labels = self.assigned[:, batch.index]  # (heads, B)
        with full_precision():
            logits = torch.einsum("bvd,hkd->hkbv", embeddings, self.centroids) / self.temperature
            loss = F.cross_entropy(logits, labels[..., None].expand(-1, -1, len(views)))  # mean over heads and crops
        self.new.append((batch.index, embeddings[:, :BANKS].detach()))
        codes = F.one_hot(gather(labels.T), self.clusters)  # (N, heads, K)
        return {"loss": loss, "embeddings": embeddings[:, 0].detach(), **code_statistics(codes)}

    def after_step(self, progress: float) -> None:
        """Leave this step's embeddings in the bank, for the next clustering."""
        for index, rows in self.new:
            self.bank[gather(index)] = gather(rows)
        self.new.clear()
