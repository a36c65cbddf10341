"""MoCo: find an image's other view among a queue of keys, made by a slow copy of the encoder.

Version 1 (He et al., arXiv 1911.05722, algorithm 1) and version 2 (Chen et al., arXiv 2003.04297: an MLP head, stronger
views, a cosine schedule) are presets of one class.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from fgssl_edu import draws
from fgssl_edu.data.image_set import Batch
from fgssl_edu.distributed import gather, gather_with_gradient
from fgssl_edu.losses import info_nce, nt_xent
from fgssl_edu.methods.base import HEAD_SEED, Method, Presets, augmentation, check_contrast
from fgssl_edu.nets.ema import ema_copy, ema_update
from fgssl_edu.nets.encoders import Encoder, seeded
from fgssl_edu.nets.heads import projection
from fgssl_edu.nets.memory import RingBuffer
from fgssl_edu.nets.norm import split_batch_norms
from fgssl_edu.views.presets import ViewPreset

V1, V2 = "arXiv 1911.05722, section 3.3 and table 1", "arXiv 2003.04297, table 1 and released code"


class MoCo(Method):
    """Contrast against a queue, so that the number of negatives does not depend on the batch."""

    presets: ClassVar[Presets] = {
        "v1": {
            "views": ("moco_v1", V1),
            "size": (224, V1),
            "temperature": (0.07, V1),
            "queue": (65536, V1),
            "ema": (0.999, V1),
            "head": ("linear", V1),
            "out": (128, V1),
        },
        "v2": {
            "views": ("moco_v2", V2),
            "size": (224, V2),
            "temperature": (0.2, V2),
            "queue": (65536, V2),
            "ema": (0.999, V2),
            "head": ("mlp", V2),
            "out": (128, V2),
        },
    }

    def __init__(
        self,
        encoder: Encoder,
        *,
        views: str | ViewPreset = "mild",
        size: int = 32,
        temperature: float = 0.2,
        queue: int = 1024,
        ema: float = 0.99,
        head: str | nn.Module = "mlp",
        out: int = 128,
        symmetric: bool = False,
        splits: int = 1,
        seed: int = 0,
    ) -> None:
        """Prepare query and key networks, views and queue.

        Args:
            encoder: trained from where it is.
            views: preset or its name.
            size: side of a view in pixels.
            temperature: divides cosines.
            queue: K, keys that are remembered; above half the images, a query meets old keys of its own image.
            ema: m, how slowly the key network follows; the papers' .999 needs thousands of steps.
            head: kind of projection, see `nets.projection`, or one from (B, D) to (B, out) that is trained already.
            out: dimensions of the embeddings.
            symmetric: each view is query once and key once (twice the cost).
            splits: parts of a batch with BatchNorm statistics of their own, in encoder and head, as on so many GPUs;
                keys are shuffled first, so that statistics do not tell a query its key.
            seed: of views, head and queue.
        """
        super().__init__()
        check_contrast(temperature, out)
        if not 0 <= ema <= 1 or splits < 1:
            raise ValueError(f"ema={ema}, splits={splits}: ema is in [0, 1] (papers: .999), splits is 1 or more")
        self.seed, self.temperature, self.ema, self.symmetric, self.splits = seed, temperature, ema, symmetric, splits
        self.encoder = split_batch_norms(encoder, splits) if splits > 1 else encoder  # type: ignore[assignment]
        self.augment = augmentation(views, size)
        with seeded(HEAD_SEED + seed):
            made = projection(head, encoder.dim, encoder.dim, out) if isinstance(head, str) else head
        self.head = split_batch_norms(made, splits) if splits > 1 else made
        self.key_network = ema_copy(nn.Sequential(encoder, self.head))
        self.queue = RingBuffer(queue, encoder.dim if head == "none" else out, seed)
        self.chance = math.log(1 + queue)
        self.new_keys: list[Tensor] = []  # of this step's forwards, written to the queue after it

    def extra_repr(self) -> str:
        numbers = f"seed={self.seed}, temperature={self.temperature}, queue={len(self.queue.values)}, ema={self.ema}"
        views = f"views={self.augment.preset}, size={self.augment.size}"
        return f"{numbers}, symmetric={self.symmetric}, splits={self.splits}, {views}"

    def views(self, batch: Batch, step: int) -> tuple[Tensor, ...]:
        """Two views, each (B, 3, size, size); with splits also one draw an image, (B,), that shuffles the keys."""
        pair = tuple(self.augment(batch.images, self.seed, step, batch.index, f"view{i}") for i in (0, 1))
        if self.splits == 1:
            return pair
        return *pair, draws.uniform(self.seed, step, batch.index, "shuffle", 1)[:, 0]

    def forward(self, batch: Batch, views: tuple[Tensor, ...]) -> dict[str, Tensor]:
        first, second, *shuffle = views
        queue = self.queue.read()  # (K, d) a copy, before this step's keys are in it: no own key among the negatives
        pairs = [(first, second), (second, first)] if self.symmetric else [(first, second)]
        losses, queries = [], []
        for seen, other in pairs:
            query = self.head(self.encoder(seen))  # q (B, d)
            key = self.keys(other, *shuffle)  # k (B, d), without gradient
            losses.append(info_nce(query, key, queue, self.temperature))
            queries.append(query.detach())
            self.new_keys.append(key)
        return {"loss": torch.stack(losses).mean(), "embeddings": torch.cat(queries)}

    @torch.no_grad()
    def keys(self, images: Tensor, shuffle: Tensor | None = None) -> Tensor:
        """Unit keys of (B, 3, h, w), (B, d); computed in shuffled order where BatchNorm is split."""
        if shuffle is None:
            return nn.functional.normalize(self.key_network(images).float(), dim=1)
        order = shuffle.argsort()
        keys = self.key_network(images[order])[order.argsort()]
        return nn.functional.normalize(keys.float(), dim=1)

    def image_loss(self, features: Tensor) -> Tensor:
        """Loss of given features, (B, D) -> (B,) in nats, against the latest forward's keys and the queue it read."""
        assert self.new_keys, "image_loss needs a forward before it in the same step, whose keys it compares with"
        return info_nce(self.head(features), self.new_keys[-1], self.queue.read(), self.temperature, reduction="none")

    def pair_loss(self, first: Tensor, second: Tensor) -> Tensor:
        """NT-Xent within the batch of two pictures of each image, (B, 3, h, w) each, both by the network that learns.

        Equal pictures (the same tensor) are encoded once.
        """
        ones = self.head(self.encoder(first))  # (B, d)
        others = ones if second is first else self.head(self.encoder(second))
        return nt_xent(gather_with_gradient(ones), gather_with_gradient(others), self.temperature)

    def after_step(self, progress: float) -> None:
        """Move the key network, then enqueue.

        The released code moves it at the start of the next forward, which is the same sequence of updates; here it
        happens once an optimiser step, also with accumulation.
        """
        ema_update(self.key_network, nn.Sequential(self.encoder, self.head), self.ema)
        self.queue.write(torch.cat([gather(keys) for keys in self.new_keys]))  # (n, d), the same on every process
        self.new_keys.clear()
