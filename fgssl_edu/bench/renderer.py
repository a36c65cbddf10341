"""The renderer of the birds on one thread, images a second of CPU time."""

from __future__ import annotations

import time

import torch

from fgssl_edu.bench.rounds import Rates, medians, ratio
from fgssl_edu.data import birds

BLOCK = 64  # pictures rendered at once
COUNTS = {"ci": {32: 8, 48: 4}, "lecture": {64: 256, 224: 32}}  # side in pixels -> pictures a round
ROUNDS = {"ci": 1, "lecture": 5}
BARS = {"ci": {}, "lecture": {"64 px": 700.0}}  # images a second that a core should reach


def run(scale: str) -> dict[str, object]:
    """Render species in turn, a new draw of everything else in every round."""
    rates: Rates = {f"{side} px": [] for side in COUNTS[scale]}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for turn in range(ROUNDS[scale] + 1):  # the first is not counted
            for side, count in COUNTS[scale].items():
                rate = images_per_second(side, count, seed=turn)
                if turn:
                    rates[f"{side} px"].append(rate)
    finally:
        torch.set_num_threads(threads)
    small, large = rates
    ratios = {"large_to_small": ratio(rates, large, small)}
    table = {"images_per_second": medians(rates), "ratios": ratios, "rounds": rates, "bars": BARS[scale]}
    return {"ratios": ratios, "tables": {"birds": table}}


def images_per_second(side: int, count: int, seed: int) -> float:
    """Images a second of CPU time, drawing of the factors left out."""
    world, index = birds.World.make(), torch.arange(count)
    factors = birds.sample(world, index % len(world.names), index, seed, birds.Knobs())
    started = time.process_time()
    for block in index.split(BLOCK):
        birds.render(factors.subset(block), side)
    return count / (time.process_time() - started)
