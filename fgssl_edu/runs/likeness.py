"""What keeps a run at scale full from being the paper's own: data, start, size, settings, and what no source prints.

A run that differs in anything is called `METHOD_like` in reports and records, and is never put in a row with a number
of the paper.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence

from fgssl_edu import config
from fgssl_edu.data.single_image import FARMS
from fgssl_edu.methods import METHODS, PRESETS
from fgssl_edu.runs.absent import Absent
from fgssl_edu.runs.arm_tables import ARMS
from fgssl_edu.runs.arm_tables.arm import Arm, parted, preset
from fgssl_edu.runs.arm_tables.published import LIKE, Published
from fgssl_edu.views.presets import named

OWN = "ours"  # begins the source of a value that the paper does not print
STARTS = {"imagenet": "ImageNet weights", "random": "random weights", "birds": "the shipped weights"}
LENGTH = ("steps", "warmup", "batch")  # told as batch and epochs
UNPRINTED = "an unprinted"
CROPS, POOL = 1_281_167, "imagenet1k"  # of arXiv 1904.13132, of 2303.11101


def notes_on(slug: str, settings: config.Settings, missing: Sequence[Absent]) -> list[str]:
    """What the reader has to be told of a run: at full, in one line, what is not as in the paper.

    Args:
        slug: the lesson.
        settings: of the run, as they were resolved for its arm.
        missing: what the scale names and is not on disk.
    """
    found = unlike(slug, settings)
    instead = {"dataset": f"rendered birds at {settings.image_size} px", "init": STARTS[settings.init]}
    absent = "".join(f"{e.what} not on disk (get it by {e.fetch}): {instead[e.setting]} instead. " for e in missing)
    if not found:  # an encoder that nobody trains is like no paper's
        return [f"{absent}The numbers are not the paper's"] if missing else []
    source = ARMS[slug][settings.method].paper().source
    return [f"{absent}{settings.method}{LIKE}: not the setting of {source}, nor its numbers: {'; '.join(found)}"]


def unlike(slug: str, settings: config.Settings) -> list[str]:
    """What keeps a run at full from being its paper's own; nothing at other scales, which no paper has."""
    arm = ARMS[slug][settings.method]
    return differs(arm, settings) if settings.scale == "full" and arm.method is not None else []


def differs(arm: Arm, settings: config.Settings) -> list[str]:
    """What an arm's run at scale full has otherwise than its paper, in words; empty: it is the paper's own setting.

    Args:
        arm: of a lesson, one that is trained.
        settings: as they were resolved for this arm.
    """
    paper = arm.paper()
    found = [
        *trained_otherwise(paper, arm, settings),
        *length_otherwise(paper, settings),
        *set_otherwise(arm, settings),
    ]
    found += ["a planted shortcut"] if settings.correlation else []
    found += ["a true background swap"] if arm.swap else []
    found += [f"{arm.share:.0%} of the labels"] if arm.share < 1 else []
    published = PRESETS[str(arm.method)].get(paper.preset, {})
    unprinted = [name for name, (_, source) in published.items() if source.startswith(OWN)]
    found += [f"{', '.join(unprinted)}: ours, for the sources do not print them"] if unprinted else []
    return found + ([paper.besides] if paper.besides else [])


def set_otherwise(arm: Arm, settings: config.Settings) -> list[str]:
    """Settings and fields of the method that are not the paper's; of what it leaves open, those that are no default."""
    paper, method = arm.paper(), str(arm.method)
    published, fields = parted(preset(method, paper.preset))
    published |= {name: value for name, value in paper.recipe().items() if name not in LENGTH}
    views = published.pop("views", None)
    theirs = published | fields
    own = {**{name: getattr(settings, name) for name in published}, **fields, **arm.fields}
    defaults = {name: each.default for name, each in inspect.signature(METHODS[method]).parameters.items()}
    found = [f"{name} {shown(own[name])} for {shown(value)}" for name, value in theirs.items() if own[name] != value]
    beside = {name: value for name, value in own.items() if name not in theirs and defaults.get(name) != value}
    found += [f"{name} {shown(value)}" for name, value in beside.items()]
    return found + (["other views"] if views is not None and other_views(arm, settings, str(views)) else [])


def trained_otherwise(paper: Published, arm: Arm, settings: config.Settings) -> list[str]:
    """Pictures, network and its start, where they are not the paper's."""
    theirs = (paper.dataset, *paper.also)
    found = [f"{settings.dataset} for {paper.dataset}"] if settings.dataset not in theirs else []
    if settings.encoder != paper.encoder:
        found.append(f"{settings.encoder} for {paper.encoder}")
    if settings.init != paper.init:
        found.append(f"{STARTS[settings.init]} for {STARTS[paper.init]}")
    if arm.extra in FARMS:
        found.append(f"{settings.crops:,} crops of one picture for {CROPS:,}")
    elif arm.extra not in ("", "none"):
        pool = f"{settings.open_images:,} rendered pictures" if settings.open_set == "birds_open" else settings.open_set
        found.append(f"an open set of {pool} for {POOL}")
    return found


def length_otherwise(paper: Published, settings: config.Settings) -> list[str]:
    """Batch and length; updates on other pictures are told beside the paper's epochs."""
    found = []
    if settings.batch != paper.batch:
        found.append(f"batch {settings.batch} for {shown(paper.batch) if paper.batch else UNPRINTED}")
    here = settings.steps == paper.length * paper.epoch(settings.dataset)
    if not here or paper.epochs != paper.length:
        epochs = f"{paper.epochs:,} epochs" if paper.epochs else f"{UNPRINTED} length"
        found.append(f"{settings.steps:,} updates for {epochs}")
    return found


def other_views(arm: Arm, settings: config.Settings, theirs: str) -> bool:
    """Whether views are not those of the paper: another preset, another strength, or something left out that it has."""
    if settings.views != theirs or settings.strength != 1.0:
        return True
    return any(getattr(each, name) != value for each in named(theirs) for name, value in arm.views.items())


def shown(value: object) -> str:
    """A value for a reader."""
    return str(value) if isinstance(value, bool) or not isinstance(value, int) else f"{value:,}"
