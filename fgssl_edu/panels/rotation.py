"""Turn a picture, and see what two rotation networks answer, how sure they are, and where they saw it.

The question can be asked of the whole picture, of the bird alone and of the scene without its bird; and the picture can
be turned exactly or with a mark that gives the answer away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from fgssl_edu.data.birds import Factors, without_birds
from fgssl_edu.data.image_set import ImageSet, Splits
from fgssl_edu.gradcam import gradcam, normalize_map
from fgssl_edu.methods.pretext.rotation import Rotation
from fgssl_edu.nets.modes import frozen
from fgssl_edu.panels.canvas import BLUE, GREEN, MARGIN, QUIET, SMALL, TITLE, Canvas, heat_tile, tile
from fgssl_edu.panels.controls import choice, slider
from fgssl_edu.panels.neighbours import species_name
from fgssl_edu.panels.panel import Panel
from fgssl_edu.views import lit_from_above, resized, turned
from fgssl_edu.views.turns import field_size

WHOLE, BIRD, SCENE = "the whole picture", "the bird alone", "the scene without its bird"
EXACT, MISSED, LIT = "exactly", "half a pixel off", "lit from above, then exactly"
OFFSET, LIGHT = 0.5, 0.2  # of the shortcuts, as the lesson's arms have them
GREY = 0.5  # around a bird that is shown alone
PICTURE, HEAT = 300, 216  # pixels of the tiles
HEAT_LEFT, BARS_LEFT, BARS_RIGHT = 336, 570, 920  # pixels from the left
FIRST, SECOND = 62, 322  # where the rows of A and B begin, pixels from the top
STEP = 15  # degrees of the slider


@dataclass(frozen=True)
class State:
    """Where the controls stand."""

    picture: int
    angle: int
    shown: str
    how: str
    a: str
    b: str


@dataclass(frozen=True)
class Answer:
    """What a method says of one picture.

    Attributes:
        shares: (k,) probabilities of its angles.
        heat: (h, w) in [0, 1], where it saw the most likely one.
    """

    shares: Tensor
    heat: Tensor


class RotationQuestion(Panel):
    """The question of RotNet, live, for two methods.

    Args:
        methods: trained, by name; the first two are A and B to begin with. Each is left in the mode it was in.
        splits: pictures come from `test`.
        eval_size: side in pixels at which the methods see pictures; None for the stored one.

    Raises:
        ValueError: fewer than two methods, or no pictures.
    """

    def __init__(self, methods: Mapping[str, Rotation], splits: Splits, eval_size: int | None = None) -> None:
        if len(methods) < 2:
            raise ValueError(f"methods={list(methods)}: the panel compares two methods; give at least two, by name")
        if not len(splits.test):
            raise ValueError("there are no test pictures to show")
        self.methods, self.images, self.size = dict(methods), splits.test, eval_size or splits.test.size
        self.field = field_size(self.size, (45,))  # of which every angle shows the middle
        states: list[dict[str, object]] = [{"angle": 90}, {"angle": 45}, {"angle": 180, "how": MISSED}]
        states += [{"shown": SCENE, "angle": 270}] if SCENE in self._shown(self.images) else []
        super().__init__(self._compose, self._controls(), states=states, title="Which way up?")

    @staticmethod
    def _shown(images: ImageSet) -> list[str]:
        known = {WHOLE: True, BIRD: images.foreground is not None, SCENE: isinstance(images.factors, Factors)}
        return [name for name, there in known.items() if there]

    def _controls(self) -> list[dict[str, object]]:
        names, last = list(self.methods), len(self.images) - 1
        return [
            {
                "picture": slider(f"Picture (0 to {last})", 0, 0, last, 1),
                "angle": slider("Turned by, degrees", 0, 0, 360 - STEP, STEP),
            },
            {"shown": choice("Shown", self._shown(self.images)), "how": choice("Turned", [EXACT, MISSED, LIT])},
            {"a": choice("Network A", names, names[0]), "b": choice("Network B", names, names[1])},
        ]

    def _compose(self, **values: Any) -> NDArray:
        state = State(**values)
        seen = self.seen(state)
        canvas = Canvas(SECOND + HEAT + 30)
        canvas.write("What the networks see", MARGIN, 6, TITLE, bold=True)
        canvas.write("Where they saw it", HEAT_LEFT, 6, TITLE, bold=True)
        canvas.write("Turned by how much?", BARS_LEFT, 6, TITLE, bold=True)
        canvas.put(tile(seen, PICTURE), MARGIN, FIRST)
        words = f"by {state.angle}° counter-clockwise"
        canvas.write(words, MARGIN, FIRST + PICTURE + 10, room=PICTURE)
        canvas.write(species_name(self.images, state.picture), MARGIN, FIRST + PICTURE + 36, bold=True, room=PICTURE)
        for name, letter, top in zip((state.a, state.b), "AB", (FIRST, SECOND), strict=True):
            method = self.methods[name]
            answer = ask(method, seen)
            canvas.write(f"{letter}: {name}", HEAT_LEFT, top - 26, bold=True, room=980 - HEAT_LEFT)
            canvas.put(heat_tile(seen, answer.heat, HEAT), HEAT_LEFT, top)
            bars(canvas, top, method.angles, answer.shares, state.angle)
        return canvas.array()

    def seen(self, state: State) -> Tensor:
        """The picture that is asked about, (3, size, size) in [0, 1]."""
        pixels = resized(self.pixels(state.picture, state.shown), self.field)
        if state.how == MISSED:  # of the middle alone, so that what is outside is missing, as in training
            return turned(turned(pixels, 0, self.size), state.angle, self.size, OFFSET)[0]
        if state.how == LIT:  # the middle that is kept has the slope that a whole view has in training
            pixels = lit_from_above(pixels, LIGHT * self.field / self.size)
        return turned(pixels, state.angle, self.size)[0]

    def pixels(self, picture: int, shown: str) -> Tensor:
        """(1, 3, H, W) uint8: the picture, its bird before grey, or its scene with no bird."""
        images = self.images.images[[picture]]
        if shown == BIRD:
            assert self.images.foreground is not None
            cover = self.images.foreground[[picture], None] / 255
            return (images * cover + 255 * GREY * (1 - cover)).round().to(torch.uint8)
        if shown == SCENE:
            assert isinstance(self.images.factors, Factors)
            return without_birds(self.images.factors.subset(torch.tensor([picture])), self.images.size)
        return images


def ask(method: Rotation, picture: Tensor) -> Answer:
    """A method's answer to one picture, (3, size, size) in [0, 1], on the CPU and without graph."""
    with frozen(method) as device, torch.enable_grad():
        maps = method.encoder.feature_map(picture[None].to(device)).requires_grad_()  # (1, D, h, w)
        logits = method.head(maps)[0]  # (k,)
        heat = gradcam(logits.max(), maps, "score")
    return Answer(logits.softmax(dim=0).detach().cpu(), normalize_map(heat.detach().cpu())[0])


def bars(canvas: Canvas, top: int, angles: tuple[float, ...], shares: Tensor, true: float) -> None:
    """A bar for each angle with its share in percent; the right one is green and has a tick."""
    pitch, room = min(50, HEAT // len(angles)), BARS_RIGHT - BARS_LEFT - 76
    for row, (angle, share) in enumerate(zip(angles, shares.tolist(), strict=True)):
        right, y = angle == true, top + row * pitch
        colour, left = GREEN if right else BLUE, BARS_LEFT + 76
        canvas.write(f"{'✓ ' if right else ''}{angle:g}°", left - 10, y + pitch // 2 - 13, anchor="ra", bold=right)
        canvas.pen.rectangle((left, y + 3, left + max(1, round(room * share)), y + pitch - 7), fill=colour)
        canvas.write(f"{100 * share:.0f} %", left + round(room * share) + 8, y + pitch // 2 - 13)
    if true not in angles:
        canvas.write("none of these is right", BARS_LEFT + 76, top + len(angles) * pitch - 2, SMALL, QUIET)
