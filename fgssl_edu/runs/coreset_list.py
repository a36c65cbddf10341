"""What `fgssl coreset` does: choose from an open set in shards for a target set, on one process or many."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from fgssl_edu import config
from fgssl_edu.data.shards import check_on_bad, read_index
from fgssl_edu.runs import arms, cluster, coresets, named_data, open_shards, parameters

SLUG = "simcore"


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
    folder = open_shards.place(f"{open_shards.SHARDS}{folder}")
    wanted = {
        "method": SLUG,
        **given,
        "dataset": named_data.absolute(target),
        "open_set": f"{open_shards.SHARDS}{folder}",
    }
    resolved = config.resolve(SLUG, wanted, of_arm=partial(parameters.changed, SLUG))
    settings = resolved.settings
    parameters.check_names(SLUG, settings)
    parameters.check_arm(SLUG, settings)
    named_data.check_data(resolved)
    arm, index = arms.arm_named(SLUG, settings.method), read_index(folder)
    images = coresets.target_of(settings).train
    alone = jobs is None and scheduler is None
    with nullcontext() if alone else cluster.open_cluster(jobs, scheduler) as client:
        chosen = coresets.choose_from_shards(arm.extra, settings, index, images, arm, client, on_bad, report)
    report(f"{len(chosen):,} of {index.total:,} pictures chosen, in {len(chosen.values)} rounds")
    provenance = coresets.provenance_of(arm.extra, settings, open_shards.source_of(index))
    return open_shards.keep(out, index, chosen, provenance)
