"""What a network that was trained on masked pictures makes of a mask: seen, guessed, and how wrong it is where.

Above: the picture, what stays visible, the guess. Below: the picture of one who knows nothing, its error, and the
guess's. Where patches were normalised, lightness and contrast of every hidden patch come from the truth in both
pictures, and the panel says so: what is guessed is the difference between the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from fgssl_edu.data.image_set import ImageSet
from fgssl_edu.methods.masked.mae import MAE
from fgssl_edu.methods.masked.simmim import SimMIM
from fgssl_edu.nets.modes import frozen
from fgssl_edu.panels.canvas import MARGIN, SMALL, TITLE, Canvas, heat_tile, tile
from fgssl_edu.panels.controls import NextDraw, choice, slider
from fgssl_edu.panels.neighbours import species_name
from fgssl_edu.panels.panel import Panel
from fgssl_edu.views import draw_mask, resized
from fgssl_edu.views.masks import mean_distance

KINDS = {"random": "random", "squares": "random squares", "blocks": "blocks", "centre": "the centre", "grid": "a grid"}
SIDE, GAP = 216, 12  # pixels of a tile, and between two
FIRST, SECOND = 38, 300  # where the two rows of tiles begin, pixels from the top
TABLE_LEFT = MARGIN + 3 * (SIDE + GAP) + 6
HIDDEN = (128, 128, 128)  # what covers a hidden patch
HOTTEST = 0.35  # error of a pixel, of 1, that is drawn as the hottest


@dataclass(frozen=True)
class State:
    """Where the controls stand."""

    picture: int
    model: str
    kind: str
    ratio: float
    draw: int
    shown: str


@dataclass(frozen=True)
class Look:
    """A picture under a mask.

    Attributes:
        view: (3, h, w) as the model was given it.
        mask: (n,) bool, True where hidden.
        guess: (3, h, w) in [0, 1], of every patch.
        nothing: (3, h, w) in [0, 1], the guess of zeros.
        losses: of nothing and of the guess, in the method's unit.
        distance: mean way from a hidden patch to the nearest visible one, in patches.
    """

    view: Tensor
    mask: Tensor
    guess: Tensor
    nothing: Tensor
    losses: tuple[float, float]
    distance: float

    def pixels(self) -> Tensor:
        """(h, w) bool, True where hidden."""
        side = round(len(self.mask) ** 0.5)
        scale = self.view.shape[1] // side
        return self.mask.view(side, side).repeat_interleave(scale, dim=0).repeat_interleave(scale, dim=1)

    def errors(self) -> tuple[Tensor, Tensor]:
        """(h, w) mean absolute error of a pixel of nothing and of the guess; 0 where visible."""
        wrong = [(made - self.view).abs().mean(dim=0) * self.pixels() for made in (self.nothing, self.guess)]
        return wrong[0], wrong[1]


class MaskedGuess(Panel):
    """Choose how much is hidden and how, and see what is guessed.

    Args:
        models: trained methods by name; each is left in the mode it was in.
        images: to choose from; a model sees them whole, at the size of its views.

    Raises:
        ValueError: no model, or no pictures.
    """

    def __init__(self, models: Mapping[str, MAE | SimMIM], images: ImageSet) -> None:
        if not models or not len(images):
            raise ValueError(f"models={list(models)}, {len(images)} pictures: the panel needs one of each at least")
        self.models, self.images = dict(models), images
        first = next(iter(self.models.values()))
        names, last = list(self.models), len(images) - 1
        controls = [
            {
                "picture": slider(f"Picture (0 to {last})", 0, 0, last, 1),
                "model": choice("Model", names),
                "draw": NextDraw("Another mask"),
            },
            {
                "kind": choice("Hidden", [(words, kind) for kind, words in KINDS.items()], first.mask),
                "ratio": slider("Share hidden", round(20 * first.mask_ratio) / 20, 0.1, 0.9, 0.05),
                "shown": choice("Visible patches", [("as they are", "pasted"), ("as guessed", "guessed")]),
            },
        ]
        states: list[dict[str, object]] = [{"ratio": 0.5}, {"ratio": 0.9}, {"kind": "blocks"}, {"shown": "guessed"}]
        super().__init__(self._compose, controls, states=states, title="What is behind the mask?")

    def look(self, state: State) -> Look:
        """The model's guess at a picture, on the CPU."""
        method = self.models[state.model]
        index = torch.tensor([state.picture])
        mask = draw_mask(0, state.draw, index, "panel", state.kind, method.side, state.ratio)
        view = resized(self.images.images[index], method.augment.size)
        with frozen(method) as device, torch.no_grad():
            view, mask = view.to(device), mask.to(device)
            guesses = [method.guess(view, mask)]
            guesses.insert(0, torch.zeros_like(guesses[0]))
            losses = [float(method.loss(view, guess, mask)) for guess in guesses]
            nothing, guess = (method.picture(view, each.float())[0].clamp(0, 1).cpu() for each in guesses)
        distance = float(mean_distance(mask, method.side))
        return Look(view[0].cpu(), mask[0].cpu(), guess, nothing, (losses[0], losses[1]), distance)

    def _compose(self, **values: Any) -> NDArray:
        state = State(**values)
        method, look = self.models[state.model], self.look(state)
        hidden, canvas = look.pixels(), Canvas(SECOND + SIDE + 44)
        guess, nothing = look.guess, look.nothing
        if state.shown == "pasted":
            guess, nothing = (torch.where(hidden, made, look.view) for made in (guess, nothing))
        left, patches = int((~look.mask).sum()), len(look.mask)
        words = ("Picture", f"Visible: {left} of {patches}", "B: the guess", "A: no guess", "Error of A", "Error of B")
        wrong = [heat_tile(look.view, (each / HOTTEST).clamp(0, 1), SIDE) for each in look.errors()]
        tiles = [tile(look.view, SIDE), covered(look.view, hidden), tile(guess, SIDE), tile(nothing, SIDE), *wrong]
        for place, (title, picture) in enumerate(zip(words, tiles, strict=True)):
            x, y = MARGIN + place % 3 * (SIDE + GAP), (FIRST, SECOND)[place // 3]
            canvas.write(title, x, y - 30, TITLE, bold=True, room=SIDE)
            canvas.put(picture, x, y)
        canvas.write(species_name(self.images, state.picture), MARGIN, SECOND + SIDE + 12, bold=True, room=3 * SIDE)
        self._tables(canvas, method, look)
        return canvas.array()

    def _tables(self, canvas: Canvas, method: MAE | SimMIM, look: Look) -> None:
        """Numbers of both guesses, and what of the pictures was not guessed."""
        share = int(look.mask.sum()) / len(look.mask)
        errors = [float(each.mean()) / share for each in look.errors()]
        gained = 1 - look.losses[1] / look.losses[0]
        rows = [
            ("loss, hidden patches", [f"{loss:.2f}" for loss in look.losses]),
            ("error of a pixel, of 255", [f"{255 * error:.0f}" for error in errors]),
            ("loss explained", ["", f"{100 * gained:.0f} %"]),
            ("to the nearest visible", ["", f"{look.distance:.1f}"]),
        ]
        canvas.table(TABLE_LEFT, FIRST, "On what is hidden", rows, "distance in patches")
        told = isinstance(method, MAE) and method.normalize
        words = (
            "Lightness and contrast of each hidden patch are the TRUE ones, in A and in B: hue and pattern are guessed."
            if told
            else "Nothing of the hidden patches is used."
        )
        y = canvas.write_lines(words, TABLE_LEFT, SECOND, canvas.picture.width - TABLE_LEFT - MARGIN, bold=True)
        trained = f"Trained with {100 * method.mask_ratio:.0f} % hidden ({KINDS[method.mask]})."
        canvas.write_lines(trained, TABLE_LEFT, y + 10, canvas.picture.width - TABLE_LEFT - MARGIN, SMALL)


def covered(view: Tensor, hidden: Tensor) -> Image.Image:
    """The view (3, h, w) with its hidden pixels (h, w) under grey."""
    cover = Image.fromarray(hidden.numpy()).resize((SIDE, SIDE), Image.Resampling.NEAREST)
    picture = tile(view, SIDE)
    picture.paste(HIDDEN, mask=cover)
    return picture
