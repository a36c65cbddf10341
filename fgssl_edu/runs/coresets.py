"""From an open set to training images: an encoder of X chooses what is like X, another is trained anew on both.

SimCore (Kim et al., arXiv 2303.11101): self-supervised training on X, features of X and of the open set, selection,
training from scratch on X and the selection. `CHOICES` are the selections that the lesson compares. An open set that
lies in shards is chosen from shard by shard (`open_shards`).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fgssl_edu import config, coreset, paths
from fgssl_edu.coreset import Coreset
from fgssl_edu.data.image_set import ImageSet, Splits
from fgssl_edu.data.open_set import OpenSet, load_open_set
from fgssl_edu.data.shards import Index, read_index, read_pictures
from fgssl_edu.evaluate.features import extract
from fgssl_edu.explain.maps import umap_map
from fgssl_edu.nets.encoders import Encoder
from fgssl_edu.recipe import Recipe
from fgssl_edu.runs import arms, cache, open_shards
from fgssl_edu.runs.cluster import share_of_gpu
from fgssl_edu.runs.embed import ShardLists, embedded
from fgssl_edu.runs.launch import pretrain

if TYPE_CHECKING:
    from distributed import Client

SIMCORE, BLIND = ("raw", "simcore", "stop"), ("random", "all", "only")
CHOICES = ("none", "only", "all", "random", "raw", "simcore", "stop", "facility", "oracle")
BIRDS = ("known birds", "unknown birds")  # groups of the rendered open set
WITHIN = 0.98  # share of a map's coordinates that lie in [-1, 1]: a few stray points do not shrink the rest


def target_and_pool(settings: config.Settings, most: int | None = None) -> tuple[Splits, OpenSet]:
    """X as the training images of its splits, and the open set that goes with it; of photographs at most so many.

    An open set in shards is never laid out whole: of it a sample, see `open_shards.sample`.
    """
    sharded = open_shards.named(settings.open_set)
    return target_of(settings), open_shards.sample(settings, most) if sharded else pool_of(settings, most)


def pool_of(settings: config.Settings, most: int | None = None) -> OpenSet:
    """An open set that fits in memory; of photographs at most so many."""
    knobs = {"background": settings.background, "pose": settings.pose, "species": settings.species}
    drawn = (
        {"open_images": settings.open_images, **knobs} if settings.open_set == "birds_open" else {"open_images": most}
    )
    return load_open_set(settings.open_set, settings.image_size, **drawn)  # type: ignore[arg-type]


def target_of(settings: config.Settings) -> Splits:
    """X as the training images of its splits."""
    return arms.load(dataclasses.replace(settings, train_images=settings.target_images))


def encoder_on_x(
    settings: config.Settings,
    images: ImageSet,
    learner: arms.Arm = arms.ARMS["simcore"]["x"],
    progress: str | bool = False,
) -> Encoder:
    """An encoder trained on X alone, by the method of an arm; kept on disk, for all its selections share it.

    A training that was killed goes on from its last checkpoint.
    """
    chosen_later = {"centroids": 1, "open_set": "birds_open", "open_images": 2, "budget": 1.0, "tau": 1.0}
    scored_later = {"method": "x", "scale": "lecture", "probe": "none", "finetune_epochs": 0}
    plain = dataclasses.replace(settings, **chosen_later, **scored_later)  # type: ignore[arg-type]
    method = arms.build_arm(learner, settings, images)
    parts = [paths.code_hash(), cache.of_module(method), cache.of_tensor(images.images), dataclasses.asdict(plain)]
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
    path = cache.file_for("pretrain", "encoder of X", digest)
    entry = cache.kept(path)
    if entry is not None:
        method.encoder.load_state_dict(entry["value"])
        return method.evaluated()
    checkpoints = path.with_suffix(".run")
    history = pretrain(method, images, Recipe.of(settings, len(images)), folder=checkpoints, progress=progress)
    cache.keep(path, method.encoder.state_dict(), history.seconds)
    shutil.rmtree(checkpoints)
    return method.evaluated().cpu()


def select(choice: str, target: Tensor, pool: Tensor, settings: config.Settings, relevant: Tensor) -> Coreset:
    """Choose from the open set.

    Args:
        choice: one of `CHOICES` that chooses something.
        target: features of X, (N, D).
        pool: features of the open set, (M, D).
        settings: gives budget (share of the open set), centroids, tau and the seed.
        relevant: (M,) bool, for the oracle alone.
    """
    if choice in BLIND:
        return blind(choice, settings, len(pool))
    budget = budget_of(settings, len(pool))
    if choice == "oracle":
        return coreset.oracle(relevant, budget, settings.seed)
    means = coreset.centroids(target, settings.centroids, settings.seed)
    if choice == "facility":
        return coreset.facility_location(pool, means, budget)
    if choice in SIMCORE:
        return coreset.select_coreset([pool], means, **rule(choice, settings, len(pool)))
    raise ValueError(f"extra={choice!r}: choose one of {', '.join(CHOICES)}")


def budget_of(settings: config.Settings, count: int) -> int:
    """Pictures to choose from so many."""
    return max(1, round(settings.budget * count))


def blind(choice: str, settings: config.Settings, count: int) -> Coreset:
    """The choice of "random", "all" or "only" from so many pictures."""
    return coreset.random_selection(count, budget_of(settings, count) if choice == "random" else count, settings.seed)


def rule(choice: str, settings: config.Settings, count: int) -> dict[str, Any]:
    """What ends the rounds of one of `SIMCORE` over so many pictures."""
    return {"tau": settings.tau} if choice == "stop" else {"budget": budget_of(settings, count)}


def keep_list(choice: str, settings: config.Settings, pool: OpenSet, chosen: Coreset) -> Path:
    """Write which pictures were chosen, from what and how, under the cache folder."""
    names = [pool.images.paths[i] for i in chosen.indices.tolist()] if pool.images.paths else []
    provenance = provenance_of(choice, settings, {"pictures": pool.images.provenance})
    return coreset.save(place_of_list(provenance, settings), chosen, len(pool), provenance, names)


def provenance_of(choice: str, settings: config.Settings, source: Mapping[str, str]) -> dict[str, Any]:
    """What it takes to choose again; `source` tells of the open set."""
    names = ("open_set", "seed", "steps", "dataset", "target_images", "budget", "centroids", "tau")
    encoder = f"{settings.encoder} of X, code {paths.code_hash()}"
    return {"choice": choice, "encoder": encoder, **source, **{name: getattr(settings, name) for name in names}}


def place_of_list(provenance: Mapping[str, Any], settings: config.Settings) -> Path:
    """Where a list is kept, under the cache folder."""
    digest = hashlib.sha256(json.dumps([provenance, settings.key()], sort_keys=True).encode()).hexdigest()[:16]
    return paths.cache_dir() / "coresets" / f"{digest}.csv"


def training_images(
    choice: str, settings: config.Settings, learner: arms.Arm = arms.ARMS["simcore"]["x"]
) -> tuple[Tensor, Splits, dict[str, float]]:
    """The pictures that an arm trains on, X with its test set, and what was chosen, as metrics.

    Returns:
        images (N + n, 3, H, W) uint8, of "only" the open set's alone; splits whose training images are X;
        "coreset/size" (pictures), where relevance is known "coreset/precision" (share of the chosen that are relevant),
        "coreset/recall", "coreset/base_rate", and of the rendered set "coreset/any_bird" (share of the chosen that are
        birds of any species). Of shards only the size: what is relevant in them nobody has said.
    """
    splits = target_of(settings)
    if choice == "none":
        return splits.train.images, splits, {}
    if open_shards.named(settings.open_set):
        pictures = chosen_from_shards(choice, settings, splits.train, learner)
        images = pictures if choice == "only" else torch.cat([splits.train.images, pictures])
        return images, splits, {"coreset/size": float(len(pictures))}
    pool = pool_of(settings)
    features = torch.zeros(len(splits.train), 1), torch.zeros(len(pool.images), 1)
    if choice in ("raw", "simcore", "stop", "facility"):
        encoder = arms.untrained(settings) if choice == "raw" else encoder_on_x(settings, splits.train, learner)
        features = tuple(extract(encoder, s.images, settings.eval_size) for s in (splits.train, pool.images))  # type: ignore[assignment]
    chosen = select(choice, *features, settings, pool.relevant)
    keep_list(choice, settings, pool, chosen)
    hits = pool.relevant[chosen.indices].float()
    metrics = {"coreset/size": float(len(hits))}
    if pool.relevant.any():  # of photographs nobody may know what is
        metrics |= {
            "coreset/precision": float(hits.mean()),
            "coreset/recall": float(hits.sum() / pool.relevant.sum()),
            "coreset/base_rate": float(pool.relevant.float().mean()),
        }
    if set(BIRDS) <= set(pool.groups):
        metrics["coreset/any_bird"] = float(pool.mask(*BIRDS)[chosen.indices].float().mean())
    if choice == "only":
        return pool.images.images, splits, metrics
    return torch.cat([splits.train.images, pool.images.images[chosen.indices]]), splits, metrics


def chosen_from_shards(choice: str, settings: config.Settings, target: ImageSet, learner: arms.Arm) -> Tensor:
    """The pictures chosen from shards, or those on a list that was written before, (n, 3, H, W) uint8."""
    if settings.open_set.startswith(open_shards.LISTED):
        index, chosen = open_shards.listed_before(open_shards.place(settings.open_set), choice)
    else:
        index = read_index(open_shards.place(settings.open_set))
        chosen = choose_from_shards(choice, settings, index, target, learner)
        provenance = provenance_of(choice, settings, open_shards.source_of(index))
        open_shards.keep(place_of_list(provenance, settings), index, chosen, provenance)
    return read_pictures(index, chosen.indices, settings.image_size)


def choose_from_shards(
    choice: str,
    settings: config.Settings,
    index: Index,
    target: ImageSet,
    learner: arms.Arm = arms.ARMS["simcore"]["x"],
    client: Client | None = None,
    on_bad: str = "raise",
    report: Callable[[str], None] = print,
) -> Coreset:
    """`select` from an open set in shards, for X as images, by features that an arm's method learns on X.

    `embed.ShardLists` says what the last three are.
    """
    if choice in BLIND:
        return blind(choice, settings, index.total)
    if choice not in SIMCORE:
        possible = ", ".join((*SIMCORE, *BLIND))
        raise ValueError(f"extra={choice!r}: from shards one of {possible} can be chosen, the rest needs all features")
    raw = choice == "raw"
    encoder = arms.untrained(settings) if raw else encoder_on_x(settings, target, learner, progress="auto")
    features = embedded(encoder, target.images, settings.eval_size, arms.device_of(settings))
    means = coreset.centroids(features, settings.centroids, settings.seed)
    device = arms.device_of(settings) if client is None else "cuda" if share_of_gpu(client) else "cpu"
    sides = settings.image_size, settings.eval_size
    lists = ShardLists(index, encoder, means, *sides, device, on_bad, client, report)
    sizes = [shard.images for shard in index.shards]
    return coreset.select_from_shards(sizes, lists, len(means), **rule(choice, settings, index.total))


def umap_points(settings: config.Settings) -> dict[str, list[list[float]]]:
    """One UMAP of X and the open set, by the encoder of X of seed 0; shipped, for a first fit takes a minute.

    Args:
        settings: of the lesson; its seed does not matter.

    Returns:
        "x" (N, 2) and "open" (M, 2) in the order of the sets, about -1..1 in one scale, three decimals.
    """
    settings = dataclasses.replace(settings, seed=0)
    splits, pool = target_and_pool(settings)
    encoder = encoder_on_x(settings, splits.train)
    looks = [extract(encoder, s.images, settings.eval_size) for s in (splits.train, pool.images)]
    points = umap_map(*(F.normalize(features, dim=1) for features in looks))
    scale = torch.cat(points).abs().flatten().quantile(WITHIN)
    rounded = [(1000 * laid.double() / scale).round().div(1000) for laid in points]  # in double: .123, not .12300000339
    return {name: laid.tolist() for name, laid in zip(("x", "open"), rounded, strict=True)}
