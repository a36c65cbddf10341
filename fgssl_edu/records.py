"""Records of runs: what was run, where, what came out, as JSON that is whole or absent; statistics between runs.

Intervals here are between runs (seeds): Student's t on the runs' values. Intervals between test images are bootstrapped
in `evaluate.statistics`; a table says which of the two it shows.
"""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from fgssl_edu import paths

RECORD = "record.json"
METRICS = "metrics.json"
VERSIONS = ("fgssl-edu", "torch", "torchvision", "lightning-fabric", "scikit-learn", "numpy", "matplotlib", "papermill")
GIT_TIMEOUT_S = 10


def write_record(folder: Path, record: Mapping[str, object]) -> Path:
    """Write a run's record; it appears whole or not at all, and a run is complete when it is there.

    Args:
        folder: of the run; made if need be.
        record: anything JSON can hold; numbers that are not finite become null.

    Returns:
        The path of the written file.
    """
    return paths.atomic_write(folder / RECORD, _dumps({**record, "complete": True}))


def read_record(folder: Path) -> dict[str, Any]:
    """The record of a complete run.

    Raises:
        ValueError: the run has no record, or the file is damaged or from a run that did not finish.
    """
    path = folder / RECORD
    if not path.is_file():
        raise ValueError(f"{folder} holds no {RECORD}: the run did not finish; start it again with the same settings")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}); delete it and run again") from error
    if not isinstance(record, dict) or record.get("complete") is not True:
        raise ValueError(f"{path} is of a run that did not finish; start it again with the same settings")
    return record


def write_metrics(folder: Path, metrics: Mapping[str, Any]) -> Path:
    """Write what a notebook measured, before the run is known to be complete.

    Args:
        folder: of the run.
        metrics: name -> number or `evaluate.statistics.Score`.

    Returns:
        The path of `metrics.json`: name -> value, and for a Score its bootstrap interval, item count and protocol.
    """
    return paths.atomic_write(folder / METRICS, _dumps({name: measured(value) for name, value in metrics.items()}))


def measured(value: Any) -> dict[str, object]:
    """A number as a record has it; of a Score also its bootstrap interval, item count and protocol."""
    if not hasattr(value, "protocol"):
        return {"value": float(value)}
    low, high = value.interval()
    count = None if value.per_item is None else len(value.per_item)
    return {"value": value.value, "low": low, "high": high, "n": count, "protocol": value.protocol}


def _dumps(value: object) -> str:
    return json.dumps(_plain(value), indent=1, allow_nan=False) + "\n"


def _plain(value: object) -> object:
    """The same value in types that JSON has: NaN and infinities become null, paths text, tuples lists."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, Path):
        return str(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def environment() -> dict[str, object]:
    """What a result may depend on beside its settings: versions, commit, device, threads, platform."""
    import torch  # late: reading a record needs no torch

    return {
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in VERSIONS},
        "commit": _commit(),
        "code": paths.code_hash(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "platform": platform.platform(),
    }


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The checkout's commit, with "+changes" where files differ from it; None for an installed package."""
    if not paths.is_checkout():
        return None
    command = [
        "git",
        "-C",
        str(paths.PACKAGE.parent),
        "describe",
        "--always",
        "--abbrev=12",
        "--dirty=+changes",
        "--exclude=*",
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=GIT_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def _spread(values: Sequence[float], level: float) -> tuple[float, float, float]:
    """(mean, sample standard deviation, two-sided t quantile) of at least one value; the last two are NaN for one."""
    if not values:
        raise ValueError("no values: an interval needs at least one run")
    count = len(values)
    mean = math.fsum(values) / count
    if count == 1:
        return mean, math.nan, math.nan
    from scipy.stats import t  # late: 1 s to import

    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1))
    return mean, deviation, float(t.ppf((1 + level) / 2, count - 1))


def interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float, float]:
    """Mean of runs with the confidence interval of the mean, mean ± t·s/sqrt(n).

    Args:
        values: one number a run (seed).
        level: coverage, in (0, 1).

    Returns:
        (mean, low, high); low and high are NaN for a single run, whose spread nobody knows.
    """
    mean, deviation, quantile = _spread(values, level)
    half = quantile * deviation / math.sqrt(len(values))
    return mean, mean - half, mean + half


def prediction_band(values: Sequence[float], level: float = 0.95) -> tuple[float, float, float]:
    """Where one more run should land, mean ± t·s·sqrt(1 + 1/n): ± 5.0 s for three runs, ± 3.0 s for five.

    Returns:
        (mean, low, high); low and high are NaN for a single run.
    """
    mean, deviation, quantile = _spread(values, level)
    half = quantile * deviation * math.sqrt(1 + 1 / len(values))
    return mean, mean - half, mean + half


def paired_difference(a: Sequence[float], b: Sequence[float], level: float = 0.95) -> tuple[float, float, float]:
    """Mean of a - b over runs paired by seed, with its confidence interval by t.

    Raises:
        ValueError: the two have different numbers of runs.
    """
    if len(a) != len(b):
        raise ValueError(f"{len(a)} and {len(b)} runs cannot be paired; give both the same seeds, in the same order")
    return interval([first - second for first, second in zip(a, b, strict=True)], level)


def load_reference(slug: str) -> dict[str, Any]:
    """The shipped record of a lesson's whole experiment: every arm, every seed.

    Raises:
        ValueError: no record is shipped for this lesson.
    """
    folder = resources.files("fgssl_edu") / "reference"
    file = folder / f"{slug}.json"
    if not file.is_file():
        shipped = sorted(item.name.removesuffix(".json") for item in folder.iterdir()) if folder.is_dir() else []
        raise ValueError(
            f"no reference record for {slug!r}; shipped: {', '.join(shipped) or 'none'}; "
            f"make it with `fgssl reference {slug}`"
        )
    record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return record
