"""Selecting a coreset: the streaming form against the literal algorithm, CPU time and memory, each in its own process.

Features lie on an integer grid and some rows are repeated, so that there are exact ties and both must take the same
images in the same order. The literal algorithm keeps every centroid's ranking of the whole pool as a queue (SimCore,
arXiv 2303.11101, as its released code does).
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

from fgssl_edu.coreset import select_by_similarity, similarity_blocks

CENTROIDS = 100
DIM = 128
KINDS = 25  # clusters of the pool that the target has too: four centroids each
PART = 8192  # rows of the pool made at once: little beside what is measured
BLOCK_ROWS = 65_536
COUNTS = {"ci": (10_000,), "lecture": (10_000, 100_000, 1_000_000)}
SHARES = (0.01, 0.05)
TURNS = {"ci": ("ours", "literal"), "lecture": ("ours", "literal", "ours", "ours")}
LITERAL_BYTES = 50 * CENTROIDS  # per image: a Python integer and its place in a queue for each centroid, and what sorts
SPEED_BAR, MEMORY_BAR_MB, LINEAR_BAR = 10.0, 1000.0, 0.7  # times, at most, of the rate

Result = dict[str, float | list[int]]


def run(scale: str) -> dict[str, object]:
    """Every size and share in turns; ratios are of the largest size, and of images a second at the two largest."""
    tables: dict[str, dict[str, dict[str, object]]] = {}
    for count in COUNTS[scale]:
        tables[f"{count:.0e}".replace("e+0", "e")] = table(count, scale)
    ratios = list(tables.values())[-1]["ratios"]
    growth = linearity(tables)
    if growth:
        tables["growth"] = {"ratios": growth, "bars": dict.fromkeys(growth, LINEAR_BAR)}
    return {"ratios": {**ratios, **growth}, "tables": tables}


def table(count: int, scale: str) -> dict[str, dict[str, object]]:
    """One size: CPU milliseconds (after the similarities, in all), megabytes above the input, ratios to the literal."""
    milliseconds: dict[str, object] = {}
    megabytes: dict[str, object] = {}
    ratios: dict[str, object] = {}
    bars: dict[str, object] = {}
    for share in SHARES:
        runs: dict[str, list[Result]] = {"ours": [], "literal": []}
        for name in TURNS[scale]:
            if name == "ours" or available_bytes() > LITERAL_BYTES * count * 1.3:
                runs[name].append(measured(name, count, share, own_process=scale != "ci"))
        rows = {name: {key: median(found, key) for key in ("after", "all")} for name, found in runs.items() if found}
        for name, row in rows.items():
            milliseconds[f"{name}, {share:.0%}"] = row
            megabytes[f"{name}, {share:.0%}"] = median(runs[name], "megabytes")
        for key, words in (("after", "after similarities"), ("all", "in all")):
            known = "literal" in rows
            ratios[f"{words}, {share:.0%}"] = rows["literal"][key] / rows["ours"][key] if known else None
        if any(other["indices"] != runs["ours"][0]["indices"] for found in runs.values() for other in found):
            raise RuntimeError(f"{count} images, share {share}: the selections differ")
        if count == 1_000_000:
            bars |= {f"after similarities, {share:.0%}": SPEED_BAR, f"ours, {share:.0%}": MEMORY_BAR_MB}
    return {"milliseconds": milliseconds, "megabytes": megabytes, "ratios": ratios, "bars": bars}


def linearity(tables: dict[str, dict[str, dict[str, object]]]) -> dict[str, object]:
    """Images a second in all at each size over those at the next smaller one: 1 where time grows with N."""
    found: dict[str, object] = {}
    names = list(tables)
    for small, large in zip(names, names[1:], strict=False):
        for share in SHARES:
            rates = [
                float(name) / tables[name]["milliseconds"][f"ours, {share:.0%}"]["all"]  # type: ignore[index]
                for name in (small, large)
            ]
            found[f"linear {small} to {large}, {share:.0%}"] = rates[1] / rates[0]
    return found


def median(runs: list[Result], key: str) -> float:
    """Over the runs of one contestant."""
    return statistics.median(float(run[key]) for run in runs)  # type: ignore[arg-type]


def measured(name: str, count: int, share: float, own_process: bool) -> Result:
    """One selection on one thread: CPU milliseconds "after" the similarities and in "all", "megabytes", "indices".

    Megabytes are what the process held at most, above what it held when the pool was ready; of a process of its own,
    or the peak may be an older one.
    """
    if not own_process:
        return _measure(name, count, share)
    context = multiprocessing.get_context("forkserver")  # imports torch once for all children
    context.set_forkserver_preload([__name__])
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_measure, name, count, share).result()


def _measure(name: str, count: int, share: float) -> Result:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        features, centroids = made(count)
        watch = Stopwatch(lambda: similarity_blocks([features], centroids, BLOCK_ROWS))
        select = {"ours": ours, "literal": literal}[name]
        _ = torch.zeros(512, 512) @ torch.zeros(512, 512)  # the first product loads its library
        before, started = peak_bytes(), time.process_time()
        indices = select(watch, max(1, round(share * count)))
        seconds = time.process_time() - started
        return {
            "after": 1000 * (seconds - watch.seconds),
            "all": 1000 * seconds,
            "megabytes": (peak_bytes() - before) / 1e6,
            "indices": indices,
        }
    finally:
        torch.set_num_threads(threads)


class Stopwatch:
    """A stream of similarities that can be started afresh, and the CPU seconds that making them took."""

    def __init__(self, blocks: Callable[[], Iterator[Tensor]]) -> None:
        self.blocks, self.seconds = blocks, 0.0

    def __call__(self) -> Iterator[Tensor]:
        stream = self.blocks()
        while True:
            started = time.process_time()
            block = next(stream, None)
            self.seconds += time.process_time() - started
            if block is None:
                return
            yield block


def ours(blocks: Callable[[], Iterator[Tensor]], budget: int) -> list[int]:
    """The streaming form, lists as long at the start as `select_coreset` makes them."""
    found = select_by_similarity(blocks, budget, list_length=max(64, 4 * -(-budget // CENTROIDS)))
    return found.indices.tolist()


def literal(blocks: Callable[[], Iterator[Tensor]], budget: int) -> list[int]:
    """The algorithm as it is written down: all rankings in full; equal similarities by index, the last round cut."""
    similarity = torch.cat(list(blocks()), dim=1)  # (K, N)
    queues = [deque(row.argsort(descending=True, stable=True).tolist()) for row in similarity]
    indices: list[int] = []
    taken: set[int] = set()
    while len(indices) < min(budget, similarity.shape[1]):
        best: dict[int, float] = {}
        for row, queue in zip(similarity, queues, strict=True):
            while queue[0] in taken:
                queue.popleft()
            pick = queue.popleft()
            best[pick] = max(best.get(pick, -2.0), float(row[pick]))
        indices += sorted(best, key=lambda pick: (-best[pick], pick))[: budget - len(indices)]
        taken |= best.keys()
    return indices


def made(count: int) -> tuple[Tensor, Tensor]:
    """A pool on an integer grid, (N, D) int8, a third of it near the target; each eighth row repeats its neighbour."""
    generator = torch.Generator().manual_seed(0)
    kinds = torch.randint(-2, 3, (KINDS, DIM), generator=generator)
    near = torch.arange(CENTROIDS) % KINDS
    centroids = 2 * kinds[near] + torch.randint(-1, 2, (CENTROIDS, DIM), generator=generator)
    features = torch.empty(count, DIM, dtype=torch.int8)
    for start in range(0, count, PART):
        part = features[start : start + PART]
        part.copy_(torch.randint(-3, 4, part.shape, generator=generator))
        mine = torch.rand(len(part), generator=generator) < 1 / 3
        kind = kinds[torch.randint(0, KINDS, (int(mine.sum()),), generator=generator)]
        part[mine] += kind.to(torch.int8)
        part[7::8] = part[6::8][: len(part[7::8])]
    return features, centroids


def peak_bytes() -> int:
    """The most memory that this process has held at once."""
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return held if sys.platform == "darwin" else 1024 * held


def available_bytes() -> int:
    """Memory that can be had without swapping."""
    listed = Path("/proc/meminfo")
    if listed.is_file():
        fields = dict(line.split(":") for line in listed.read_text().splitlines())
        return 1024 * int(fields["MemAvailable"].split()[0])
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
