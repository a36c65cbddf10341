"""Exercises of the lesson `one-image`: pooling a layer, a crop that never falls back, and a data card."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from fgssl_edu.data.image_set import ImageSet
from fgssl_edu.exercises.verdict import Answer, Verdict, judge

SIDE = 1000  # pixels of the patch that crops are drawn in
PEOPLE = ("person", "man", "woman", "child")  # words that a data set without people has no class for


def check_pooled_layer(answer: Answer) -> Verdict:
    """Check `answer(maps, target) -> (B, C s²)`: maps (B, C, h, w) pooled by maxima to the largest s that is allowed.

    C s² is at most `target` and s at most h; the s x s maxima of a channel stand together.
    """
    generator = torch.Generator().manual_seed(21)
    maps = torch.rand(3, 6, 12, 12, generator=generator)
    ramp = torch.arange(16.0).view(1, 1, 4, 4)

    def shape(f: Answer) -> str | None:
        found = f(maps, 100)
        ok = isinstance(found, Tensor) and found.ndim == 2 and len(found) == 3
        return None if ok else "should return one row of features an image, (B, C s²)"

    def papers(f: Answer) -> str | None:
        for channels, side in ((96, 10), (256, 6), (384, 5), (110, 9)):
            found = _rows(f(torch.rand(1, channels, 13, 13, generator=generator), 10_000)).shape[1]
            if found != channels * side**2:
                words = f"{channels} channels and a target of 10,000: s = {side}, the largest with C s² <= target"
                return f"{words}, so {channels * side**2:,} features, not {found:,}"
        return None

    def exact(f: Answer) -> str | None:
        found = _rows(f(maps, 54)).shape[1]
        return None if found == 54 else f"6 channels and a target of 54: s = 3 fits exactly, 54 features, not {found}"

    def maxima(f: Answer) -> str | None:
        found = _rows(f(ramp, 4))[0].tolist()
        words = "a 4 x 4 ramp from 0 to 15 pooled to 2 x 2 has the maxima 5, 7, 13, 15"
        return None if found == [5.0, 7.0, 13.0, 15.0] else f"{words}, not {', '.join(f'{x:g}' for x in found)}"

    def small(f: Answer) -> str | None:
        found = _rows(f(ramp, 100))
        same = found.shape == (1, 16) and torch.equal(found, ramp.flatten(1))
        return None if same else "a map smaller than s x s should stay as it is: pooling upwards only repeats numbers"

    def each(f: Answer) -> str | None:
        whole, alone = _rows(f(maps, 100)), _rows(f(maps[1:2], 100))
        return None if torch.equal(whole[1:2], alone) else "each image should be pooled by itself"

    return judge(answer, [shape, papers, exact, maxima, small, each])


def _rows(found: object) -> Tensor:
    if not isinstance(found, Tensor) or found.ndim != 2:
        raise ValueError("should return one row of features an image, (B, C s²)")
    return found.detach()


def check_crop_size(answer: Answer) -> Verdict:
    """Check `answer(side, draw) -> (width, height)`: the random part of a square patch, in whole pixels.

    `draw()` gives the next random number in [0, 1): first of the area, uniform from 1/500 to 1 of the patch, then of
    the ratio width / height, uniform in its logarithm from 3/4 to 4/3. What does not fit is drawn again, for ever.
    """

    def hand(f: Answer) -> str | None:
        found = _size(f, [(0.25 - 1 / 500) / (1 - 1 / 500), 0.5])
        words = "a quarter of the patch at ratio 1 (the middle of the logarithms) is half of its side, 500 x 500"
        return None if found == (500, 500) else f"{words}, not {found[0]} x {found[1]}"

    def smallest(f: Answer) -> str | None:
        found = _size(f, [0.0, 0.5])
        return None if found == (45, 45) else f"the smallest area is 1/500: 45 x 45 px of 1000, not {_words(found)}"

    def ratio(f: Answer) -> str | None:
        low, high = _size(f, [0.25, 0.0]), _size(f, [0.25, 1 - 1e-12])
        good = near_ratio(low, 3 / 4) and near_ratio(high, 4 / 3)
        words = "width over height goes from 3/4 to 4/3"
        return None if good else f"{words}; found {low[0] / low[1]:.2f} and {high[0] / high[1]:.2f}"

    def again(f: Answer) -> str | None:
        found = _size(f, [0.99, 0.9, 0.25, 0.5])
        if max(found) > SIDE:
            return f"{_words(found)} does not fit into {SIDE} px: draw area and ratio again"
        right = _size(f, [0.25, 0.5])
        return (
            None if found == right else f"after a crop that does not fit, the next two numbers count: {_words(right)}"
        )

    def never(f: Answer) -> str | None:
        found, right = _size(f, [0.99, 0.9] * 50 + [0.25, 0.5]), _size(f, [0.25, 0.5])
        words = "after 50 crops that do not fit it gave up: no crop falls back to the centre or the whole patch"
        return None if found == right else f"{words} (found {_words(found)})"

    def fits(f: Answer) -> str | None:
        generator = torch.Generator().manual_seed(22)
        sizes = [_pair(f(SIDE, lambda: float(torch.rand((), generator=generator)))) for _ in range(300)]
        ok = all(isinstance(n, int) and 1 <= n <= SIDE for size in sizes for n in size)
        return None if ok else "width and height should be whole numbers (int) from 1 to the side"

    return judge(answer, [hand, smallest, ratio, again, never, fits])


def near_ratio(size: tuple[int, int], ratio: float) -> bool:
    """Whether a size in whole pixels has the ratio, within a pixel."""
    return abs(size[0] / size[1] - ratio) < 0.01


def _words(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def _size(answer: Answer, numbers: Sequence[float]) -> tuple[int, int]:
    """What an answer makes of given random numbers."""
    width, height = _pair(answer(SIDE, draws(numbers)))
    return int(width), int(height)


def _pair(found: object) -> tuple[float, float]:
    if not isinstance(found, tuple | list) or len(found) != 2:
        raise ValueError("should return two numbers, width and height")
    return found[0], found[1]


def draws(numbers: Sequence[float]) -> Callable[[], float]:
    """A `draw` that gives these numbers one after the other."""
    left = iter(numbers)

    def draw() -> float:
        try:
            return next(left)
        except StopIteration:
            raise ValueError("asks for more random numbers than area and ratio of each try") from None

    return draw


def hashed(word: str) -> str:
    """SHA-256 of a word in lower case: a list of such can be checked against without being read."""
    return hashlib.sha256(word.lower().encode()).hexdigest()


def check_card(answer: Answer) -> Verdict:
    """Check `answer(images, blocked)`: what an ImageSet's card lacks, as a set of names.

    "provenance" and "licence" where they are blank; "classes" where a class name, in lower case, has its SHA-256 among
    `blocked`: so nobody who checks has to read the list.
    """
    blocked = {hashed(word) for word in PEOPLE}

    def good(f: Answer) -> str | None:
        found = _names(f(_card(), blocked))
        return None if not found else f"a whole card lacks nothing; found {_listed(found)}"

    def blank(f: Answer) -> str | None:
        for name in ("provenance", "licence"):
            for text in ("", "  \n"):
                card = _card(provenance=text) if name == "provenance" else _card(licence=text)
                found = _names(f(card, blocked))
                if found != {name}:
                    return f"a {name} of {text!r} is none: should name {name!r}, found {_listed(found)}"
        return None

    def both(f: Answer) -> str | None:
        found = _names(f(_card(provenance="", licence=""), blocked))
        words = "a card without both should name both"
        return None if found == {"provenance", "licence"} else f"{words}, found {_listed(found)}"

    def people(f: Answer) -> str | None:
        for name in ("woman", "Man"):
            found = _names(f(_card(classes=("robin", name)), blocked))
            if found != {"classes"}:
                return f"class {name!r} is on the list (its hash in lower case): name 'classes', found {_listed(found)}"
        return None

    def whole(f: Answer) -> str | None:
        found = _names(f(_card(classes=("manakin", "robin")), blocked))
        return None if not found else "'manakin' is a bird: compare whole names, not their beginnings"

    def unread(f: Answer) -> str | None:
        found = _names(f(_card(classes=("robin", "wren")), blocked | {hashed("wren")}))
        return None if found == {"classes"} else "the list that is given counts, not one of your own"

    return judge(answer, [good, blank, both, people, whole, unread])


def _card(
    provenance: str = "drawn by hand", licence: str = "CC BY 4.0", classes: tuple[str, ...] = ("robin", "wren")
) -> ImageSet:
    images = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
    return ImageSet(images, torch.arange(2), classes, name="card", provenance=provenance, licence=licence)


def _names(found: object) -> set[str]:
    if not isinstance(found, set | list | tuple):
        raise ValueError(f"should return a set of names, returned {type(found).__name__}")
    return set(found)


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"
