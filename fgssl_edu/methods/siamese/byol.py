"""BYOL: predict what a slow copy of the network makes of the image's other view (Grill et al., arXiv 2006.07733).

No negatives. Three parts keep the embeddings apart, and each can be taken away: the predictor, the slow copy (without
it the target is the network itself, as in SimSiam) and the stop-gradient (the copy has none to give in any case).
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from fgssl_edu.data.image_set import Batch
from fgssl_edu.losses import normalized_mse
from fgssl_edu.methods.base import HEAD_SEED, Presets, participation
from fgssl_edu.methods.siamese.parts import TwoViews, check_widths, mlp
from fgssl_edu.nets.ema import cosine_momentum, ema_copy, ema_update
from fgssl_edu.nets.encoders import Encoder, seeded
from fgssl_edu.nets.norm import has_batch_norm
from fgssl_edu.views.presets import ViewPreset

SOURCE = "arXiv 2006.07733, section 3 and appendix B; the same in lightly and solo-learn"
SCHEDULES = ("cosine", "constant")


def projector(dim: int, hidden: int, out: int, batch_norm: bool, last_norm: bool) -> nn.Sequential:
    """(B, dim) -> (B, out): two layers, and where asked for a norm that learns nothing."""
    layers = mlp((dim, hidden, out), batch_norm, bias=not last_norm)
    if not last_norm:
        return layers
    last = nn.BatchNorm1d(out, affine=False) if batch_norm else nn.LayerNorm(out, elementwise_affine=False)
    return nn.Sequential(*layers, last)


class BYOL(TwoViews):
    """Each view's prediction meets the slow copy's embedding of the other view, both brought to length one."""

    presets: ClassVar[Presets] = {
        "v1": {
            "views": ("byol_a", SOURCE),
            "other_views": ("byol_b", SOURCE),
            "size": (224, SOURCE),
            "hidden": (4096, SOURCE),
            "out": (256, SOURCE),
            "ema": (0.996, SOURCE),
        },
    }
    chance = 4.0  # two directions, 2 each for unrelated rows; 0 is agreement, and collapse too: watch the spread

    def __init__(
        self,
        encoder: Encoder,
        *,
        views: str | ViewPreset = "mild",
        other_views: str | ViewPreset | None = None,
        size: int = 32,
        hidden: int | None = None,
        out: int | None = None,
        last_norm: bool = False,
        ema: float = 0.99,
        schedule: str = "cosine",
        predictor: bool = True,
        momentum: bool = True,
        stop_gradient: bool = True,
        seed: int = 0,
    ) -> None:
        """Prepare both networks and the views; sizes that are None fit the small encoders.

        Args:
            encoder: trained from where it is; where it has no BatchNorm, projector and predictor have LayerNorm.
            views: preset of the first view or its name.
            other_views: of the second; None: as the first.
            size: side of a view in pixels.
            hidden: width of projector and predictor inside; None: twice the encoder's D (4096 for a ResNet-50).
            out: dimensions of the embeddings; None: D (256 for a ResNet-50, an eighth).
            last_norm: a BatchNorm without scale and shift after the projector, as SimSiam and MoCo v3 have it: targets
                then lose their common mean, and short trainings learn more.
            ema: m, share of itself that the slow copy keeps in a step, at the start.
            schedule: "cosine" lets m rise to 1; "constant" keeps it: 0 is the network one step ago, and 1 a random
                target that never moves, from which a network still learns (table 5a).
            predictor: False compares embeddings themselves.
            momentum: False takes the network itself as the target.
            stop_gradient: False, without momentum, lets the target follow the prediction.
            seed: of views, projector and predictor.
        """
        super().__init__(encoder, views, other_views, size, seed)
        hidden, out = 2 * encoder.dim if hidden is None else hidden, encoder.dim if out is None else out
        check_widths(hidden=hidden, out=out)
        if not 0 <= ema <= 1 or schedule not in SCHEDULES:
            raise ValueError(f"ema={ema}, schedule={schedule!r}: ema is in [0, 1], schedule {' or '.join(SCHEDULES)}")
        if momentum and not stop_gradient:
            raise ValueError("stop_gradient=False: a slow copy takes no gradient; give momentum=False with it")
        self.ema, self.schedule, self.stop_gradient = ema, schedule, stop_gradient
        batch_norm = has_batch_norm(encoder)
        with seeded(HEAD_SEED + seed):
            self.projector = projector(encoder.dim, hidden, out, batch_norm, last_norm)
            self.predictor = mlp((out, hidden, out), batch_norm, bias=True) if predictor else nn.Identity()
        self.target = ema_copy(nn.Sequential(encoder, self.projector)) if momentum else None

    def extra_repr(self) -> str:
        kept = f"ema={self.ema}, schedule={self.schedule}, stop_gradient={self.stop_gradient}"
        return f"{super().extra_repr()}, {kept}"

    def forward(self, batch: Batch, views: tuple[Tensor, ...]) -> dict[str, Tensor]:
        online = [self.projector(self.encoder(view)) for view in views]  # z (B, out) of either view
        targets = self._targets(views, online)  # z' (B, out)
        forth = normalized_mse(self.predictor(online[0]), targets[1])
        back = normalized_mse(self.predictor(online[1]), targets[0])
        shown = online[0].detach()
        return {"loss": forth + back, "embeddings": shown, "embedding_rank": participation(shown)}

    def _targets(self, views: tuple[Tensor, ...], online: list[Tensor]) -> list[Tensor]:
        if self.target is not None:
            with torch.no_grad():
                return [self.target(view) for view in views]
        return [each.detach() for each in online] if self.stop_gradient else online

    def after_step(self, progress: float) -> None:
        """Move the slow copy after the optimiser's step; its parameters follow, nothing of the optimiser does."""
        if self.target is not None:
            momentum = cosine_momentum(self.ema, progress) if self.schedule == "cosine" else self.ema
            ema_update(self.target, nn.Sequential(self.encoder, self.projector), momentum)
