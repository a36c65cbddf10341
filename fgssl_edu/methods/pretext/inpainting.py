"""Context encoders: cut a hole into a picture and fill it in (Pathak et al., CVPR 2016, arXiv 1604.07379).

To fill a hole a network has to know what stands around it. By squared error alone it answers with the mean of all that
might be there, a blur; a critic that tells made holes from true ones makes it choose. The features that the paper
scores come from the squared error alone.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.optim import Optimizer

from fgssl_edu.data.image_set import Batch, Images
from fgssl_edu.losses import critic_loss, fooling_loss, hole_error
from fgssl_edu.methods.base import HEAD_SEED, Method, Presets, augmentation, optimizer
from fgssl_edu.nets.context import Critic, MapDecoder
from fgssl_edu.nets.encoders import Encoder, seeded
from fgssl_edu.nets.modes import frozen
from fgssl_edu.nets.norm import has_batch_norm
from fgssl_edu.recipe import Recipe
from fgssl_edu.views.holes import check_hole, holes, shrunk
from fgssl_edu.views.presets import ViewPreset

PAPER, CODE = "arXiv 1604.07379, section 3", "pathak22/context-encoder, train.lua"
README = "README of pathak22/context-encoder"
BAND_WEIGHT = 10.0  # of an error in the band along the hole's edge, where the answer can be seen (released code)
CRITIC_RATE = 0.1  # of the maker's learning rate (released code: 2e-4 and 2e-3)
SAMPLE = 512  # pictures whose colours the fill and the chance value are taken from
_PUBLISHED: dict[str, tuple[object, str]] = {
    "views": ("context_encoder", CODE),  # 128 of 350 px
    "size": (128, CODE),
    "hole": (0.25, PAPER),
    "place": ("centre", PAPER),
    "overlap": (4, CODE),
    "adversarial": (0.001, CODE),
}


class Inpainting(Method):
    """Encoder, channel-wise fully connected layer, decoder; the error counts in the hole only."""

    fill: Tensor

    presets: ClassVar[Presets] = {
        "paper": _PUBLISHED,
        "features": {
            **_PUBLISHED,
            "adversarial": (0.0, f"{README}: what the paper probes was trained without a critic"),
        },
    }

    def __init__(
        self,
        encoder: Encoder,
        *,
        views: str | ViewPreset = "mild",
        size: int = 32,
        hole: float = 0.25,
        place: str = "centre",
        overlap: int = 1,
        adversarial: float = 0.0,
        autoencoder: bool = False,
        seed: int = 0,
    ) -> None:
        """Prepare views, decoder and, where there is one, the critic.

        Args:
            encoder: trained from where it is.
            views: preset or its name, of the picture before it is cut.
            size: side of a view in pixels.
            hole: share of the view's area to fill in.
            place: of the hole, see `views.holes`.
            overlap: pixels along the edge of a hole in the centre that are shown, and count ten times: what is filled
                in has to go on what is there. Other holes have no such band, as in the released code.
            adversarial: share of the loss that is the critic's opinion; 0 is squared error alone.
            autoencoder: show what is in the hole too: nothing is left to be guessed.
            seed: of views, holes, decoder and critic.
        """
        super().__init__()
        check_hole(place, hole)
        if not 0 <= adversarial < 1 or isinstance(overlap, bool) or not 0 <= overlap <= size // 8:
            raise ValueError(
                f"adversarial={adversarial}, overlap={overlap}: a share in [0, 1), the paper's is .001; and 0 to "
                f"size / 8 = {size // 8} px"
            )
        self.encoder, self.seed, self.hole, self.place = encoder, seed, hole, place
        self.overlap, self.adversarial, self.autoencoder = overlap, adversarial, autoencoder
        self.augment = augmentation(views, size)
        with frozen(encoder), torch.no_grad():
            channels, side = encoder.feature_map(torch.zeros(1, 3, size, size)).shape[1:3]
        batch_norm = has_batch_norm(encoder)
        with seeded(HEAD_SEED + seed):
            self.decoder = MapDecoder(channels, side, size, "batch" if batch_norm else "group")
            self.critic = Critic() if adversarial else None
        self.register_buffer("fill", torch.full((3,), 0.5))

    def extra_repr(self) -> str:
        cut = f"hole={self.hole}, place={self.place}, overlap={self.overlap}, autoencoder={self.autoencoder}"
        views = f"views={self.augment.preset}, size={self.augment.size}"
        return f"seed={self.seed}, {cut}, adversarial={self.adversarial}, {views}"

    def start(self, images: Images, resumed: bool) -> None:
        """The mean colour of the pictures fills the holes, and to answer with it is to know nothing.

        Deviation: the released code fills with 117, 104, 123, a mean colour whose channels have slipped.
        """
        pixels = images.first(SAMPLE).float() / 255
        self.fill.copy_(pixels.mean(dim=(0, 2, 3)))
        variance = float(pixels.var(dim=(0, 2, 3), correction=0).mean())
        critic = self.adversarial * math.log(2) + 2 * math.log(2) if self.critic is not None else 0.0
        self.chance = (1 - self.adversarial) * variance + critic

    def optimizers(self, recipe: Recipe) -> list[Optimizer]:
        """The recipe's for encoder and decoder; the critic's is slower and constant."""
        own = [optimizer(nn.ModuleList([self.encoder, self.decoder]), recipe)]
        if self.critic is None:
            return own
        return [*own, optimizer(self.critic, recipe, CRITIC_RATE * recipe.lr, schedule="constant")]

    def views(self, batch: Batch, step: int) -> tuple[Tensor, ...]:
        """Pictures, (B, 3, size, size), and what is to be filled in of each, (B, size, size) bool."""
        pictures = self.augment(batch.images, self.seed, step, batch.index, "view0")
        return pictures, holes(self.place, self.hole, self.augment.size, self.seed, step, batch.index)

    def forward(self, batch: Batch, views: tuple[Tensor, ...]) -> dict[str, Tensor]:
        pictures, hole = views
        hidden = self.hidden(hole)  # (B, size, size) the hole without its band
        maps = self.encoder.feature_map(self.cut(pictures, hidden))  # (B, D, h, w)
        filled = self.decoder(maps)  # (B, 3, size, size)
        weight = hole + (BAND_WEIGHT - 1) * (hole & ~hidden)  # 1 where hidden, 10 in the band, 0 elsewhere
        loss = hole_error(filled, pictures, weight)
        outputs = {"error": hole_error(filled, pictures, hidden).detach()}
        if self.critic is not None:
            judged, fooled = self.judge(pictures, filled, hole)
            loss = (1 - self.adversarial) * loss + self.adversarial * fooled + judged
            outputs |= {"critic": judged.detach(), "fooled": fooled.detach()}
        return {"loss": loss, "embeddings": self.encoder.pool(maps).detach(), **outputs}

    def hidden(self, hole: Tensor) -> Tensor:
        """What of the holes, (B, size, size), the encoder is not shown where it is shown as little as it may be."""
        return shrunk(hole, self.overlap) if self.overlap and self.place == "centre" else hole

    def cut(self, pictures: Tensor, hidden: Tensor) -> Tensor:
        """Pictures (B, 3, size, size) with the mean colour where they are hidden; an autoencoder's are whole."""
        return pictures if self.autoencoder else torch.where(hidden[:, None], self.fill.view(3, 1, 1), pictures)

    def judge(self, pictures: Tensor, filled: Tensor, hole: Tensor) -> tuple[Tensor, Tensor]:
        """The critic's loss, from which only the critic learns, and that of fooling it, from which it does not.

        The critic sees the hole alone: beside its surroundings it was too easily told (section 3.2).
        """
        assert self.critic is not None
        real, made = pictures * hole[:, None], filled * hole[:, None]
        judged = critic_loss(self.critic(real), self.critic(made.detach()))
        constant = {name: value.detach() for name, value in self.critic.named_parameters()}
        return judged, fooling_loss(functional_call(self.critic, constant, (made,)))
