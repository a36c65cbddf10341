"""Arms of `common-rationale`, `synthesised-pairs` and `simcore`."""

from __future__ import annotations

from fgssl_edu.runs.arm_tables.arm import MOCO, RANDOM, SUPERVISED, Arm

PAIRS_COST = 5.3  # CPU of a step of pairs, both criteria, over one of MoCo v2 (measured)

FINEGRAINED: dict[str, dict[str, Arm]] = {
    "common-rationale": {
        "random": RANDOM,
        "moco": MOCO,
        "lcr": Arm(title="LCR, corrected", method="rationale"),
        "lcr_paper": Arm(title="LCR as released", method="rationale", fields={"target": "gradcam", "paper_code": True}),
        "lcr_hurts": Arm(
            title="LCR, the other sign", method="rationale", fields={"target": "gradcam", "sign": "hurts"}
        ),
        "uniform": Arm(title="LCR, uniform target", method="rationale", fields={"target": "uniform"}),
        "foreground": Arm(title="LCR, true bird (oracle)", method="rationale", fields={"target": "foreground"}),
        "discriminative": Arm(
            title="LCR, true discriminative parts (oracle)", method="rationale", fields={"target": "discriminative"}
        ),
        "supervised": SUPERVISED,
    },
    "synthesised-pairs": {
        "start": Arm(title="the shipped start, untouched", method=None),
        "moco": Arm(title="MoCo v2, continued", method="moco"),
        "moco_equal_cpu": Arm(title="MoCo v2, as much compute as pairs", method="moco", longer=PAIRS_COST),
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
        "simsiam": Arm(title="SimSiam, continued", method="simsiam"),
        "simsiam_pairs": Arm(title="SimSiam + pairs", method="pairs", fields={"base": "simsiam"}),
        "simsiam_renderer": Arm(
            title="SimSiam + another sky and light (oracle)",
            method="pairs",
            fields={"base": "simsiam", "decoder": "renderer"},
        ),
    },
    "simcore": {
        "random": Arm(title="untrained", method=None, extra="none"),
        "x": Arm(title="X alone", extra="none"),
        "x_all": Arm(title="X + the whole open set", extra="all"),
        "x_random": Arm(title="X + random", extra="random"),
        "simcore": Arm(title="X + SimCore", extra="simcore"),
        "simcore_raw": Arm(title="X + SimCore by an untrained encoder", extra="raw"),
        "simcore_k1": Arm(title="X + SimCore, k = 1", extra="simcore", settings={"centroids": 1}),
        "facility": Arm(title="X + facility location", extra="facility"),
        "simcore_stop": Arm(title="X + SimCore until tau", extra="stop"),
        "oracle": Arm(title="X + the open set's birds of these species (oracle)", extra="oracle"),
    },
}
