"""What an arm is, and the arms that lessons share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from fgssl_edu.config import Settings
from fgssl_edu.runs.arm_tables.published import PUBLISHED, Published
from fgssl_edu.views.presets import JOIN


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One line of a lesson's table: a method, what differs from the lesson's settings, and what it may know.

    An arm is made for ci and lecture, where its steps are few; at scale full it trains as its paper does. `at` gives
    the arm of a scale.
    """

    title: str
    method: str | None = "simclr"  # a key of METHODS, or None: the encoder before any step
    fields: Mapping[str, object] = field(default_factory=dict)  # of the method
    settings: Mapping[str, object] = field(default_factory=dict)  # of config.Settings
    tuned: Mapping[str, object] = field(default_factory=dict)  # settings and fields of ci and lecture alone
    views: Mapping[str, object] = field(default_factory=dict)  # of the view preset
    longer: float = 1.0  # times the lesson's steps at ci and lecture: what another arm's compute would buy
    labels: str = "none"  # "species" or "genus": what a supervised arm is told
    share: float = 1.0  # of the training labels (and images) that a supervised arm gets
    sees: str = "rgb"  # what its encoder is shown: rgb, lightness, colour or split (nets.inputs)
    swap: bool = False  # true background swap: the oracle view
    # What it trains on: "" the lesson's pictures; X and what of the open set, a name in runs.coresets.CHOICES; crops of
    # one photograph in their place, a name in data.single_image.FARMS
    extra: str = ""
    shipped: bool = True  # part of the lesson's shipped experiment; else of the provided sweeps alone
    published: str = ""  # a key of PUBLISHED: what it is at full; its method's if empty
    full: Mapping[str, object] = field(default_factory=dict)  # settings of full alone that its line needs there

    def steps(self, lesson: int) -> int:
        """How many it trains where its lesson has so many."""
        return max(1, round(self.longer * lesson))

    @property
    def needs_birds(self) -> bool:
        """Whether it uses what only the rendered birds have: true masks, factors, genera, a planted shortcut."""
        knows = (
            self.fields.get("target") in ("foreground", "discriminative") or self.fields.get("decoder") == "renderer"
        )
        return knows or self.swap or self.labels == "genus" or "correlation" in self.settings

    def paper(self) -> Published:
        """How its paper trains it; of an arm that is trained."""
        return PUBLISHED[self.published or str(self.method)]

    def at(self, scale: str) -> Arm:
        """The arm of a scale: nothing of `tuned` and `longer` holds at full, nothing published below it."""
        if scale != "full":
            settings, fields = parted(self.tuned)
            settings, fields = {**settings, **self.settings}, {**fields, **self.fields}
            return replace(self, tuned={}, full={}, settings=settings, fields=fields)
        if self.method is None:
            return replace(self, tuned={}, settings={**self.settings, **self.full})
        recipe = self.paper().recipe()
        settings, fields = parted(preset(self.method, self.paper().preset))
        settings = {**settings, **recipe, **self.settings, **self.full}
        return replace(self, tuned={}, longer=1.0, settings=settings, fields={**fields, **self.fields})


def preset(method: str, name: str) -> dict[str, object]:
    """The values of a published preset, none of ""; views by one name, the side of a view as `crop_size`."""
    from fgssl_edu.methods import PRESETS

    values = {field: value for field, (value, _) in PRESETS[method][name].items()} if name else {}
    several = [values.pop(field) for field in ("views", "other_views") if field in values]
    names = [each for one in several for each in ([one] if isinstance(one, str) else one)]  # type: ignore[attr-defined]
    if names:
        values["views"] = JOIN.join(names)
    if "size" in values:
        values["crop_size"] = values.pop("size")
    return values


def parted(values: Mapping[str, object]) -> tuple[dict[str, object], dict[str, object]]:
    """Values as those of config.Settings, and those that only a method has."""
    known = Settings.__dataclass_fields__
    settings = {name: value for name, value in values.items() if name in known}
    return settings, {name: value for name, value in values.items() if name not in known}


RANDOM = Arm(title="untrained", method=None)
SUPERVISED = Arm(title="supervised", method="supervised", labels="species")
GENUS = Arm(title="supervised by genus", method="supervised", labels="genus")
SIMCLR = Arm(title="SimCLR")
MOCO = Arm(title="MoCo v2", method="moco")
