"""LCR: a small branch learns where an image's self-supervised loss lives, and weighs the pooling by it (CVPR 2023).

Shu, van den Hengel and Liu, arXiv 2303.01669. A branch of K 1x1 projections is too small to know single images: fitted
to the Grad-CAM of the contrastive loss, it keeps what many images share, the common rationale. Its map then weighs the
positions of the feature map where features are pooled. The loss is MoCo's plus `weight` times the branch's misfit.

Here is a corrected form, and the released code's behaviour as `paper_code=True`; where they part, the line says so.
True maps as targets show what the idea could give at best.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fgssl_edu.data.image_set import Batch, Images
from fgssl_edu.distributed import world_size
from fgssl_edu.gradcam import gradcam, normalize_map
from fgssl_edu.losses import info_nce
from fgssl_edu.methods.base import HEAD_SEED
from fgssl_edu.methods.contrastive.moco import MoCo
from fgssl_edu.methods.finegrained.presets import RATIONALE
from fgssl_edu.methods.finegrained.rationale_branch import AttentionPooled, Branch, misfit, normalized, target_entropy
from fgssl_edu.nets.encoders import Encoder, seeded
from fgssl_edu.nets.modes import frozen
from fgssl_edu.nets.norm import has_batch_norm, split_batch_norms
from fgssl_edu.views.geometry import crop_resize
from fgssl_edu.views.presets import ViewPreset

TARGETS = ("gradcam", "foreground", "discriminative", "uniform")
TRUE_TARGETS = ("foreground", "discriminative")
ALIGNMENTS = ("kl", "mse", "cosine")


class CommonRationale(MoCo):
    """MoCo with a branch that is fitted to where its loss lives, and pools by it when scored."""

    presets = RATIONALE
    truth: Tensor | None

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
        kernels: int = 32,
        weight: float = 0.01,
        target: str = "gradcam",
        truth: Tensor | None = None,
        sign: str = "helps",
        align: str = "kl",
        softness: float = 0.4,
        paper_code: bool = False,
        branch_stopgrad: bool = False,
        seed: int = 0,
    ) -> None:
        """Prepare MoCo and the branch; encoder to splits and seed are MoCo's.

        Args:
            kernels: K, projections of the branch: more of them know single images better.
            weight: nu, of the misfit summed over the images of a batch; 0 is MoCo itself, step by step.
            target: what the branch is fitted to: "gradcam" of the loss, a true map ("foreground", "discriminative": an
                oracle, from `truth`), or "uniform" (a control).
            truth: true maps of the training images by position, (N, H, W) in [0, 1]; for the oracles alone.
            sign: of the Grad-CAM: what "helps" to lower the loss, or what "hurts".
            align: how map and target are compared, see `misfit`.
            softness: temperature of both softmaxes; .4 in the released BYOL form.
            paper_code: the released MoCo form: "hurts", raw Grad-CAM, softmax of each row, min-max over the batch, a
                target that gradients flow through; `sign` and `softness` are not read.
            branch_stopgrad: keep the misfit's gradient from the encoder, so that the branch only watches.
        """
        _check(kernels, weight, target, truth, sign, align, softness, paper_code)
        shape = {"views": views, "size": size, "head": head, "out": out, "symmetric": symmetric, "splits": splits}
        super().__init__(encoder, temperature=temperature, queue=queue, ema=ema, seed=seed, **shape)  # type: ignore[arg-type]
        self.kernels, self.weight, self.target, self.align = kernels, weight, target, align
        self.sign, self.softness = ("hurts", 1.0) if paper_code else (sign, softness)
        self.paper_code, self.branch_stopgrad = paper_code, branch_stopgrad
        batch_norm = has_batch_norm(encoder)
        with seeded(2 * HEAD_SEED + seed):
            branch = Branch(encoder.dim, kernels, batch_norm)
        self.branch = split_batch_norms(branch, splits) if splits > 1 else branch
        self.branch.requires_grad_(weight > 0)  # else no step uses it
        stored = None if truth is None else (truth.float() * 255).round().byte()[:, None]  # (N, 1, H, W)
        self.register_buffer("truth", stored, persistent=False)

    def extra_repr(self) -> str:
        what = f"weight={self.weight}, target={self.target}, sign={self.sign}, align={self.align}"
        how = f"softness={self.softness}, paper_code={self.paper_code}, branch_stopgrad={self.branch_stopgrad}"
        return f"{super().extra_repr()}, kernels={self.kernels}, {what}, {how}"

    def start(self, images: Images, resumed: bool) -> None:
        super().start(images, resumed)
        if self.truth is not None:
            have, need = tuple(self.truth[:, 0].shape), (images.count, *images.shape[2:])
            if have != need:
                raise ValueError(f"truth: {have} for images {need}; give the true maps of the training set, as large")

    def views(self, batch: Batch, step: int) -> tuple[Tensor, ...]:
        """MoCo's; for an oracle also the true map as each query view shows it, (B, 1, size, size) in [0, 1]."""
        made = super().views(batch, step)
        if self.truth is None or self.weight == 0:
            return made
        shown = self.truth[batch.index]
        for purpose in ("view0", "view1")[: 1 + self.symmetric]:
            drawn = self.augment.parameters(batch.images, self.seed, step, batch.index, purpose)  # the view's own
            made += (crop_resize(shown, drawn["box"], self.augment.size, drawn["flip"]),)
        return made

    def forward(self, batch: Batch, views: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """As MoCo's, and scalars of the fit.

        Returns:
            MoCo's; also "contrast", its part of the loss; "fit", the mean misfit of an image, and "fit_flat", that of a
            map which is 1 everywhere: what the branch must beat; "target_entropy", see there.
        """
        if self.weight == 0:
            return super().forward(batch, views)
        first, second, *rest = views
        shuffle, truth = rest[: int(self.splits > 1)], rest[int(self.splits > 1) :]
        queue = self.queue.read()  # (K, d)
        pairs = [(first, second), (second, first)] if self.symmetric else [(first, second)]
        losses, fits, targets, queries = [], [], [], []
        for number, (seen, other) in enumerate(pairs):
            feature_map = self.encoder.feature_map(seen)  # F (B, C, h, w)
            query = self.head(self.encoder.pool(feature_map))  # q (B, d)
            key = self.keys(other, *shuffle)  # k (B, d), without gradient
            losses.append(info_nce(query, key, queue, self.temperature))
            targets.append(self.target_map(losses[-1], feature_map, truth[number] if truth else None))  # G (B, h, w)
            fits.append(self._misfit(feature_map, targets[-1]))
            queries.append(query.detach())
            self.new_keys.append(key)
        contrast, fit = torch.stack(losses).mean(), torch.stack(fits).mean(dim=0)  # fit (B,)
        # Over processes gradients are averaged: times their number, the sum is that of the whole batch. The released
        # code leaves it at each process's own sum, so that nu means less on more GPUs.
        summed = fit.sum() if self.paper_code else fit.sum() * world_size()
        scalars = {
            "contrast": contrast.detach(),
            "fit": fit.detach().mean(),
            **self._about(torch.cat(targets).detach()),
        }
        return {"loss": contrast + self.weight * summed, "embeddings": torch.cat(queries), **scalars}

    def _about(self, target: Tensor) -> dict[str, Tensor]:
        """What there is to fit in targets (n, h, w)."""
        flat = misfit(torch.ones_like(target), target, self.align, self.softness, self.paper_code)
        entropy = target_entropy(target, self.softness, self.paper_code)
        return {"fit_flat": flat.mean(), "target_entropy": entropy.mean()}

    def target_map(self, loss: Tensor, feature_map: Tensor, truth: Tensor | None = None) -> Tensor:
        """What the branch is fitted to.

        Args:
            loss: (), mean over the batch, computed from the very `feature_map`.
            feature_map: (B, C, h, w).
            truth: (B, 1, H, W) in [0, 1], the true map of each view; for the oracles.

        Returns:
            (B, h, w) in [0, 1], detached, zeros where nothing stands out; with paper_code the raw map, with gradient.
        """
        if self.target == "uniform":
            return torch.ones_like(feature_map[:, 0])
        if truth is not None:
            return normalize_map(F.adaptive_avg_pool2d(truth, (feature_map.shape[2], feature_map.shape[3]))[:, 0])
        if not self.paper_code:
            return normalize_map(gradcam(loss * len(feature_map), feature_map, self.sign, pooled=False))
        # As released: raw values of the mean loss, and features that are not detached, so that the misfit also pulls
        # the encoder towards maps that are easy to fit. Not taken over: statistics of the branch that move three times
        # a step, and a second projector that enters no loss.
        (gradient,) = torch.autograd.grad(loss, feature_map, retain_graph=True)
        return (feature_map * gradient).float().sum(dim=1).relu()

    def _misfit(self, feature_map: Tensor, target: Tensor) -> Tensor:
        seen = feature_map.detach() if self.branch_stopgrad else feature_map
        fitted = normalized(self.branch(seen), self.paper_code)
        return misfit(fitted, target, self.align, self.softness, self.paper_code)

    @torch.no_grad()
    def branch_map(self, images: Tensor) -> Tensor:
        """The branch's map of float images in [0, 1], (B, 3, H, W) -> (B, h, w) in [0, 1], in evaluation mode."""
        with frozen(self):
            return normalized(self.branch(self.encoder.feature_map(images)), self.paper_code)

    def evaluated(self) -> Encoder:
        """The encoder with attention pooling; with weight=0 the plain one, for its branch has learned nothing."""
        return AttentionPooled(self.encoder, self.branch, self.paper_code) if self.weight else self.encoder


def _check(
    kernels: int,
    weight: float,
    target: str,
    truth: Tensor | None,
    sign: str,
    align: str,
    softness: float,
    paper_code: bool,
) -> None:
    """Refuse what cannot be fitted."""
    if isinstance(kernels, bool) or not isinstance(kernels, int) or kernels < 1:
        raise ValueError(f"kernels={kernels!r}: a whole number of projections, 1 or more; the paper has 32")
    if not 0 <= weight < math.inf or not 0 < softness < math.inf:
        raise ValueError(f"weight={weight!r}, softness={softness!r}: weight is 0 or more, softness above 0")
    for name, value, known in (
        ("target", target, TARGETS),
        ("align", align, ALIGNMENTS),
        ("sign", sign, ("helps", "hurts")),
    ):
        if value not in known:
            raise ValueError(f"{name}={value!r}: choose one of {', '.join(known)}")
    if paper_code and (target != "gradcam" or align != "kl"):
        raise ValueError(f"paper_code=True has target='gradcam' and align='kl', not {target!r} and {align!r}")
    if (truth is not None) != (target in TRUE_TARGETS):
        raise ValueError(f"target={target!r}: `truth` goes with {' and '.join(TRUE_TARGETS)}, and with no other")
    if truth is not None and (truth.ndim != 3 or not 0 <= float(truth.min()) <= float(truth.max()) <= 1):
        raise ValueError(f"truth: {tuple(truth.shape)} {truth.dtype}; true maps are (N, H, W) in [0, 1]")
