"""Fine-tuning as a method: the supervised one from a trained start; a transformer's lower blocks learn more slowly.

A rate for each layer is that of MAE's released code (arXiv 2111.06377): decay to the power of its distance to the top.
"""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.optim import Optimizer

from fgssl_edu.methods.base import optimizer
from fgssl_edu.methods.supervised import Supervised
from fgssl_edu.nets.encoders import Encoder
from fgssl_edu.recipe import Recipe

WITHOUT_DECAY = ("cls_token", "pos_embed")  # of a transformer, beside 1-d parameters (MAE's and timm's rule)


class FineTuned(Supervised):
    """A copy of an encoder and a linear classifier that learn from labels together; see `Supervised` for the fields."""

    def __init__(self, encoder: Encoder, layer_decay: float, **fields: object) -> None:
        super().__init__(trainable(encoder), **fields)  # type: ignore[arg-type]
        self.layer_decay = layer_decay

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, layer_decay={self.layer_decay}"

    def optimizers(self, recipe: Recipe) -> list[Optimizer]:
        if self.layer_decay == 1:
            return [optimizer(self, recipe)]
        groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
        for name, parameter in self.named_parameters():
            if parameter.requires_grad:
                plain = parameter.ndim > 1 and not name.endswith(WITHOUT_DECAY)
                groups.setdefault((self.scale(name), plain), []).append(parameter)
        rows = [
            {"params": members, "lr": scale * recipe.lr, "weight_decay": plain * recipe.weight_decay}
            for (scale, plain), members in groups.items()
        ]
        return [torch.optim.AdamW(rows, lr=recipe.lr)]

    def scale(self, name: str) -> float:
        """Share of the learning rate that a parameter gets: decay^(L + 1 - l), its layer l being 0 below the blocks."""
        _, _, within = name.partition("encoder.")
        head, _, rest = within.partition(".")
        last = len(self.encoder.blocks) + 1
        if not within or head == "norm":  # the classifier, and the norm before it
            return 1.0
        layer = 1 + int(rest.partition(".")[0]) if head == "blocks" else 0
        return self.layer_decay ** (last - layer)


def trainable(encoder: Encoder) -> Encoder:
    """A copy whose weights all learn, whoever's slow copy it was; a transformer's mask token is in no use here."""
    made = copy.deepcopy(encoder).requires_grad_()
    for name, parameter in made.named_parameters():
        if name.endswith("mask_token"):
            parameter.requires_grad_(False)
    return made
