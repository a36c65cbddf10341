"""From a moved control to a new picture, milliseconds of wall time and of CPU time, and how soon the first one comes.

Wall time is what a lecturer waits; on a busy machine CPU time says what of it is the panel's own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from itertools import islice, product
from typing import Any, TypeAlias

import torch

from fgssl_edu.data import catalog
from fgssl_edu.data.image_set import UNLABELLED, ImageSet, Splits
from fgssl_edu.data.open_set import OpenSet
from fgssl_edu.evaluate.features import extract
from fgssl_edu.methods.finegrained.common_rationale import CommonRationale
from fgssl_edu.methods.finegrained.pairs_shown import remember
from fgssl_edu.methods.finegrained.synthesized_pairs import SynthesizedPairs
from fgssl_edu.methods.pretext.colorization import Colorization
from fgssl_edu.methods.pretext.inpainting import Inpainting
from fgssl_edu.methods.pretext.jigsaw import Jigsaw
from fgssl_edu.methods.pretext.rotation import Rotation
from fgssl_edu.nets.encoders import Encoder, build_encoder
from fgssl_edu.panels.augmentation import AugmentationStrength
from fgssl_edu.panels.colour import PaintedColours
from fgssl_edu.panels.coreset_budget import BUDGETS, KS, TAUS, CoresetBudget
from fgssl_edu.panels.gradcam_views import GradCAMViews
from fgssl_edu.panels.hole import FilledHole
from fgssl_edu.panels.neighbours import NeighbourBrowser
from fgssl_edu.panels.panel import Panel
from fgssl_edu.panels.perturbation import PerturbationStrength
from fgssl_edu.panels.puzzle import WIDEST_GAP, JigsawPuzzle
from fgssl_edu.panels.rationale import RationaleMaps
from fgssl_edu.panels.rotation import EXACT, LIT, MISSED, STEP, RotationQuestion

MOVES = {"ci": 2, "lecture": 40}
IMAGES = {"ci": 48, "lecture": 480}  # of training and of test
FIRSTS = {"ci": 1, "lecture": 7}  # panels built to time the first picture, after one to warm up
PICTURES_MS, NETWORKS_MS, FIRST_MS = 100.0, 150.0, 300.0  # 95th percentile: pictures alone; with a network; the first
PREPARED_MS = {"coreset": 2500.0}  # the first picture, after k-means and selections at every k: moves then need none
EVAL_SIZE = 40  # px, as the lessons have it at scale lecture
TARGET, HEAP = 480, 6000  # pictures of X and of the open set, the lesson's own at lecture: times grow with them
SHARE_RELEVANT = 0.12  # of the heap
PROTOTYPES = 256  # of the clusters that are browsed
Moves: TypeAlias = Iterable[Mapping[str, object]]
Contestant: TypeAlias = tuple[Callable[[], Panel], dict[str, Moves], float]


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
    """Panel -> how it is built, the moves to time (none of a state drawn before), and the bar, milliseconds."""
    encoders = {f"seed {seed}": build_encoder("resnet10", seed=seed) for seed in (0, 1)}
    features = {name: extract(encoder, splits.test.images, EVAL_SIZE) for name, encoder in encoders.items()}
    pictures = range(1, moves + 1)  # a panel begins with picture 0
    return {
        "neighbours": (
            lambda: NeighbourBrowser(features, splits.test),
            {"picture": [{"query": i} for i in pictures]},
            PICTURES_MS,
        ),
        "strength": (
            lambda: AugmentationStrength(encoders["seed 0"], splits.test),
            {
                "picture": [{"picture": i} for i in pictures],
                "strength": [{"picture": moves + 1 + i // 20, "strength": i % 20 / 10} for i in range(moves)],
            },
            NETWORKS_MS,
        ),
        "gradcam": (
            lambda: GradCAMViews(encoders, splits, EVAL_SIZE),
            {
                "picture": [{"picture": i} for i in pictures],
                "part": [{"picture": i, "attribute": "crown"} for i in pictures],
                "sky": [{"sky": i} for i in pictures],
            },
            NETWORKS_MS,
        ),
        "rationale": rationale(splits, moves),
        "rotation": rotation(splits, moves),
        "hole": hole(splits, moves),
        "puzzle": puzzle(splits, moves),
        "colour": colour(splits, moves),
        "perturbation": perturbation(splits, encoders, moves),
        "coreset": coreset_budget(splits, moves),
    }


def rationale(splits: Splits, moves: int) -> Contestant:
    """Two untrained LCR methods of as many kernels as the lesson's."""
    methods = {
        f"seed {seed}": CommonRationale(build_encoder("resnet10", seed=seed), queue=256, seed=seed) for seed in (0, 1)
    }
    return (
        lambda: RationaleMaps(methods, splits, EVAL_SIZE),
        {
            "picture": [{"picture": i} for i in range(1, moves + 1)],
            "kernel": [{"picture": moves + 1 + i // 20, "kernel": 1 + i % 20} for i in range(moves)],
        },
        NETWORKS_MS,
    )


def rotation(splits: Splits, moves: int) -> Contestant:
    """Two untrained rotation networks, one with the lesson's head."""
    methods = {
        f"{head} head": Rotation(build_encoder("resnet10", seed=seed), head=head, seed=seed)
        for seed, head in enumerate(("conv", "linear"))
    }
    return (
        lambda: RotationQuestion(methods, splits, EVAL_SIZE),
        {
            "picture": [{"picture": i} for i in range(1, moves + 1)],
            "angle": states(moves, how=[EXACT, MISSED, LIT], picture=[0], angle=range(STEP, 360, STEP)),
        },
        NETWORKS_MS,
    )


def hole(splits: Splits, moves: int) -> Contestant:
    """Two untrained context encoders."""
    methods = {
        f"seed {seed}": Inpainting(build_encoder("resnet10", seed=seed), adversarial=0.01 * seed, seed=seed)
        for seed in (0, 1)
    }
    places = [place / 20 for place in range(21)]
    return (
        lambda: FilledHole(methods, splits),
        {
            "picture": [{"picture": i} for i in range(1, moves + 1)],
            "square": states(moves, picture=[0], down=[0.0, 0.25, 0.75], across=places),
        },
        NETWORKS_MS,
    )


def puzzle(splits: Splits, moves: int) -> Contestant:
    """An untrained jigsaw with as many orders as the lesson's; a gap that is new measures its accuracies anew."""
    method = Jigsaw(build_encoder("resnet10", seed=0))
    return (
        lambda: JigsawPuzzle({"seed 0": method}, splits),
        {
            "picture": [{"picture": i} for i in range(1, moves + 1)],
            "gap": states(moves, picture=[moves + 1], per_tile_norm=[False, True], gap=[0, *range(3, WIDEST_GAP + 1)]),
        },
        NETWORKS_MS,
    )


def colour(splits: Splits, moves: int) -> Contestant:
    """One untrained network of the lesson's 77 bins."""
    method = Colorization(build_encoder("resnet10", seed=0))
    temperatures = [{"picture": moves + 1 + i // 20, "temperature": i % 20 / 20} for i in range(moves)]
    return (
        lambda: PaintedColours({"seed 0": method}, splits.test, EVAL_SIZE),
        {"picture": [{"picture": i} for i in range(1, moves + 1)], "temperature": temperatures},
        NETWORKS_MS,
    )


def perturbation(splits: Splits, encoders: dict[str, Encoder], moves: int) -> Contestant:
    """An untrained method that has seen the training pictures, asked about by two encoders as in the lesson."""
    method = SynthesizedPairs(
        build_encoder("resnet10", seed=0), decoder_size=EVAL_SIZE, queue=256, memory=len(splits.train)
    )
    remember(method, splits.train.views())
    pictures = range(1, moves + 1)
    return (
        lambda: PerturbationStrength(method, splits, encoders),
        {
            "picture": [{"picture": i} for i in pictures],
            "sigma_cam": [
                {"picture": moves + 1 + i // 20, "sigma_cam": round(0.1 * (i % 20), 1)} for i in range(moves)
            ],
            "renderer": [{"picture": i, "decoder": "renderer"} for i in pictures],
        },
        NETWORKS_MS,
    )


def coreset_budget(splits: Splits, moves: int) -> Contestant:
    """Random features of a heap as large as the lesson's, whose pictures are the test birds again and again."""
    count = HEAP * len(splits.test) // IMAGES["lecture"]
    draw = torch.Generator().manual_seed(0)
    target = torch.randn(min(TARGET, len(splits.train)), 128, generator=draw)
    features, relevant = torch.randn(count, 128, generator=draw), torch.rand(count, generator=draw) < SHARE_RELEVANT
    pictures = splits.test.images[torch.arange(count) % len(splits.test)]
    heap = ImageSet(pictures, torch.full((count,), UNLABELLED), (), name="heap", provenance="made here", licence="none")
    pool = OpenSet(heap, relevant, relevant.long(), ("other", "relevant"))
    ks = [k for k in KS if k <= len(target)]
    return (
        lambda: CoresetBudget(target, pool, features),
        {
            "k": states(moves, budget=[0.2], tau=TAUS[1:8], k=ks),
            "budget": states(moves, k=ks[-1:], tau=TAUS[8:], budget=BUDGETS),
            "tau": states(moves, budget=[0.5], k=ks[:-1], tau=TAUS),
        },
        PICTURES_MS,
    )


def states(count: int, **values: Iterable[object]) -> Moves:
    """At most `count` combinations of some controls' values; the last control moves each time."""
    return [dict(zip(values, each, strict=True)) for each in islice(product(*values.values()), count)]


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
