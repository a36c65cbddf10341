"""One run of an arm, and the shipped reference records of the lessons.

The arms take minutes to hours together, so they are run once by `fgssl reference SLUG` and shipped as
`reference/SLUG.json`; live, a notebook trains one of the same arms and lays it into the shipped band.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib import resources
from multiprocessing import get_context
from pathlib import Path

import torch
from torch import Tensor

from fgssl_edu import config, paths, records
from fgssl_edu.data.image_set import Images, ImageSet, Splits
from fgssl_edu.data.single_image import FARMS
from fgssl_edu.evaluate import suite
from fgssl_edu.evaluate.features import extract
from fgssl_edu.evaluate.layers import layer_scores
from fgssl_edu.evaluate.pretext import pretext_accuracy
from fgssl_edu.evaluate.statistics import Score
from fgssl_edu.explain.filters import filter_numbers
from fgssl_edu.methods.base import Method
from fgssl_edu.methods.supervised import Supervised
from fgssl_edu.nets.alexnet import ALEXNETS
from fgssl_edu.nets.encoders import Encoder
from fgssl_edu.recipe import Recipe
from fgssl_edu.runs import arms, coresets, open_shards
from fgssl_edu.runs.arm_tables.scoreboard import SLUG
from fgssl_edu.runs.launch import pretrain
from fgssl_edu.train import History

# Trained live in a lesson: its band needs more seeds.
LIVE_ARMS = {"start": "simclr", "rotation": "rotation", "jigsaw": "jigsaw", "colour": "colour"}
LIVE_ARMS |= {"inpainting": "inpainting", "contrast": "simclr", "no-negatives": "byol", "clusters": "swav"}
LIVE_ARMS |= {"dino": "dino", "masked": "mae", "one-image": "one_rotation", "coarse-bias": "simclr"}
LIVE_ARMS |= {"common-rationale": "lcr", "synthesised-pairs": "pairs", "simcore": "x", "scoreboard": "simclr"}
NOT_LEARNED = ("step", "lr", "img_s")  # columns of a history that say nothing of what was learned


def train_arm(
    arm: arms.Arm, settings: config.Settings, images: ImageSet, extra: Tensor | Images | None = None
) -> tuple[Method, History]:
    """Train one arm on its share of the images (a supervised one on the labelled), or on given pixels."""
    images = arms.given_to(arm, images, settings.seed)
    method = arms.build_arm(arm, settings, images)
    pixels = images.images if extra is None else extra
    return method, pretrain(method, pixels, Recipe.of(settings, pixels.shape[0]), progress=False)


def run_arm(arm: arms.Arm, settings: config.Settings, seed: int, given: Collection[str] = ()) -> dict[str, object]:
    """Train and score one arm with one seed; an arm's own settings stand, but for the `given`.

    Returns:
        title, seed, metrics (name -> value), protocol (name -> protocol), curve (steps and losses), seconds of training
        and CPU seconds of the whole run.
    """
    started = time.process_time()
    settings = arms.arm_settings(arm, settings, seed, given)
    extra: Tensor | Images | None = None
    chosen: dict[str, float] = {}
    if arm.extra in FARMS:
        extra, splits = arms.crops(arm, settings).images, arms.load(settings)
    elif arm.extra:
        extra, splits, chosen = coresets.training_images(arm.extra, settings, arm)
    else:
        splits = arms.load(settings)
        extra = splits.stream if arm.labels == "none" and arm.share == 1 else None
    begun = time.process_time()
    method, history = (None, None) if arm.method is None else train_arm(arm, settings, splits.train, extra)
    trained = time.process_time() - begun
    encoder = arms.untrained(settings, arm.sees) if method is None else method.evaluated()
    encoder = encoder.to(arms.device_of(settings))  # an untrained one is made on the CPU
    scores = suite.evaluate(encoder, splits, settings) | by_layer(encoder, splits, settings)
    metrics = {name: score.value for name, score in scores.items()} | chosen
    if isinstance(method, Supervised):
        metrics[f"{arm.labels}/own_classifier"] = own_accuracy(method, splits.test, arm.labels, settings.eval_size)
    elif method is not None and history is not None and "accuracy" in history.rows[-1]:
        metrics["pretext/accuracy"] = pretext_accuracy(method, splits.test.images).value
    if history is not None:
        metrics |= {f"train/{name}": value for name, value in history.rows[-1].items() if name not in NOT_LEARNED}
        metrics |= {"cost/images": float(history.images), "cost/cpu_seconds": trained}
    steps, losses = ([], []) if history is None else history.column("loss")
    return {
        "title": arm.title,
        "seed": seed,
        "metrics": metrics,
        "protocol": {name: score.protocol for name, score in scores.items()},
        "curve": {"step": list(steps), "loss": list(losses)},
        "train_seconds": history.seconds if history else 0.0,
        "cpu_seconds": time.process_time() - started,
    }


def by_layer(encoder: Encoder, splits: Splits, settings: config.Settings) -> dict[str, Score]:
    """Of an AlexNet, probes of every layer and what its first filters are like; nothing of other encoders."""
    if encoder.name not in ALEXNETS:
        return {}
    scores = layer_scores(encoder, splits.train.labelled(), splits.test.labelled(), settings.eval_size)
    numbers = filter_numbers(encoder)
    return scores | {name: Score(value, None, {"encoder": encoder.name}) for name, value in numbers.items()}


@torch.no_grad()
def own_accuracy(method: Supervised, images: ImageSet, kind: str, size: int) -> float:
    """Test accuracy of a supervised arm's own classifier for its kind of labels, share of the images."""
    labels = images.labels if kind == "species" else images.coarse
    assert labels is not None  # or the arm could not have been built
    features = extract(method.evaluated(), images.images, size)
    guess = method.classifier.cpu()(features).argmax(dim=1)
    return float((guess == labels)[labels >= 0].float().mean())


def cached_run(arm: arms.Arm, settings: config.Settings, seed: int, given: Collection[str] = ()) -> dict[str, object]:
    """`run_arm` on one thread, kept under the cache folder by arm, its settings and code: lessons share arms."""
    torch.set_num_threads(1)
    code = [
        paths.code_hash(),
        *(Path(str(m.__file__)).read_text(encoding="utf-8") for m in (arms, coresets, open_shards)),
    ]
    code.append(open_shards.identity(settings.open_set))
    what = dataclasses.asdict(arms.arm_settings(arm, settings, seed, given))
    what |= {"method": "", "scale": ""}  # the arm says it
    own = dataclasses.asdict(arm.at(settings.scale)) | {"longer": 1.0}  # the steps stand in `what`
    parts = [own, what, torch.__version__, code]
    key = json.dumps(parts, sort_keys=True)
    kept = paths.cache_dir() / "arms" / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"
    if not kept.exists():
        paths.atomic_write(kept, json.dumps(run_arm(arm, settings, seed, given)))
    return json.loads(kept.read_text())  # type: ignore[no-any-return]


def reference(
    slug: str,
    seeds: int = 3,
    only: Sequence[str] = (),
    live_seeds: int = 5,
    jobs: int = 1,
    scale: str = "lecture",
    given: Mapping[str, object] | None = None,
    target: Path | None = None,
    report: Callable[[str], None] = print,
) -> Path:
    """Run every arm of a lesson and write its reference record.

    Args:
        slug: the lesson.
        seeds: runs of each arm, with seeds 0 to seeds - 1.
        only: names of arms to run; all if empty.
        live_seeds: at least as many runs of the arm that the notebook trains live, in the shipped record.
        jobs: runs at a time, each in a process of its own with one thread.
        scale: whose settings.
        given: settings that differ, as for `fgssl run`.
        target: file to write; default the package's `reference/SLUG.json`.
        report: receives one line a finished run.

    Returns:
        The path of the record, written atomically when all runs are done. With an open set, and all arms at the scale's
        own settings, it also has "maps": points of one UMAP, see `coresets.umap_points`.

    Raises:
        ValueError: the scoreboard without a file to write to: it has no record of its own on rendered birds.
    """
    if slug == SLUG and target is None:
        raise ValueError(
            f"{SLUG}: on rendered birds its numbers are those of its methods' own lessons; for other pictures name "
            "them, and a file: -p dataset=folder:PATH --out FILE"
        )
    settings = config.resolve(slug, {"scale": scale, **(given or {})}).settings
    for name in only:
        arms.arm_named(slug, name)
    shipped = {name: arm for name, arm in arms.ARMS[slug].items() if arm.shipped}
    possible = [name for name, arm in shipped.items() if settings.dataset == "birds" or not arm.needs_birds]
    names = list(only) or possible
    live = LIVE_ARMS[slug]
    todo = [
        (name, seed)
        for name in names
        for seed in range(max(seeds, live_seeds) if name == live and not given and not only else seeds)
    ]
    rows = run_all(slug, todo, settings, jobs, report, tuple(given or {}))
    options = f" --arms {','.join(only)}" if only else ""
    options += f" --out {target.name}" if target else ""
    options += "".join(f" -p {name}={value}" for name, value in (given or {}).items())
    record = {
        "lesson": slug,
        "command": f"fgssl reference {slug} --seeds {seeds}{options}",
        "settings": dataclasses.asdict(settings),
        "protocol": shared_protocol([row["protocol"] for row in rows]),  # type: ignore[misc]
        "environment": records.environment(),
        "runs": [{key: five_digits(value) for key, value in row.items() if key != "protocol"} for row in rows],
    }
    if not (only or given) and any(arm.extra not in ("", "none", *FARMS) for arm in arms.ARMS[slug].values()):
        record["maps"] = coresets.umap_points(settings)
    target = target or Path(str(resources.files("fgssl_edu") / "reference" / f"{slug}.json"))
    paths.atomic_write(target, json.dumps(record, indent=1) + "\n")
    return target


def run_all(
    slug: str,
    todo: Sequence[tuple[str, int]],
    settings: config.Settings,
    jobs: int,
    report: Callable[[str], None],
    given: Collection[str] = (),
) -> list[dict[str, object]]:
    """The rows of all (arm, seed) that are to be done, in that order, `jobs` processes at a time."""
    rows: dict[tuple[str, int], dict[str, object]] = {}
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        waiting = {
            pool.submit(cached_run, arms.ARMS[slug][name], settings, seed, given): (name, seed) for name, seed in todo
        }
        for done in as_completed(waiting):
            name, seed = waiting[done]
            row = rows[name, seed] = {"arm": name, **done.result()}
            report(f"{slug}: {name} seed {seed}, {row['cpu_seconds']:.0f} CPU-s ({len(rows)} of {len(todo)})")
    return [rows[each] for each in todo]


def shared_protocol(protocols: list[dict[str, dict[str, object]]]) -> dict[str, dict[str, object]]:
    """What all runs' protocols of a metric agree on: what was chosen in a single run is no protocol."""
    shared: dict[str, dict[str, object]] = {}
    for metric in dict.fromkeys(name for protocol in protocols for name in protocol):
        known = [protocol[metric] for protocol in protocols if metric in protocol]
        shared[metric] = {key: value for key, value in known[0].items() if all(p.get(key) == value for p in known)}
    return shared


def five_digits(value: object) -> object:
    """The same tree with its floats as they are shipped: five significant digits."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: five_digits(inner) for key, inner in value.items()}
    return [five_digits(inner) for inner in value] if isinstance(value, list) else value
