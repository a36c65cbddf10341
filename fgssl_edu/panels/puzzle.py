"""The jigsaw as a network sees it: nine tiles in a chosen order, the order it guesses, and what gives it away.

Any trick against a shortcut can be taken off or put on for a network that was trained otherwise. Where its accuracy
rises when a trick is taken off, or falls when one is put on, it lives on that shortcut.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from fgssl_edu.data.image_set import Batch, Splits
from fgssl_edu.draws import uniform
from fgssl_edu.methods.pretext.jigsaw import Jigsaw, arranged
from fgssl_edu.methods.pretext.tiles import cut
from fgssl_edu.nets.modes import frozen
from fgssl_edu.panels.canvas import AMBER, BLUE, GREEN, MARGIN, QUIET, RULE, SMALL, TITLE, Canvas, tile
from fgssl_edu.panels.controls import choice, slider
from fgssl_edu.panels.panel import Panel
from fgssl_edu.views.patches import GRID, TILES, Tiling
from fgssl_edu.views.presets import VIEWS, scaled

WHOLE = scaled(VIEWS["mild"], 0.0)  # the picture itself: no crop, no flip, colours as they are
COLORS = {"as they are": "all", "channels moved": "moved", "one channel": "one", "grey": "grey"}
LENS, MOVED = 0.06, 2  # share by which a lens magnifies red; pixels that each channel of a tile is moved each way
PUZZLES = 32  # pictures, each in one drawn order, that an accuracy is measured on
WIDEST_GAP = 8  # pixels
SIDE, GRID_GAP = 312, 8  # pixels of the picture and of a shuffled or arranged grid; between the latter's tiles
TOP, BELOW = 64, 416  # where pictures and bars begin, pixels from the top
BARS_LEFT, BARS_RIGHT, BAR_STEP = 330, 900, 27


@dataclass(frozen=True)
class Tricks:
    """A shortcut, `lens`, and what is done against shortcuts; `gap` in pixels, `colors` a value of `COLORS`."""

    gap: int
    jitter: bool
    per_tile_norm: bool
    colors: str
    lens: bool = False

    def on(self, tiling: Tiling) -> Tiling:
        """A method's tiling of whole pictures, with these tricks instead of its own."""
        return dataclasses.replace(
            tiling,
            preset=WHOLE,
            gap=self.gap,
            jitter=self.gap // 2 if self.jitter else 0,
            per_tile_norm=self.per_tile_norm,
            gray=float(self.colors == "grey"),
            color_drop=float(self.colors == "one"),
            channel_jitter=MOVED if self.colors == "moved" else 0,
            lens=LENS if self.lens else 0.0,
        )

    def others(self) -> dict[str, Tricks]:
        """What it would be with one of them changed, by name."""
        wide = dataclasses.replace(self, gap=0) if self.gap else dataclasses.replace(self, gap=2)
        found = {"without a gap" if self.gap else "with a gap of 2 px": wide}
        if self.gap > 1:
            words = "tiles not moved" if self.jitter else "tiles moved"
            found[words] = dataclasses.replace(self, jitter=not self.jitter)
        words = "tiles not normalised" if self.per_tile_norm else "tiles normalised"
        found[words] = dataclasses.replace(self, per_tile_norm=not self.per_tile_norm)
        words, colors = ("channels moved", "moved") if self.colors == "all" else ("colours as they are", "all")
        found[words] = dataclasses.replace(self, colors=colors)
        found["without the lens" if self.lens else "through a lens"] = dataclasses.replace(self, lens=not self.lens)
        return found


@dataclass(frozen=True)
class Puzzle:
    """One picture in one order, and what a network says of it.

    Attributes:
        view: (3, side, side) in [0, 1], what was cut.
        corners: (9, 2) top and left of the tiles in it, pixels.
        tiles: (9, 3, t, t) in their own order, as the network sees them, in [0, 1] where that is not.
        order: (9,) place i shows tile order[i].
        guess: (9,) what the network takes for the order.
        sure: probability that it gives its guess.
        of_true: probability that it gives the true order.
    """

    view: Tensor
    corners: Tensor
    tiles: Tensor
    order: Tensor
    guess: Tensor
    sure: float
    of_true: float


class JigsawPuzzle(Panel):
    """A picture cut up and shuffled, and put together again by a trained network.

    Args:
        methods: trained, by name. Each is left in the mode it was in.
        splits: pictures come from `test`.

    Raises:
        ValueError: no methods, or no pictures.
    """

    def __init__(self, methods: Mapping[str, Jigsaw], splits: Splits) -> None:
        if not methods or not len(splits.test):
            raise ValueError(f"methods={list(methods)}, {len(splits.test)} pictures: the panel needs one of each")
        self.methods, self.images = dict(methods), splits.test.images
        self._accuracies: dict[tuple[str, Tricks], float] = {}
        states: list[dict[str, object]] = [{"gap": 0}, {"colors": "one"}, {"lens": True}]
        states.append({"lens": True, "colors": "moved"})
        super().__init__(self._compose, self._controls(), states=states, title="What gives the puzzle away?")

    @property
    def _first(self) -> Tiling:
        return next(iter(self.methods.values())).tiling

    def _controls(self) -> list[dict[str, object]]:
        fewest = min(len(method.permutations) for method in self.methods.values())
        last, own = len(self.images) - 1, self._first
        return [
            {
                "picture": slider(f"Picture (0 to {last})", 0, 0, last, 1),
                "order": slider("Order", 0, 0, fewest - 1, 1),
                "method": choice("Network", list(self.methods)),
            },
            {
                "gap": slider("Gap, px", min(own.gap, WIDEST_GAP), 0, WIDEST_GAP, 1),
                "jitter": choice("Tiles moved", [("yes", True), ("no", False)], own.jitter > 0),
                "per_tile_norm": choice("Normalised", [("yes", True), ("no", False)], own.per_tile_norm),
                "colors": choice("Colours", list(COLORS.items())),
                "lens": choice("Lens", [("none", False), ("with fringes", True)]),
            },
        ]

    def _compose(self, **values: Any) -> NDArray:
        tricks = Tricks(**{name: values[name] for name in ("gap", "jitter", "per_tile_norm", "colors", "lens")})
        puzzle = self.puzzle(values["method"], tricks, values["picture"], values["order"])
        canvas = Canvas(BELOW + 30 + 6 * BAR_STEP)
        lefts = [MARGIN + i * (SIDE + 2 * MARGIN) for i in range(3)]
        right = puzzle.order == puzzle.guess
        titles = ("The picture, and its tiles", "What the network sees", f"Its guess: {int(right.sum())} of 9 in place")
        sure = f"probability {_percent(puzzle.sure)}; of the true order {_percent(puzzle.of_true)}"
        notes = (f"tiles of {puzzle.tiles.shape[-1]} px, gap {tricks.gap} px", "shuffled", sure)
        for left, title, note in zip(lefts, titles, notes, strict=True):
            canvas.write(title, left, 4, TITLE, bold=True, room=SIDE)
            canvas.write(note, left, 34, SMALL, QUIET, room=SIDE)
        _put_view(canvas, puzzle, lefts[0])
        _put_grid(canvas, puzzle.tiles[puzzle.order], lefts[1])
        placed = puzzle.guess.argsort()  # place p gets what the network takes for tile p
        _put_grid(canvas, puzzle.tiles[puzzle.order][placed], lefts[2], right[placed])
        self._put_bars(canvas, values["method"], tricks)
        return canvas.array()

    @torch.no_grad()
    def puzzle(self, name: str, tricks: Tricks, picture: int, order: int) -> Puzzle:
        """One picture in one order, solved; on the CPU."""
        method, index = self.methods[name], torch.tensor([picture])
        tiling = tricks.on(method.tiling)
        with frozen(method) as device:
            batch = Batch(self.images[index].to(device), index.to(device))
            view = tiling.view(batch.images, 0, 0, batch.index)
            corners = dataclasses.replace(tiling, channel_jitter=0).corners(0, 0, batch.index)
            tiles = cut(tiling, batch, 0, 0, method.encoder)
            probability = method.logits(arranged(tiles, method.permutations[[order]]))[0].softmax(dim=1)[0].cpu()
        guess = int(probability.argmax())
        orders = method.permutations.cpu()
        return Puzzle(
            view=view[0].cpu(),
            corners=corners[0].cpu(),
            tiles=tiles[0].cpu(),
            order=orders[order],
            guess=orders[guess],
            sure=float(probability[guess]),
            of_true=float(probability[order]),
        )

    @torch.no_grad()
    def accuracy(self, name: str, tricks: Tricks) -> float:
        """Share of the first pictures, each in one drawn order, that a network puts together; kept once measured."""
        key = (name, tricks)
        if key not in self._accuracies:
            method, index = self.methods[name], torch.arange(min(PUZZLES, len(self.images)))
            drawn = (uniform(0, 0, index, "panel/order", 1)[:, 0] * len(method.permutations)).long()
            with frozen(method) as device:
                batch, answer = Batch(self.images[index].to(device), index.to(device)), drawn.to(device)
                tiles = cut(tricks.on(method.tiling), batch, 0, 0, method.encoder)
                hits = method.logits(arranged(tiles, method.permutations[answer]))[0].argmax(dim=1) == answer
            self._accuracies[key] = float(hits.float().mean())
        return self._accuracies[key]

    def _put_bars(self, canvas: Canvas, name: str, tricks: Tricks) -> None:
        """Accuracy as the controls stand, and with one trick changed."""
        count, chance = min(PUZZLES, len(self.images)), 1 / len(self.methods[name].permutations)
        title = f"Solved, of {count} pictures"
        canvas.write(title, MARGIN, BELOW - 8, bold=True)
        canvas.write(f"chance {_percent(chance)}", BARS_RIGHT - 60, BELOW - 6, SMALL, QUIET)
        rows = {"as set": tricks, **tricks.others()}
        for i, (words, each) in enumerate(rows.items()):
            top, share = BELOW + 26 + i * BAR_STEP, self.accuracy(name, each)
            canvas.write(words, BARS_LEFT - 10, top, SMALL, anchor="ra", bold=i == 0)
            end = BARS_LEFT + round(share * (BARS_RIGHT - BARS_LEFT - 60))
            canvas.pen.rectangle((BARS_LEFT, top, BARS_RIGHT - 60, top + 18), outline=RULE)
            canvas.pen.rectangle((BARS_LEFT, top, end, top + 18), fill=BLUE if i == 0 else QUIET)
            canvas.write(_percent(share), BARS_RIGHT, top, SMALL, anchor="ra", bold=i == 0)


def _put_view(canvas: Canvas, puzzle: Puzzle, left: int) -> None:
    """The picture with the outlines of its tiles."""
    picture = tile(puzzle.view, SIDE)
    canvas.put(picture, left, TOP)
    scale, side = SIDE / puzzle.view.shape[-1], puzzle.tiles.shape[-1]
    for top, start in puzzle.corners.tolist():
        box = (left + start * scale, TOP + top * scale, left + (start + side) * scale, TOP + (top + side) * scale)
        canvas.pen.rectangle(box, outline=(0, 0, 0), width=4)
        canvas.pen.rectangle(box, outline=(255, 255, 255), width=2)


def _put_grid(canvas: Canvas, tiles: Tensor, left: int, right: Tensor | None = None) -> None:
    """Nine tiles row by row; where it is known, a green frame around a tile in its place and an amber one elsewhere."""
    side = (SIDE - (GRID - 1) * GRID_GAP) // GRID
    for place in range(TILES):
        row, column = divmod(place, GRID)
        frame = None if right is None else GREEN if bool(right[place]) else AMBER
        x, y = left + column * (side + GRID_GAP), TOP + row * (side + GRID_GAP)
        canvas.put(tile(tiles[place], side), x, y, frame, thick=4)
        if right is not None and not bool(right[place]):
            canvas.write("✗", x + 5, y + 2, bold=True, colour=AMBER)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
