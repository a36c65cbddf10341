"""How a run is trained: length, batch, optimiser, schedule, devices. A method sees no more of the settings than this.

The schedule is that of SimCLR and MoCo v2 (arXiv 2002.05709, 2003.04297): linear warm-up, then half a cosine to zero;
or, with lr_schedule="steps", that of MoCo v1 (arXiv 1911.05722): a tenth of the rate after 60 % and after 80 %.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields

from fgssl_edu.config import CHOICES, Settings

DECAYS = (0.6, 0.8)  # shares of the steps after which lr_schedule="steps" takes a tenth: 120 and 160 of 200 epochs


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One training run; two runs with the same recipe, method and images end in the same weights on a CPU."""

    steps: int  # optimiser updates
    batch: int  # images an update, summed over processes and accumulation
    lr: float = 2e-3  # peak learning rate
    optimizer: str = "adamw"  # or "sgd", "lars"
    momentum: float = 0.9  # of sgd and lars
    weight_decay: float = 0.05  # of parameters with two or more dimensions; sgd wants 1e-4, lars 1e-6
    warmup: int = 10  # steps
    lr_schedule: str = "cosine"  # or "steps"
    seed: int = 0  # of the order of images
    precision: str = "auto"  # auto: bf16-mixed on a GPU that is good at it, else 32-true
    accelerator: str = "auto"  # auto: cuda where there is one, else cpu
    devices: int = 1  # processes a node
    nodes: int = 1
    checkpoint_every: int = 100  # steps
    accumulate: int = 1  # pieces that a batch is computed in, to save memory; a contrast sees one piece
    clip: float | None = None  # largest gradient norm; None leaves gradients as they are

    def __post_init__(self) -> None:
        mistakes = [sentence for sentence in self._mistakes() if sentence]
        if mistakes:
            raise ValueError("; ".join(mistakes))

    def _mistakes(self) -> list[str | None]:
        found: list[str | None] = [
            f"{name}={getattr(self, name)!r} should be one of {', '.join(CHOICES[name])}"
            for name in ("optimizer", "lr_schedule", "precision", "accelerator")
            if getattr(self, name) not in CHOICES[name]
        ]
        for name in ("steps", "batch", "devices", "nodes", "checkpoint_every", "accumulate"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                found.append(f"{name}={value!r} should be a whole number of at least 1")
        if found:
            return found
        found += [f"{name}={getattr(self, name)!r} should be above 0" for name in ("lr",) if not self.lr > 0]
        found += [f"weight_decay={self.weight_decay!r} should be 0 or more"] if not self.weight_decay >= 0 else []
        found += [f"momentum={self.momentum!r} should be in [0, 1)"] if not 0 <= self.momentum < 1 else []
        if not 0 <= self.warmup <= self.steps:
            found.append(f"warmup={self.warmup!r} should be 0 to steps={self.steps}")
        if self.batch % (self.accumulate * self.processes):
            found.append(
                f"batch={self.batch} should be a multiple of accumulate x devices x nodes = "
                f"{self.accumulate * self.processes}"
            )
        if self.clip is not None and not self.clip > 0:
            found.append(f"clip={self.clip!r} should be above 0, or None")
        return found

    @staticmethod
    def of(settings: Settings, images: int | None = None) -> Recipe:
        """The training part of a run's settings; of few images, a batch of as many as the processes can share."""
        known = {field.name for field in fields(Recipe)}
        values = {name: value for name, value in asdict(settings).items() if name in known}
        if images is not None and images < settings.batch:
            values["batch"] = max(1, images // (settings.devices * settings.nodes)) * settings.devices * settings.nodes
        return Recipe(**values)

    @property
    def processes(self) -> int:
        """Processes that train together."""
        return self.devices * self.nodes

    @property
    def piece(self) -> int:
        """Images, over all processes, in one forward pass: what a contrast within the batch sees."""
        return self.batch // self.accumulate

    def rate(self, step: int) -> float:
        """Share of the peak learning rate at a step (0 for the first): up to 1 in the warm-up, then by the schedule."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        if self.lr_schedule == "steps":
            return float(0.1 ** sum(step >= share * self.steps for share in DECAYS))
        return _half_cosine((step - self.warmup) / max(1, self.steps - self.warmup))

    def decay(self, step: int, start: float, final: float) -> float:
        """Weight decay that goes from `start` to `final` along half a cosine (DINO, arXiv 2104.14294)."""
        return final + (start - final) * _half_cosine(step / self.steps)


def _half_cosine(progress: float) -> float:
    """1 at progress 0, 1/2 half-way, 0 at 1."""
    return (1 + math.cos(math.pi * progress)) / 2
