"""How fast is it, against what a reader would otherwise use? Ratios of rounds that take turns in one process.

Seconds of two machines, or of one machine at two times, cannot be compared. So contestants see the same pictures in
turns (a, b, c, a, b, c, ...), and what counts is the median over rounds of their ratio: `fgssl bench train [--json]`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any


def main(name: str, as_json: bool = False) -> None:
    """Run one bench and print it; at scale ci in seconds, to see that it runs, with numbers that say nothing.

    Args:
        name: train, birds, panels, coreset, methods, stream or embed.
        as_json: print one JSON object and nothing after it: `ratios`, those of the course's own setting; `tables`, of
            every setting with its ratios, rates, rounds and bars; `scale` and `environment`.
    """
    from fgssl_edu import records  # late, like the benches: naming a bench wrongly is told before torch is imported

    if name not in BENCHES:
        raise ValueError(f"no bench {name!r}; choose one of {', '.join(BENCHES)}")
    scale = "ci" if os.environ.get("FGSSL_SCALE") == "ci" else "lecture"
    result = {"bench": name, "scale": scale, **BENCHES[name](scale), "environment": records.environment()}
    print(json.dumps(result) if as_json else report(result))


def report(result: Mapping[str, Any]) -> str:
    """A bench as text: every table, then every ratio beside the bar it should reach."""
    lines = [f"bench {result['bench']}, scale {result['scale']}, {result['environment']['threads']} thread(s)"]
    for name, table in result["tables"].items():
        measured = [(unit, table[unit]) for unit in UNITS if unit in table]
        for unit, rows in [*measured, ("", table["ratios"])]:
            for row, value in rows.items():
                bar = f" (bar {table['bars'][row]:g})" if row in table["bars"] else ""
                lines.append(f"{name:<10} {row:<22} {value_text(value)} {unit.replace('_', ' ')}{bar}")
    return "\n".join(lines)


def value_text(value: float | Mapping[str, float] | None) -> str:
    """A number to three digits, several by name, or that it was not run."""
    if value is None:
        return "not run"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {number:.3g}" for name, number in value.items())
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _train(scale: str) -> dict[str, object]:
    import torch

    from fgssl_edu.bench import train, train_gpu

    return train_gpu.run() if torch.cuda.is_available() and scale != "ci" else train.run(scale)


def _birds(scale: str) -> dict[str, object]:
    from fgssl_edu.bench import renderer

    return renderer.run(scale)


def _panels(scale: str) -> dict[str, object]:
    from fgssl_edu.bench import panels

    return panels.run(scale)


def _coreset(scale: str) -> dict[str, object]:
    from fgssl_edu.bench import coreset

    return coreset.run(scale)


def _methods(scale: str) -> dict[str, object]:
    from fgssl_edu.bench import methods

    return methods.run(scale)


def _stream(scale: str) -> dict[str, object]:
    from fgssl_edu.bench import stream

    return stream.run(scale)


def _embed(scale: str) -> dict[str, object]:
    from fgssl_edu.bench import embed

    return embed.run(scale)


UNITS = ("images_per_second", "images_per_cpu_second", "milliseconds", "megabytes")
BENCHES = {"train": _train, "birds": _birds, "panels": _panels, "coreset": _coreset, "methods": _methods}
BENCHES |= {"stream": _stream, "embed": _embed}
