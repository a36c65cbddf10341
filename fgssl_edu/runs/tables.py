"""Numbers of records and of the run at hand, arranged for the tables and figures of the lessons.

Intervals of a record are between seeds (Student's t); those of a single run are between test images (bootstrap).
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from fgssl_edu import records
from fgssl_edu.evaluate.monitor import symptom
from fgssl_edu.evaluate.statistics import Score
from fgssl_edu.figures.values import Value

Record = Mapping[str, Any]
Row = dict[str, Any]
HEADLINE = {
    "species/knn": "species kNN",
    "species/linear": "species linear",
    "species/map": "species mAP",
    "species/nmi": "species NMI",
    "genus/knn": "genus kNN",
    "genus/linear": "genus linear",
    "edit/score": "edit score",
    "attention/discriminative_lift": "attention lift",
    "geometry/effective_rank": "effective rank",
}
ENDED = {  # columns of `symptoms`
    "loss": "train/loss",
    "spread": "train/embedding_std",
    "dimensions used": "train/embedding_rank",
    "features' rank": "geometry/effective_rank",
}
NOTE = "Intervals: 95 %; of a record between seeds of training, of this run between test images."
SHOTS = (1, 2, 4, 8)  # labels a class of the few-shot scores


def values(record: Record, arm: str, metric: str) -> list[float]:
    """One metric of one arm of a record, in the order of the seeds; empty where the arm has no such metric."""
    return [run["metrics"][metric] for run in record["runs"] if run["arm"] == arm and metric in run["metrics"]]


def title(record: Record, arm: str) -> str:
    """The name of an arm for a reader."""
    for run in record["runs"]:
        if run["arm"] == arm:
            return str(run["title"])
    raise ValueError(
        f"arm={arm!r} is not in the record, which has {', '.join(dict.fromkeys(r['arm'] for r in record['runs']))}"
    )


def name(metric: str) -> str:
    """The name of a metric for a reader."""
    return HEADLINE.get(metric, metric.replace("/", " ").replace("_", " "))


def summary(record: Record, arms: Sequence[str], metrics: Sequence[str]) -> dict[str, Mapping[str, Value]]:
    """arm's title -> {metric's name: mean with its 95 % interval over seeds}; for `figures.bars`."""
    found = {arm: {name(m): records.interval(v) for m in metrics if (v := values(record, arm, m))} for arm in arms}
    return {title(record, arm): numbers for arm, numbers in found.items()}


def rows(record: Record, arms: Sequence[str], metrics: Sequence[str]) -> list[Row]:
    """The same as rows of a table, with the number of seeds."""
    numbers = summary(record, arms, metrics)
    seeds = [len([run for run in record["runs"] if run["arm"] == arm]) for arm in arms]
    return [{"arm": arm, "seeds": str(n), **row} for (arm, row), n in zip(numbers.items(), seeds, strict=True)]


def comparison(
    live: Mapping[str, Mapping[str, Score]],
    record: Record | None,
    arms: Sequence[str],
    metrics: Sequence[str] = tuple(HEADLINE),
) -> list[Row]:
    """The encoders scored in this run, and below them the record's arms.

    Args:
        live: title -> scores.
        record: of the same settings, else None: numbers of unlike settings do not share a table.
        arms: of the record.
        metrics: the columns; those that nothing has are left out.
    """
    found = [
        {"arm": f"{arm}, this run", "seeds": "1", **{name(m): scores[m] for m in metrics if m in scores}}
        for arm, scores in live.items()
    ]
    return found + (rows(record, arms, metrics) if record is not None else [])


def differences(record: Record, base: str, arms: Sequence[str], metrics: Sequence[str]) -> list[Row]:
    """Each arm less the base arm, points of percent, paired by seed, with 95 % intervals."""
    found = []
    for arm in arms:
        row: Row = {"instead": title(record, arm)}
        for metric in metrics:
            ours, theirs = values(record, arm, metric), values(record, base, metric)
            seeds = min(len(ours), len(theirs))
            first, second = ([100 * value for value in side[:seeds]] for side in (ours, theirs))
            row[f"{name(metric)}, points"] = records.paired_difference(first, second)
        found.append(row)
    return found


def symptoms(record: Record, arms: Sequence[str]) -> list[Row]:
    """How each arm's trainings ended, as means over seeds, and the collapses that `symptom` names, without a label.

    Columns that none of the arms has are left out.
    """
    found = []
    for arm in arms:
        runs = [run["metrics"] for run in record["runs"] if run["arm"] == arm]
        named = [(symptom(last_row(metrics)) or "none").split(" (")[0] for metrics in runs]
        row: Row = {"arm": title(record, arm)}
        for words, metric in ENDED.items():
            known = values(record, arm, metric)
            row[words] = sum(known) / len(known) if known else None
        row["symptom, in seeds"] = ", ".join(f"{words}: {named.count(words)}" for words in dict.fromkeys(named))
        found.append(row)
    return [
        {name: value for name, value in row.items() if any(each[name] is not None for each in found)} for row in found
    ]


def last_row(metrics: Mapping[str, float]) -> dict[str, float]:
    """A run's numbers under the names of a history's columns, as `evaluate.monitor.symptom` takes them."""
    return {
        name.partition("/")[2]: value for name, value in metrics.items() if name.startswith(("train/", "geometry/"))
    }


def sweep(record: Record, points: Mapping[float, str], metrics: Sequence[str]) -> dict[str, Mapping[float, Value]]:
    """metric's name -> {value of a setting: mean with interval} over the arms that differ in this setting."""
    return {name(m): {x: records.interval(values(record, arm, m)) for x, arm in points.items()} for m in metrics}


def label_curves(
    record: Record, kind: str, classes: int, frozen: Sequence[str], scratch: Mapping[float, str]
) -> dict[str, Mapping[float, Value]]:
    """Accuracy against the share of labels.

    Args:
        record: of a lesson.
        kind: of label, "species" or "genus".
        classes: how many of them.
        frozen: arms whose frozen features a linear probe reads with 1 to 8 labels a class, 20 % and all.
        scratch: share -> arm that was trained from scratch on this share, scored by its own classifier.
    """
    a_class = record["settings"]["train_images"] / classes
    columns = {shots / a_class: f"{kind}/{shots}_shot" for shots in SHOTS}
    columns |= {0.2: f"{kind}/linear_20", 1.0: f"{kind}/linear"}
    curves: dict[str, Mapping[float, Value]] = {
        f"{title(record, arm)}, frozen": {x: records.interval(values(record, arm, m)) for x, m in columns.items()}
        for arm in frozen
    }
    own: dict[float, Value] = {
        x: records.interval(values(record, arm, f"{kind}/own_classifier")) for x, arm in scratch.items()
    }
    return {**curves, "from scratch": own}


def band(record: Record, arm: str) -> dict[str, list[float]] | None:
    """Where the loss of one more run of an arm should lie: {"step", "low", "high"}, 95 % prediction interval a step."""
    runs = [run["curve"] for run in record["runs"] if run["arm"] == arm]
    if len(runs) < 2 or not runs[0]["step"]:
        return None
    bounds = [records.prediction_band(losses) for losses in zip(*(run["loss"] for run in runs), strict=True)]
    return {"step": runs[0]["step"], "low": [low for _, low, _ in bounds], "high": [high for _, _, high in bounds]}


def papers(slug: str) -> list[Row]:
    """What the papers report: rows of `papers/SLUG.csv`, numbers in percent as printed there."""
    text = (resources.files("fgssl_edu") / "papers" / f"{slug}.csv").read_text(encoding="utf-8")
    return [
        {
            "what": row["row"],
            row["unit"]: row["value"],
            "data": row["data"],
            "protocol": row["protocol"],
            "source": row["source"],
        }
        for row in csv.DictReader(text.splitlines())
    ]
