"""Synthesised pairs to look at: pictures, their reconstructions, and what a disturbance makes of them.

For panels: nothing is trained, no state of the method changes, and the same arguments give the same pictures.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from fgssl_edu.data.birds import Factors, render
from fgssl_edu.data.image_set import Batch, Images
from fgssl_edu.methods.contrastive.moco import MoCo
from fgssl_edu.methods.finegrained.pair_sources import FeatureBank, nearest, redraw
from fgssl_edu.methods.finegrained.perturbation import Perturbation, disturbed, low_spread, noise_scale, spread_of
from fgssl_edu.methods.siamese.simsiam import SimSiam
from fgssl_edu.nets.decoders import Decoder
from fgssl_edu.nets.encoders import Encoder
from fgssl_edu.nets.modes import frozen
from fgssl_edu.views import as_float, resized

BLOCK = 128  # pictures whose features are computed at a time


class Pairs(Protocol):
    """What is looked at: `SynthesizedPairs`, of which this file knows no more than this."""

    seed: int
    rule: Perturbation
    source: str
    redraw: str
    base: MoCo | SimSiam
    decoder: Decoder | None
    decoder_size: int
    factors: Factors | None
    bank: FeatureBank | None
    pictures: Images | None

    @property
    def encoder(self) -> Encoder:
        """What makes features."""

    def scores(self, features: Tensor, rule: Perturbation | None = None) -> Tensor:
        """Grad-CAM vectors, (B, D)."""

    def noise(self, index: Tensor, step: int, name: str) -> Tensor:
        """Standard normal draws, (B, D)."""

    def modules(self) -> Iterator[nn.Module]:
        """Itself and all inside."""

    def eval(self) -> object:
        """Switch to evaluation mode."""


@dataclass(frozen=True, eq=False)
class Perturbed:
    """Pictures (B, 3, S, S) float about [0, 1], and the features (B, D) that they come from."""

    image: Tensor  # x, whole
    reconstruction: Tensor  # D(h); the picture itself where no decoder draws
    perturbed: Tensor  # D(h + n + r), or the rendered, nearest or same picture
    features: Tensor  # h
    moved: Tensor  # h + n + r
    gradcam: Tensor  # g (B, D), at least 0, in nats
    spread: Tensor  # v (D,) over the bank, or over these pictures where there is none
    masked: Tensor  # (D,) bool: spread below the threshold


@torch.no_grad()
def perturb(
    method: Pairs,
    images: Tensor,
    *,
    index: Tensor | None = None,
    step: int = 0,
    decoder: str | None = None,
    factors: Factors | None = None,
    **changes: Any,
) -> Perturbed:
    """Pictures through the pipeline of a method, in evaluation mode.

    Args:
        method: left as it was.
        images: (B, 3, H, W) uint8.
        index: positions in the training set, (B,) int64, which the nearest picture then is not; None: not of that set.
        step: of the draws.
        decoder: in place of the method's own; "learned" needs the method to have one, "nearest" a filled bank.
        factors: of these B pictures, for the renderer.
        changes: fields of `Perturbation` in place of the method's, as sigma_cam=0.5.

    Raises:
        ValueError: a decoder that the method or the arguments cannot serve, or a field out of range.
    """
    rule, source = replace(method.rule, **changes), decoder or method.source
    place = torch.arange(len(images), device=images.device) if index is None else index
    with frozen(method):  # type: ignore[arg-type]  # a module, of which `Pairs` says no more than is read here
        batch = Batch(images, place)
        picture = resized(images, method.decoder_size, images.device)
        features = method.encoder(picture)
        with looking(method, batch, step):
            scores = method.scores(features, rule)
        memory, places = _stored(method, features, place)
        spread = spread_of(memory, rule.stat)
        noises = method.noise(place, step, "gradcam"), method.noise(place, step, "variance")
        moved = disturbed(features, rule, noise_scale(features, memory, rule), noises, scores, spread)
        drawn = second = picture
        if source == "learned":
            if method.decoder is None:
                raise ValueError(f"decoder='learned': this method has none, it was built with {method.source!r}")
            drawn, second = method.decoder(features), method.decoder(moved)
        elif source == "nearest":
            if method.pictures is None or memory is features:
                raise ValueError("decoder='nearest' needs a bank of features: fill it with remember(method, images)")
            chosen = nearest(moved, torch.full_like(place, -1) if index is None else place, memory, places)
            second = resized(method.pictures.take(chosen), method.decoder_size, images.device)
        elif source == "renderer":
            second = _rendered(method, factors, step)
    masked = low_spread(spread, rule.threshold, rule.mode)
    return Perturbed(picture, drawn, second, features, moved, scores, spread, masked)


def _stored(method: Pairs, features: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
    """Features (n, D) and positions (n,) in the bank; the given ones where it is empty or there is none."""
    if method.bank is None or not int(method.bank.filled):
        return features, place
    filled = int(method.bank.filled)
    return method.bank.values[:filled], method.bank.places[:filled]


def _rendered(method: Pairs, factors: Factors | None, step: int) -> Tensor:
    """The birds of these pictures with the rest drawn anew, (B, 3, S, S)."""
    if factors is None:
        raise ValueError("decoder='renderer' draws from the true factors: give factors= of these pictures")
    which = torch.arange(len(factors))
    birds = redraw(factors, which, method.seed, step, method.redraw, donors=method.factors)
    return as_float(render(birds, method.decoder_size).images)


@torch.no_grad()
def remember(method: Pairs, images: Images) -> None:
    """Fill bank and queue with given pictures, as a run's steps would, so that an untrained method can be looked at.

    Args:
        method: its bank gets features of whole pictures, a queue of MoCo's their keys.
        images: as many of them as the bank holds, from the first.
    """
    method.pictures = images
    with frozen(method):  # type: ignore[arg-type]  # a module, of which `Pairs` says no more than is read here
        for batch in images.batches(BLOCK):
            picture = resized(batch.images, method.decoder_size, batch.images.device)
            if method.bank is not None:
                method.bank.store(method.encoder(picture), batch.index)
            if isinstance(method.base, MoCo):
                method.base.queue.write(method.base.keys(picture))


@contextmanager
def looking(method: Pairs, batch: Batch, step: int) -> Iterator[None]:
    """Inside, the base has just seen a batch, so that pictures have a loss; after, what it remembers is as before."""
    base = method.base
    kept = {name: getattr(base, name) for name in ("new_keys", "latest") if hasattr(base, name)}
    for name, value in kept.items():
        setattr(base, name, [] if isinstance(value, list) else None)
    try:
        base(batch, base.views(batch, step))
        yield
    finally:
        for name, value in kept.items():
            setattr(base, name, value)
