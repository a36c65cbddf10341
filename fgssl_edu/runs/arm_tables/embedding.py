"""Arms of `no-negatives`."""

from __future__ import annotations

from dataclasses import replace

from fgssl_edu.runs.arm_tables.arm import RANDOM, SIMCLR, SUPERVISED, Arm

NO_NEGATIVES_STEPS = 550  # of BYOL: the CPU of 400 SimCLR steps, as every `longer` below (measured)
SMALL_BATCH = {"batch": 64}  # ours: twice the steps for the same compute; without negatives a batch may be small
BYOL_SETTINGS = {**SMALL_BATCH, "ema": 0.95}  # a copy that follows within the few steps there are
SIMSIAM = 675 / NO_NEGATIVES_STEPS
NO_NEGATIVES: dict[str, Arm] = {
    "random": RANDOM,
    "supervised": replace(SUPERVISED, longer=400 / NO_NEGATIVES_STEPS),
    "simclr": replace(SIMCLR, longer=400 / NO_NEGATIVES_STEPS),
    "byol": Arm(title="BYOL", method="byol", settings=BYOL_SETTINGS, fields={"last_norm": True}),
    "simsiam": Arm(title="SimSiam", method="simsiam", settings=SMALL_BATCH, longer=SIMSIAM),
    "barlow": Arm(title="Barlow Twins", method="barlow", longer=395 / NO_NEGATIVES_STEPS),
    "vicreg": Arm(title="VICReg", method="vicreg", longer=390 / NO_NEGATIVES_STEPS),
    "byol_no_predictor": Arm(
        title="BYOL without predictor",
        method="byol",
        settings=BYOL_SETTINGS,
        fields={"last_norm": True, "predictor": False},
    ),
    "simsiam_no_stop_gradient": Arm(
        title="SimSiam without stop-gradient",
        method="simsiam",
        settings=SMALL_BATCH,
        fields={"stop_gradient": False},
        longer=SIMSIAM,
    ),
    "barlow_no_redundancy": Arm(
        title="Barlow Twins without redundancy term",
        method="barlow",
        fields={"redundancy": 0.0},
        longer=395 / NO_NEGATIVES_STEPS,
    ),
    "vicreg_no_variance": Arm(
        title="VICReg without variance term",
        method="vicreg",
        fields={"variance": 0.0},
        longer=390 / NO_NEGATIVES_STEPS,
    ),
}

EMBEDDING: dict[str, dict[str, Arm]] = {
    "no-negatives": NO_NEGATIVES,
}
