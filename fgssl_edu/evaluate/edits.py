"""The edit score: change one discriminative attribute of a bird; does the encoding move, beside what a new sky does?

Only a renderer can ask this: the same bird, in the same pose and light, with another beak; and the same bird before
another background. An encoder that reads the sky scores near 0, one that sees nothing but the species far above 1.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from fgssl_edu.data.birds import ATTRIBUTES, Factors, Knobs, World, render, sample
from fgssl_edu.evaluate.features import extract
from fgssl_edu.evaluate.statistics import Score
from fgssl_edu.nets.encoders import Encoder

BIRDS = 240
NEW_BACKGROUNDS = 4  # a bird
HELD_OUT_SEED = 2 << 32  # added to the seed: no bird of any training or test set is among these
BLOCK = 64  # birds rendered at a time
UNMOVED = 1e-12  # smallest movement counted: float32 rounding alone moves a constant feature by about 1e-14
KEPT = 2  # sets of rendered edits held in memory: 240 birds at 64 px are about 30 MB


@dataclass(frozen=True)
class EditScore(Score):
    """The score over all discriminative attributes, and the same for each attribute by itself."""

    per_attribute: dict[str, Score] = field(default_factory=dict)

    @property
    def overall(self) -> Score:
        """The score over all attributes alone."""
        return Score(self.value, self.per_item, self.protocol, self.denominator)


@dataclass(frozen=True)
class Edits:
    """Birds and their edits, rendered: what every encoder is asked about."""

    original: Tensor  # (N, 3, H, W) uint8
    backgrounds: Tensor  # (NEW_BACKGROUNDS, N, 3, H, W) uint8: the same birds before other backgrounds
    edited: dict[str, Tensor]  # attribute -> (n, 3, H, W) uint8: the attribute has a sibling's value
    birds: dict[
        str, Tensor
    ]  # attribute -> (n,) int64: whose edit each is; only birds that the attribute tells from a sibling


_rendered: OrderedDict[tuple[object, ...], Edits] = OrderedDict()  # the same pictures for every encoder


def rendered_edits(world: World, size: int, birds: int = BIRDS, seed: int = 0) -> Edits:
    """Held-out birds at background strength 1 with every edit, species in turn; kept in memory for the next encoder."""
    key = (world.codes.numpy().tobytes(), world.genus.numpy().tobytes(), size, birds, seed)
    if key not in _rendered:
        _rendered[key] = _render_edits(world, size, birds, seed)
        while len(_rendered) > KEPT:
            _rendered.popitem(last=False)
    _rendered.move_to_end(key)
    return _rendered[key]


def _render_edits(world: World, size: int, birds: int, seed: int) -> Edits:
    labels = torch.arange(birds) % len(world.codes)
    factors = sample(world, labels, torch.arange(birds), HELD_OUT_SEED + seed, Knobs(background=1.0))
    skies = [_pictures(factors.new_background(HELD_OUT_SEED + seed + 1 + i), size) for i in range(NEW_BACKGROUNDS)]
    edited, whose = {}, {}
    for column, name in enumerate(ATTRIBUTES):
        index = world.discriminative_attributes[labels, column].nonzero()[:, 0]  # (n,)
        if len(index):
            values = world.sibling_value(labels[index], name)
            edited[name], whose[name] = _pictures(factors.subset(index).edit(name, values), size), index
    return Edits(_pictures(factors, size), torch.stack(skies), edited, whose)


def _pictures(factors: Factors, size: int) -> Tensor:
    return torch.cat([render(factors.subset(block), size).images for block in torch.arange(len(factors)).split(BLOCK)])


def movement(features: Tensor, moved: Tensor) -> Tensor:
    """d = 1 - cos of two rows of features, (..., n) float64: 0 unmoved, 1 unrelated.

    Computed as half the squared distance of unit vectors, which is exact near 0.
    """
    return (F.normalize(features.double(), dim=-1) - F.normalize(moved.double(), dim=-1)).square().sum(dim=-1) / 2


def edit_score(
    encoder: Encoder, world: World, size: int, eval_size: int | None = None, birds: int = BIRDS, seed: int = 0
) -> EditScore:
    """Mean movement under an edit of a discriminative attribute over mean movement under a new background.

    d(x, x') = 1 - cos of pooled features; score = mean over birds x and over the attributes that tell x's species from
    a sibling of d(x, x with the sibling's value), divided by the mean over birds and 4 new backgrounds of d(x, x before
    it). A ratio of means, bootstrapped over birds. About 0 for an encoder of the sky, 1 where a beak counts as much as
    the sky; 0 by definition for a constant encoder.

    Args:
        encoder: frozen; left in the mode it was in.
        world: the species table.
        size: side in pixels at which birds are rendered, always at background strength 1.
        eval_size: side at which the encoder sees them; None for the rendered one.
        birds: held-out birds.
        seed: of the birds; the same birds and edits for every encoder.
    """
    edits = rendered_edits(world, size, birds, seed)
    original = extract(encoder, edits.original, eval_size)
    skies = extract(encoder, edits.backgrounds.flatten(0, 1), eval_size).view(NEW_BACKGROUNDS, len(original), -1)
    sky = movement(original, skies).mean(dim=0).clamp(min=UNMOVED)  # (N,)
    protocol = {
        "metric": "edit score",
        "unit": "movement under an edit / under a new background",
        "birds": birds,
        "backgrounds": NEW_BACKGROUNDS,
        "background": 1.0,
        "rendered_size": size,
        "seed": seed,
    }
    total, count, per_attribute = torch.zeros_like(sky), torch.zeros_like(sky), {}
    for name, whose in edits.birds.items():
        moved = movement(original[whose], extract(encoder, edits.edited[name], eval_size))  # (n,)
        total.index_add_(0, whose, moved)
        count.index_add_(0, whose, torch.ones_like(moved))
        per_attribute[name] = Score.of(moved, {**protocol, "attribute": name, "birds": len(whose)}, sky[whose])
    edited = count > 0  # birds with at least one attribute that tells them from a sibling
    score = Score.of((total / count)[edited], protocol, sky[edited])
    return EditScore(score.value, score.per_item, score.protocol, score.denominator, per_attribute)
