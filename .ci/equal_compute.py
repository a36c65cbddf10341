"""The README's table of all methods at equal compute, and each lesson's headline difference, from the records."""

from __future__ import annotations

from pathlib import Path

from fgssl_edu import records
from fgssl_edu.runs import board, scoreboard, tables

REFERENCE = Path(__file__).resolve().parent.parent / "fgssl_edu" / "reference"
COLUMNS = {
    "species/knn": "species kNN",
    "species/linear": "linear",
    "species/map": "mAP",
    "species/nmi": "NMI",
    "genus/knn": "genus kNN",
    "genus/linear": "linear",
    "genus/map": "mAP",
    "genus/nmi": "NMI",
    "edit/score": "edit score",
    "geometry/effective_rank": "rank",
}
# Lesson -> arm, what it is compared with, and the metric
HEADLINES: dict[str, list[tuple[str, str, str]]] = {
    "rotation": [("rotation", "random", "species/linear"), ("light", "rotation", "species/linear")],
    "jigsaw": [("jigsaw", "random", "species/linear"), ("jigsaw_open", "jigsaw", "pretext/accuracy")],
    "jigsaw--near": [("jigsaw_lens", "jigsaw", "genus/linear")],
    "colour": [("split_brain", "colour", "species/linear"), ("colour_l2", "colour", "species/linear")],
    "inpainting": [("inpainting", "random", "species/linear"), ("autoencoder", "inpainting", "species/linear")],
    "no-negatives": [
        ("vicreg", "simclr", "species/linear"),
        ("vicreg_no_variance", "vicreg", "species/linear"),
        ("barlow_no_redundancy", "barlow", "species/linear"),
        ("byol_no_predictor", "byol", "species/linear"),
    ],
    "clusters": [
        ("swav_no_sinkhorn", "swav", "species/linear"),
        ("swav_no_sinkhorn", "swav", "genus/linear"),
        ("swav", "swav_fewer_steps", "species/linear"),
        ("deepcluster", "simclr", "species/linear"),
    ],
    "dino": [
        ("dino", "random", "genus/linear"),
        ("dino_no_sharpening", "dino", "species/linear"),
        ("dino_sinkhorn", "dino", "species/linear"),
        ("dino_no_centring", "dino", "species/linear"),
        ("dino_vit", "random_vit", "cls/genus_linear"),
    ],
    "masked": [
        ("mae", "simclr", "species/linear"),
        ("mae", "simclr", "species/knn"),
        ("mae_ratio_0.25", "mae", "species/knn"),
        ("mae_raw", "mae", "species/knn"),
    ],
    "one-image": [("one_rotation", "many_rotation", f"layer/{layer}") for layer in ("conv1", "conv2")]
    + [("one_simclr", "many_simclr", "layer/conv4")],
}
SHARES = ("knn", "linear", "map", "nmi", "accuracy")  # shown in percent


def number(values: list[float], metric: str) -> str:
    """Mean and half the 95 % interval over seeds."""
    share = metric.split("/")[1] in SHARES
    digits = 1 if share else 3 if metric == "edit/score" else 0
    mean, low, _ = records.interval([100 * value if share else value for value in values])
    return f"{mean:.{digits}f} ± {mean - low:.{digits}f}"


def equal() -> list[list[str]]:
    """One line a method, worst probe first: scores, and what a step costs."""
    lines, prices = [], board.costs()
    for entry in scoreboard.shipped_birds():
        scores = {metric: entry.values(metric) for metric in COLUMNS}
        shown = [entry.title, *(number(values, metric) for metric, values in scores.items())]
        rate, size = prices.get(entry.name, (None, None))
        price = ["", ""] if rate is None else [f"{rate:,.0f}", f"{size:.0f}"]
        probe = scores["species/linear"]
        lines.append((sum(probe) / len(probe), [*shown, *price]))
    return [
        ["", *COLUMNS.values(), "img / CPU-s", "MB"],
        *(line for _, line in sorted(lines, key=lambda each: each[0])),
    ]


def headlines() -> list[list[str]]:
    """Each lesson's main differences between two arms, paired by seed."""
    rows = [["lesson", "difference", "in", "points, 95 %"]]
    for slug, compared in HEADLINES.items():
        if not (REFERENCE / f"{slug}.json").is_file():
            continue
        record = records.load_reference(slug)
        for arm, base, metric in compared:
            ours, theirs = (tables.values(record, each, metric) for each in (arm, base))
            seeds = min(len(ours), len(theirs))
            mean, low, high = records.interval([100 * (ours[i] - theirs[i]) for i in range(seeds)])
            words = f"{tables.title(record, arm)} − {tables.title(record, base)}"
            what = metric.replace("/", " ").replace("_", " ")
            rows.append([f"`{slug}`", words, what, f"{mean:+.1f} ({low:+.1f} to {high:+.1f})"])
    return rows
