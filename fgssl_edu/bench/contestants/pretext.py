"""Panels of the pretext tasks, with untrained networks."""

from __future__ import annotations

from fgssl_edu.bench.contestants.contestant import EVAL_SIZE, NETWORKS_MS, Contestant, states
from fgssl_edu.data.image_set import Splits
from fgssl_edu.methods.pretext.colorization import Colorization
from fgssl_edu.methods.pretext.inpainting import Inpainting
from fgssl_edu.methods.pretext.jigsaw import Jigsaw
from fgssl_edu.methods.pretext.rotation import Rotation
from fgssl_edu.nets.encoders import build_encoder
from fgssl_edu.panels.colour import PaintedColours
from fgssl_edu.panels.hole import FilledHole
from fgssl_edu.panels.puzzle import WIDEST_GAP, JigsawPuzzle
from fgssl_edu.panels.rotation import EXACT, LIT, MISSED, STEP, RotationQuestion


def rotation(splits: Splits, moves: int) -> Contestant:
    """Two untrained rotation networks, one with the lesson's head."""
    methods = {
        f"{head} head": Rotation(build_encoder("resnet10", seed=seed), head=head, seed=seed)
        for seed, head in enumerate(("conv", "linear"))
    }
    return (
        lambda: RotationQuestion(methods, splits, EVAL_SIZE),
        {
            "picture": [{"picture": i} for i in range(1, moves + 1)],
            "angle": states(moves, how=[EXACT, MISSED, LIT], picture=[0], angle=range(STEP, 360, STEP)),
        },
        NETWORKS_MS,
    )


def hole(splits: Splits, moves: int) -> Contestant:
    """Two untrained context encoders."""
    methods = {
        f"seed {seed}": Inpainting(build_encoder("resnet10", seed=seed), adversarial=0.01 * seed, seed=seed)
        for seed in (0, 1)
    }
    places = [place / 20 for place in range(21)]
    return (
        lambda: FilledHole(methods, splits),
        {
            "picture": [{"picture": i} for i in range(1, moves + 1)],
            "square": states(moves, picture=[0], down=[0.0, 0.25, 0.75], across=places),
        },
        NETWORKS_MS,
    )


def puzzle(splits: Splits, moves: int) -> Contestant:
    """An untrained jigsaw with as many orders as the lesson's; a gap that is new measures its accuracies anew."""
    method = Jigsaw(build_encoder("resnet10", seed=0))
    return (
        lambda: JigsawPuzzle({"seed 0": method}, splits),
        {
            "picture": [{"picture": i} for i in range(1, moves + 1)],
            "gap": states(moves, picture=[moves + 1], per_tile_norm=[False, True], gap=[0, *range(3, WIDEST_GAP + 1)]),
        },
        NETWORKS_MS,
    )


def colour(splits: Splits, moves: int) -> Contestant:
    """One untrained network of the lesson's 77 bins."""
    method = Colorization(build_encoder("resnet10", seed=0))
    temperatures = [{"picture": moves + 1 + i // 20, "temperature": i % 20 / 20} for i in range(moves)]
    return (
        lambda: PaintedColours({"seed 0": method}, splits.test, EVAL_SIZE),
        {"picture": [{"picture": i} for i in range(1, moves + 1)], "temperature": temperatures},
        NETWORKS_MS,
    )
