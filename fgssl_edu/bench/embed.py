"""Embedding an open set in shards: two Dask workers against one process, and what a worker holds as the set grows.

Rendered pictures, over and over again; the network is untrained, which changes no time. One thread each. The lists of
both have to be the same to the bit.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from fgssl_edu import coreset
from fgssl_edu.data.open_set import open_set
from fgssl_edu.data.shard_writing import Sample, write_shards
from fgssl_edu.data.shards import Index
from fgssl_edu.nets.encoders import build_encoder
from fgssl_edu.runs.cluster import open_cluster
from fgssl_edu.runs.embed import ShardLists, embedded

if TYPE_CHECKING:
    from distributed import Client

SIDE, EVAL, CENTROIDS, SHARE = 32, 40, 100, 0.01
COUNTS = {"ci": (40, 80), "lecture": (10_000, 100_000)}
PER_SHARD = {"ci": 20, "lecture": 1000}
RENDERED = {"ci": 20, "lecture": 1000}
WORKERS = 2
BARS = {"two workers to one process": 1.7, "memory, large to small": 1.1}  # at least; at most


def run(scale: str) -> dict[str, object]:
    """Every size by one process and by the workers, who have embedded a shard before anything is measured."""
    tables: dict[str, dict[str, object]] = {}
    held: list[float] = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as folder, open_cluster(WORKERS, threads=1) as client:
            _measured(_written(Path(folder) / "first", WORKERS * PER_SHARD[scale], scale), client)
            for count in COUNTS[scale]:
                index = _written(Path(folder) / str(count), count, scale)
                alone, shared = _measured(index, None), _measured(index, client)
                if not torch.equal(alone[1].indices, shared[1].indices):
                    raise RuntimeError(f"{count} images: the selections differ")
                held.append(max(client.run(peak_megabytes).values()))
                tables[f"{count:.0e}".replace("e+0", "e")] = _table(count, alone[0], shared[0], held[-1])
    finally:
        torch.set_num_threads(threads)
    last = list(tables.values())[-1]
    growth = {"memory, large to small": held[-1] / held[0]}
    last["ratios"] = {**last["ratios"], **growth}  # type: ignore[dict-item]
    last["bars"] = BARS
    return {"ratios": last["ratios"], "tables": tables}


def _table(count: int, alone: dict[str, float], shared: dict[str, float], held: float) -> dict[str, object]:
    rates = {
        name: {"wall": count / seconds["wall"], "CPU": count / seconds["cpu"]}
        for name, seconds in (("one process", alone), ("two workers", shared))
    }
    ratio = {"two workers to one process": alone["wall"] / shared["wall"]}
    return {"images_per_second": rates, "megabytes": {"a worker, at most": held}, "ratios": ratio, "bars": {}}


def _written(folder: Path, count: int, scale: str) -> Index:
    """A set of shards with rendered pictures, the same ones again after the first thousand."""
    images = open_set(RENDERED[scale], SIDE).images.images
    samples = (Sample(images[i % len(images)]) for i in range(count))
    return write_shards(samples, folder, PER_SHARD[scale], size=SIDE)


def _measured(index: Index, client: Client | None) -> tuple[dict[str, float], coreset.Coreset]:
    """Seconds on the clock and of CPU over all processes that embed, and what was chosen; nothing is kept on disk."""
    encoder = build_encoder("resnet10", seed=0)
    target = open_set(CENTROIDS, SIDE, seed=1).images.images
    centroids = embedded(encoder, target, EVAL, "cpu")
    lists = ShardLists(index, encoder, centroids, SIDE, EVAL, client=client, report=lambda line: None)
    for done in lists.place.glob("*.tar.pt"):
        done.unlink()
    before, started = _cpu_seconds(client), time.perf_counter()
    sizes = [shard.images for shard in index.shards]
    chosen = coreset.select_from_shards(sizes, lists, CENTROIDS, budget=max(1, round(SHARE * index.total)))
    return {"wall": time.perf_counter() - started, "cpu": _cpu_seconds(client) - before}, chosen


def _cpu_seconds(client: Client | None) -> float:
    """Of this process, and of the workers where there are any."""
    return time.process_time() + (0.0 if client is None else sum(client.run(time.process_time).values()))


def peak_megabytes() -> float:
    """The most memory that this process has held at once."""
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return held / 1e6 if sys.platform == "darwin" else held / 1e3
