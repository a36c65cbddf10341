"""Synthesised pairs: two decoded pictures of an image that differ in what seems not to matter, and should agree.

Wang et al. (arXiv 2407.14676) add a decoder to a two-view method, disturb features in dimensions of low Grad-CAM score
and low variance, decode both versions and train the encoder to embed them alike. The renderer, the nearest real picture
and the picture itself take the decoder's place as oracle and controls.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from fgssl_edu import draws
from fgssl_edu.data.birds import Factors, render
from fgssl_edu.data.image_set import Batch, Images
from fgssl_edu.distributed import full_precision, gather
from fgssl_edu.gradcam import gradcam_vector
from fgssl_edu.methods.base import Method
from fgssl_edu.methods.contrastive.moco import MoCo
from fgssl_edu.methods.finegrained.decoding import fit_decoder, reconstruction_loss
from fgssl_edu.methods.finegrained.pair_sources import REDRAWN, FeatureBank, fingerprint, nearest, redraw
from fgssl_edu.methods.finegrained.pairs_shown import Perturbed, perturb
from fgssl_edu.methods.finegrained.perturbation import Perturbation, disturbed, low_spread, noise_scale, spread_of
from fgssl_edu.methods.finegrained.presets import PAIRS
from fgssl_edu.methods.siamese.simsiam import SimSiam
from fgssl_edu.nets.decoders import Decoder
from fgssl_edu.nets.encoders import Encoder
from fgssl_edu.nets.norm import frozen_statistics
from fgssl_edu.recipe import Recipe
from fgssl_edu.views import as_float, resized
from fgssl_edu.views.presets import ViewPreset

BASES = ("moco", "simsiam")
DECODERS = ("learned", "renderer", "nearest", "identity")
DECODER_SEED = 3 << 31  # added to the method's seed, apart from those of heads
SAMPLE = 2048  # pictures from which the loss of a decoder that knows nothing is computed


class SynthesizedPairs(Method):
    """L = L_C + alpha L_R + nu L_Cp: the base method's loss, the decoder's, and that of the synthesised pairs."""

    presets = PAIRS

    def __init__(
        self,
        encoder: Encoder,
        *,
        base: str = "moco",
        decoder: str = "learned",
        criteria: str = "both",
        alpha: float = 1.0,
        nu: float = 0.5,
        sigma_cam: float = 0.2,
        sigma_var: float = 0.2,
        threshold: float = 0.02,
        stat: str = "std",
        mode: str = "value",
        sign: str = "helps",
        times_feature: bool = True,
        per_dimension: bool = False,
        clamp: bool = False,
        memory: int = 4096,
        decoder_size: int = 40,
        decoder_lr: float = 1e-3,
        decoder_steps: int = 0,
        decoder_start: Mapping[str, Tensor] | None = None,
        factors: Factors | None = None,
        redraw: str = "surroundings",
        grad_through_decoder: bool = False,
        views: str | ViewPreset = "mild",
        size: int = 32,
        temperature: float = 0.2,
        queue: int = 1024,
        ema: float = 0.99,
        head: str | nn.Module = "mlp",
        out: int | None = None,
        symmetric: bool = False,
        splits: int = 1,
        seed: int = 0,
    ) -> None:
        """Prepare the base, decoder and bank; criteria to clamp are those of `Perturbation`, views to seed the base's.

        Args:
            encoder: trained from where it is.
            base: "moco", or "simsiam" (which has no temperature, queue, ema, head, symmetric, splits).
            decoder: what makes the second picture: "learned"; "renderer" (an oracle, from `factors`); "nearest" (the
                real picture nearest to the disturbed feature); "identity" (a control: the picture twice).
            criteria: as in `Perturbation`, for learned and nearest; "none" is the base alone, step by step.
            alpha: weight of the reconstruction, in variances of natural pictures; learned only.
            nu: weight of the pairs.
            memory: rows of the bank; never more than there are images.
            decoder_size: side of decoded, rendered and whole pictures, pixels.
            decoder_lr: of Adam, constant.
            decoder_steps: of fitting the decoder to the frozen encoder before the first step.
            decoder_start: weights of a decoder that is trained already.
            factors: what the training pictures were drawn from, in plain sight; for the renderer alone.
            redraw: what the renderer draws anew: "surroundings", or "all" but the species (then labels leak).
            grad_through_decoder: let the pairs' gradient into the decoder, and through it into the features.
        """
        super().__init__()
        _check(base, decoder, redraw, alpha, nu, memory, factors)
        self.rule = Perturbation(
            criteria=criteria, sigma_cam=sigma_cam, sigma_var=sigma_var, threshold=threshold, stat=stat, mode=mode,
            sign=sign, times_feature=times_feature, per_dimension=per_dimension, clamp=clamp,
        )  # fmt: skip
        self.seed, self.alpha, self.nu, self.source, self.redraw = seed, alpha, nu, decoder, redraw
        self.decoder_size, self.decoder_lr, self.decoder_steps = decoder_size, decoder_lr, decoder_steps
        self.grad_through_decoder, self.factors = grad_through_decoder, factors
        if base == "moco":
            queued = {"temperature": temperature, "queue": queue, "ema": ema, "head": head, "out": out or 128}
            fields = {"views": views, "size": size, "symmetric": symmetric, "splits": splits, "seed": seed}
            self.base: MoCo | SimSiam = MoCo(encoder, **queued, **fields)  # type: ignore[arg-type]
        else:
            self.base = SimSiam(encoder, views=views, size=size, out=out, seed=seed)
        alone = criteria == "none" and decoder in ("learned", "nearest")
        self.pairs, self.reconstructs = nu > 0 and not alone, alpha > 0 and decoder == "learned" and not alone
        self.disturbs = self.pairs and decoder in ("learned", "nearest")
        self.decoder = self._decoder(encoder.dim, decoder_start) if decoder == "learned" else None
        banked = self.rule.by_variance or self.rule.per_dimension or decoder == "nearest"
        self.bank = FeatureBank(memory, encoder.dim) if self.disturbs and banked else None
        self.pictures: Images | None = None  # of the training set, for the nearest
        self.new_rows: list[tuple[Tensor, Tensor]] = []  # features and positions of this step's forwards
        self.blank = 0.0  # reconstruction loss of the mean picture, where it is trained

    def perturb(self, images: Tensor, **changes: Any) -> Perturbed:
        """Pictures through the pipeline, without training; see `pairs_shown.perturb`."""
        return perturb(self, images, **changes)

    @property
    def encoder(self) -> Encoder:  # type: ignore[override]  # the base's own: kept once in a checkpoint
        """What is trained."""
        return self.base.encoder

    def _decoder(self, dim: int, state: Mapping[str, Tensor] | None) -> Decoder:
        made = Decoder(dim, self.decoder_size, seed=DECODER_SEED + self.seed)
        if state is not None:
            made.load_state_dict(state)
        return made.requires_grad_(self.reconstructs or (self.pairs and self.grad_through_decoder))

    def extra_repr(self) -> str:
        weights = f"seed={self.seed}, alpha={self.alpha}, nu={self.nu}, {self.rule}"
        source = f"source={self.source}, decoder_size={self.decoder_size}, decoder_lr={self.decoder_lr}"
        source += f", decoder_steps={self.decoder_steps}, grad_through_decoder={self.grad_through_decoder}"
        rows = 0 if self.bank is None else len(self.bank.values)
        return f"{weights}, {source}, memory={rows}, redraw={self.redraw}, factors={fingerprint(self.factors)}"

    def start(self, images: Images, resumed: bool) -> None:
        if self.source == "nearest" or self.reconstructs or self.decoder_steps:
            images.take(torch.arange(1))  # a streamed set refuses that, before any work
        self.base.start(images, resumed)
        self.pictures = images if self.source == "nearest" else None
        if self.factors is not None:
            if len(self.factors) != images.count:
                raise ValueError(f"factors: of {len(self.factors)} birds for {images.count} images of the training set")
            self.factors = self.factors.to(images.device)
        if self.bank is not None and images.count < len(self.bank.values):
            self.bank = FeatureBank(images.count, self.encoder.dim).to(images.device)
        if self.reconstructs:
            whole = resized(images.take(torch.arange(min(images.count, SAMPLE))), self.decoder_size, images.device)
            self.blank = float(reconstruction_loss(whole.mean(dim=0, keepdim=True).expand_as(whole), whole))
        if self.decoder is not None and self.decoder_steps and not resumed:
            trained = self.decoder.requires_grad_(), self.encoder
            fit_decoder(*trained, images, self.decoder_steps, lr=self.decoder_lr, seed=self.seed)
            self.decoder.requires_grad_(self.reconstructs or (self.pairs and self.grad_through_decoder))

    def after_step(self, progress: float) -> None:
        self.base.after_step(progress)
        for features, index in self.new_rows:
            assert self.bank is not None
            self.bank.store(features, index)
        self.new_rows.clear()

    def optimizers(self, recipe: Recipe) -> list[Optimizer]:
        """The base's, and Adam for the decoder."""
        made, contrasts = self.base.optimizers(recipe), isinstance(self.base, MoCo)
        if contrasts and self.pairs and recipe.piece < 2:
            raise ValueError(f"batch={recipe.batch}, accumulate={recipe.accumulate}: pairs need 2 images a piece")
        apart = math.log(2 * recipe.piece - 1) if contrasts and self.pairs else 0.0  # one partner among all others
        self.chance = (self.base.chance or 0.0) + self.nu * apart + self.alpha * self.blank
        if self.decoder is None or not any(each.requires_grad for each in self.decoder.parameters()):
            return made
        group = {"params": [*self.decoder.parameters()], "schedule": "constant"}
        return [*made, torch.optim.Adam([group], lr=self.decoder_lr)]

    def evaluated(self) -> Encoder:
        return self.base.evaluated()

    def views(self, batch: Batch, step: int) -> tuple[Tensor, ...]:
        """The base's; then noise (B, D) by Grad-CAM (or random) and by variance, or rendered pictures, where used."""
        made = self.base.views(batch, step)
        if self.pairs and self.source == "renderer":
            assert self.factors is not None
            birds = redraw(self.factors, batch.index, self.seed, step, self.redraw)
            return *made, as_float(render(birds, self.decoder_size).images).to(batch.images.device)
        return *made, *(self.noise(batch.index, step, name) for name in self._noises())

    def _noises(self) -> list[str]:
        """Purposes of the draws that the criteria need."""
        first = self.disturbs and (self.rule.by_gradcam or self.rule.criteria == "random")
        return ["gradcam"] * first + ["variance"] * (self.disturbs and self.rule.by_variance)

    def noise(self, index: Tensor, step: int, name: str) -> Tensor:
        """Standard normal draws for the images at `index`, (B, D); `name` is "gradcam" or "variance"."""
        return draws.normal(self.seed, step, index, f"pairs/{name}", self.encoder.dim)

    def forward(self, batch: Batch, views: tuple[Tensor, ...]) -> dict[str, Tensor]:
        rendered = self.pairs and self.source == "renderer"
        own = len(views) - len(self._noises()) - rendered
        made = self.base(batch, views[:own])
        if not (self.pairs or self.reconstructs):
            return made
        made["contrast"] = made["loss"].detach()
        picture = resized(batch.images, self.decoder_size, batch.images.device)  # x (B, 3, S, S), not augmented
        with frozen_statistics(self.base):  # they are of views; each forward here has its own batch statistics
            if self.source == "learned":
                first, second = self._decoded(batch, picture, views[own:], made)
            elif self.source == "nearest":
                first, second = picture, self._nearest(batch, picture, views[own:], made)
            else:
                first, second = picture, views[-1] if rendered else picture
            if self.pairs:
                pair = self.base.pair_loss(first, second)
                made["loss"] = made["loss"] + self.nu * pair
                made["pair"] = pair.detach()
        return made

    def _decoded(
        self, batch: Batch, picture: Tensor, noises: tuple[Tensor, ...], made: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """D(h) and D(h + n + r), as data unless the gradient is to go through them; adds L_R to what was made."""
        assert self.decoder is not None
        through = self.pairs and self.grad_through_decoder
        with torch.set_grad_enabled(torch.is_grad_enabled() and (self.reconstructs or through)):
            features = self.encoder(picture)  # h (B, D)
            decoded = self.decoder(features)
        if self.reconstructs:  # trains the encoder too (eq. 2)
            reconstruction = reconstruction_loss(decoded.float(), picture)
            made["loss"] = made["loss"] + self.alpha * reconstruction
            made["reconstruction"] = reconstruction.detach()
        if not self.pairs:
            return decoded, decoded
        moved, _, _ = self._moved(batch, features if through else features.detach(), noises, made)
        with torch.set_grad_enabled(torch.is_grad_enabled() and through), frozen_statistics(self.decoder):
            second = self.decoder(moved)
        return (decoded, second) if through else (decoded.detach(), second)

    def _nearest(self, batch: Batch, picture: Tensor, noises: tuple[Tensor, ...], made: dict[str, Tensor]) -> Tensor:
        """The real pictures whose stored features are nearest to h + n + r, (B, 3, S, S)."""
        assert self.pictures is not None, "start(images) gives the pictures to choose from"
        with torch.no_grad():
            features = self.encoder(picture)
        moved, memory, places = self._moved(batch, features, noises, made)
        chosen = self.pictures.take(nearest(moved, batch.index, memory, places))
        return resized(chosen, self.decoder_size, picture.device)

    def _moved(
        self, batch: Batch, features: Tensor, noises: tuple[Tensor, ...], made: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """h + n + r (B, D); rows (n, D) and positions (n,) of the bank with this batch; notes what is to be stored."""
        given = dict(zip(self._noises(), noises, strict=True))
        everyone, index = gather(features), gather(batch.index)  # the same on every process
        memory, places, spread = everyone, index, None
        if self.bank is not None:
            self.new_rows.append((everyone, index))
            memory, places = self.bank.with_new(everyone, index)
        if self.rule.by_variance:
            if self.bank is not None and len(memory) >= min(2 * len(everyone), len(self.bank.values)):
                spread = spread_of(memory, self.rule.stat)  # v (D,)
            mask = everyone.new_zeros(1) if spread is None else low_spread(spread, self.rule.threshold, self.rule.mode)
            made["masked"] = mask.float().mean()  # share of dimensions that the variance criterion disturbs
        scores = self.scores(features) if self.rule.by_gradcam else None
        scale = noise_scale(everyone, memory, self.rule)
        noise = given.get("gradcam"), given.get("variance")
        return disturbed(features, self.rule, scale, noise, scores, spread), memory, places

    def scores(self, features: Tensor, rule: Perturbation | None = None) -> Tensor:
        """Grad-CAM vector g (B, D) of the base's loss of unaugmented pictures, by a rule's sign (eq. 3)."""
        rule, leaf = rule or self.rule, features.detach().float().requires_grad_()
        with torch.enable_grad(), full_precision():
            return gradcam_vector(self.base.image_loss(leaf), leaf, rule.sign, rule.times_feature)


def _check(base: str, decoder: str, what: str, alpha: float, nu: float, memory: int, factors: Factors | None) -> None:
    """Refuse what no run could use."""
    for name, value, known in (("base", base, BASES), ("decoder", decoder, DECODERS), ("redraw", what, tuple(REDRAWN))):
        if value not in known:
            raise ValueError(f"{name}={value!r} is unknown: use one of {', '.join(known)}")
    for name, weight in (("alpha", alpha), ("nu", nu)):
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < math.inf:
            raise ValueError(f"{name}={weight!r}: the weight of a loss is a number of at least 0")
    if isinstance(memory, bool) or not isinstance(memory, int) or memory < 2:
        raise ValueError(f"memory={memory!r}: a bank holds at least 2 rows; two batches or more are sensible")
    if decoder == "renderer" and factors is None:
        raise ValueError("decoder='renderer' draws from the true factors: give factors=train.factors of rendered birds")
