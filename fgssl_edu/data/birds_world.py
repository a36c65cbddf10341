"""The species of the parametric birds: a genus gives colour and build, eight local attributes tell its species apart.

Attribute values recur in every genus, so only the parts can separate siblings; siblings differ in at least three
attributes.
"""

from __future__ import annotations

import colorsys
import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import overload

import torch
from torch import Tensor

ATTRIBUTES = {  # name -> number of values
    "beak_shape": 4,
    "beak_color": 4,
    "crown": 4,
    "crest": 2,
    "wing_bar": 3,
    "tail": 4,
    "eye_ring": 3,
    "throat": 3,
}
PART_NAMES = ("background", "body", "tail", "crown", "throat", "wing_bar", "beak", "eye_ring")
ATTRIBUTE_PART = {  # attribute -> index into PART_NAMES
    "beak_shape": 6,
    "beak_color": 6,
    "crown": 3,
    "crest": 3,
    "wing_bar": 5,
    "tail": 2,
    "eye_ring": 7,
    "throat": 4,
}
WORDS = {  # what a field guide would call each value
    "beak_shape": ("stout-billed", "thin-billed", "hook-billed", "flat-billed"),
    "beak_color": ("orange-billed", "black-billed", "yellow-billed", "red-billed"),
    "crown": ("plain-crowned", "red-crowned", "gold-crowned", "dark-crowned"),
    "crest": ("smooth-headed", "crested"),
    "wing_bar": ("plain-winged", "one-barred", "two-barred"),
    "tail": ("square-tailed", "fork-tailed", "long-tailed", "fan-tailed"),
    "eye_ring": ("dark-eyed", "white-eyed", "amber-eyed"),
    "throat": ("plain-throated", "red-throated", "dark-throated"),
}
ABSENT_AT_ZERO = ("crown", "crest", "wing_bar", "eye_ring", "throat")
MIN_DIFFERENCES = 3  # attributes in which any two siblings differ
SIBLINGS = 4  # species a genus has unless told otherwise
MAX_FAILURES = 200  # mutants of a genus' first code that come too near a sibling, before any code may join
MAX_SPECIES = 200
MAX_SIBLINGS = 24  # what the greedy search always finds among the 13 824 codes

GENUS_NAMES = ("azure finch", "olive warbler", "slate wren", "rufous thrush", "teal tanager", "plum sunbird")
NOUNS = ("finch", "warbler", "wren", "thrush", "tanager", "sunbird") + (
    "bunting",
    "pipit",
    "lark",
    "vireo",
    "robin",
    "shrike",
)
COLOR_WORDS = {
    "crimson": (0.66, 0.16, 0.22),
    "coral": (0.84, 0.45, 0.38),
    "amber": (0.84, 0.58, 0.16),
    "lemon": (0.84, 0.80, 0.28),
    "lime": (0.56, 0.76, 0.22),
    "emerald": (0.20, 0.58, 0.30),
    "mint": (0.52, 0.80, 0.66),
    "cyan": (0.26, 0.70, 0.80),
    "sky": (0.50, 0.68, 0.88),
    "cobalt": (0.18, 0.26, 0.70),
    "violet": (0.48, 0.26, 0.72),
    "orchid": (0.78, 0.40, 0.74),
    "rose": (0.86, 0.58, 0.66),
    "sooty": (0.20, 0.20, 0.22),
    "umber": (0.36, 0.24, 0.16),
    "fawn": (0.76, 0.64, 0.48),
    "ashen": (0.74, 0.74, 0.76),
}
Color = tuple[float, float, float]
Coat = tuple[Color, Color, Color]  # mantle, belly, wing
COATS: tuple[Coat, ...] = (
    ((0.29, 0.47, 0.71), (0.93, 0.90, 0.80), (0.18, 0.30, 0.52)),
    ((0.47, 0.56, 0.24), (0.93, 0.85, 0.42), (0.30, 0.38, 0.16)),
    ((0.52, 0.53, 0.57), (0.93, 0.93, 0.92), (0.30, 0.31, 0.35)),
    ((0.58, 0.37, 0.21), (0.92, 0.72, 0.45), (0.38, 0.23, 0.13)),
    ((0.16, 0.47, 0.47), (0.80, 0.90, 0.80), (0.08, 0.28, 0.31)),
    ((0.55, 0.33, 0.52), (0.95, 0.83, 0.84), (0.36, 0.19, 0.36)),
)
PLUMPNESS = (1.0, 0.93, 1.08, 1.0, 0.90, 1.06)  # body height over the standard one; later genera repeat these
BELLY_WEIGHT = 0.5  # of the belly in the distance between two coats: the mantle is what one sees first
CANDIDATES = 800  # coats from which each further genus takes the one farthest from all others


@dataclass(frozen=True, eq=False)
class World:
    """The species table; `World.make` builds it."""

    codes: Tensor  # (S, 8) int64, value of each of ATTRIBUTES
    genus: Tensor  # (S,) int64
    names: tuple[str, ...]  # (S,)
    genus_names: tuple[str, ...]  # (G,)
    coat: Tensor  # (G, 3, 3) RGB in [0, 1] of mantle, belly and wing
    plump: Tensor  # (G,)

    def __len__(self) -> int:
        return len(self.codes)

    @staticmethod
    def make(species: int = 24, genera: int | None = None, seed: int = 7) -> World:
        """Draw a table of species.

        Args:
            species: their number, in [1, 200].
            genera: their number; None gives each about four species. Species are dealt evenly.
            seed: of the codes.

        Raises:
            ValueError: a number out of range, or more than 24 species in a genus.
        """
        genera = _checked_genera(species, genera)
        rng = random.Random(seed)
        genus = [s * genera // species for s in range(species)]
        codes = [code for g in range(genera) for code in _sibling_codes(rng, genus.count(g))]
        coats = _coats(genera)
        genus_names = _genus_names(coats)
        names = [f"{words} {genus_names[g]}" for g in range(genera) for words in _epithets(codes, genus, g)]
        return World(
            codes=torch.tensor(codes),
            genus=torch.tensor(genus),
            names=tuple(names),
            genus_names=genus_names,
            coat=torch.tensor(coats),
            plump=torch.tensor([PLUMPNESS[g % len(PLUMPNESS)] for g in range(genera)]),
        )

    @property
    def discriminative_attributes(self) -> Tensor:
        """Whether an attribute tells a species from at least one sibling, (S, 8) bool."""
        related = self.genus[:, None] == self.genus[None, :]  # (S, S)
        differs = self.codes[:, None] != self.codes[None, :]  # (S, S, 8)
        return (differs & related[:, :, None]).any(1)

    @property
    def discriminative(self) -> Tensor:
        """Whether a part tells a species from at least one sibling, (S, len(PART_NAMES)) bool."""
        parts = torch.zeros(len(self), len(PART_NAMES), dtype=torch.bool)
        for column, part in enumerate(ATTRIBUTE_PART.values()):
            parts[:, part] |= self.discriminative_attributes[:, column]
        return parts

    @overload
    def sibling_value(self, species: int, attribute: str) -> int: ...
    @overload
    def sibling_value(self, species: Tensor, attribute: str) -> Tensor: ...
    def sibling_value(self, species: int | Tensor, attribute: str) -> int | Tensor:
        """What the next sibling that differs in an attribute has there: the edit towards a look-alike.

        Args:
            species: one species, or (B,) int64.
            attribute: a name of ATTRIBUTES.

        Returns:
            A value, or (B,) int64; a species' own value where all its siblings share it (not discriminative).
        """
        column = self.codes[:, attribute_column(attribute)]
        table = column.clone()
        for s in range(len(self)):
            family = torch.nonzero(self.genus == self.genus[s])[:, 0]
            others = column[torch.cat([family[family > s], family[family < s]])]  # the next sibling first
            other = others[others != column[s]]
            table[s] = other[0] if len(other) else column[s]
        return table.to(species.device)[species] if isinstance(species, Tensor) else int(table[species])


def attribute_column(attribute: str) -> int:
    """Position of an attribute in a code; ValueError with the known names for an unknown one."""
    if attribute not in ATTRIBUTES:
        raise ValueError(f"attribute={attribute!r}: a bird has {', '.join(ATTRIBUTES)}")
    return list(ATTRIBUTES).index(attribute)


def _checked_genera(species: int, genera: int | None) -> int:
    if isinstance(species, bool) or not isinstance(species, int) or not 1 <= species <= MAX_SPECIES:
        raise ValueError(f"species={species!r}: choose a whole number from 1 to {MAX_SPECIES}")
    if genera is None:
        return max(1, round(species / SIBLINGS))
    if isinstance(genera, bool) or not isinstance(genera, int) or not 1 <= genera <= species:
        raise ValueError(f"genera={genera!r}: choose a whole number from 1 to species={species}")
    if species > genera * MAX_SIBLINGS:
        raise ValueError(f"genera={genera}: at most {MAX_SIBLINGS} species a genus; {species} species need more genera")
    return genera


def _sibling_codes(rng: random.Random, count: int) -> list[list[int]]:
    """Codes of one genus: the first at random, the others three or more attributes away from all before.

    Mutants of the first come first (siblings look alike); when too many of them fail, any code may join.
    """
    values = list(ATTRIBUTES.values())
    codes = [[rng.randrange(n) for n in values]]
    failures = 0
    while len(codes) < count:
        code = list(codes[0])
        if failures < MAX_FAILURES:
            for j in rng.sample(range(len(values)), rng.choice((3, 4))):
                code[j] = (code[j] + rng.randrange(1, values[j])) % values[j]
        else:
            code = [rng.randrange(n) for n in values]
        if all(sum(a != b for a, b in zip(code, other, strict=True)) >= MIN_DIFFERENCES for other in codes):
            codes.append(code)
        else:
            failures += 1
    return codes


def _epithets(codes: Sequence[Sequence[int]], genus: Sequence[int], which: int) -> list[str]:
    """For each species of a genus the fewest words that no sibling could share."""
    siblings = [code for code, g in zip(codes, genus, strict=True) if g == which]
    attributes = list(ATTRIBUTES)
    result = []
    for code in siblings:
        others = [o for o in siblings if o is not code]
        absent = [j for j, name in enumerate(attributes) if code[j] == 0 and name in ABSENT_AT_ZERO]
        marked = [j for j in range(len(code)) if j not in absent] + absent  # what is there is named first
        choices = itertools.chain.from_iterable(itertools.combinations(marked, n) for n in range(1, len(code) + 1))
        best = next(c for c in choices if all(any(o[j] != code[j] for j in c) for o in others))
        result.append(" ".join(WORDS[attributes[j]][code[j]] for j in best))
    return result


def _genus_names(coats: Sequence[Coat]) -> tuple[str, ...]:
    """The colour word nearest to the mantle and a noun; another word when none of its nouns is free."""
    names = list(GENUS_NAMES[: len(coats)])
    for coat in coats[len(names) :]:
        words = sorted(COLOR_WORDS, key=partial(_word_distance, coat[0]))
        turn = len(names) % len(NOUNS)
        pairs = (f"{word} {noun}" for word in words for noun in NOUNS[turn:] + NOUNS[:turn])
        names.append(next(pair for pair in pairs if pair not in names))
    return tuple(names)


def _word_distance(color: Color, word: str) -> float:
    return _distance(COLOR_WORDS[word], color)


def _distance(one: Color, other: Color) -> float:
    """Euclidean distance of two colours as lightness, red-green and yellow-blue: nearer to the eye than RGB."""
    r, g, b = (a - c for a, c in zip(one, other, strict=True))
    return float(((0.3 * r + 0.6 * g + 0.1 * b) ** 2 + (r - g) ** 2 / 2 + ((r + g) / 2 - b) ** 2 / 2) ** 0.5)


def _coats(count: int) -> list[Coat]:
    """Six chosen coats, then each further one as far as possible from all before it."""
    rng = random.Random(0)
    candidates = []
    for _ in range(CANDIDATES if count > len(COATS) else 0):
        hue, belly_hue = rng.random(), rng.random()
        mantle = colorsys.hsv_to_rgb(hue, rng.uniform(0.05, 0.85), rng.uniform(0.2, 0.9))
        belly = colorsys.hsv_to_rgb(belly_hue, rng.uniform(0.05, 0.6), rng.uniform(0.75, 0.95))
        red, green, blue = mantle
        candidates.append((mantle, belly, (red * 0.62, green * 0.62, blue * 0.65)))
    coats = list(COATS[:count])
    nearest = [min(_coat_distance(c, o) for o in coats) for c in candidates]
    while len(coats) < count:
        best = max(range(len(candidates)), key=nearest.__getitem__)
        coats.append(candidates[best])
        nearest = [min(d, _coat_distance(c, candidates[best])) for d, c in zip(nearest, candidates, strict=True)]
    return coats


def _coat_distance(one: Coat, other: Coat) -> float:
    return _distance(one[0], other[0]) + BELLY_WEIGHT * _distance(one[1], other[1])
