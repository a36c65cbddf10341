"""Grad-CAM views: two encoders, one bird, and the question of the lesson: salient, or telling?

Above: where each encoder looks, scored on the parts that tell the species from its sisters. Below: the same bird with
one part edited, or under a new sky, rendered on the spot, and how far either moves each encoding. A set without parts
or factors shows the maps alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from fgssl_edu.data.birds import Factors, render
from fgssl_edu.data.birds_world import ATTRIBUTES, WORDS, attribute_column
from fgssl_edu.data.image_set import ImageSet, Splits
from fgssl_edu.evaluate.attention import foreground_energy, part_energy, part_mask
from fgssl_edu.evaluate.edits import movement
from fgssl_edu.evaluate.statistics import Score
from fgssl_edu.gradcam import normalize_map
from fgssl_edu.nets.encoders import Encoder
from fgssl_edu.panels.canvas import MARGIN, QUIET, SMALL, TITLE, Canvas, heat_tile, outline, tile
from fgssl_edu.panels.controls import NextDraw, choice, slider
from fgssl_edu.panels.neighbours import species_name
from fgssl_edu.panels.panel import Panel
from fgssl_edu.panels.scenes import SKIES, SKY_SEED, Scene, species_table, under_skies
from fgssl_edu.panels.viewer import TARGETS, Viewer

SISTER = -1  # the edit that gives a part the value of a sister species
NOTHING = "nothing"
SIDE, WIDE_SIDE = 216, 318  # pixels of a tile with and without the tables beside it
GAP = 12
TABLE_LEFT = MARGIN + 3 * (SIDE + GAP) + 6


@dataclass(frozen=True)
class State:
    """Where the controls stand; without edits the last three keep their defaults."""

    picture: int
    a: str
    b: str
    target: str
    sign: str
    layer: int
    attribute: str = NOTHING
    value: int = SISTER
    sky: int = 0


class GradCAMViews(Panel):
    """Where two encoders look at a picture, and how an edit of the bird or of its sky moves them.

    Args:
        encoders: by name; the first two are A and B to begin with.
        splits: pictures come from `test`, probe and negatives from `train`.
        eval_size: side in pixels at which the encoders see pictures; None for the stored one.
        attribute: the part that is edited first.

    Raises:
        ValueError: fewer than two encoders, or no pictures.
    """

    def __init__(
        self,
        encoders: Mapping[str, Encoder],
        splits: Splits,
        eval_size: int | None = None,
        attribute: str = "beak_shape",
    ) -> None:
        if len(encoders) < 2:
            raise ValueError(f"encoders={list(encoders)}: the panel compares two encoders; give at least two, by name")
        if not len(splits.test) or not len(splits.train):
            raise ValueError(f"{len(splits.train)} training and {len(splits.test)} test pictures: both are needed")
        self.images: ImageSet = splits.test
        self.viewers = {name: Viewer(encoder, splits, eval_size) for name, encoder in encoders.items()}
        self.masks = self.images.parts is not None and self.images.discriminative is not None
        factors = self.images.factors
        self.factors = factors if self.masks and isinstance(factors, Factors) else None
        self.world = None if self.factors is None else species_table(splits)
        self.skies = lru_cache(maxsize=32)(self._skies)
        self.sky_distance = lru_cache(maxsize=64)(self._sky_distance)
        states: list[dict[str, object]] = (
            [{"target": "class"}, {"target": "positive"}] if self.viewers[next(iter(encoders))].labelled else []
        )
        if self.factors is None:
            states += [{"sign": "hurts"}]
        else:
            states += [{"attribute": "crown"}, {"attribute": NOTHING, "sky": 1}]
        super().__init__(
            self._compose, self._controls(attribute), states=states, coarse=self._coarse, title="Where do they look?"
        )

    def _controls(self, attribute: str) -> list[dict[str, object]]:
        names, last = list(self.viewers), len(self.images) - 1
        depth = min(len(viewer.stages) for viewer in self.viewers.values())
        layers = [(self.viewers[names[0]].stages[i], i) for i in range(depth)]
        labelled = self.viewers[names[0]].labelled
        targets = [(words, name) for name, words in TARGETS.items() if name != "class" or labelled]
        rows: list[dict[str, object]] = [
            {
                "picture": slider(f"Picture (0 to {last})", 0, 0, last, 1),
                "a": choice("Encoder A", names, names[0]),
                "b": choice("Encoder B", names, names[1]),
            },
            {
                "target": choice("Explain", targets),
                "sign": choice("What", [("helps it", "helps"), ("hurts it", "hurts")]),
                "layer": choice("Layer", layers, depth - 1),
            },
        ]
        if self.factors is not None:
            part = choice("Edit", [NOTHING, *ATTRIBUTES], attribute)
            self.value = choice("to", _values(attribute))
            part.observe(self._offer_values, "value")
            rows.append({"attribute": part, "value": self.value, "sky": NextDraw("New sky", "the same bird elsewhere")})
        return rows

    def _offer_values(self, change: Mapping[str, str]) -> None:
        """Another part has other values; this runs before the panel draws."""
        with self.hold():
            self.value.options = _values(change["new"])
            self.value.value = SISTER

    def _compose(self, fine: bool = True, **values: Any) -> NDArray:
        """The picture of a state; not fine: what needs no network."""
        state = State(**values)
        first = self._scene(state.picture)
        scenes = [first, *(self._edited(state) if self.factors is not None else [])]
        side = SIDE if self.masks else WIDE_SIDE
        canvas = Canvas(2 * side + 122 if self.factors is not None else side + 76)
        for column, words in enumerate(("Picture", f"A: {state.a}", f"B: {state.b}")):
            canvas.write(words, _left(column, side), 6, TITLE, bold=True, room=side)
        canvas.write(species_name(self.images, state.picture), MARGIN, side + 42, bold=True, room=3 * side)
        looks = self._looks(state, scenes) if fine else []
        self._row(canvas, 36, side, state.picture, first, [heat[0] for heat, _ in looks])
        if state.target != "class":
            _inset(canvas, self.viewers[state.a].view(state.picture), side)
            canvas.write("inset: the other view", _left(2, side) + side, side + 43, SMALL, QUIET, anchor="ra")
        if self.masks and fine:
            self._scores(canvas, 36, state.picture, first, [heat[0] for heat, _ in looks])
        if self.factors is not None:
            words = self._edit_words(state)
            canvas.write(words, MARGIN, side + 78, bold=True, room=3 * side + 2 * GAP)
            self._row(canvas, side + 106, side, state.picture, scenes[1], [heat[1] for heat, _ in looks])
            if fine:
                self._distances(canvas, side + 106, state, [features for _, features in looks])
        return canvas.array()

    def _coarse(self, **values: Any) -> NDArray:
        return self._compose(fine=False, **values)

    def _looks(self, state: State, scenes: list[Scene]) -> list[tuple[Tensor, Tensor]]:
        """Heat maps and features of all scenes, for A and for B."""
        pixels = torch.stack([scene.pixels for scene in scenes])
        ask = (state.picture, state.target, state.sign, state.layer)
        return [self.viewers[name].look(pixels, *ask) for name in (state.a, state.b)]

    def _scene(self, picture: int) -> Scene:
        parts, foreground = self.images.parts, self.images.foreground
        return Scene(
            self.images.images[picture],
            None if parts is None else parts[picture],
            None if foreground is None else foreground[picture],
        )

    def _bird(self, picture: int) -> Factors:
        """What the picture was drawn from."""
        assert self.factors is not None, "only sets that are rendered offer edits"
        return self.factors.subset(torch.tensor([picture]))

    def _edited(self, state: State) -> list[Scene]:
        """The bird as it is now, and, under a new sky, also the edited bird under the old one."""
        factors = self._bird(state.picture)
        if state.attribute != NOTHING:
            factors = factors.edit(state.attribute, self._new_value(state))
        moved = [factors.new_background(SKY_SEED + SKIES + state.sky), factors] if state.sky else [factors]
        drawn = [render(f, self.images.size) for f in moved]
        return [Scene(r.images[0], r.parts[0], r.foreground[0]) for r in drawn]

    def _new_value(self, state: State) -> int:
        return self.sister_value(state.picture, state.attribute) if state.value == SISTER else state.value

    def sister_value(self, picture: int, attribute: str) -> int:
        """What the next sister species has there, as in the edit score; the bird's own value where all share it."""
        assert self.world is not None, "only sets that are rendered offer edits"
        return self.world.sibling_value(int(self.images.labels[picture]), attribute)

    def _skies(self, picture: int) -> Tensor:
        """(SKIES, 3, H, W): the same bird before other backgrounds."""
        return under_skies(self._bird(picture), self.images.size)

    def _sky_distance(self, name: str, picture: int) -> float:
        """Mean 1 - cos between the picture and its bird under SKIES other skies."""
        features = self.viewers[name].features(torch.cat([self.images.images[[picture]], self.skies(picture)]))
        return float(movement(features[:1], features[1:]).mean())

    def _row(self, canvas: Canvas, top: int, side: int, picture: int, scene: Scene, heats: list[Tensor]) -> None:
        """The picture and the heat maps of A and B (none yet: in grey), the telling parts outlined in all three."""
        heats = heats or [torch.zeros(2, 2)] * 2
        shown = [tile(scene.pixels, side), *(heat_tile(scene.pixels, normalize_map(h[None])[0], side) for h in heats)]
        for column, image in enumerate(shown):
            if self.masks and scene.parts is not None:
                image = outline(image, self._telling(picture, scene.parts))
            canvas.put(image, _left(column, side), top)

    def _telling(self, picture: int, parts: Tensor) -> Tensor:
        """(H, W): the parts that tell this species from a sister species."""
        return part_mask(parts[None], self.images.discriminative[[picture]])[0]  # type: ignore[index]

    def _scores(self, canvas: Canvas, top: int, picture: int, scene: Scene, heats: list[Tensor]) -> None:
        """Share of each map on the telling parts and on the bird, and the same over their area."""
        if scene.parts is None or not self._telling(picture, scene.parts).any():
            return
        wanted = self.images.discriminative[[picture]]  # type: ignore[index]
        parts = [part_energy(heat[None], scene.parts[None], wanted) for heat in heats]
        rows = [
            ("on telling parts", [f"{100 * s.value:.0f} %" for s in parts]),
            ("  over their area", [f"× {_over_area(s):.1f}" for s in parts]),
        ]
        if scene.foreground is not None:
            bird = [foreground_energy(heat[None], scene.foreground[None]) for heat in heats]
            rows.append(("on the bird", [f"{100 * s.value:.0f} %" for s in bird]))
            rows.append(("  over its area", [f"× {_over_area(s):.1f}" for s in bird]))
        canvas.table(
            TABLE_LEFT, top, "Share of heat", rows, "telling parts: outlined; they", "tell it from sister species"
        )

    def _distances(self, canvas: Canvas, top: int, state: State, features: list[Tensor]) -> None:
        """How far this edit and a new sky move each encoding, and their ratio: the edit score of this bird."""
        skies = [self.sky_distance(name, state.picture) for name in (state.a, state.b)]
        moved = [movement(f[0], f[1:]) for f in features]  # as shown, then the edited bird under its old sky
        edits, shown = [float(m[-1]) for m in moved], [float(m[0]) for m in moved]
        rows = [("another sky", [f"{sky:.4f}" for sky in skies])]
        if state.attribute != NOTHING:
            ratio = [f"{edit / max(sky, 1e-12):.2f}" for edit, sky in zip(edits, skies, strict=True)]
            rows = [("this edit", [f"{edit:.4f}" for edit in edits]), *rows, ("edit over sky", ratio)]
        if state.sky:
            rows.append(("all that is shown", [f"{distance:.4f}" for distance in shown]))
        notes = f"another sky: the mean of {SKIES};", "over 1: the edit counts more"
        canvas.table(TABLE_LEFT, top, "Moved: 1 − cosine", rows, *notes)

    def _edit_words(self, state: State) -> str:
        words = []
        if state.attribute != NOTHING:
            names = WORDS[state.attribute]
            own, new = (
                int(self._bird(state.picture).codes[0, attribute_column(state.attribute)]),
                self._new_value(state),
            )
            remark = "" if new != own else " (sisters share it)" if state.value == SISTER else " (its own)"
            words.append(f"{names[own]} → {names[new]}{remark}")
        if state.sky:
            words.append(f"new sky {state.sky}")
        return "Edited: " + ", ".join(words) if words else "Not edited: choose a part, or a new sky"


def _over_area(score: Score) -> float:
    """Energy over the mask's share of the picture."""
    area = score.protocol["chance"]
    assert isinstance(area, float)
    return score.value / area


def _values(attribute: str) -> list[tuple[str, int]]:
    return [("as a sister species", SISTER), *((words, i) for i, words in enumerate(WORDS.get(attribute, ())))]


def _left(column: int, side: int) -> int:
    return MARGIN + column * (side + GAP)


def _inset(canvas: Canvas, view: Tensor, side: int) -> None:
    """The other view of the pair, small, in the corner of the picture."""
    small = side // 3
    left, top = MARGIN + side - small - 4, 36 + side - small - 4
    canvas.put(tile(view, small), left, top, frame=(255, 255, 255), thick=3)
