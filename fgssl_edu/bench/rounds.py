"""Contestants take turns in one process; what counts is the median over rounds of a ratio."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

import torch

Contestant = Callable[[int], int]  # number of the round -> images it went through
Rates = dict[str, list[float]]  # contestant -> images a second in each round


def interleave(
    contestants: Mapping[str, Contestant],
    rounds: int,
    device: str = "cpu",
    clock: Callable[[], float] = time.perf_counter,
) -> Rates:
    """Time every contestant in every round.

    Args:
        contestants: what is compared, by name; called with the number of the round.
        rounds: that count; one more comes first, for caches, workers and memory to settle.
        device: "cuda" waits for the GPU before the clock is read.
        clock: seconds; `time.process_time` for those of the CPU.

    Returns:
        Images a second of the clock.
    """
    rates: Rates = {name: [] for name in contestants}
    for turn in range(rounds + 1):
        for name, contestant in contestants.items():
            started = clock()
            images = contestant(turn)
            if device == "cuda":
                torch.cuda.synchronize()
            if turn:
                rates[name].append(images / (clock() - started))
    return rates


def medians(rates: Rates) -> dict[str, float]:
    """Images a second of each contestant, median over rounds."""
    return {name: statistics.median(values) for name, values in rates.items()}


def ratio(rates: Rates, over: str, under: str) -> float | None:
    """Median over rounds of the ratio of two contestants; None where one of them did not run."""
    if over not in rates or under not in rates:
        return None
    return statistics.median(a / b for a, b in zip(rates[over], rates[under], strict=True))
