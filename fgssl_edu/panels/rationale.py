"""What LCR's branch is fitted to, and what it found: two trained methods, one bird, one map or one kernel at a time.

A row a method: where its own loss lives on this picture (or another target), and the map of its branch, by which
positions are weighed when features are pooled. Both are scored on the parts that tell the species from its sisters; a
set without true parts shows the maps alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from fgssl_edu.data.image_set import ImageSet, Splits
from fgssl_edu.evaluate.attention import part_energy, part_mask
from fgssl_edu.evaluate.statistics import Score
from fgssl_edu.gradcam import gradcam, normalize_map
from fgssl_edu.losses import info_nce
from fgssl_edu.methods.finegrained.common_rationale import CommonRationale
from fgssl_edu.methods.finegrained.rationale_branch import log_target, misfit, target_entropy
from fgssl_edu.nets.modes import frozen
from fgssl_edu.panels.canvas import MARGIN, TITLE, Canvas, heat_tile, outline, tile
from fgssl_edu.panels.controls import choice, slider
from fgssl_edu.panels.neighbours import species_name
from fgssl_edu.panels.panel import Panel
from fgssl_edu.views import resized
from fgssl_edu.views.augment import Augment
from fgssl_edu.views.presets import VIEWS

TARGETS = {
    "gradcam": "Grad-CAM of the loss",
    "released": "Grad-CAM through the released softmax",
    "foreground": "the bird (truth)",
    "discriminative": "the telling parts (truth)",
}
OF_THE_LOSS = ("gradcam", "released")
RELEASED_BATCH = 32  # images a GPU in the released recipe: it takes the gradient of a mean over them
SIDE, GAP = 216, 12  # pixels of a tile, and between two
FIRST, SECOND = 62, 322  # where the rows of A and B begin, pixels from the top
TABLE_LEFT = MARGIN + 3 * (SIDE + GAP) + 6


@dataclass(frozen=True)
class State:
    """Where the controls stand; kernel 0 is the largest of all, 1 to K a single one."""

    picture: int
    a: str
    b: str
    target: str
    sign: str
    kernel: int


@dataclass(frozen=True)
class Look:
    """One method on one picture.

    Attributes:
        target: (h, w) in [0, 1].
        branch: (h, w) in [0, 1], of all kernels or of one.
        entropy: of the target's softmax over that of the uniform one, 0..1.
        misfit: nats, of the target from the map of all kernels.
        flat: nats, the misfit of a map that says nothing.
        loudest: (K,) share of the places at which each kernel is the largest, and above 0.
    """

    target: Tensor
    branch: Tensor
    entropy: float
    misfit: float
    flat: float
    loudest: Tensor


class RationaleMaps(Panel):
    """The target and the branch of two LCR methods, side by side with the true parts.

    Args:
        methods: trained, by name; the first two are A and B to begin with. Each is left in the mode it was in.
        splits: pictures come from `test`.
        eval_size: side in pixels at which the methods see pictures; None for the stored one.

    Raises:
        ValueError: fewer than two methods, or no pictures.
    """

    def __init__(self, methods: Mapping[str, CommonRationale], splits: Splits, eval_size: int | None = None) -> None:
        if len(methods) < 2:
            raise ValueError(f"methods={list(methods)}: the panel compares two methods; give at least two, by name")
        if not len(splits.test):
            raise ValueError("there are no test pictures to show")
        self.methods, self.size = dict(methods), eval_size or splits.test.size
        self.images: ImageSet = splits.test
        self.masks = self.images.parts is not None and self.images.discriminative is not None
        states: list[dict[str, object]] = [{"sign": "hurts"}, {"target": "released"}, {"kernel": 1}]
        if self.masks:
            states.append({"target": "discriminative"})
        super().__init__(self._compose, self._controls(), states=states, title="Fitted to what, and what was found?")

    def _controls(self) -> list[dict[str, object]]:
        names, last = list(self.methods), len(self.images) - 1
        offered = [(words, name) for name, words in TARGETS.items() if self.masks or name in OF_THE_LOSS]
        fewest = min(method.kernels for method in self.methods.values())
        return [
            {
                "picture": slider(f"Picture (0 to {last})", 0, 0, last, 1),
                "a": choice("Method A", names, names[0]),
                "b": choice("Method B", names, names[1]),
            },
            {
                "target": choice("Target", offered),
                "sign": choice("Sign", [("lowers the loss", "helps"), ("raises the loss", "hurts")]),
                "kernel": slider("Kernel (0: the largest)", 0, 0, fewest, 1),
            },
        ]

    def _compose(self, **values: Any) -> NDArray:
        state = State(**values)
        looks = [self.look(self.methods[name], state) for name in (state.a, state.b)]
        canvas = Canvas(SECOND + SIDE + 50)
        shown = "largest kernel" if state.kernel == 0 else f"kernel {state.kernel} alone"
        for column, words in enumerate(("Picture", "Target", f"Branch: {shown}")):
            canvas.write(words, _left(column), 6, TITLE, bold=True)
        pixels = self.images.images[state.picture]
        canvas.put(self._outlined(tile(pixels, SIDE), state.picture), _left(0), FIRST)
        canvas.write("The other view", _left(0), SECOND - 26, bold=True)
        canvas.put(tile(self._view(state.picture), SIDE), _left(0), SECOND)
        for look, name, letter, top in zip(looks, (state.a, state.b), "AB", (FIRST, SECOND), strict=True):
            canvas.write(f"{letter}: {name}", _left(1), top - 26, bold=True, room=2 * SIDE + GAP)
            for column, heat in ((1, look.target), (2, look.branch)):
                canvas.put(self._outlined(heat_tile(pixels, heat, SIDE), state.picture), _left(column), top)
        canvas.write(species_name(self.images, state.picture), MARGIN, SECOND + SIDE + 12, bold=True, room=3 * SIDE)
        self._tables(canvas, state, looks)
        return canvas.array()

    def look(self, method: CommonRationale, state: State) -> Look:
        """Target and branch of a method on a picture, on the CPU and without graph."""
        pixels, view = resized(self.images.images[[state.picture]], self.size), self._view(state.picture)[None]
        with frozen(method) as device:
            with torch.no_grad():
                features, key = method.encoder.feature_map(pixels.to(device)), method.keys(view.to(device))
                answers = kernel_maps(method, features)  # (1, K, h, w)
            raw = loss_map(method, features, key, state.sign).cpu()  # (1, h, w)
        joined = answers.amax(dim=1)  # (1, h, w)
        branch = normalize_map(joined if state.kernel == 0 else answers[:, state.kernel - 1])
        released = state.target == "released"
        target = raw / RELEASED_BATCH if released else self._target(state, raw)
        missed, flat = (
            float(misfit(fitted, target, softness=method.softness, paper_code=released))
            for fitted in (normalize_map(joined), torch.zeros_like(joined))
        )
        shown = log_target(target, 1.0, True).exp() * target.shape[2] / 2 if released else target  # uniform: 1/2
        heard = torch.where(joined > 0, answers.argmax(dim=1), -1).flatten()
        return Look(
            target=shown[0],
            branch=branch[0],
            entropy=float(target_entropy(target, method.softness, paper_code=released)),
            misfit=missed,
            flat=flat,
            loudest=torch.stack([(heard == k).float().mean() for k in range(method.kernels)]),
        )

    def _target(self, state: State, raw: Tensor) -> Tensor:
        """(1, h, w) in [0, 1]: what a branch would be fitted to here."""
        if state.target in OF_THE_LOSS:
            return normalize_map(raw)
        truth = self._parts(state.picture, every=state.target == "foreground")
        return normalize_map(F.adaptive_avg_pool2d(truth, (raw.shape[1], raw.shape[2])))

    def _parts(self, picture: int, every: bool = False) -> Tensor:
        """(1, H, W) float: the parts that tell this species from a sister species, or the whole bird."""
        assert self.images.parts is not None and self.images.discriminative is not None
        parts = self.images.parts[[picture]]
        return (parts > 0).float() if every else part_mask(parts, self.images.discriminative[[picture]])

    def _view(self, picture: int) -> Tensor:
        """(3, size, size): the other view of a picture, always the same; the loss compares with its key."""
        index = torch.tensor([picture])
        return Augment(VIEWS["mild"], self.size)(self.images.images[index], 0, 0, index, "panel/key")[0]

    def _outlined(self, picture: Any, number: int) -> Any:
        return outline(picture, self._parts(number)[0]) if self.masks else picture

    def _tables(self, canvas: Canvas, state: State, looks: list[Look]) -> None:
        """How much of each map is on the telling parts; what the target says, and how well it is met."""
        if self.masks and self._parts(state.picture).any():
            rows = []
            for words, maps in (("target", [e.target for e in looks]), ("branch", [e.branch for e in looks])):
                scores = [self._energy(heat, state.picture) for heat in maps]
                rows.append((f"{words} on parts", [f"{100 * s.value:.0f} %" for s in scores]))
                rows.append(("  over their area", [f"× {_over_area(s):.1f}" for s in scores]))
            canvas.table(
                TABLE_LEFT, FIRST, "Share of heat", rows, "parts: outlined; they tell", "it from sister species"
            )
        last = ("kernels heard", [str(int((e.loudest > 0).sum())) for e in looks])
        if state.kernel:
            last = ("it is heard at", [f"{100 * float(e.loudest[state.kernel - 1]):.0f} %" for e in looks])
        rows = [
            ("target's entropy", [f"{e.entropy:.3f}" for e in looks]),
            ("misfit, nats", [f"{e.misfit:.3f}" for e in looks]),
            ("  of a flat map", [f"{e.flat:.3f}" for e in looks]),
            last,
        ]
        canvas.table(TABLE_LEFT, SECOND, "Target, branch", rows, "entropy over the uniform's;", "1: it says nothing")

    def _energy(self, heat: Tensor, picture: int) -> Score:
        parts, wanted = self.images.parts, self.images.discriminative
        return part_energy(heat[None], parts[[picture]], wanted[[picture]])  # type: ignore[index]


def kernel_maps(method: CommonRationale, features: Tensor) -> Tensor:
    """What each kernel answers at each place, (B, C, h, w) -> (B, K, h, w), at least 0; on the CPU."""
    branch = method.branch
    return branch.norm(branch.project(features.float())).relu().cpu()  # type: ignore[operator]


def loss_map(method: CommonRationale, features: Tensor, key: Tensor, sign: str) -> Tensor:
    """Grad-CAM of the method's own contrastive loss, (B, h, w), at least 0.

    LCR multiplies features and gradient place by place. Below an average over places the gradient is the same at all of
    them, so that this is the classic Grad-CAM, with the mean gradient of a channel as its weight.

    Args:
        method: its head, queue and temperature make the loss.
        features: (B, C, h, w) without graph.
        key: (B, d) unit rows of the other views.
        sign: "helps" or "hurts".
    """
    with torch.enable_grad():
        features = features.detach().requires_grad_()
        query = method.head(method.encoder.pool(features))
        loss = info_nce(query, key, method.queue.read(), method.temperature) * len(features)  # each image by itself
        return gradcam(loss, features, sign, pooled=False)


def _over_area(score: Score) -> float:
    area = score.protocol["chance"]
    assert isinstance(area, float)
    return score.value / area


def _left(column: int) -> int:
    return MARGIN + column * (SIDE + GAP)
