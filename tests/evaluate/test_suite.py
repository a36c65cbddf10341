"""The suite: every promised score with its protocol, and nothing about the encoder changed."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from fgssl_edu.config import Settings
from fgssl_edu.data.birds import World, bird_set
from fgssl_edu.data.image_set import Splits
from fgssl_edu.evaluate import attention, edits, suite
from fgssl_edu.evaluate.features import extract
from fgssl_edu.evaluate.monitor import CollapseMonitor
from fgssl_edu.evaluate.probe import LinearClassifier, few_shot, linear_probe
from fgssl_edu.evaluate.retrieval import retrieval
from fgssl_edu.nets.encoders import Encoder, build_encoder
from fgssl_edu.views import resized

WORLD = World.make(species=4)
SETTINGS = Settings(scale="ci", species=4, image_size=48, train_images=60, test_images=40, batch=32, neighbours=5)
BY_LABEL = {"knn", "linear", "linear_20", "rank1", "rank5", "map", "nmi", "ari", "cluster_accuracy"}
BY_LABEL |= {"1_shot", "2_shot", "4_shot", "8_shot"}


@pytest.fixture(scope="module")
def splits() -> Splits:
    return Splits(bird_set(60, size=48, world=WORLD), bird_set(40, size=48, world=WORLD, split="test"))


@pytest.fixture(autouse=True)
def few_birds(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = edits.edit_score.__defaults__
    assert defaults is not None
    monkeypatch.setattr(edits.edit_score, "__defaults__", (defaults[0], 8, *defaults[2:]))


class Watched:
    """An encoder's bits and modes and the global random state, to be compared later."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.state = {name: value.clone() for name, value in encoder.state_dict().items()}
        self.modes = [part.training for part in encoder.modules()]
        self.random = torch.get_rng_state()

    def unchanged(self) -> bool:
        same = all(torch.equal(self.state[name], value) for name, value in self.encoder.state_dict().items())
        return (
            same
            and self.modes == [part.training for part in self.encoder.modules()]
            and torch.equal(self.random, torch.get_rng_state())
        )


def test_every_promised_score_is_there_and_the_encoder_is_frozen_bit_by_bit(splits: Splits):
    encoder = build_encoder("resnet10", seed=0)
    watched = Watched(encoder)
    scores = suite.evaluate(encoder, splits, SETTINGS)
    assert watched.unchanged() and all(parameter.grad is None for parameter in encoder.parameters())
    for level in ("species", "genus"):
        assert {name.split("/")[1] for name in scores if name.startswith(level)} == BY_LABEL
    assert {
        "geometry/effective_rank",
        "geometry/rankme",
        "geometry/std_ratio",
        "geometry/alignment",
        "geometry/uniformity",
    } <= set(scores)
    assert {
        "attention/discriminative_lift",
        "attention/foreground_energy",
        "attention/foreground_lift",
        "edit/score",
    } <= set(scores)
    assert all(math.isfinite(score.value) for score in scores.values())
    for score in scores.values():
        assert {"metric", "dataset", "eval_size", "encoder", "stem"} <= set(score.protocol)
        assert score.protocol["picture"] == "whole, resized"
    assert scores["species/knn"].protocol["labels"] == "species" and scores["genus/knn"].protocol["labels"] == "genus"
    assert "true species" in str(scores["attention/discriminative_lift"].protocol["target"])


@pytest.mark.parametrize("path", ["extract", "class_maps", "edit_score", "linear_probe", "few_shot", "retrieval"])
def test_frozen_means_frozen_on_every_path(path: str, splits: Splits):
    """In training mode with trained statistics, a layer of its own mode, and gradients that somebody still wants."""
    encoder = build_encoder("resnet10", seed=0)
    encoder(torch.rand(8, 3, 40, 40, generator=torch.Generator().manual_seed(0))).square().sum().backward()
    encoder.blocks[1].eval()
    gradients = [parameter.grad.clone() for parameter in encoder.parameters()]
    watched, data = Watched(encoder), (splits.train, splits.test)
    if path == "class_maps":
        probe = LinearClassifier(torch.ones(4, encoder.dim), torch.zeros(4), 1.0)
        attention.class_maps(encoder, probe, splits.test.images, splits.test.labels, 40)
    elif path == "edit_score":
        edits.edit_score(encoder, WORLD, 48, 40)
    else:
        train, test = ((extract(encoder, each.images, 40), each.labels) for each in data)
        if path == "retrieval":
            retrieval(*test)
        elif path != "extract":
            {"linear_probe": linear_probe, "few_shot": few_shot}[path](*train, *test)
    assert watched.unchanged()
    assert all(torch.equal(p.grad, before) for p, before in zip(encoder.parameters(), gradients, strict=True))
    assert all(parameter.requires_grad for parameter in encoder.parameters())


def test_scores_are_the_same_when_taken_again(splits: Splits):
    encoder = build_encoder("resnet10", seed=0)
    first, second = (suite.evaluate(encoder, splits, SETTINGS) for _ in range(2))
    assert {name: score.value for name, score in first.items()} == {name: score.value for name, score in second.items()}


def test_what_a_data_set_does_not_know_is_absent(splits: Splits):
    bare = {
        "coarse": None,
        "coarse_classes": (),
        "parts": None,
        "foreground": None,
        "discriminative": None,
        "factors": None,
    }
    train, test = replace(splits.train, **bare), replace(splits.test, **bare)  # type: ignore[arg-type]
    labels = train.labels.clone()
    labels[::3] = -1  # unlabelled ones are left out, not taken for a class
    scores = suite.evaluate(build_encoder("resnet10", seed=0), Splits(replace(train, labels=labels), test), SETTINGS)
    assert not [name for name in scores if name.split("/")[0] in ("genus", "attention", "edit")]
    assert scores["species/knn"].protocol["train_images"] == 40
    with pytest.raises(ValueError, match="0 labelled test"):
        suite.evaluate(build_encoder("resnet10", seed=0), Splits(train, test.subset(torch.arange(0))), SETTINGS)


class FakeMethod(torch.nn.Module):
    """What a monitor asks of a method."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = build_encoder("resnet10", seed=0)

    def evaluated(self) -> Encoder:
        return self.encoder


def test_monitor_sees_a_collapse_and_leaves_no_trace(splits: Splits):
    method = FakeMethod()
    watched = Watched(method.encoder)
    monitor = CollapseMonitor(splits.train, splits.test, every=5, size=40, k=5)
    healthy = monitor(method, {}, 5)
    assert watched.unchanged() and set(healthy) == {"std_ratio", "effective_rank", "knn"}
    assert monitor(method, {"embedding_std": 0.9}, 5)["std_ratio"] == 0.9  # what the method itself reports comes first
    with torch.no_grad():
        method.encoder.blocks[-1][0].second_norm.weight.zero_()  # only the shortcut's features are left
        for layer in method.encoder.blocks[-1][0].shortcut:
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.weight.zero_()
                layer.bias.fill_(1.0)
    collapsed = monitor(method, {}, 10)
    assert (
        collapsed["std_ratio"] < 1e-6 < healthy["std_ratio"]
        and collapsed["effective_rank"] == 1 < healthy["effective_rank"]
    )
    with pytest.raises(ValueError, match="every=0"):
        CollapseMonitor(splits.train, splits.test, every=0)


def test_a_transformer_is_also_asked_where_it_looks_by_itself(splits: Splits):
    encoder = build_encoder("vit_mini", seed=0)
    watched = Watched(encoder)
    scores = suite.evaluate(encoder, splits, SETTINGS)
    own = {"attention/cls_foreground_lift", "attention/cls_discriminative_lift", "attention/component_iou"}
    by_cls = {f"cls/{level}_{name}" for level in ("species", "genus") for name in ("knn", "linear")}
    assert watched.unchanged() and own | by_cls <= set(scores)
    features = extract(encoder, splits.test.images, SETTINGS.eval_size, cls=True)
    with pytest.raises(ValueError, match="resnet10 has no CLS token"):
        extract(build_encoder("resnet10", seed=0), splits.test.images, cls=True)
    with torch.no_grad():
        alone = encoder.eval().cls(resized(splits.test.images[:3], SETTINGS.eval_size))
    assert torch.allclose(features[:3], alone, atol=1e-5)
    assert not torch.allclose(features, extract(encoder, splits.test.images, SETTINGS.eval_size), atol=0.1)
    assert scores["attention/cls_foreground_lift"].value == pytest.approx(1, abs=0.1)  # untrained: everywhere alike
    for name in own:
        assert scores[name].protocol["map"] == "10x10" and scores[name].protocol["target"] == "no label"
    assert not (own | by_cls) & set(suite.evaluate(build_encoder("resnet10", seed=0), splits, SETTINGS))
