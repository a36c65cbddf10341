"""The arms of each lesson: which methods it compares, what differs between them, and what each may know.

All arms of a lesson train for the same steps on the same pictures, unless their line says otherwise; what an arm knows
beyond the pictures (labels, true masks, latent factors) stands in its line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One line of a lesson's table: a method, what differs from the lesson's settings, and what it may know."""

    title: str
    method: str | None = "simclr"  # a key of METHODS, or None: the encoder before any step
    fields: Mapping[str, object] = field(default_factory=dict)  # of the method
    settings: Mapping[str, object] = field(default_factory=dict)  # of config.Settings
    views: Mapping[str, object] = field(default_factory=dict)  # of the view preset
    longer: float = 1.0  # times the lesson's steps: what another arm's compute would buy
    labels: str = "none"  # "species" or "genus": what a supervised arm is told
    share: float = 1.0  # of the training labels (and images) that a supervised arm gets
    swap: bool = False  # true background swap: the oracle view
    extra: str = ""  # what of the open set it trains on beside X, a name in runs.coresets.CHOICES; "" has no X

    @property
    def needs_birds(self) -> bool:
        """Whether it uses what only the rendered birds have: true masks, factors, genera, a planted shortcut."""
        knows = (
            self.fields.get("target") in ("foreground", "discriminative") or self.fields.get("decoder") == "renderer"
        )
        return knows or self.swap or self.labels == "genus" or "correlation" in self.settings


NO_COLOUR = {"jitter": 0.0, "gray": 0.0}
NO_CROP = {"crop": (1.0, 1.0), "ratio": (1.0, 1.0), "flip": 0.0}
RANDOM = Arm(title="untrained", method=None)
SUPERVISED = Arm(title="supervised", method="supervised", labels="species")
GENUS = Arm(title="supervised by genus", method="supervised", labels="genus")
SIMCLR = Arm(title="SimCLR")
MOCO = Arm(title="MoCo v2", method="moco")

PAIRS_COST = 5.3  # CPU of a step of pairs, both criteria, over one of MoCo v2 (measured)

ARMS: dict[str, dict[str, Arm]] = {
    "start": {
        "random": RANDOM,
        "simclr": SIMCLR,
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
        "batch_32": Arm(title="batch 32", settings={"batch": 32}),
        "supervised": SUPERVISED,
    },
    "coarse-bias": {
        "random": RANDOM,
        "moco": MOCO,
        "simclr": SIMCLR,
        "swap": Arm(title="SimCLR + true background swap", swap=True),
        "genus": GENUS,
        "supervised": SUPERVISED,
        "simclr_shortcut": Arm(title="SimCLR, planted shortcut", settings={"correlation": 0.95}),
        "supervised_shortcut": Arm(
            title="supervised, planted shortcut", method="supervised", labels="species", settings={"correlation": 0.95}
        ),
    },
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
