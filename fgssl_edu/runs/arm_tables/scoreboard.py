"""Arms of `scoreboard`: one of every method of the course, each trained as in the lesson that it comes from.

Left out: synthesised pairs, which go on from a trained encoder; SimCore, whose arms are pictures and not methods; one
photograph, whose encoder and backgrounds are others. Their numbers are of another protocol.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from fgssl_edu.runs.arm_tables.arm import Arm
from fgssl_edu.runs.arm_tables.embedding import EMBEDDING
from fgssl_edu.runs.arm_tables.finegrained import FINEGRAINED
from fgssl_edu.runs.arm_tables.foundations import FOUNDATIONS
from fgssl_edu.runs.arm_tables.pretext import PRETEXT
from fgssl_edu.scales import LESSONS, SCALES

SLUG = "scoreboard"
TABLES: dict[str, dict[str, Arm]] = {**FOUNDATIONS, **PRETEXT, **EMBEDDING, **FINEGRAINED}
FAMILIES = ("baselines", "pretext tasks", "contrastive", "no negatives", "clusters, teachers", "masked")


@dataclass(frozen=True)
class Member:
    """A method's place on the board.

    Attributes:
        label: short, for a figure.
        family: one of `FAMILIES`.
        record: the shipped record whose arm of the method's name stands for it on rendered birds, trained for the CPU
            seconds of 400 SimCLR steps (the supervised one for 400 steps, half that).
        taught: the lesson that explains it, where the record is not that lesson's.
        steps: of the record, where they are not its lesson's own.
    """

    label: str
    family: str
    record: str
    taught: str = ""
    steps: int | None = None

    @property
    def lesson(self) -> str:
        """Whose arm it is."""
        return self.record.partition("--")[0]


def _members(
    family: str, record: str, labels: Mapping[str, str], taught: str = "", steps: int | None = None
) -> dict[str, Member]:
    return {name: Member(label, family, record, taught, steps) for name, label in labels.items()}


MEMBERS: dict[str, Member] = {
    **_members(FAMILIES[0], "rotation", {"random": "untrained", "supervised": "supervised"}, "start"),
    **_members(FAMILIES[1], "rotation", {"rotation": "rotation"}),
    **_members(FAMILIES[1], "jigsaw", {"context": "context", "jigsaw": "jigsaw"}),
    **_members(FAMILIES[1], "colour", {"colour": "colour", "split_brain": "split-brain"}),
    **_members(FAMILIES[1], "inpainting", {"inpainting": "inpainting", "inpainting_adv": "inpainting, critic"}),
    **_members(FAMILIES[2], "rotation", {"simclr": "SimCLR"}, "contrast"),
    **_members(FAMILIES[2], "coarse-bias--equal-compute", {"moco": "MoCo v2"}, "contrast", 552),
    **_members(FAMILIES[2], "common-rationale--equal-compute", {"lcr": "LCR"}, steps=528),
    **_members(FAMILIES[3], "no-negatives", {"byol": "BYOL", "simsiam": "SimSiam"}),
    **_members(FAMILIES[3], "no-negatives", {"barlow": "Barlow Twins", "vicreg": "VICReg"}),
    **_members(FAMILIES[4], "clusters", {"sela": "SeLa", "swav": "SwAV", "deepcluster": "DeepCluster-v2"}),
    **_members(FAMILIES[4], "dino", {"dino": "DINO"}),
    **_members(FAMILIES[5], "masked", {"mae": "MAE", "simmim": "SimMIM"}),
}
STEPS = SCALES["lecture"]["steps"]  # of SimCLR


def _as_at_home(name: str, member: Member) -> Arm:
    """The arm of the method's own lesson, with that lesson's settings below full scale as its own."""
    own, lesson = TABLES[member.lesson][name], LESSONS[member.lesson]["lecture"]
    steps = member.steps or lesson.get("steps", STEPS)
    kept = {setting: value for setting, value in lesson.items() if setting not in ("method", "steps")}
    return replace(own, longer=own.longer * float(steps) / float(STEPS), tuned={**kept, **own.tuned})


SCOREBOARD: dict[str, dict[str, Arm]] = {
    SLUG: {name: _as_at_home(name, member) for name, member in MEMBERS.items()},
}


def full_at_home(slug: str, method: str, scale: str) -> tuple[str, dict[str, object]]:
    """Whose arm a method of a lesson is at a scale, and the lesson's settings that come with it.

    At full scale a method of the scoreboard is that of its own lesson, with the paper's settings.
    """
    if slug != SLUG or scale != "full" or method not in MEMBERS:
        return slug, {}
    home = MEMBERS[method].lesson
    return home, {name: value for name, value in LESSONS[home][scale].items() if name != "method"}
