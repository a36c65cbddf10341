"""Arms of `no-negatives`, `clusters`, `dino`, `masked` and `one-image`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from fgssl_edu.runs.arm_tables.arm import MOCO, RANDOM, SIMCLR, SUPERVISED, Arm

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

CLUSTERS_STEPS = 260  # of SwAV with small crops: the CPU of 400 SimCLR steps, as every `longer` below (measured)
SHARPER = {"temperature": 0.1, "prototypes": 256}  # the papers' temperature; ten times the species, as authors advise
CROPPED, LARGE_ONLY = {**SHARPER, "local_views": 2}, {**SHARPER, "local_views": 0}
CLUSTERS: dict[str, Arm] = {
    "random": RANDOM,
    "supervised": replace(SUPERVISED, longer=400 / CLUSTERS_STEPS),
    "simclr": replace(SIMCLR, longer=400 / CLUSTERS_STEPS),
    "swav": Arm(title="SwAV", method="swav", settings=CROPPED),
    "swav_no_multicrop": Arm(
        title="SwAV, large crops only", method="swav", settings=LARGE_ONLY, longer=420 / CLUSTERS_STEPS
    ),
    # As many steps as multi-crop has: what small crops are worth where compute does not count
    "swav_fewer_steps": Arm(title="SwAV, large crops only, as many steps", method="swav", settings=LARGE_ONLY),
    "swav_no_sinkhorn": Arm(
        title="SwAV without Sinkhorn-Knopp", method="swav", settings=CROPPED, fields={"codes": "softmax"}
    ),
    "sela": Arm(title="SeLa", method="sela", settings={"prototypes": 256}, longer=500 / CLUSTERS_STEPS),
    "deepcluster": Arm(
        title="DeepCluster-v2, large crops only",
        method="deepcluster",
        settings=LARGE_ONLY,
        longer=350 / CLUSTERS_STEPS,
    ),
}

DINO_STEPS = 620  # of DINO with small crops: the CPU of 400 SimCLR steps, as every `longer` below (measured)
# Ours: many small steps, for its loss does not contrast the images of a batch; a teacher that follows within them
DISTILLED = {"batch": 32, "ema": 0.98, "prototypes": 256, "local_views": 2}
SHARP = {"teacher_temperature": (0.03, 0.03)}  # .04 in the paper: of 256 prototypes targets stay undecided with it


def distilled(title: str, longer: float = 1.0, settings: Mapping[str, object] | None = None, **fields: object) -> Arm:
    """DINO with something changed."""
    return Arm(
        title=title,
        method="dino",
        fields={**SHARP, **fields},
        settings={**DISTILLED, **(settings or {})},
        longer=longer,
    )


DINO: dict[str, Arm] = {
    "random": RANDOM,
    "supervised": replace(SUPERVISED, longer=400 / DINO_STEPS),
    "simclr": replace(SIMCLR, longer=400 / DINO_STEPS),
    "dino": distilled("DINO"),
    "dino_sinkhorn": distilled("DINO, Sinkhorn-Knopp in place of centring", balance="sinkhorn"),
    "dino_no_multicrop": distilled("DINO, large crops only", longer=870 / DINO_STEPS, settings={"local_views": 0}),
    "dino_no_centring": distilled("DINO without centring", balance="none"),
    "dino_no_sharpening": distilled("DINO without sharpening", teacher_temperature=(1.0, 1.0)),
    "random_vit": replace(RANDOM, title="untrained transformer", settings={"encoder": "vit_mini"}),
    "dino_vit": distilled("DINO, a transformer", longer=125 / DINO_STEPS, settings={"encoder": "vit_mini"}),
}

MASKED_STEPS = 320  # of MAE: the CPU of 400 SimCLR steps, as every `longer` below (measured)
CROPS = {"views": "mae"}  # crops and flips alone: what is hidden is all that is done to a picture
MASKED: dict[str, Arm] = {
    "random": RANDOM,
    "supervised": replace(SUPERVISED, longer=100 / MASKED_STEPS),
    "simclr": replace(SIMCLR, longer=400 / MASKED_STEPS, settings={"encoder": "resnet10"}),
    "simclr_vit": Arm(title="SimCLR, the same transformer", longer=50 / MASKED_STEPS),
    "mae": Arm(title="MAE", method="mae", settings=CROPS),
    "mae_ratio_0.25": Arm(
        title="MAE, 25 % hidden", method="mae", settings={**CROPS, "mask_ratio": 0.25}, longer=130 / MASKED_STEPS
    ),
    "mae_ratio_0.9": Arm(
        title="MAE, 90 % hidden", method="mae", settings={**CROPS, "mask_ratio": 0.9}, longer=500 / MASKED_STEPS
    ),
    "mae_raw": Arm(title="MAE, raw pixels", method="mae", settings=CROPS, fields={"normalize": False}),
    "simmim": Arm(
        title="SimMIM", method="simmim", settings=CROPS, fields={"mask_ratio": 0.6}, longer=100 / MASKED_STEPS
    ),
}

ONE_IMAGE_STEPS = 320  # of rotation: the CPU of 400 SimCLR steps of resnet10, as every `longer` below (measured)
TURNED = {"batch": 64}  # pictures a step, each at four angles
CROPS_ALONE = {"jitter": 0.0, "gray": 0.0}  # RotNet's code crops and mirrors pictures and leaves their colours


def turned(title: str, extra: str = "", **settings: object) -> Arm:
    """RotNet as in the lesson `rotation`, on the lesson's pictures or on crops of one photograph."""
    given = {**TURNED, **settings}
    return Arm(title=title, method="rotation", extra=extra, fields={"head": "conv"}, views=CROPS_ALONE, settings=given)


ONE_IMAGE: dict[str, Arm] = {
    "random": RANDOM,
    "one_rotation": turned("RotNet, one photograph", "one_image"),
    "many_rotation": turned("RotNet, many pictures"),
    "flower": turned("RotNet, another photograph", "one_image", photograph="flower"),
    "few_crops": turned("RotNet, 100 crops of it", "one_image", crops=100),
    "upright": turned("RotNet, crops not turned, sheared or coloured", "one_image_upright"),
    "one_simclr": replace(SIMCLR, title="SimCLR, one photograph", extra="one_image", longer=390 / ONE_IMAGE_STEPS),
    "many_simclr": replace(SIMCLR, title="SimCLR, many pictures", longer=390 / ONE_IMAGE_STEPS),
    "one_moco": replace(MOCO, title="MoCo v2, one photograph", extra="one_image", longer=540 / ONE_IMAGE_STEPS),
    "many_moco": replace(MOCO, title="MoCo v2, many pictures", longer=540 / ONE_IMAGE_STEPS),
    "supervised": replace(SUPERVISED, longer=755 / ONE_IMAGE_STEPS),
}

EMBEDDING: dict[str, dict[str, Arm]] = {
    "no-negatives": NO_NEGATIVES,
    "clusters": CLUSTERS,
    "dino": DINO,
    "masked": MASKED,
    "one-image": ONE_IMAGE,
}
