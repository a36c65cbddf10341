"""The crop farm: as many pictures as one likes, all of them cut out of a single photograph.

Asano, Rupprecht and Vedaldi (arXiv 1904.13132) train on a million crops of one photograph. The steps and their order
are those of their released script (yukimasano/single_img_pretraining): a square patch of half the shorter side, a
random part of it resized with a margin, rotation and shear, the centre, colour jitter. Each step is a switch.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from fgssl_edu.data.decode import read_picture
from fgssl_edu.data.image_set import UNLABELLED, ImageSet
from fgssl_edu.draws import uniform
from fgssl_edu.views.color import adjust_brightness, adjust_contrast, adjust_hue, adjust_saturation, as_float

PATCH = 0.5  # side of the patch over the photograph's shorter side
LEAST_AREA = 1 / 500  # share of the patch that a crop may be
RATIO = (3 / 4, 4 / 3)  # width over height of a crop
ANGLE = 30.0  # degrees, to either side: of the rotation, and of the shear along x
JITTER = 0.5  # probability
COLOURS = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}  # factors 1 - x to 1 + x; hue -x to x
MARGIN = math.sqrt(2)  # side of a crop before the centre is taken, over its side: no corner of a square turned by 45°
BLOCK = 256  # crops made at a time
TRIES = 8  # at a crop that fits, in one round of draws; rounds go on until it does
LEAST_SIDE = 64  # px of a photograph: its smallest crops are then 1.4 px wide
DRAWS = {"patch": 2, "place": 2, "rotate": 1, "shear": 1, "jitter": 1, "brightness": 1, "contrast": 1}
DRAWS |= {"saturation": 1, "hue": 1, "flip": 1}
LICENCE = "CC BY 2.0 (https://creativecommons.org/licenses/by/2.0/)"
# The photographs that scikit-learn ships, with what its own note says of them
SHIPPED = {
    "china": ("https://www.flickr.com/photos/danielbuechele/6061409035", "danielbuechele"),
    "flower": ("https://www.flickr.com/photos/vultilion/6056698931", "danielbuechele, though the account is vultilion"),
}


@dataclass(frozen=True, eq=False)
class Photograph:
    """One picture, and where it is from."""

    name: str
    picture: Image.Image  # 8-bit RGB
    provenance: str
    licence: str

    @property
    def pixels(self) -> Tensor:
        """(3, H, W) uint8."""
        return torch.from_numpy(np.array(self.picture)).permute(2, 0, 1)


@dataclass(frozen=True)
class Farm:
    """Which steps are taken; a step that is switched off leaves the draws of the others as they were."""

    patch: bool = True  # off: the middle square of the photograph
    zoom: bool = True  # off: the whole patch
    rotate: bool = True
    shear: bool = True
    jitter: bool = True
    flip: bool = False  # upside down; an option of the script, off as in the paper. Mirroring is left to the method
    least_area: float = LEAST_AREA  # of the zoom, share of the patch in (0, 1)

    def __post_init__(self) -> None:
        if not 0 < self.least_area < 1:
            raise ValueError(f"least_area={self.least_area}: the smallest share of the patch is above 0 and below 1")


FARMS = {"one_image": Farm(), "one_image_upright": Farm(rotate=False, shear=False, jitter=False)}


@dataclass(frozen=True, eq=False)
class Plan:
    """What is done for each of B crops: every random number of the farm, before a pixel is touched."""

    patch: Tensor  # (B, 3) left, top, side in the photograph, pixels
    box: Tensor  # (B, 4) left, top, width, height in the photograph, pixels, inside the patch
    angle: Tensor  # (B,) degrees, clockwise, as torchvision's
    shear: Tensor  # (B,) degrees
    colours: dict[str, Tensor]  # (B,) each: factors, 1 and hue 0 where nothing is jittered
    flip: Tensor  # (B,) bool

    def matrices(self) -> Tensor:
        """(B, 2, 2): where a place of the finished crop, seen from its centre, lies in the resized box."""
        turn, slant = torch.deg2rad(self.angle.double()), torch.deg2rad(self.shear.double())
        sine, cosine, tangent = turn.sin(), turn.cos(), slant.tan()
        # inverse of rotation times shear along x; the determinant of both is 1
        rows = [cosine - sine * tangent, cosine * tangent + sine, -sine, cosine]
        return torch.stack(rows, dim=1).view(-1, 2, 2)

    def corners(self) -> Tensor:
        """Corners of the crops in their resized box, (B, 4, 2) x and y; the box reaches from -1 to 1 along both."""
        square = torch.tensor([[-1, -1], [1, -1], [1, 1], [-1, 1]], dtype=torch.float64) / MARGIN
        return square @ self.matrices().mT

    def outlines(self) -> Tensor:
        """Corners of the crops in the photograph, (B, 4, 2) x and y in pixels; those outside their box are black."""
        box = self.box.double()
        return box[:, None, :2] + (self.corners() + 1) / 2 * box[:, None, 2:]

    def black(self) -> Tensor:
        """(B,) bool: whether a corner of the crop lies outside its box, where there is nothing but black."""
        return self.corners().abs().amax(dim=(1, 2)) > 1


def from_root(name: object) -> object:
    """A photograph's path from the root: a kernel may work in another folder than its user. Other values stay."""
    return str(Path(name).expanduser().resolve()) if isinstance(name, str) and name and name not in SHIPPED else name


def open_photograph(name: str) -> Photograph:
    """The photograph of a name ("china", "flower": scikit-learn's) or of a path.

    Raises:
        ValueError: there is no such picture, it cannot be read, or it is too small to be cut up.
    """
    if name in SHIPPED:
        from sklearn.datasets import load_sample_image  # late: two seconds of import

        picture = Image.fromarray(load_sample_image(f"{name}.jpg"))
        source, author = SHIPPED[name]
        return Photograph(name, picture, f"{source}, shipped with scikit-learn", f"{LICENCE}, author: {author}")
    path = Path(name).expanduser()
    try:
        picture = read_picture(path)
    except ValueError as error:
        raise ValueError(
            f"photograph={name!r}: {error}; choose {' or '.join(SHIPPED)}, or give the path of a JPEG or PNG"
        ) from error
    if min(picture.size) < LEAST_SIDE:
        size = f"{picture.width} x {picture.height} px"
        raise ValueError(f"photograph={name!r} is {size}: crops are cut out of half of it; at least {LEAST_SIDE} px")
    return Photograph(path.stem, picture, f"{path.name}, a picture of yours", "yours to know")


def plan(photograph: Photograph, index: Tensor, seed: int, farm: Farm) -> Plan:
    """Draw what is done for the crops `index` (B,) int64; crop i is the same in any set, block or order."""
    width, height = photograph.picture.size
    draws = uniform(seed, 0, index, "farm", sum(DRAWS.values())).split(list(DRAWS.values()), dim=1)
    drawn = {name: draw.squeeze(1) for name, draw in zip(DRAWS, draws, strict=True)}
    side = int(PATCH * min(width, height)) if farm.patch else min(width, height)
    room = torch.tensor([width - side, height - side])
    corner = (drawn["patch"] * (room + 1)).floor() if farm.patch else (room // 2).expand(len(index), 2)
    patch = torch.cat([corner, torch.full((len(index), 1), side)], dim=1).long()
    sizes = crop_sizes(index, seed, side, farm.least_area) if farm.zoom else torch.full((len(index), 2), side)
    inside = (drawn["place"] * (side - sizes + 1)).floor().long() if farm.zoom else torch.zeros_like(sizes)
    jittered = drawn["jitter"] < (JITTER if farm.jitter else 0.0)
    colours = {
        name: torch.where(jittered, (2 * drawn[name] - 1) * reach + (name != "hue"), float(name != "hue"))
        for name, reach in COLOURS.items()
    }
    return Plan(
        patch=patch,
        box=torch.cat([patch[:, :2] + inside, sizes], dim=1),
        angle=(2 * drawn["rotate"] - 1) * (ANGLE if farm.rotate else 0.0),
        shear=(2 * drawn["shear"] - 1) * (ANGLE if farm.shear else 0.0),
        colours=colours,
        flip=drawn["flip"] < (0.5 if farm.flip else 0.0),
    )


def crop_sizes(index: Tensor, seed: int, side: int, least_area: float = LEAST_AREA) -> Tensor:
    """Width and height of the random part of a square patch, (B, 2) int64 in pixels, 1 to `side`.

    Area uniform, ratio uniform in its logarithm, tried again until it fits. torchvision's RandomResizedCrop gives up
    after ten tries and takes the centre; the released script never does.
    """
    sizes, waiting, rounds = torch.zeros(len(index), 2, dtype=torch.int64), torch.arange(len(index)), 0
    while len(waiting):
        numbers = uniform(seed, rounds, index[waiting], "farm/zoom", 2 * TRIES)  # a new round, new numbers
        area = side**2 * (least_area + (1 - least_area) * numbers[:, :TRIES])
        ratio = torch.exp(math.log(RATIO[0]) + math.log(RATIO[1] / RATIO[0]) * numbers[:, TRIES:])
        tried = torch.stack([(area * ratio).sqrt(), (area / ratio).sqrt()], dim=2).round().long()  # (n, TRIES, 2)
        fits = ((tried <= side) & (tried > 0)).all(dim=2)
        first = fits.to(torch.uint8).argmax(dim=1)  # of equal ones the first
        found = fits.any(dim=1)
        sizes[waiting[found]] = tried[torch.arange(len(waiting)), first][found]
        waiting, rounds = waiting[~found], rounds + 1
    return sizes


def steps(photograph: Photograph, plan: Plan, size: int) -> Iterator[tuple[str, Tensor]]:
    """The pictures after each step of a plan, float in [0, 1]: "part" and "turned" with margin, "centre", "colours".

    Deviation: the script rounds to bytes between steps, and draws the order of the four jitters; here it is fixed.
    """
    wide = int(MARGIN * size)  # 362 for 256
    images = as_float(torch.stack([_cut(photograph.picture, box, wide) for box in plan.box.tolist()]))
    yield "part", images
    images = _turned(images, plan)
    yield "turned", images
    images = _centre(images, size)
    yield "centre", images
    images = torch.where(plan.flip[:, None, None, None], images.flip(2), images)
    images = adjust_contrast(adjust_brightness(images, plan.colours["brightness"]), plan.colours["contrast"])
    yield "colours", adjust_hue(adjust_saturation(images, plan.colours["saturation"]), plan.colours["hue"])


def make(photograph: Photograph, plan: Plan, size: int) -> Tensor:
    """The crops of a plan, (B, 3, size, size) uint8."""
    *_, (_, images) = steps(photograph, plan, size)
    return (images * 255).round_().to(torch.uint8)


def _cut(picture: Image.Image, box: list[int], side: int) -> Tensor:
    """One box as a square of `side` pixels by Pillow's bicubic filter, (3, side, side) uint8."""
    left, top, width, height = box
    cut = picture.crop((left, top, left + width, top + height)).resize((side, side), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(cut)).permute(2, 0, 1)


def _turned(images: Tensor, plan: Plan) -> Tensor:
    """Rotated and sheared about their centres, bilinear, black where nothing was."""
    if not (plan.angle.any() or plan.shear.any()):
        return images
    theta = F.pad(plan.matrices().to(images.dtype), (0, 1))  # (B, 2, 3), no translation
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _centre(images: Tensor, size: int) -> Tensor:
    """The middle `size` x `size` pixels, rounded as torchvision's CenterCrop."""
    start = round((images.shape[2] - size) / 2)
    return images[:, :, start : start + size, start : start + size]


def crops(photograph: Photograph, count: int, size: int, seed: int, farm: Farm | None = None) -> Iterator[Tensor]:
    """Crops 0 to count - 1 in blocks of at most `BLOCK`, (b, 3, size, size) uint8 each: a million need no memory."""
    for name, value, least in (("crops", count, 1), ("size", size, 8)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{name}={value!r}: a whole number, at least {least}")
    for index in torch.arange(count).split(BLOCK):
        yield make(photograph, plan(photograph, index, seed, farm or Farm()), size)


def crop_set(photograph: str | Photograph, count: int, size: int, seed: int, farm: Farm | None = None) -> ImageSet:
    """A set of crops of one photograph.

    Args:
        photograph: a name or path for `open_photograph`, or what it gave.
        count: of crops; a smaller set is the beginning of a larger one.
        size: side of a crop in pixels.
        seed: of every draw.
        farm: which steps are taken; None: all of the paper.

    Returns:
        Without labels; provenance names photograph, file and seed, the licence is the photograph's.
    """
    source = photograph if isinstance(photograph, Photograph) else open_photograph(photograph)
    images, farm = torch.cat(list(crops(source, count, size, seed, farm))), farm or Farm()
    off = [field.name for field in fields(farm) if getattr(farm, field.name) is False and field.name != "flip"]
    without = f", without {', '.join(off)}" if off else ""
    digest = hashlib.sha256(source.picture.tobytes()).hexdigest()[:12]
    return ImageSet(
        images=images,
        labels=torch.full((count,), UNLABELLED),
        classes=(),
        name=f"crops of {source.name}",
        provenance=f"{count} crops{without}, seed {seed}, of {source.provenance} (pixels {digest})",
        licence=source.licence,
    )
