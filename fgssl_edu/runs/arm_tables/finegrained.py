"""Arms of `common-rationale`, `synthesised-pairs` and `simcore`."""

from __future__ import annotations

from dataclasses import replace

from fgssl_edu.runs.arm_tables.arm import MOCO, RANDOM, SUPERVISED, Arm

PAIRS_COST = 5.3  # CPU of a step of pairs, both criteria, over one of MoCo v2 (measured)
AS_LONG = {"steps": 13_800}  # at full, three times: passes through encoder and decoder, counted
ON_CUB = replace(MOCO, published="moco_cub")


def simcore_arm(title: str, extra: str, **settings: object) -> Arm:
    """SimCLR on X and a choice from the open set."""
    return Arm(title=title, extra=extra, settings=settings, published="simcore")


LCR_AS_RELEASED = Arm(
    title="LCR as released",
    method="rationale",
    fields={"target": "gradcam", "paper_code": True},
    published="rationale_paper",
    shipped=False,
)
# What 2303.01669 compares with in its Table 3, each as in its own paper
FRAMEWORKS = {
    "dino": Arm(title="DINO", method="dino", shipped=False),
    "simclr": Arm(title="SimCLR", published="simclr_cub", shipped=False),
    "byol": Arm(title="BYOL", method="byol", shipped=False),
    "simsiam": Arm(title="SimSiam", method="simsiam", published="simsiam_cub", shipped=False),
    "barlow": Arm(title="Barlow Twins", method="barlow", shipped=False),
    "vicreg": Arm(title="VICReg", method="vicreg", shipped=False),
}
LEARNERS = {"byol": "BYOL", "swav": "SwAV", "dino": "DINO", "mae": "MAE"}  # in SimCLR's place, arXiv 2303.11101
SMALL = {"mae": {"encoder": "vit_mini", "views": "mae"}}  # what it cannot do without below full scale
SOURCES = {"x": ("X alone", "none"), "open": ("the open set alone", "only"), "stop": ("X + SimCore until tau", "stop")}
BY_OTHERS = {
    f"{method}_{source}": Arm(
        title=f"{title}, {name}", method=method, extra=extra, tuned=SMALL.get(method, {}), shipped=False
    )
    for method, name in LEARNERS.items()
    for source, (title, extra) in SOURCES.items()
}

FINEGRAINED: dict[str, dict[str, Arm]] = {
    "common-rationale": {
        "random": RANDOM,
        "moco": ON_CUB,
        "lcr": Arm(title="LCR, corrected", method="rationale"),
        "lcr_paper": replace(LCR_AS_RELEASED, shipped=True),
        "lcr_hurts": Arm(
            title="LCR, the other sign", method="rationale", fields={"target": "gradcam", "sign": "hurts"}
        ),
        "uniform": Arm(title="LCR, uniform target", method="rationale", fields={"target": "uniform"}),
        "foreground": Arm(title="LCR, true bird (oracle)", method="rationale", fields={"target": "foreground"}),
        "discriminative": Arm(
            title="LCR, true discriminative parts (oracle)", method="rationale", fields={"target": "discriminative"}
        ),
        "supervised": SUPERVISED,
        **FRAMEWORKS,
    },
    "synthesised-pairs": {
        "start": Arm(title="the shipped start, untouched", method=None),
        "moco": replace(ON_CUB, title="MoCo v2, continued"),
        "moco_equal_cpu": replace(ON_CUB, title="MoCo v2, as much compute as pairs", longer=PAIRS_COST, full=AS_LONG),
        "pairs": Arm(title="pairs as published", method="pairs"),
        "gradcam": Arm(title="pairs, Grad-CAM noise only", method="pairs", fields={"criteria": "gradcam"}),
        "variance": Arm(title="pairs, low-variance noise only", method="pairs", fields={"criteria": "variance"}),
        "random_noise": Arm(title="pairs, the same noise everywhere", method="pairs", fields={"criteria": "random"}),
        "pairs_strong": Arm(
            title="pairs, five times the noise", method="pairs", fields={"sigma_cam": 1.0, "sigma_var": 1.0}
        ),
        "pairs_corrected": Arm(
            title="pairs, corrected: noise of half each dimension's spread",
            method="pairs",
            fields={"per_dimension": True, "sigma_cam": 0.5, "sigma_var": 0.5},
        ),
        "nearest": Arm(title="pairs, nearest real picture", method="pairs", fields={"decoder": "nearest"}),
        "twice": Arm(title="pairs, each picture twice", method="pairs", fields={"decoder": "identity"}),
        "renderer": Arm(title="pairs, another sky and light (oracle)", method="pairs", fields={"decoder": "renderer"}),
        "renderer_all": Arm(
            title="pairs, another bird of the species (oracle)",
            method="pairs",
            fields={"decoder": "renderer", "redraw": "all"},
        ),
        "simsiam": Arm(title="SimSiam, continued", method="simsiam", published="simsiam_cub"),
        "simsiam_pairs": Arm(title="SimSiam + pairs", method="pairs", fields={"base": "simsiam"}),
        "simsiam_renderer": Arm(
            title="SimSiam + another sky and light (oracle)",
            method="pairs",
            fields={"base": "simsiam", "decoder": "renderer"},
        ),
        "dino": FRAMEWORKS["dino"],
        "lcr": LCR_AS_RELEASED,
        "supervised": replace(SUPERVISED, shipped=False),
    },
    "simcore": {
        "random": Arm(title="untrained", method=None, extra="none"),
        "x": simcore_arm("X alone", "none"),
        "open": replace(simcore_arm("the open set alone", "only"), shipped=False),
        "x_all": simcore_arm("X + the whole open set", "all"),
        "x_random": simcore_arm("X + random", "random"),
        "simcore": simcore_arm("X + SimCore", "simcore"),
        "simcore_raw": simcore_arm("X + SimCore by an untrained encoder", "raw"),
        "simcore_k1": simcore_arm("X + SimCore, k = 1", "simcore", centroids=1),
        "facility": simcore_arm("X + facility location", "facility"),
        "simcore_stop": simcore_arm("X + SimCore until tau", "stop"),
        "oracle": simcore_arm("X + the open set's birds of these species (oracle)", "oracle"),
        **BY_OTHERS,
    },
}
