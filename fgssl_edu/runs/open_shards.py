"""A coreset from an open set that lies in shards, larger than memory: chosen, written down, and trained on.

Only features and pictures of one shard at a time are held, and in the end the pictures that were chosen. A list that
was written before (`fgssl coreset`, on a cluster say) is trained on as it is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fgssl_edu import config, coreset
from fgssl_edu.coreset import Coreset
from fgssl_edu.data.image_set import ImageSet, Splits
from fgssl_edu.data.shards import Index, check_on_bad, read_index, read_pictures
from fgssl_edu.runs import arms, cluster, coresets, named_data, parameters
from fgssl_edu.runs.embed import ShardLists, embedded

if TYPE_CHECKING:
    from distributed import Client

SLUG = "simcore"
SHARDS, LISTED = "shards:", "coreset:"  # open sets of these names: a folder of shards, a list chosen from one before


def named(open_set: str) -> bool:
    """Whether an open set is one of those that lie in shards."""
    return open_set.startswith((SHARDS, LISTED))


def identity(open_set: str) -> str:
    """A digest of the shards, or the list's content; empty for other open sets."""
    if open_set.startswith(LISTED):
        return place(open_set).read_text(encoding="utf-8")
    return read_index(place(open_set)).digest if named(open_set) else ""


def place(open_set: str) -> Path:
    """The folder or the file that an open set of this kind names."""
    return Path(open_set.partition(":")[2]).expanduser().resolve()


def training_images(
    choice: str, settings: config.Settings, learner: arms.Arm = arms.ARMS[SLUG]["x"]
) -> tuple[Tensor, Splits, dict[str, float]]:
    """As `coresets.training_images`; which pictures of the shards are relevant nobody has said."""
    splits = coresets.target_of(settings)
    if choice == "none":
        return splits.train.images, splits, {}
    if settings.open_set.startswith(LISTED):
        index, chosen = listed_before(place(settings.open_set), choice)
    else:
        index = read_index(place(settings.open_set))
        chosen = choose(choice, settings, index, splits.train, learner)
        keep(None, choice, settings, index, chosen)
    pictures = read_pictures(index, chosen.indices, settings.image_size)
    images = pictures if choice == "only" else torch.cat([splits.train.images, pictures])
    return images, splits, {"coreset/size": float(len(chosen))}


def choose(
    choice: str,
    settings: config.Settings,
    index: Index,
    target: ImageSet,
    learner: arms.Arm = arms.ARMS[SLUG]["x"],
    client: Client | None = None,
    on_bad: str = "raise",
    report: Callable[[str], None] = print,
) -> Coreset:
    """Choose from shards.

    Args:
        choice: one of `coresets.CHOICES` that can be made shard by shard.
        settings: give budget (share of the open set), centroids, tau and the seed.
        index: of the shards.
        target: X.
        learner: the arm whose method learns the features on X.
        client, on_bad, report: see `embed.ShardLists`.
    """
    if choice in coresets.BLIND:
        return coresets.blind(choice, settings, index.total)
    if choice not in coresets.SIMCORE:
        possible = ", ".join((*coresets.SIMCORE, *coresets.BLIND))
        raise ValueError(f"extra={choice!r}: from shards one of {possible} can be chosen, the rest needs all features")
    raw = choice == "raw"
    encoder = arms.untrained(settings) if raw else coresets.encoder_on_x(settings, target, learner, progress="auto")
    features = embedded(encoder, target.images, settings.eval_size, device_of(settings))
    means = coreset.centroids(features, settings.centroids, settings.seed)
    device = device_of(settings) if client is None else "cuda" if cluster.share_of_gpu(client) else "cpu"
    sides = settings.image_size, settings.eval_size
    lists = ShardLists(index, encoder, means, *sides, device, on_bad, client, report)
    sizes = [shard.images for shard in index.shards]
    return coreset.select_from_shards(sizes, lists, len(means), **coresets.rule(choice, settings, index.total))


def keep(path: Path | None, choice: str, settings: config.Settings, index: Index, chosen: Coreset) -> Path:
    """Write a choice with where each picture lies; None: under the cache folder."""
    source = {"shards": str(index.folder.resolve()), "digest": index.digest, "pictures": index.source["provenance"]}
    provenance = coresets.provenance_of(choice, settings, source)
    starts = torch.tensor([index.starts[shard.name] for shard in index.shards])
    numbers = torch.searchsorted(starts, chosen.indices, right=True) - 1
    within = (chosen.indices - starts[numbers]).tolist()
    names = [f"{index.shards[number].name}/{row}" for number, row in zip(numbers.tolist(), within, strict=True)]
    path = coresets.place_of_list(provenance, settings) if path is None else path
    return coreset.save(path, chosen, index.total, provenance, names)


def listed_before(path: Path, choice: str) -> tuple[Index, Coreset]:
    """The shards and the choice of a list; ValueError where it is of another choice, or the shards are others now."""
    chosen, provenance = coreset.load(path)
    if "shards" not in provenance:
        raise ValueError(f"{path} was not chosen from shards; give its open set itself, {provenance.get('open_set')}")
    if provenance["choice"] != choice:
        raise ValueError(f"{path} holds the choice {provenance['choice']!r}, and the arm trains on {choice!r}")
    index = read_index(Path(provenance["shards"]))
    if index.digest != provenance["digest"]:
        raise ValueError(f"{path} was chosen from other shards than those that are in {index.folder} now; choose again")
    return index, chosen


def write_list(
    target: str,
    folder: Path,
    out: Path,
    given: Mapping[str, object],
    jobs: int | None = None,
    scheduler: str | None = None,
    on_bad: str = "raise",
    report: Callable[[str], None] = print,
) -> Path:
    """Choose from shards for a target set, and write the list.

    Args:
        target: X, a data set's name or folder:PATH.
        folder: of the shards.
        out: file to write.
        given: parameters of the lesson simcore; `method` says which arm's choice, SimCore with a budget if left out.
        jobs: Dask workers on this machine; None embeds in this process.
        scheduler: address of a Dask scheduler whose workers are used in their place.
        on_bad: "raise", or "skip" what is missing or damaged.
        report: receives lines of progress.

    Raises:
        ValueError: whatever is wrong, before anything is trained.
    """
    check_on_bad(on_bad)
    if out.is_dir() or not os.access(next(parent for parent in out.absolute().parents if parent.exists()), os.W_OK):
        raise ValueError(f"{out} cannot be written: name a file in a folder of yours")
    if jobs is not None and scheduler is not None:
        raise ValueError(f"--scheduler {scheduler} has the workers that it has; leave out --jobs {jobs}")
    wanted = {
        "method": SLUG,
        **given,
        "dataset": named_data.absolute(target),
        "open_set": f"{SHARDS}{folder.resolve()}",
    }
    resolved = config.resolve(SLUG, wanted, of_arm=partial(parameters.changed, SLUG))
    settings = resolved.settings
    parameters.check_names(SLUG, settings)
    parameters.check_arm(SLUG, settings)
    named_data.check_data(resolved)
    arm, index = arms.arm_named(SLUG, settings.method), read_index(folder.resolve())
    images = coresets.target_of(settings).train
    alone = jobs is None and scheduler is None
    with nullcontext() if alone else cluster.open_cluster(jobs, scheduler) as client:
        chosen = choose(arm.extra, settings, index, images, arm, client, on_bad, report)
    report(f"{len(chosen):,} of {index.total:,} pictures chosen, in {len(chosen.values)} rounds")
    return keep(out, arm.extra, settings, index, chosen)


def device_of(settings: config.Settings) -> str:
    """Where this process embeds."""
    asked = settings.accelerator
    return asked if asked != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
