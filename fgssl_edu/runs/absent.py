"""What a scale asks for and this machine has not: photographs, ImageNet weights.

A run that was asked for them by name is refused without them; one that takes what its scale names goes on with rendered
birds and random weights, and says so.
"""

from __future__ import annotations

from dataclasses import dataclass

from fgssl_edu import config

GIVEN = "given"


@dataclass(frozen=True)
class Absent:
    """One setting whose value is not on disk."""

    setting: str
    what: str  # for a reader
    instead: str  # the value that takes its place
    fetch: str  # how to get it


def absent(resolved: config.Resolved, data_here: bool) -> list[Absent]:
    """What is missing of the settings that the user did not give.

    Args:
        resolved: of a run.
        data_here: whether its data set can be loaded.
    """
    settings, sources = resolved.settings, resolved.sources
    found = []
    if not data_here and sources["dataset"] != GIVEN:
        found.append(Absent("dataset", settings.dataset, "birds", f"`fgssl data get {settings.dataset}`"))
    if settings.init == "imagenet" and sources["init"] != GIVEN and not weights_here(settings.encoder):
        what = f"ImageNet weights of {settings.encoder}"
        found.append(Absent("init", what, "random", f"`fgssl weights {settings.encoder}`"))
    return found


def weights_here(encoder: str) -> bool:
    """Whether an encoder's ImageNet weights are on disk; True of one that has none, which is refused by name."""
    from fgssl_edu.nets.encoders import TORCHVISION, imagenet_file

    return encoder not in TORCHVISION or imagenet_file(encoder).is_file()
