"""Arms of `start`, `contrast` and `coarse-bias`."""

from __future__ import annotations

from dataclasses import replace

from fgssl_edu.runs.arm_tables.arm import GENUS, MOCO, RANDOM, SIMCLR, SUPERVISED, Arm

NO_COLOUR = {"jitter": 0.0, "gray": 0.0, "blur": 0.0}
NO_CROP = {"crop": (1.0, 1.0), "ratio": (1.0, 1.0), "flip": 0.0}
# At full these two lessons have the papers on CUB beside them, `contrast` those on ImageNet
ON_CUB = replace(SIMCLR, published="simclr_cub")
MOCO_ON_CUB = replace(MOCO, published="moco_cub")

FOUNDATIONS: dict[str, dict[str, Arm]] = {
    "start": {
        "random": RANDOM,
        "simclr": ON_CUB,
        "supervised": SUPERVISED,
        "scratch_20": Arm(title="from scratch, 20 % of the labels", method="supervised", labels="species", share=0.2),
        "scratch_4": Arm(title="from scratch, 4 % of the labels", method="supervised", labels="species", share=0.04),
        "genus": GENUS,
        "genus_20": Arm(title="genus from scratch, 20 % of the labels", method="supervised", labels="genus", share=0.2),
        "genus_4": Arm(title="genus from scratch, 4 % of the labels", method="supervised", labels="genus", share=0.04),
    },
    "contrast": {
        "random": RANDOM,
        "simclr": SIMCLR,
        "moco": MOCO,
        "moco_v1": Arm(
            title="MoCo v1: linear head, temperature 0.07",
            method="moco",
            fields={"head": "linear", "temperature": 0.07},
            published="moco_v1",
        ),
        "moco_ema_0": Arm(title="key encoder without memory (m = 0)", method="moco", fields={"ema": 0.0}),
        "moco_queue_128": Arm(title="queue of one batch (K = 128)", method="moco", fields={"queue": 128}),
        "strength_0": Arm(title="no augmentation", settings={"strength": 0.0}),
        "strength_0.25": Arm(title="views at strength 0.25", settings={"strength": 0.25}),
        "strength_0.5": Arm(title="views at strength 0.5", settings={"strength": 0.5}),
        "strength_2": Arm(title="views at strength 2", settings={"strength": 2.0}),
        "crop_only": Arm(title="crop and flip only", views=NO_COLOUR),
        "colour_only": Arm(title="colour only", views=NO_CROP),
        "strong_views": Arm(title="SimCLR's ImageNet views", settings={"views": "simclr"}),
        "tau_0.05": Arm(title="temperature 0.05", settings={"temperature": 0.05}),
        "tau_1": Arm(title="temperature 1", settings={"temperature": 1.0}),
        "no_head": Arm(title="no projection head", fields={"head": "none"}),
        "batch_32": Arm(title="batch 32", settings={"batch": 32}, full={"lr": 0.0375}),  # at full scaled, .3 x 32 / 256
        "supervised": SUPERVISED,
    },
    "coarse-bias": {
        "random": RANDOM,
        "moco": MOCO_ON_CUB,
        "simclr": ON_CUB,
        "swap": replace(ON_CUB, title="SimCLR + true background swap", swap=True),
        "genus": GENUS,
        "supervised": SUPERVISED,
        "simclr_shortcut": replace(ON_CUB, title="SimCLR, planted shortcut", settings={"correlation": 0.95}),
        "supervised_shortcut": Arm(
            title="supervised, planted shortcut", method="supervised", labels="species", settings={"correlation": 0.95}
        ),
    },
}
