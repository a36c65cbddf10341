"""What an arm is, and the arms that lessons share."""

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
    sees: str = "rgb"  # what its encoder is shown: rgb, lightness, colour or split (nets.inputs)
    swap: bool = False  # true background swap: the oracle view
    # What it trains on: "" the lesson's pictures; X and what of the open set, a name in runs.coresets.CHOICES; crops of
    # one photograph in their place, a name in data.single_image.FARMS
    extra: str = ""
    shipped: bool = True  # part of the lesson's shipped experiment; else of the provided sweeps alone

    @property
    def needs_birds(self) -> bool:
        """Whether it uses what only the rendered birds have: true masks, factors, genera, a planted shortcut."""
        knows = (
            self.fields.get("target") in ("foreground", "discriminative") or self.fields.get("decoder") == "renderer"
        )
        return knows or self.swap or self.labels == "genus" or "correlation" in self.settings


RANDOM = Arm(title="untrained", method=None)
SUPERVISED = Arm(title="supervised", method="supervised", labels="species")
GENUS = Arm(title="supervised by genus", method="supervised", labels="genus")
SIMCLR = Arm(title="SimCLR")
MOCO = Arm(title="MoCo v2", method="moco")
