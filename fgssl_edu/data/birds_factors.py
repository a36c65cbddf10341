"""The latent factors of parametric birds: everything a picture is drawn from, each a pure function of (seed, index).

Individuals vary by sums of three uniform draws (standard deviation 1, never beyond 3): the same on every device, and no
bird is a freak.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from fgssl_edu.data.birds_world import ATTRIBUTES, World, attribute_column
from fgssl_edu.draws import uniform

BACKGROUNDS = ("sky", "foliage", "grass", "water", "sand", "dusk")
MAX_ANGLE = 0.42  # rad, either way
MEAN_SCALE, SCALE_SPREAD = 0.86, 0.17  # of the standard bird, before zoom
MEAN_SHIFT, SHIFT_SPREAD = (0.06, 0.0), (0.14, 0.12)  # half picture widths; beak and tail balance at the mean
GAIN_SPREAD, CAST_SPREAD, CONTRAST_SPREAD, SHADING = 0.22, 0.10, 0.45, 0.22
LIGHT_FROM = (-2.6, -0.5)  # rad: from above, left or right
SHAPE = {  # individual deviations of build, one standard deviation in canonical units or rad
    "plump": 0.03,
    "tilt": 0.08,
    "head_x": 0.025,
    "head_y": 0.03,
    "perch": 0.02,
    "tail": 0.10,
    "crest": 0.08,
    "wing": 0.10,
    "beak": 0.08,
}
TINTS = {"mantle": 0.045, "belly": 0.045, "wing": 0.045, "throat": 0.02, "crown": 0.02, "beak": 0.02}  # RGB
ZOOM = (0.5, 1.6)  # allowed: below it a part is smaller than a pixel, above it the bird leaves the picture


@dataclass(frozen=True)
class Knobs:
    """How much each nuisance varies, 0 (not at all) to 1; `zoom` is how large the birds are."""

    pose: float = 1.0  # rotation, place and which way it looks
    scale: float = 1.0  # near or far
    light: float = 1.0  # brightness, colour cast, contrast, shading
    background: float = 1.0  # 0: one plain backdrop; 1: six textured families
    clutter: float = 1.0  # perches, and blobs where the background shows
    individual: float = 1.0  # colour and build of birds of one species
    correlation: float = 0.0  # probability that the background family is the one tied to the species: a shortcut
    zoom: float = 1.22  # 1.22 fills a fifth of the picture

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            low, high = ZOOM if field.name == "zoom" else (0.0, 1.0)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
                raise ValueError(f"{field.name}={value!r}: this knob of the birds takes a number from {low} to {high}")


@dataclass(frozen=True, eq=False)
class Factors:
    """Everything that B pictures are drawn from; edit it and render again. Lengths are in half picture widths."""

    species: Tensor  # (B,) int64
    genus: Tensor  # (B,) int64
    codes: Tensor  # (B, 8) int64, value of each of ATTRIBUTES
    coat: Tensor  # (B, 3, 3) RGB in [0, 1] of mantle, belly, wing
    plump: Tensor  # (B,)
    angle: Tensor  # (B,) rad, clockwise
    scale: Tensor  # (B,)
    shift: Tensor  # (B, 2) right and down, before `mirrored`
    mirrored: Tensor  # (B,) bool: the whole picture, so that the bird looks left
    shape: Tensor  # (B, len(SHAPE)) individual build
    tint: Tensor  # (B, len(TINTS), 3) individual colour, added to RGB
    gain: Tensor  # (B, 3) brightness and colour cast
    contrast: Tensor  # (B,)
    light_angle: Tensor  # (B,) rad
    shading: Tensor  # (B,) how much darker the side away from the light is
    background_family: Tensor  # (B,) int64, index into BACKGROUNDS
    background_key: Tensor  # (B,) int64: palette, texture, blobs and perch are hashed from it
    background: Tensor  # (B,) strength, 0..1
    clutter: Tensor  # (B,) 0..1
    grain_key: Tensor  # (B,) int64: the sensor noise is hashed from it

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if len(value) != len(self.species):
                raise ValueError(f"{field.name}: {len(value)} rows for {len(self.species)} birds")

    def __len__(self) -> int:
        return len(self.species)

    def subset(self, index: Tensor) -> Factors:
        """The birds at `index` (n,) int64 or (B,) bool."""
        return Factors(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def to(self, device: str | torch.device) -> Factors:
        """The same birds on a device; `render` draws there."""
        return Factors(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})

    def replace(self, **tensors: Tensor) -> Factors:
        """The same birds with other values of some factors, of the same shape.

        Raises:
            ValueError: an unknown factor or another shape.
        """
        known = [f.name for f in fields(self)]
        for name, value in tensors.items():
            if name not in known:
                raise ValueError(f"{name}: no such factor; a bird has {', '.join(known)}")
            old = getattr(self, name)
            if value.shape != old.shape:
                raise ValueError(f"{name}: shape {tuple(value.shape)} given, {tuple(old.shape)} needed")
            tensors[name] = value.to(old)
        return replace(self, **tensors)

    def edit(self, attribute: str, values: int | Tensor) -> Factors:
        """The same birds with one attribute changed: same pose, light, individual and background.

        Args:
            attribute: a name of ATTRIBUTES.
            values: one value for all, or (B,) int64.

        Raises:
            ValueError: an unknown attribute, or a value it does not have.
        """
        column = attribute_column(attribute)
        wanted = torch.as_tensor(values, device=self.codes.device)
        if wanted.is_floating_point() or wanted.dtype == torch.bool or wanted.shape not in ((), (len(self),)):
            raise ValueError(f"{attribute}={values!r}: needs one whole number, or one for each of {len(self)} birds")
        if len(self) and not bool(((wanted >= 0) & (wanted < ATTRIBUTES[attribute])).all()):
            raise ValueError(f"{attribute}={values!r}: its values are 0 to {ATTRIBUTES[attribute] - 1}")
        codes = self.codes.clone()
        codes[:, column] = wanted
        return replace(self, codes=codes)

    def new_background(self, seed: int) -> Factors:
        """The same birds in the same light before another background (family, palette, texture, blobs, perch)."""
        family = _pick(uniform(seed, 0, self.grain_key, "birds/new family", 1)[:, 0], len(BACKGROUNDS))
        key = _key(seed, self.grain_key, "birds/new background")
        return replace(self, background_family=family, background_key=key)


def sample(world: World, labels: Tensor, index: Tensor, seed: int, knobs: Knobs | None = None) -> Factors:
    """Draw the factors of the birds at some places of a set.

    Args:
        world: the species table.
        labels: species of each bird, (B,) int64.
        index: place in the set, (B,) int64: bird i of a seed is the same whatever else is drawn.
        seed: of the set.
        knobs: how much the nuisances vary; None is the standard set.

    Raises:
        ValueError: labels that are no species of this world, or not as many as `index`.
    """
    knobs = knobs or Knobs()
    if labels.shape != index.shape or labels.ndim != 1:
        raise ValueError(f"labels {tuple(labels.shape)} and index {tuple(index.shape)}: need one label for each index")
    low, high = (int(labels.min()), int(labels.max())) if len(labels) else (0, 0)
    if low < 0 or high >= len(world):
        raise ValueError(f"labels from {low} to {high}: this world has species 0 to {len(world) - 1}")
    genus = world.genus.to(labels.device)[labels]
    return Factors(
        species=labels,
        genus=genus,
        codes=world.codes.to(labels.device)[labels],
        coat=world.coat.to(labels.device)[genus],
        plump=world.plump.to(labels.device)[genus],
        grain_key=_key(seed, index, "birds/grain"),
        **_pose(index, seed, knobs),
        **_light(index, seed, knobs),
        **_individual(index, seed, knobs),
        **_surroundings(labels, index, seed, knobs),
    )


def _pose(index: Tensor, seed: int, knobs: Knobs) -> dict[str, Tensor]:
    draw = 2 * uniform(seed, 0, index, "birds/pose", 5) - 1  # (B, 5) in [-1, 1)
    spread = torch.tensor(SHIFT_SPREAD, device=index.device) * knobs.pose
    return {
        "angle": MAX_ANGLE * knobs.pose * draw[:, 0],
        "scale": knobs.zoom * (MEAN_SCALE + SCALE_SPREAD * knobs.scale * draw[:, 1]),
        "shift": torch.tensor(MEAN_SHIFT, device=index.device) + spread * draw[:, 2:4],
        "mirrored": draw[:, 4] < knobs.pose - 1,  # half of them at 1, none at 0
    }


def _light(index: Tensor, seed: int, knobs: Knobs) -> dict[str, Tensor]:
    draw = 2 * uniform(seed, 0, index, "birds/light", 6) - 1
    low, high = LIGHT_FROM
    return {
        "gain": (1 + knobs.light * GAIN_SPREAD * draw[:, :1]) * (1 + knobs.light * CAST_SPREAD * draw[:, 1:4]),
        "contrast": knobs.light * CONTRAST_SPREAD * draw[:, 4],
        "light_angle": low + (high - low) * (draw[:, 5] + 1) / 2,
        "shading": torch.full_like(draw[:, 0], SHADING * knobs.light),
    }


def _individual(index: Tensor, seed: int, knobs: Knobs) -> dict[str, Tensor]:
    shape_sd = torch.tensor(list(SHAPE.values()), device=index.device)
    tint_sd = torch.tensor(list(TINTS.values()), device=index.device)[:, None]
    common = spread(seed, index, "birds/tint", len(TINTS))[:, :, None]  # lighter or darker
    channels = spread(seed, index, "birds/tint channels", 3 * len(TINTS)).view(-1, len(TINTS), 3)
    return {
        "shape": knobs.individual * shape_sd * spread(seed, index, "birds/shape", len(SHAPE)),
        "tint": knobs.individual * tint_sd * (common + 0.6 * channels),
    }


def _surroundings(labels: Tensor, index: Tensor, seed: int, knobs: Knobs) -> dict[str, Tensor]:
    draw = uniform(seed, 0, index, "birds/background", 2)
    free = _pick(draw[:, 0], len(BACKGROUNDS))
    tied = labels % len(BACKGROUNDS)
    return {
        "background_family": torch.where(draw[:, 1] < knobs.correlation, tied, free),
        "background_key": _key(seed, index, "birds/background key"),
        "background": torch.full_like(draw[:, 0], knobs.background),
        "clutter": torch.full_like(draw[:, 0], knobs.clutter),
    }


def spread(seed: int, index: Tensor, purpose: str, count: int) -> Tensor:
    """Draws with mean 0, standard deviation 1 and nothing beyond 3, (B, count)."""
    first, second, third = uniform(seed, 0, index, purpose, 3 * count).view(-1, count, 3).unbind(2)
    return 2 * (first + second + third) - 3


def _pick(draw: Tensor, count: int) -> Tensor:
    """A draw in [0, 1) to a choice, int64."""
    return (draw * count).to(torch.int64)


def _key(seed: int, index: Tensor, purpose: str) -> Tensor:
    """48 hashed bits, (B,) int64: stands for the image wherever its seed and index are no longer known."""
    high, low = (uniform(seed, 0, index, purpose, 2) * 2**24).to(torch.int64).unbind(1)
    return high << 24 | low
