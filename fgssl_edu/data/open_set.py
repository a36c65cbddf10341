"""An open set: many unlabelled pictures of which only some show the target's kind, and it is known which.

"birds_open" mixes birds of the species that one wants to tell apart, birds of other species, and families of things
that are no birds. All have the same poses, light and backgrounds, so that nothing but the object tells them apart. What
a picture shows is kept beside the pictures, never in them: the set of images is unlabelled.
"""

from __future__ import annotations

import csv
import functools
from dataclasses import dataclass, fields, replace
from pathlib import Path, PurePosixPath

import torch
from torch import Tensor

from fgssl_edu.data import birds
from fgssl_edu.data.birds_factors import Factors, Knobs
from fgssl_edu.data.birds_render import MAX_SIZE, MIN_SIZE
from fgssl_edu.data.birds_world import MIN_DIFFERENCES, World
from fgssl_edu.data.folder import load_folder
from fgssl_edu.data.image_set import UNLABELLED, ImageSet
from fgssl_edu.data.manifest import MANIFEST, read_manifest
from fgssl_edu.data.open_set_things import PAINTERS, render_groups
from fgssl_edu.draws import uniform
from fgssl_edu.paths import data_dir

KNOWN, UNKNOWN = "known birds", "unknown birds"
GROUPS = (KNOWN, UNKNOWN, *PAINTERS)  # of birds_open
OPEN = 1 << 33  # added to the seed: no seed below 2^32 shares a bird with the sets of `birds.bird_set`
OTHERS = {"species": 48, "genera": 12, "seed": 1009}  # unknown species; the last six genera have coats of their own
SHARE_KNOWN, SHARE_UNKNOWN = 0.12, 0.12
OPEN_IMAGES, SPECIES = 6000, 24
RUN = 100  # pictures among which every group has its share
FOLDER_RELEVANT = ("bird",)
SHARDED = ("shards", "coreset")  # kinds of open sets that are never laid out in memory whole


@dataclass(frozen=True, eq=False)
class OpenSet:
    """Unlabelled pictures, and beside them what they show: for scoring a choice, never for making it."""

    images: ImageSet  # all labels -1
    relevant: Tensor  # (N,) bool: shows what the target is about
    group: Tensor  # (N,) int64, index into `groups`
    groups: tuple[str, ...]

    def __post_init__(self) -> None:
        assert self.relevant.shape == self.group.shape == (len(self.images),), (self.relevant.shape, self.group.shape)
        assert self.relevant.dtype == torch.bool and self.group.dtype == torch.int64

    def __len__(self) -> int:
        return len(self.images)

    def mask(self, *groups: str) -> Tensor:
        """Which pictures are of any of some groups, (N,) bool.

        Raises:
            ValueError: a group that this set does not have, with those it has.
        """
        for name in groups:
            if name not in self.groups:
                raise ValueError(f"group {name!r}: this open set has {', '.join(self.groups)}")
        wanted = torch.tensor([name in groups for name in self.groups])
        return wanted[self.group]


def open_set(
    count: int,
    size: int = 64,
    seed: int = 0,
    *,
    known: World | None = None,
    share_known: float = SHARE_KNOWN,
    share_unknown: float = SHARE_UNKNOWN,
    relevant: tuple[str, ...] = (KNOWN,),
    **birds_knobs: float,
) -> OpenSet:
    """Draw an open set, once in a process for the same arguments: the tensors are shared, do not write into them.

    Args:
        count: number of pictures; picture i is the same in a longer set.
        size: side in px, 32 to 448.
        seed: of the set; it shares no bird with `birds.bird_set`.
        known: the target's species; None is the standard table.
        share_known, share_unknown: of birds of those and of other species, 0..1; true in every hundred pictures.
        relevant: groups (of `GROUPS`) that count as relevant. Birds of unknown species do not, unless named.
        birds_knobs: fields of `birds.Knobs` but correlation; they hold for all groups alike.

    Raises:
        ValueError: a number out of range, shares above 1 together, an unknown knob or group.
    """
    _check(count, size, share_known, share_unknown)
    knobs = _knobs(birds_knobs)
    known = _world(SPECIES) if known is None else known
    images, group = _draw(count, size, seed, known, float(share_known), float(share_unknown), knobs)
    drawn = OpenSet(images, torch.zeros(count, dtype=torch.bool), group, GROUPS)
    return replace(drawn, relevant=drawn.mask(*relevant))


def load_open_set(
    dataset: str = "birds_open",
    image_size: int = 64,
    *,
    open_images: int | None = None,
    seed: int = 0,
    relevant: tuple[str, ...] | None = None,
    on_bad: str = "raise",
    **birds_knobs: float,
) -> OpenSet:
    """Load an open set by name.

    Args:
        dataset: "birds_open"; folder:PATH for photographs whose manifest.csv has a column `group`; or a fetched data
            set: where its manifest has no groups, its training photographs are one, none of them known to be relevant.
        image_size: side of the stored square pictures in pixels.
        open_images: how many; None takes 6,000 drawn ones, or all photographs. Fewer are part of more.
        seed: of what is drawn, or of the choice among photographs.
        relevant: groups that count as relevant; None is ("known birds",) or, in a folder, ("bird",).
        on_bad: for photographs that cannot be read; see `folder.load_folder`.
        birds_knobs: `species` of the target, shares and knobs of the birds, as `catalog.load` and `open_set` have them.

    Raises:
        ValueError: an unknown name, group or knob, a folder without groups, or a set in shards.
    """
    check_open_set(dataset)
    kind, _, path = dataset.partition(":")
    if kind in SHARDED:
        raise ValueError(f"dataset={dataset!r} lies in shards; `runs.coresets.target_and_pool` reads a sample of it")
    if open_images is not None and (isinstance(open_images, bool) or open_images < 1):
        raise ValueError(f"open_images={open_images}: at least 1, or None for all")
    if dataset == "birds_open":
        return _birds(open_images or OPEN_IMAGES, image_size, seed, relevant, birds_knobs)
    if birds_knobs:
        raise ValueError(f"{', '.join(birds_knobs)}: knobs of drawn sets; dataset={dataset!r} has photographs")
    folder = Path(path).expanduser() if path else data_dir() / dataset
    if not path and not _names_groups(folder):
        return _ungrouped(folder, image_size, open_images, seed, on_bad)
    return _photographs(folder, image_size, open_images, seed, relevant or FOLDER_RELEVANT, on_bad)


def check_open_set(dataset: str) -> None:
    """Refuse a name that no open set has, with what would do."""
    kind, _, path = dataset.partition(":")
    fetched = not path and (data_dir() / dataset / MANIFEST).is_file()
    if dataset != "birds_open" and not fetched and (kind not in ("folder", *SHARDED) or not path):
        known = (
            "birds_open, folder:PATH (PATH names your folder), shards:PATH, coreset:LIST, or a data set that "
            "`fgssl data get` has fetched"
        )
        raise ValueError(f"open_set={dataset!r}: an open set is {known}; there is none in {data_dir() / dataset}")


def unknown_world(known: World) -> World:
    """Species that the target does not have: half of them in coats of the standard genera, half in other coats.

    Each differs from every known species in at least three attributes or in the coat.

    Raises:
        ValueError: no such species, because `known` is the table that they are taken from.
    """
    world = World.make(**OTHERS)
    same_coat = (world.coat[:, None] == known.coat[None]).all(-1).all(-1)[world.genus][:, known.genus]  # (S, known)
    near = (world.codes[:, None] != known.codes[None]).sum(-1) < MIN_DIFFERENCES
    chosen = torch.nonzero(~(same_coat & near).any(1))[:, 0]
    if not len(chosen):
        raise ValueError("known: no species is left to be unknown; make the target's world with another seed")
    return replace(
        world,
        codes=world.codes[chosen],
        genus=world.genus[chosen],
        names=tuple(world.names[i] for i in chosen.tolist()),
    )


def groups_of(count: int, seed: int, share_known: float, share_unknown: float) -> Tensor:
    """Group of the pictures 0..count-1, (count,) int64; a prefix of those of a longer set."""
    rest = max(0.0, 1 - share_known - share_unknown) / len(PAINTERS)
    ends = torch.tensor([share_known, share_unknown, *[rest] * (len(PAINTERS) - 1)], dtype=torch.float64).cumsum(0)
    runs = torch.arange(-(-count // RUN))
    draw = uniform(seed, 0, runs, "open/group", RUN + 1).double()
    place = draw[:, :RUN].argsort(dim=1, stable=True) + draw[:, RUN:]  # (runs, RUN), each hundredth once
    return torch.searchsorted(ends, place.flatten()[:count] / RUN, right=True)


def _birds(count: int, size: int, seed: int, relevant: tuple[str, ...] | None, knobs: dict[str, float]) -> OpenSet:
    """birds_open with a standard table of some number of species as its target."""
    species = int(knobs.pop("species", SPECIES))
    return open_set(count, size, seed, known=_world(species), relevant=relevant or (KNOWN,), **knobs)


@functools.lru_cache(maxsize=2)
def _draw(
    count: int, size: int, seed: int, known: World, share_known: float, share_unknown: float, knobs: Knobs
) -> tuple[ImageSet, Tensor]:
    """Pictures and groups, drawn once in a process for the same arguments."""
    key = seed + OPEN
    group = groups_of(count, key, share_known, share_unknown)
    factors = _factors(known, group, key, knobs)
    images = ImageSet(
        images=render_groups(factors, group, GROUPS, size),
        labels=torch.full((count,), UNLABELLED),
        classes=(),
        name="birds_open",
        provenance=f"parametric birds and other things, seed {seed}, rendered at {size} px by fgssl_edu",
        licence="MIT, as the package that renders them",
    )
    return images, group


@functools.lru_cache(maxsize=4)
def _world(species: int) -> World:
    return World.make(species=species)


def _factors(known: World, group: Tensor, key: int, knobs: Knobs) -> Factors:
    """Factors of all pictures; things have the pose, light and background of a bird in their place."""
    other = unknown_world(known)
    both = World(
        codes=torch.cat([known.codes, other.codes]),
        genus=torch.cat([known.genus, other.genus + len(known.genus_names)]),
        names=known.names + other.names,
        genus_names=known.genus_names + other.genus_names,
        coat=torch.cat([known.coat, other.coat]),
        plump=torch.cat([known.plump, other.plump]),
    )
    index = torch.arange(len(group))
    draw = uniform(key, 0, index, "open/species", 1)[:, 0]
    label = torch.where(
        group == GROUPS.index(UNKNOWN), len(known) + (draw * len(other)).long(), (draw * len(known)).long()
    )
    return birds.sample(both, label, index, key, knobs)


def _photographs(
    folder: Path, image_size: int, count: int | None, seed: int, relevant: tuple[str, ...], on_bad: str
) -> OpenSet:
    """The photographs of a folder that are not for testing, with the groups that its manifest hides from training."""
    if not (folder / MANIFEST).is_file():
        raise ValueError(f"{folder}: an open set needs {MANIFEST} with the columns path,label,split,group")
    rows = read_manifest(folder)
    if any("group" not in row for row in rows):
        raise ValueError(f"{folder / MANIFEST}: no column group; it tells which photographs are relevant")
    images = _fewer(load_folder(folder, image_size, on_bad, seed).train, count, seed)
    named = {str(PurePosixPath(row["path"])): row["group"] for row in rows}
    empty = [path for path in images.paths if not named[path]]
    if empty:
        raise ValueError(f"{folder / MANIFEST}: {len(empty)} rows without a group, the first is {empty[0]}")
    groups = tuple(sorted(set(named.values()) - {""}))
    number = {name: i for i, name in enumerate(groups)}
    group = torch.tensor([number[named[path]] for path in images.paths], dtype=torch.int64)
    found = OpenSet(images, torch.zeros(len(images), dtype=torch.bool), group, groups)
    return replace(found, relevant=found.mask(*relevant))


def _names_groups(folder: Path) -> bool:
    """Whether a manifest says what its photographs show; of a million rows only the first is read."""
    with (folder / MANIFEST).open(encoding="utf-8", newline="") as file:
        return "group" in next(csv.reader(file))


def _ungrouped(folder: Path, image_size: int, count: int | None, seed: int, on_bad: str) -> OpenSet:
    """The training photographs of a fetched data set, about which nothing is known."""
    images = _fewer(load_folder(folder, image_size, on_bad, seed).train, count, seed)
    nothing = torch.zeros(len(images), dtype=torch.int64)
    return OpenSet(images, nothing.bool(), nothing, ("open",))


def _fewer(images: ImageSet, count: int | None, seed: int) -> ImageSet:
    """So many of them, by chance, and their labels forgotten; a smaller choice is part of a larger one."""
    if count is not None and count < len(images):
        draw = uniform(seed, 0, torch.arange(len(images)), "open/fewer", 1)[:, 0]
        images = images.subset(draw.argsort(stable=True)[:count].sort().values)
    return replace(images, labels=torch.full((len(images),), UNLABELLED), classes=())


def _knobs(given: dict[str, float]) -> Knobs:
    """Knobs that all groups share; the background cannot follow a species that most pictures do not have."""
    allowed = [field.name for field in fields(Knobs) if field.name != "correlation"]
    for name in given:
        if name not in allowed:
            raise ValueError(f"{name}: no knob of a drawn open set; they are {', '.join(allowed)}")
    return Knobs(**given)


def _check(count: int, size: int, share_known: float, share_unknown: float) -> None:
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ValueError(f"count={count!r}: a set has at least one picture")
    if isinstance(size, bool) or not isinstance(size, int) or not MIN_SIZE <= size <= MAX_SIZE:
        raise ValueError(f"size={size!r}: pictures are drawn from {MIN_SIZE} to {MAX_SIZE} px a side")
    for name, share in (("share_known", share_known), ("share_unknown", share_unknown)):
        if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= 1:
            raise ValueError(f"{name}={share!r}: a share lies between 0 and 1; 0.12 means 12 %")
    if share_known + share_unknown > 1:
        raise ValueError(f"share_known={share_known} and share_unknown={share_unknown}: together more than all")
