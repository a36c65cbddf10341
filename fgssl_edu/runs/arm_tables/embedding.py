"""Arms of `no-negatives`, `clusters`, `dino`, `masked` and `one-image`."""

from __future__ import annotations

from dataclasses import replace

from fgssl_edu.runs.arm_tables.arm import MOCO, RANDOM, SIMCLR, SUPERVISED, Arm, parted

NO_NEGATIVES_STEPS = 550  # of BYOL: the CPU of 400 SimCLR steps, as every `longer` below (measured)
SMALL_BATCH = {"batch": 64}  # ours: twice the steps for the same compute; without negatives a batch may be small
# A copy that follows within the few steps there are
BYOL_TUNED = {**SMALL_BATCH, "ema": 0.95, "last_norm": True}
SIMSIAM = 675 / NO_NEGATIVES_STEPS
NO_NEGATIVES: dict[str, Arm] = {
    "random": RANDOM,
    "supervised": replace(SUPERVISED, longer=400 / NO_NEGATIVES_STEPS),
    "simclr": replace(SIMCLR, longer=400 / NO_NEGATIVES_STEPS),
    "byol": Arm(title="BYOL", method="byol", tuned=BYOL_TUNED),
    "simsiam": Arm(title="SimSiam", method="simsiam", tuned=SMALL_BATCH, longer=SIMSIAM),
    "barlow": Arm(title="Barlow Twins", method="barlow", longer=395 / NO_NEGATIVES_STEPS),
    "vicreg": Arm(title="VICReg", method="vicreg", longer=390 / NO_NEGATIVES_STEPS),
    "byol_no_predictor": Arm(
        title="BYOL without predictor",
        method="byol",
        tuned=BYOL_TUNED,
        fields={"predictor": False},
    ),
    "simsiam_no_stop_gradient": Arm(
        title="SimSiam without stop-gradient",
        method="simsiam",
        tuned=SMALL_BATCH,
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
CROPPED, LARGE = {**SHARPER, "local_views": 2}, {"local_views": 0}
CLUSTERS: dict[str, Arm] = {
    "random": RANDOM,
    "supervised": replace(SUPERVISED, longer=400 / CLUSTERS_STEPS),
    "simclr": replace(SIMCLR, longer=400 / CLUSTERS_STEPS),
    "swav": Arm(title="SwAV", method="swav", tuned=CROPPED),
    "swav_no_multicrop": Arm(
        title="SwAV, large crops only", method="swav", settings=LARGE, tuned=SHARPER, longer=420 / CLUSTERS_STEPS
    ),
    # As many steps as multi-crop has: what small crops are worth where compute does not count
    "swav_fewer_steps": Arm(
        title="SwAV, large crops only, as many steps", method="swav", settings=LARGE, tuned=SHARPER
    ),
    "swav_no_sinkhorn": Arm(
        title="SwAV without Sinkhorn-Knopp", method="swav", tuned=CROPPED, fields={"codes": "softmax"}
    ),
    "sela": Arm(title="SeLa", method="sela", tuned={"prototypes": 256}, longer=500 / CLUSTERS_STEPS),
    "deepcluster": Arm(
        title="DeepCluster-v2, large crops only",
        method="deepcluster",
        settings=LARGE,
        tuned=SHARPER,
        longer=350 / CLUSTERS_STEPS,
    ),
}

DINO_STEPS = 620  # of DINO with small crops: the CPU of 400 SimCLR steps, as every `longer` below (measured)
# Ours: many small steps, for its loss does not contrast the images of a batch; a teacher that follows within them
DISTILLED: dict[str, object] = {"batch": 32, "ema": 0.98, "prototypes": 256, "local_views": 2}
DISTILLED |= {"teacher_temperature": (0.03, 0.03)}  # .04 in the paper: of 256 prototypes targets stay undecided with it


def distilled(title: str, longer: float = 1.0, **changed: object) -> Arm:
    """DINO with something changed: settings or fields."""
    settings, fields = parted(changed)
    return Arm(title=title, method="dino", fields=fields, settings=settings, tuned=DISTILLED, longer=longer)


DINO: dict[str, Arm] = {
    "random": RANDOM,
    "supervised": replace(SUPERVISED, longer=400 / DINO_STEPS),
    "simclr": replace(SIMCLR, longer=400 / DINO_STEPS),
    "dino": distilled("DINO"),
    "dino_sinkhorn": distilled("DINO, Sinkhorn-Knopp in place of centring", balance="sinkhorn"),
    "dino_no_multicrop": replace(
        distilled("DINO, large crops only", longer=870 / DINO_STEPS, local_views=0),
        full={"views": "dino_alone_1+dino_alone_2+dino_local"},  # the released code's where small crops are off
    ),
    "dino_no_centring": distilled("DINO without centring", balance="none"),
    "dino_no_sharpening": distilled("DINO without sharpening", teacher_temperature=(1.0, 1.0)),
    "random_vit": replace(RANDOM, title="untrained transformer", tuned={"encoder": "vit_mini"}),
    # At full the lesson's encoder is a transformer, and these two are `random` and `dino`
    "dino_vit": replace(
        distilled("DINO, a transformer", longer=125 / DINO_STEPS), tuned={**DISTILLED, "encoder": "vit_mini"}
    ),
}

MASKED_STEPS = 320  # of MAE: the CPU of 400 SimCLR steps, as every `longer` below (measured)
CROPS = {"views": "mae"}  # crops and flips alone: what is hidden is all that is done to a picture
A_RESNET = {"encoder": "resnet50"}  # at full
MASKED: dict[str, Arm] = {
    "random": RANDOM,
    "supervised": replace(SUPERVISED, longer=100 / MASKED_STEPS),
    "simclr": replace(SIMCLR, longer=400 / MASKED_STEPS, tuned={"encoder": "resnet10"}, full=A_RESNET),
    "simclr_vit": Arm(title="SimCLR, the same transformer", longer=50 / MASKED_STEPS, published="simclr_vit"),
    "mae": Arm(title="MAE", method="mae", tuned=CROPS),
    "mae_ratio_0.25": Arm(
        title="MAE, 25 % hidden", method="mae", tuned=CROPS, settings={"mask_ratio": 0.25}, longer=130 / MASKED_STEPS
    ),
    "mae_ratio_0.9": Arm(
        title="MAE, 90 % hidden", method="mae", tuned=CROPS, settings={"mask_ratio": 0.9}, longer=500 / MASKED_STEPS
    ),
    "mae_raw": Arm(title="MAE, raw pixels", method="mae", tuned=CROPS, fields={"normalize": False}),
    "simmim": Arm(title="SimMIM", method="simmim", tuned=CROPS, fields={"mask_ratio": 0.6}, longer=100 / MASKED_STEPS),
}

ONE_IMAGE_STEPS = 320  # of rotation: the CPU of 400 SimCLR steps of resnet10, as every `longer` below (measured)
TURNED = {"batch": 64}  # pictures a step, each at four angles
CROPS_ALONE = {"jitter": 0.0, "gray": 0.0}  # RotNet's code crops and mirrors pictures and leaves their colours


def turned(title: str, extra: str = "", **settings: object) -> Arm:
    """RotNet as in the lesson `rotation`, on the lesson's pictures or on crops of one photograph."""
    tuned = {**TURNED, "head": "conv"}
    return Arm(title=title, method="rotation", extra=extra, tuned=tuned, views=CROPS_ALONE, settings=settings)


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
