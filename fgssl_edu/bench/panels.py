"""From a moved control to a new picture, milliseconds of wall time and of CPU time, and how soon the first one comes.

Wall time is what a lecturer waits; on a busy machine CPU time says what of it is the panel's own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

from fgssl_edu.bench.contestants import embedding, encoders, finegrained, pretext, records
from fgssl_edu.bench.contestants.contestant import Contestant
from fgssl_edu.data import catalog
from fgssl_edu.data.image_set import Splits
from fgssl_edu.nets.encoders import build_encoder
from fgssl_edu.panels.panel import Panel

MOVES = {"ci": 2, "lecture": 40}
IMAGES = {"ci": 48, "lecture": 480}  # of training and of test
FIRSTS = {"ci": 1, "lecture": 7}  # panels built to time the first picture, after one to warm up
FIRST_MS = 300.0  # bar of the first picture
PREPARED_MS = {"coreset": 2500.0}  # the first picture, after k-means and selections at every k: moves then need none


def run(scale: str) -> dict[str, object]:
    """Build each panel several times, then move one of its controls through states that it has not drawn before."""
    splits = catalog.load("birds", image_size=64, train_images=IMAGES[scale], test_images=IMAGES[scale])
    tables: dict[str, dict[str, Any]] = {}
    for name, (make, moves_by_name, bar) in contestants(splits, MOVES[scale]).items():
        make()
        times = {"first": [timed(make) for _ in range(FIRSTS[scale])]}
        panel = make()
        times |= {move: [timed_move(panel, values) for values in moves] for move, moves in moves_by_name.items()}
        tables[name] = table(times, bar, PREPARED_MS.get(name, FIRST_MS))
    ratios = {f"{name} {row}": value for name, rows in tables.items() for row, value in rows["ratios"].items()}
    return {"ratios": ratios, "tables": tables}


def contestants(splits: Splits, moves: int) -> dict[str, Contestant]:
    """Panel -> how it is built, the moves to time (none of a state drawn before: it begins with picture 0), its bar."""
    untrained = {f"seed {seed}": build_encoder("resnet10", seed=seed) for seed in (0, 1)}
    return {
        "neighbours": encoders.neighbours(splits, untrained, moves),
        "strength": encoders.strength(splits, untrained, moves),
        "gradcam": encoders.gradcam(splits, untrained, moves),
        "rotation": pretext.rotation(splits, moves),
        "puzzle": pretext.puzzle(splits, moves),
        "colour": pretext.colour(splits, moves),
        "hole": pretext.hole(splits, moves),
        "without": embedding.without_part(moves),
        "sinkhorn": embedding.sinkhorn(moves),
        "concepts": embedding.concepts(splits, moves),
        "masked": embedding.masked(splits, moves),
        "farm": embedding.farm(untrained, moves),
        "attention": embedding.attention(splits, moves),
        "rationale": finegrained.rationale(splits, moves),
        "perturbation": finegrained.perturbation(splits, untrained, moves),
        "coreset": finegrained.coreset_budget(splits, moves),
        "scoreboard": records.board(moves),
    }


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Milliseconds of wall time and of CPU time."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return 1000 * (time.perf_counter() - wall), 1000 * (time.process_time() - cpu)


def timed_move(panel: Panel, values: Mapping[str, object]) -> tuple[float, float]:
    """Time a move by code, which draws at once; one that found its picture in the cache is an error of this bench."""
    drawn = panel.drawn
    times = timed(lambda: panel.set(**values))
    assert panel.drawn == drawn + 1, f"{dict(values)} was drawn before"
    return times


def table(times: Mapping[str, list[tuple[float, float]]], bar: float, first: float) -> dict[str, object]:
    """Median and 95th percentile of each move, and what its wall time is of its bar."""
    rows = {move: percentiles(pairs) for move, pairs in times.items()}
    bars = {move: first if move == "first" else bar for move in times}
    ratios = {f"{move}, p95 to bar": row["wall p95"] / bars[move] for move, row in rows.items()}
    return {"milliseconds": rows, "ratios": ratios, "bars": bars}


def percentiles(pairs: list[tuple[float, float]]) -> dict[str, float]:
    """Median and 95th percentile of (wall, CPU) pairs."""
    p50, p95 = torch.tensor(pairs).quantile(torch.tensor([0.5, 0.95]), dim=0).tolist()
    return {"wall p50": p50[0], "wall p95": p95[0], "cpu p50": p50[1], "cpu p95": p95[1]}
