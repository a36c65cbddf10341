"""Every score of one frozen encoder, by species and by genus, each with its protocol."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from fgssl_edu.config import Settings
from fgssl_edu.data.birds import Factors, World
from fgssl_edu.data.image_set import ImageSet, Splits
from fgssl_edu.evaluate import attention
from fgssl_edu.evaluate.clustering import kmeans_scores
from fgssl_edu.evaluate.edits import edit_score
from fgssl_edu.evaluate.features import extract
from fgssl_edu.evaluate.finetune import finetune
from fgssl_edu.evaluate.geometry import geometry
from fgssl_edu.evaluate.knn import knn
from fgssl_edu.evaluate.probe import LinearClassifier, few_shot, fit_linear, label_curve, linear_probe
from fgssl_edu.evaluate.retrieval import retrieval
from fgssl_edu.evaluate.sgd_probe import paper_probes
from fgssl_edu.evaluate.statistics import Score
from fgssl_edu.explain.attention import first_component_mask, looked_at, mask_iou, patch_maps, self_attention
from fgssl_edu.nets.encoders import Encoder
from fgssl_edu.nets.modes import frozen
from fgssl_edu.nets.vit import VisionTransformer
from fgssl_edu.views.augment import Augment
from fgssl_edu.views.presets import VIEWS

FEW_LABELS = 0.2  # share of the labels of the score "linear_20"
ALIGNED_VIEWS = "mild"  # whatever views an encoder was trained with: alignment is compared between encoders
ALIGNED_IMAGES = 512
BATCH = 256


def evaluate(
    encoder: Encoder, splits: Splits, settings: Settings, seed: int = 0, folder: Path | None = None
) -> dict[str, Score]:
    """All scores that the data set allows; nothing in the encoder changes.

    Args:
        encoder: what `method.evaluated()` gives.
        splits: training and test images; the unlabelled ones are left out.
        settings: gives eval_size, crop_size, neighbours, probe and finetune_epochs.
        seed: of probes, clusters, draws of labels and edits; the same for all encoders that will be compared.
        folder: for checkpoints of fine-tuning, where `finetune_epochs` asks for it.

    Returns:
        "species/..." and, where there are coarse labels, "genus/...": knn, linear, linear_20, 1_shot .. 8_shot, rank1,
        rank5, map, nmi, ari, cluster_accuracy. "geometry/...". With a true foreground, or boxes, "attention/...", and
        more of it with true parts. For rendered birds "edit/...". Where asked for, "species/sgd", "species/sgd_50",
        "species/sgd_20" (a paper's probe with all, half and a fifth of the labels), "species/finetune".

    Raises:
        ValueError: there is no labelled test image, or the encoder's features are not finite.
    """
    train, test = splits.train.labelled(), splits.test.labelled()
    if not len(test) or not len(train):
        raise ValueError(
            f"{splits.test.name}: {len(train)} labelled training and {len(test)} labelled test images; "
            "a score needs both"
        )
    features = extract(encoder, train.images, settings.eval_size), extract(encoder, test.images, settings.eval_size)
    species = by_label(*features, train.labels, test.labels, settings, seed)
    scores = {f"species/{name}": score.under(labels="species") for name, score in species.items()}
    if train.coarse is not None and test.coarse is not None:
        genus = by_label(*features, train.coarse, test.coarse, settings, seed)
        scores |= {f"genus/{name}": score.under(labels="genus") for name, score in genus.items()}
    views = aligned_views(encoder, test, settings.crop_size, seed)
    shape = {
        name: score.under(views=f"{ALIGNED_VIEWS}, {settings.crop_size} px")
        for name, score in geometry(features[1], views).items()
    }
    scores |= {f"geometry/{name}": score for name, score in shape.items()}
    if test.foreground is not None:
        strength = species["linear"].protocol["chosen"]["C"]  # type: ignore[index]
        probe = fit_linear(features[0], train.labels, len(train.classes), strength=strength)
        looks = on_parts(encoder, probe, test, settings.eval_size)
        if isinstance(encoder, VisionTransformer):
            looks |= on_own_attention(encoder, test, settings)
        scores |= {f"attention/{name}": score for name, score in looks.items()}
    if isinstance(encoder, VisionTransformer):
        scores |= {f"cls/{name}": score for name, score in by_cls(encoder, train, test, settings, seed).items()}
    world = World.make(species=len(test.classes)) if isinstance(test.factors, Factors) else None
    if world is not None and world.names == test.classes:
        edit = edit_score(encoder, world, test.size, settings.eval_size, seed=seed)
        scores |= {"edit/score": edit.overall, **{f"edit/{name}": score for name, score in edit.per_attribute.items()}}
    asked = asked_for(encoder, splits, features, settings, seed, folder)
    scores |= {f"species/{name}": score.under(labels="species") for name, score in asked.items()}
    about = {"dataset": test.name, "eval_size": settings.eval_size, "picture": "whole, resized"}
    about |= {"encoder": encoder.name, "stem": encoder.stem}
    return {name: score.under(**about) for name, score in scores.items()}


def asked_for(
    encoder: Encoder,
    splits: Splits,
    features: tuple[Tensor, Tensor],
    settings: Settings,
    seed: int,
    folder: Path | None,
) -> dict[str, Score]:
    """Scores that settings ask for: a paper's probe ("sgd", "sgd_50", "sgd_20"), full fine-tuning ("finetune").

    Args:
        encoder, splits, settings, seed, folder: as `evaluate` has them.
        features: of the labelled training and test images, (N, D) and (M, D).
    """
    found: dict[str, Score] = {}
    if settings.probe != "none":
        train, test = splits.train.labelled().labels, splits.test.labelled().labels
        found |= paper_probes(features[0], train, features[1], test, settings.probe, seed)
    if settings.finetune_epochs:
        tuned = finetune(encoder, splits, settings, seed=seed, folder=folder)
        found["finetune"] = tuned.score.under(crop_size=settings.crop_size)
    return found


def by_label(
    train_features: Tensor,
    test_features: Tensor,
    train_labels: Tensor,
    test_labels: Tensor,
    settings: Settings,
    seed: int,
) -> dict[str, Score]:
    """Neighbours, probes, retrieval and clusters for one kind of label."""
    data = (train_features, train_labels, test_features, test_labels)
    scores = {
        "knn": knn(*data, k=settings.neighbours),
        "linear": linear_probe(*data, seed=seed),
        f"linear_{FEW_LABELS * 100:.0f}": label_curve(*data, shares=(FEW_LABELS,), seed=seed)[FEW_LABELS],
        **{f"{shots}_shot": score for shots, score in few_shot(*data, seed=seed).items()},
    }
    if int(test_labels.bincount().max()) > 1:  # else no query has anything to find
        scores |= retrieval(test_features, test_labels)
    clusters = kmeans_scores(test_features, test_labels, k=len(test_labels.unique()), seed=seed)
    return scores | {"nmi": clusters["nmi"], "ari": clusters["ari"], "cluster_accuracy": clusters["accuracy"]}


def by_cls(
    encoder: VisionTransformer, train: ImageSet, test: ImageSet, settings: Settings, seed: int
) -> dict[str, Score]:
    """Neighbours and probe of a transformer's CLS token, which DINO trains and its papers read."""
    ours, theirs = (extract(encoder, images.images, settings.eval_size, cls=True) for images in (train, test))
    scores: dict[str, Score] = {}
    for kind, known, wanted in (("species", train.labels, test.labels), ("genus", train.coarse, test.coarse)):
        if known is not None and wanted is not None:
            data = (ours, known, theirs, wanted)
            found = {"knn": knn(*data, k=settings.neighbours), "linear": linear_probe(*data, seed=seed)}
            scores |= {f"{kind}_{name}": score.under(labels=kind, token="CLS") for name, score in found.items()}
    return scores


@torch.no_grad()
def aligned_views(encoder: Encoder, images: ImageSet, size: int, seed: int) -> tuple[Tensor, Tensor]:
    """Features of two augmented views of the first images, each (M, D) on the CPU."""
    augment, views = Augment(VIEWS[ALIGNED_VIEWS], size), []
    with frozen(encoder) as device:
        for purpose in ("evaluate/view0", "evaluate/view1"):
            blocks = torch.arange(min(ALIGNED_IMAGES, len(images))).split(BATCH)
            rows = [
                encoder.features(augment(images.images[i].to(device), seed, 0, i.to(device), purpose)) for i in blocks
            ]
            views.append(torch.cat(rows).float().cpu())
    return views[0], views[1]


def on_parts(encoder: Encoder, probe: LinearClassifier, test: ImageSet, size: int) -> dict[str, Score]:
    """Where a probe's evidence for the true species lies, scored against the true foreground and parts."""
    assert test.foreground is not None
    maps = attention.class_maps(encoder, probe, test.images, test.labels, size)
    scores = {
        "foreground_energy": attention.foreground_energy(maps, test.foreground),
        "foreground_lift": attention.foreground_lift(maps, test.foreground),
    }
    if test.parts is not None and test.discriminative is not None:
        scores |= {
            "discriminative_energy": attention.part_energy(maps, test.parts, test.discriminative),
            "discriminative_lift": attention.part_lift(maps, test.parts, test.discriminative),
            "discriminative_pointing": attention.pointing(maps, test.parts, test.discriminative),
        }
    target = "Grad-CAM of the true species' logit of the linear probe fitted on train"
    return {name: score.under(target=target, map=f"{maps.shape[1]}x{maps.shape[2]}") for name, score in scores.items()}


def on_own_attention(encoder: VisionTransformer, test: ImageSet, settings: Settings) -> dict[str, Score]:
    """Where a transformer's CLS token looks, mean over heads, and which patches its first component takes for object.

    No label is used: neither a probe nor the true masks make the maps, which are then scored against the masks.
    """
    assert test.foreground is not None
    side = settings.eval_size // encoder.patch
    seen = looked_at(self_attention(encoder, test.images, settings.eval_size), (side, side)).mean(dim=1)  # (N, h, w)
    taken = first_component_mask(patch_maps(encoder, test.images, settings.eval_size))
    about = {"metric": "intersection over union of the first component's patches with the object", "images": len(test)}
    scores = {
        "cls_foreground_lift": attention.foreground_lift(seen, test.foreground),
        "component_iou": Score.of(mask_iou(taken, test.foreground), about),
    }
    if test.parts is not None and test.discriminative is not None:
        scores["cls_discriminative_lift"] = attention.part_lift(seen, test.parts, test.discriminative)
    return {name: score.under(target="no label", map=f"{side}x{side}") for name, score in scores.items()}
