"""Perturbation strength: which dimensions does the noise hit, what does the picture lose, and does an encoder mind?

A picture, what its feature decodes to, and what the disturbed feature decodes to (arXiv 2407.14676). Below, the noise's
standard deviation in every dimension. Where the true roles of the dimensions are known they stand in order, those that
follow the sky on the left and those that follow the parts of the bird on the right: good noise is all on the left.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from fgssl_edu.data.birds import Factors
from fgssl_edu.data.image_set import ImageSet, Splits
from fgssl_edu.evaluate.dimensions import Roles
from fgssl_edu.evaluate.features import extract
from fgssl_edu.methods.finegrained.pairs_shown import Perturbed
from fgssl_edu.methods.finegrained.perturbation import Perturbation, gradcam_noise, low_variance_noise, noise_scale
from fgssl_edu.methods.finegrained.synthesized_pairs import SynthesizedPairs
from fgssl_edu.nets.encoders import Encoder
from fgssl_edu.nets.modes import frozen
from fgssl_edu.panels.augmentation import gallery_index
from fgssl_edu.panels.canvas import BLUE, MARGIN, QUIET, RED, SMALL, TITLE, Canvas, heat_tile, tile
from fgssl_edu.panels.controls import NextDraw, choice, slider
from fgssl_edu.panels.dimension_strip import draw_strip, left_half
from fgssl_edu.panels.neighbours import epithet, genus_name
from fgssl_edu.panels.panel import Panel
from fgssl_edu.panels.threads import one_thread

PICTURES, PER_CLASS = 72, 16  # test pictures offered, at most so many of a class
DECODERS = {"learned": "learned decoder", "nearest": "nearest real picture", "renderer": "renderer (knows the truth)"}
TITLES = {  # of the pair's two pictures
    "learned": ("Decoded", "With noise"),
    "nearest": ("First of the pair", "Nearest real"),
    "renderer": ("First of the pair", "New sky, light"),
}
UNITS = [("one for all (paper)", False), ("each dimension's own spread", True)]
MOST_NOISE, MOST_THRESHOLD = 3.0, 0.2  # right ends of the sliders
SIDE, TOP, STRIP = 160, 40, 502  # pixels: of a tile; y of the tiles' upper edge and of the strip's feet
SEEN = 0.25  # difference of brightness at which the difference picture is as hot as can be


@dataclass(frozen=True)
class State:
    """Where the controls stand."""

    picture: int
    decoder: str
    draw: int
    sigma_cam: float
    sigma_var: float
    threshold: float
    per_dimension: bool

    @property
    def noise(self) -> dict[str, Any]:
        """What differs from the method's own rule."""
        names = ("sigma_cam", "sigma_var", "threshold", "per_dimension")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, eq=False)
class Pair:
    """A synthesised pair, and the noise that made it."""

    shown: Perturbed  # of one picture
    by_gradcam: Tensor  # (D,) standard deviation
    by_variance: Tensor  # (D,)
    unit: Tensor  # () or (D,): a sigma of 1


class PerturbationStrength(Panel):
    """A synthesised pair at chosen strengths, the dimensions that were hit, and what encoders make of the pair.

    Args:
        method: draws the pairs; with a learned decoder, and a bank that a run or `pairs_shown.remember` has filled.
        splits: pictures come from `test`.
        encoders: one or two, by name, that are asked about the pair; None asks the method's own.
        roles: of the method's feature dimensions; None leaves them in the order of their spread.
        drawn_by: what draws the pair to begin with, "learned", "nearest" or "renderer".

    Raises:
        ValueError: a single picture, an empty bank, no decoder, three encoders, or roles of other features.
    """

    def __init__(
        self,
        method: SynthesizedPairs,
        splits: Splits,
        encoders: Mapping[str, Encoder] | None = None,
        roles: Roles | None = None,
        drawn_by: str = "learned",
    ) -> None:
        self.method, self.encoders = method, dict(encoders or {"encoder": method.encoder})
        self.images: ImageSet = splits.test.subset(gallery_index(splits.test.labels, PICTURES, PER_CLASS))
        self._check(roles)
        self.memory = self._memory()
        with one_thread():
            self.seen = {
                name: extract(encoder, self.images.images, method.decoder_size)
                for name, encoder in self.encoders.items()
            }
        spread = self.method.perturb(self.images.images[:1]).spread
        self.known = roles is not None
        self.order = (spread if roles is None else roles.telling).argsort(stable=True)  # (D,)
        states: list[dict[str, object]] = [
            {"sigma_cam": 1.0, "sigma_var": 0.0},
            {"sigma_cam": 0.0, "sigma_var": 1.0},
            {"sigma_cam": 1.0, "sigma_var": 1.0, "per_dimension": True},
            {"decoder": "nearest"},
        ]
        super().__init__(
            self._compose, self._controls(method.rule, drawn_by), states=states, title="Perturbation strength"
        )

    def _check(self, roles: Roles | None) -> None:
        dim = self.method.encoder.dim
        if len(self.images) < 2:
            raise ValueError(f"{len(self.images)} test picture: the panel needs at least two")
        if self.method.decoder is None:
            raise ValueError(f"the method was built with decoder={self.method.source!r}; the panel needs a learned one")
        if self.method.bank is None or not int(self.method.bank.filled):
            raise ValueError("the method's bank is empty: train it, or fill it with pairs_shown.remember")
        if len(self.encoders) > 2:
            raise ValueError(f"encoders {', '.join(self.encoders)}: there is room for two")
        if roles is not None and len(roles.alive) != dim:
            raise ValueError(f"roles of {len(roles.alive)} dimensions for features of {dim}")

    def _memory(self) -> Tensor:
        """Features of the bank, (n, D)."""
        assert self.method.bank is not None
        return self.method.bank.values[: int(self.method.bank.filled)]

    def _controls(self, rule: Perturbation, drawn_by: str) -> list[dict[str, object]]:
        possible = {"learned"} | ({"nearest"} if self.method.pictures is not None else set())
        possible |= {"renderer"} if isinstance(self.images.factors, Factors) else set()
        ways = [(words, name) for name, words in DECODERS.items() if name in possible]
        cam, var = (min(sigma, MOST_NOISE) for sigma in (rule.sigma_cam, rule.sigma_var))
        last = len(self.images) - 1
        return [
            {
                "picture": slider(f"Picture (0 to {last})", 0, 0, last, 1),
                "decoder": choice("Drawn by", ways, drawn_by if drawn_by in possible else "learned"),
                "draw": NextDraw("Draw again", "other noise"),
            },
            {
                "sigma_cam": slider("Noise by Grad-CAM", cam, 0.0, MOST_NOISE, 0.1),
                "sigma_var": slider("Noise by low variance", var, 0.0, MOST_NOISE, 0.1),
            },
            {
                "threshold": slider(
                    "Threshold l (std)", min(rule.threshold, MOST_THRESHOLD), 0.0, MOST_THRESHOLD, 0.005
                ),
                "per_dimension": choice("Unit of noise", UNITS, rule.per_dimension),
            },
        ]

    def pair(self, state: State) -> Pair:
        """The pictures of a state, and the noise between them; the renderer uses none."""
        known, which = self.images.factors, torch.tensor([state.picture])
        factors = known.subset(which) if isinstance(known, Factors) and state.decoder == "renderer" else None
        shown = self.method.perturb(
            self.images.images[which], step=state.draw, decoder=state.decoder, factors=factors, **state.noise
        )
        rule = Perturbation(**state.noise)
        unit, ones = noise_scale(shown.features, self.memory, rule), torch.ones_like(shown.features)
        used = float(state.decoder != "renderer")
        by_gradcam = used * gradcam_noise(shown.gradcam, ones, rule.sigma_cam * unit)[0]
        by_variance = used * low_variance_noise(shown.spread, ones, rule.sigma_var * unit, rule.threshold)[0]
        return Pair(shown, by_gradcam, by_variance, unit)

    @torch.no_grad()
    def cosines(self, state: State, pair: Pair) -> list[tuple[str, list[float]]]:
        """In words, and for each encoder: of the pair, of its first picture and the original, of two unlike pictures.

        Before these the cosine of the feature and the disturbed feature, which no encoder sees.
        """
        first, second = pair.shown.reconstruction.clamp(0, 1), pair.shown.perturbed.clamp(0, 1)
        rows: dict[str, list[float]] = {"the pair, encoded": [], "first and picture": [], "another picture": []}
        for name, encoder in self.encoders.items():
            with frozen(encoder) as device:
                again = encoder.features(torch.cat([first, second]).to(device)).cpu()  # (2, D)
            own, other = self.seen[name][state.picture], self.seen[name][state.picture - len(self.images) // 2]
            for row, (a, b) in zip(rows, ((again[0], again[1]), (again[0], own), (own, other)), strict=True):
                rows[row].append(_cosine(a, b))
        return [("h and h + noise", [_cosine(pair.shown.features[0], pair.shown.moved[0])]), *rows.items()]

    def _compose(self, **values: Any) -> NDArray:
        state = State(**values)
        pair = self.pair(state)
        canvas = Canvas(586)
        self._pictures(canvas, state, pair.shown)
        self._table(canvas, state, pair)
        canvas.rule(TOP + SIDE + 54)
        self._strip(canvas, pair)
        return canvas.array()

    def _pictures(self, canvas: Canvas, state: State, shown: Perturbed) -> None:
        first, second = shown.reconstruction[0].clamp(0, 1), shown.perturbed[0].clamp(0, 1)
        difference = ((second - first).abs().mean(dim=0) / SEEN).clamp(max=1)  # (S, S)
        tiles = [
            ("Picture", tile(self.images.images[state.picture], SIDE)),
            (TITLES[state.decoder][0], tile(first, SIDE)),
            (TITLES[state.decoder][1], tile(second, SIDE)),
            ("Difference", heat_tile(first, difference, SIDE)),
        ]
        for column, (words, image) in enumerate(tiles):
            left = MARGIN + column * (SIDE + 8)
            canvas.write(words, left, 10, bold=True, room=SIDE + 6)
            canvas.put(image, left, TOP)
        name = f"{epithet(self.images, state.picture)} {genus_name(self.images, state.picture)}"
        canvas.write(name, MARGIN, TOP + SIDE + 12, SMALL, QUIET, room=3 * SIDE)

    def _table(self, canvas: Canvas, state: State, pair: Pair) -> None:
        left, right = MARGIN + 4 * (SIDE + 8) + 8, canvas.picture.width - MARGIN
        places = [right - 74 * back for back in reversed(range(len(self.encoders)))]
        canvas.write("Cosine", left, 10, bold=True)
        if len(self.encoders) > 1:
            for name, x in zip(self.encoders, places, strict=True):
                canvas.write(name, x, 12, SMALL, bold=True, anchor="ra", room=72)
        for line, (words, numbers) in enumerate(self.cosines(state, pair)):
            canvas.write(words, left, TOP + 4 + 34 * line, SMALL)
            for number, x in zip(numbers, places, strict=False):
                canvas.write(f"{number:.3f}", x, TOP + 2 + 34 * line, bold=True, anchor="ra")
        low = int(pair.shown.masked.sum())
        words = f"std below {state.threshold:.3f}: {low} of {len(pair.shown.masked)} dimensions"
        canvas.write_lines(words, left, TOP + 152, room=right - left, size=SMALL, bold=True)

    def _strip(self, canvas: Canvas, pair: Pair) -> None:
        """The noise's standard deviation in every dimension, in the order of the dimensions' roles."""
        top = TOP + SIDE + 64
        canvas.write("Noise in each dimension (standard deviation)", MARGIN, top, TITLE, bold=True)
        for words, colour, x in (("■ by Grad-CAM", BLUE, 620), ("■ by low variance", RED, 790)):
            canvas.write(words, x, top + 4, SMALL, colour, bold=True)
        ends = ("← follow the sky", "follow the parts →") if self.known else ("← vary little", "vary much →")
        draw_strip(canvas, STRIP, pair.by_gradcam[self.order], pair.by_variance[self.order], ends)
        total = (pair.by_gradcam.square() + pair.by_variance.square()).sqrt()[self.order]
        words = "no noise: both strengths are 0, or the surroundings were drawn anew from the true factors"
        if float(total.sum()):
            blind = left_half(pair.unit.expand(len(total))[self.order])
            words = (
                f"{left_half(total):.0f} % of the noise power lies in the left half; of noise everywhere {blind:.0f} %"
            )
        canvas.write(words, canvas.picture.width // 2, STRIP + 44, anchor="ma")


def _cosine(a: Tensor, b: Tensor) -> float:
    return float(F.cosine_similarity(a, b, dim=0))
