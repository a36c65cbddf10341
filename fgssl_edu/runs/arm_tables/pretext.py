"""Arms of `rotation`, `jigsaw`, `colour` and `inpainting`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from fgssl_edu.runs.arm_tables.arm import RANDOM, SIMCLR, SUPERVISED, Arm

NO_COLOUR = {"jitter": 0.0, "gray": 0.0}  # RotNet's code crops and mirrors pictures and leaves their colours
TURNED = 256  # pictures a step, with all their turns: as many as SimCLR has views, so that a step costs about as much


def rotation_arm(
    title: str,
    turns: int = 4,
    longer: float = 1.0,
    views: Mapping[str, object] = NO_COLOUR,
    **fields: object,
) -> Arm:
    """RotNet, on so many images a step that their turns are `TURNED` pictures."""
    tuned = {"batch": TURNED // turns, "head": "conv"}
    return Arm(title=title, method="rotation", longer=longer, views=views, fields=fields, tuned=tuned)


ROTATION_STEPS = 380  # what the CPU of 400 SimCLR steps buys (measured); `longer` where it buys another number
ROTATION: dict[str, Arm] = {
    "random": RANDOM,
    "supervised": dataclasses.replace(SUPERVISED, longer=400 / ROTATION_STEPS),
    "simclr": dataclasses.replace(SIMCLR, longer=400 / ROTATION_STEPS),
    "rotation": rotation_arm("rotation by 0, 90, 180, 270"),
    "rotation_2": rotation_arm("by 0 and 180", turns=2, angles=(0, 180)),
    "rotation_8": rotation_arm("by 8 angles, the odd ones interpolated", turns=8, angles=tuple(range(0, 360, 45))),
    "colour": dataclasses.replace(
        rotation_arm("rotation, colours jittered", longer=0.97, views={}), full={"views": "moco_v2"}
    ),
    "offset": rotation_arm("turned about a point half a pixel off (shortcut)", offset=0.5),
    "light": rotation_arm("light from above (shortcut)", light=0.2),
}


# Colours are the answer: crops and flips alone, for a jittered colour would be a wrong one
CROPS = {"jitter": 0.0, "gray": 0.0, "blur": 0.0}
COLOUR_STEPS = 470
COLOUR: dict[str, Arm] = {
    "random": RANDOM,
    "supervised": dataclasses.replace(SUPERVISED, longer=400 / COLOUR_STEPS),
    "simclr": dataclasses.replace(SIMCLR, longer=400 / COLOUR_STEPS),
    "rotation": dataclasses.replace(ROTATION["rotation"], longer=ROTATION_STEPS / COLOUR_STEPS),
    "colour": Arm(title="colorization", method="colorization", views=CROPS),
    "colour_no_rebalancing": Arm(
        title="colorization, rare colours not weighted up",
        method="colorization",
        fields={"rebalance": False},
        views=CROPS,
    ),
    "colour_l2": Arm(
        title="colorization by regression (L2)",
        method="colorization",
        fields={"objective": "regression", "rebalance": False},
        views=CROPS,
        longer=530 / COLOUR_STEPS,
    ),
    "split_brain": Arm(title="split-brain", method="split_brain", views=CROPS, longer=445 / COLOUR_STEPS),
    "random_lightness": Arm(title="untrained, sees lightness alone", method=None, sees="lightness"),
    "supervised_lightness": Arm(
        title="supervised, sees lightness alone",
        method="supervised",
        labels="species",
        sees="lightness",
        longer=400 / COLOUR_STEPS,
    ),
    "simclr_lightness": Arm(title="SimCLR, sees lightness alone", sees="lightness", longer=400 / COLOUR_STEPS),
}


def inpainting_arm(title: str, longer: float = 1.0, **fields: object) -> Arm:
    """A context encoder on crops in their own colours, as in its code."""
    return Arm(title=title, method="inpainting", longer=longer, views=NO_COLOUR, fields=fields)


INPAINTING_STEPS = 480  # what the CPU of 400 SimCLR steps buys
INPAINTING: dict[str, Arm] = {
    "random": RANDOM,
    "supervised": dataclasses.replace(SUPERVISED, longer=400 / INPAINTING_STEPS),
    "simclr": dataclasses.replace(SIMCLR, longer=400 / INPAINTING_STEPS),
    "inpainting": inpainting_arm("inpainting, a quarter in the centre"),
    # The paper's .001, at full, is a share beside an error that is 12 times ours
    "inpainting_adv": dataclasses.replace(
        inpainting_arm("inpainting with a critic", longer=0.72),
        tuned={"adversarial": 0.01},
        published="inpainting_adv",
    ),
    "hole_small": inpainting_arm("a hole of 6 %", hole=0.06),
    "hole_large": inpainting_arm("a hole of 60 %", hole=0.6),
    "random_place": inpainting_arm("a quarter anywhere", place="random"),
    "autoencoder": inpainting_arm("no hole: an autoencoder", autoencoder=True),
}


def tiles_arm(title: str, method: str = "jigsaw", longer: float = 1.0, **fields: object) -> Arm:
    """Nine tiles with a gap and jitter; not normalised one by one as in the paper: that takes colour, which is class
    evidence, and makes tiles unlike the whole pictures that an encoder is scored on (measured: `jigsaw_norm`)."""
    tuned = {"per_tile_norm": False, "gap": 4}
    return Arm(title=title, method=method, longer=longer, fields=fields, tuned=tuned)


LENS = 0.06  # red is that much larger and blue smaller, far more than a real lens's .001, for tiles are but 14 px
JIGSAW_STEPS = 310  # what the CPU of 400 SimCLR steps buys (measured); `longer` where it buys another number
JIGSAW: dict[str, Arm] = {
    "random": RANDOM,
    "supervised": dataclasses.replace(SUPERVISED, longer=400 / JIGSAW_STEPS),
    "simclr": dataclasses.replace(SIMCLR, longer=400 / JIGSAW_STEPS),
    "rotation": dataclasses.replace(ROTATION["rotation"], longer=ROTATION_STEPS / JIGSAW_STEPS),
    "context": dataclasses.replace(
        tiles_arm("context prediction", method="context", longer=0.87),
        full={
            "image_size": 400
        },  # px; the paper's pictures have 150,000 to 450,000 pixels: three patches and their gaps
    ),
    "jigsaw": tiles_arm("jigsaw"),
    "jigsaw_open": tiles_arm("jigsaw, tiles touch and do not move", gap=0, jitter=False),
    "jigsaw_norm": tiles_arm("jigsaw, each tile normalised", longer=0.97, per_tile_norm=True),
    "jigsaw_lens": tiles_arm("jigsaw through a lens (shortcut)", lens=LENS),
    "jigsaw_lens_drop": tiles_arm("through a lens, one channel kept", longer=0.97, lens=LENS, color_drop=1.0),
    "jigsaw_few": tiles_arm("jigsaw, 8 permutations", permutations=8),
    "jigsaw_many": tiles_arm("jigsaw, 1000 permutations", permutations=1000),
}


PRETEXT: dict[str, dict[str, Arm]] = {
    "rotation": ROTATION,
    "jigsaw": JIGSAW,
    "colour": COLOUR,
    "inpainting": INPAINTING,
}
