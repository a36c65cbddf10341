"""Fine-tuning: planted tasks that need it, what its rate is chosen on, and that a paper's rule is the paper's."""

from __future__ import annotations

import copy
import dataclasses
import shutil
from pathlib import Path

import pytest
import torch

from fgssl_edu.config import Settings
from fgssl_edu.data.image_set import ImageSet, Splits
from fgssl_edu.evaluate import finetune as module
from fgssl_edu.evaluate import suite
from fgssl_edu.evaluate.features import extract
from fgssl_edu.evaluate.finetune import PROTOCOLS, finetune
from fgssl_edu.evaluate.probe import linear_probe
from fgssl_edu.evaluate.sgd_probe import held_out_part
from fgssl_edu.methods.finetuned import FineTuned, trainable
from fgssl_edu.nets.encoders import Encoder, build_encoder
from fgssl_edu.recipe import Recipe
from fgssl_edu.train import TrainingDiverged

SETTINGS = Settings(scale="ci", crop_size=16, eval_size=16, finetune_epochs=10, accelerator="cpu")
CLASSES = 3
HUES = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])


def coloured(count: int, seed: int) -> ImageSet:
    """Noise of one of three hues: the class is the hue alone, for each channel has the same strengths."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % CLASSES
    light = 60 + 180 * torch.rand(count, 1, 16, 16, generator=draw)
    images = (light * HUES[labels][:, :, None, None]).byte()
    return ImageSet(images, labels, ("red", "green", "blue"), "hues", "drawn in a test", "none")


def colour_blind(seed: int = 0) -> Encoder:
    """An encoder whose first layer adds the three channels up, so that no reader of its features can tell hues."""
    encoder = build_encoder("resnet10", seed=seed)
    encoder.mean.fill_(0.4), encoder.std.fill_(0.2)
    with torch.no_grad():
        first = encoder.entry[0].weight
        first.copy_(first.mean(dim=1, keepdim=True).expand_as(first))
    return encoder


@pytest.fixture(scope="module")
def splits() -> Splits:
    return Splits(coloured(180, 1), coloured(90, 2))


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROTOCOLS, "simcore", dataclasses.replace(PROTOCOLS["simcore"], batch=30))


def test_it_learns_what_no_probe_can_read_and_leaves_the_encoder_as_it_was(splits: Splits):
    encoder, random_state = colour_blind(), torch.get_rng_state()
    before, modes = copy.deepcopy(encoder.state_dict()), [part.training for part in encoder.modules()]
    features = [extract(encoder, images.images, 16) for images in (splits.train, splits.test)]
    probe = linear_probe(features[0], splits.train.labels, features[1], splits.test.labels)
    tuned = finetune(encoder, splits, SETTINGS, rates=(0.03,))
    assert probe.value < 0.6 and tuned.score.value > 0.95
    first = tuned.method.encoder.entry[0].weight
    assert not torch.allclose(first, encoder.entry[0].weight)  # the gradient reaches the first layer
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    assert [part.training for part in encoder.modules()] == modes and encoder.entry[0].weight.grad is None
    assert torch.equal(torch.get_rng_state(), random_state)


def test_the_planted_rate_wins_and_one_that_diverges_is_named(splits: Splits):
    tuned = finetune(colour_blind(), splits, SETTINGS, rates=(1e12, 0.03, 1e-7))
    assert tuned.lr == 0.03 and tuned.score.value > 0.95
    assert tuned.validation[1e12] is None and tuned.validation[0.03] > tuned.validation[1e-7]
    chosen = tuned.score.protocol["chosen"]
    assert chosen == {"lr": 0.03, "validation": {f"{rate:g}": seen for rate, seen in tuned.validation.items()}}
    assert tuned.score.protocol["rates"] == ["1e+12", "0.03", "1e-07"]
    with pytest.raises(ValueError, match=r"rates=1e\+12, 1e\+13: fine-tuning diverges at every one"):
        finetune(colour_blind(), splits, SETTINGS, rates=(1e12, 1e13))
    with pytest.raises(ValueError, match=r"rates=1e\+12: fine-tuning diverges"):
        finetune(colour_blind(), splits, SETTINGS, rates=(1e12,))


def test_a_rate_that_diverges_on_all_images_gives_way_to_the_next_best(splits: Splits, monkeypatch: pytest.MonkeyPatch):
    train = module._Trainer.train
    monkeypatch.setattr(module._Trainer, "train", lambda *a: None if a[2:] == (0.01, "final") else train(*a))
    Watched(monkeypatch)
    assert finetune(colour_blind(), splits, SETTINGS).lr == 0.03


class Watched:
    """What each training was given, in place of the training: nothing is learned."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, diverges: float = 0.0) -> None:
        self.trained: list[tuple[ImageSet, Recipe]] = []
        self.diverges = diverges
        monkeypatch.setattr(module, "pretrain", self)

    def __call__(self, method: FineTuned, images: ImageSet, recipe: Recipe, **_: object) -> None:
        self.trained.append((images, recipe))
        if recipe.lr == self.diverges:
            raise TrainingDiverged("planted")


def test_the_rate_is_chosen_on_a_tenth_of_each_class_of_the_training_images(
    splits: Splits, monkeypatch: pytest.MonkeyPatch
):
    watched = Watched(monkeypatch)
    tuned = finetune(colour_blind(), splits, SETTINGS)
    assert [recipe.lr for _, recipe in watched.trained] == [0.1, 0.03, 0.01, tuned.lr]
    assert tuned.lr == 0.01  # of equally good ones the smallest
    searched, final = watched.trained[0][0], watched.trained[-1][0]
    assert len(searched) == 162 and searched.labels.bincount().tolist() == [54] * CLASSES
    assert final.images is splits.train.images
    kept = {picture.numpy().tobytes() for picture in searched.images}
    held_out = held_out_part(splits.train.labels, 0, "finetune/validation")
    rest = {picture.numpy().tobytes() for picture in splits.train.images[held_out]}
    assert len(kept) == 162 and len(rest) == 18 and not kept & rest
    assert "test" not in str(tuned.score.protocol["search"])


def test_nothing_of_the_test_set_is_used_unless_the_released_code_s_way_is_asked_for(
    splits: Splits, monkeypatch: pytest.MonkeyPatch
):
    watched, looked = Watched(monkeypatch), []
    count = module._hits
    monkeypatch.setattr(module, "_hits", lambda *a: (looked.append(a[1]), count(*a))[1])
    finetune(colour_blind(), splits, SETTINGS)
    assert [images is splits.test for images in looked] == [False, False, False, True]
    looked.clear()
    released = finetune(colour_blind(), splits, SETTINGS, search_on="test")
    assert all(images is splits.test for images in looked) and "too good" in str(released.score.protocol["search"])
    assert all(len(images) == 180 for images, _ in watched.trained[4:])


def test_a_share_of_the_labels_is_stratified_and_said(splits: Splits, monkeypatch: pytest.MonkeyPatch):
    watched = Watched(monkeypatch)
    score = finetune(colour_blind(), splits, SETTINGS, share=0.2, rates=(0.1,)).score
    assert watched.trained[0][0].labels.bincount().tolist() == [12] * CLASSES
    assert score.protocol["label_share"] == 0.2 and score.protocol["train_images"] == 36


def test_simcore_s_recipe_is_the_published_one(splits: Splits, monkeypatch: pytest.MonkeyPatch):
    watched = Watched(monkeypatch, diverges=0.1)
    tuned = finetune(colour_blind(), splits, dataclasses.replace(SETTINGS, finetune_epochs=0))
    recipe = watched.trained[-1][1]
    assert (recipe.optimizer, recipe.momentum, recipe.weight_decay, recipe.warmup) == ("sgd", 0.9, 1e-4, 0)
    assert recipe.steps == 100 * (180 // 30)  # 100 epochs
    rates = [recipe.rate(epoch * 6) for epoch in (0, 59, 60, 79, 80, 99)]
    assert rates == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
    assert tuned.validation[0.1] is None and PROTOCOLS["simcore"].rates == (0.1, 0.03, 0.01)


def test_the_same_seed_gives_the_same_bits_and_another_one_others(splits: Splits):
    settings = dataclasses.replace(SETTINGS, finetune_epochs=1)
    weights = [finetune(colour_blind(), splits, settings, rates=(0.03,), seed=s).method.state_dict() for s in (0, 0, 1)]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    assert any(not torch.equal(value, weights[2][name]) for name, value in weights[0].items())


def test_statistics_of_batches_are_learned_and_scoring_leaves_them(splits: Splits):
    encoder = colour_blind()
    method = finetune(encoder, splits, dataclasses.replace(SETTINGS, finetune_epochs=1), rates=(0.03,)).method
    old, new = encoder.entry[1], method.encoder.entry[1]
    assert int(new.num_batches_tracked) == int(old.num_batches_tracked) + 6 and new.training
    assert not torch.equal(new.running_mean, old.running_mean)
    alone = module._hits(method, splits.test.subset(torch.arange(1)), 16)
    among = module._hits(method, splits.test, 16)
    assert torch.equal(alone, among[:1]) and int(new.num_batches_tracked) == int(old.num_batches_tracked) + 6


def test_an_interrupted_search_goes_on_where_it_was(splits: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    settings = dataclasses.replace(SETTINGS, finetune_epochs=1, checkpoint_every=2)
    whole = finetune(colour_blind(), splits, settings, rates=(0.03, 0.01), folder=tmp_path / "whole")
    train, calls = module.pretrain, []

    def stopped(method: FineTuned, *arguments: object, **fields: object) -> object:
        calls.append(arguments[1].lr)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return train(method, *arguments, **fields)

    monkeypatch.setattr(module, "pretrain", stopped)
    with pytest.raises(KeyboardInterrupt):
        finetune(colour_blind(), splits, settings, rates=(0.03, 0.01), folder=tmp_path / "cut")
    stamps = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "cut" / "search_0.03").iterdir()}
    again = finetune(colour_blind(), splits, settings, rates=(0.03, 0.01), folder=tmp_path / "cut")
    assert stamps == {path.name: path.stat().st_mtime_ns for path in (tmp_path / "cut" / "search_0.03").iterdir()}
    assert again.validation == whole.validation and torch.equal(again.score.per_item, whole.score.per_item)
    shutil.rmtree(tmp_path / "cut" / "search_0.01")


def test_a_transformer_s_lower_blocks_learn_more_slowly_and_every_weight_is_in_one_group():
    encoder = build_encoder("vit_mini", seed=0).requires_grad_(False)  # as a teacher's are
    method = FineTuned(encoder, 0.65, labels=torch.arange(8) % 2, classes=2)
    (solver,) = method.optimizers(Recipe(steps=4, batch=4, lr=1e-3, weight_decay=0.05, warmup=0))
    named = {id(parameter): name for name, parameter in method.named_parameters()}
    rows = {named[id(p)]: group for group in solver.param_groups for p in group["params"]}
    wanted = {name for name, parameter in method.named_parameters() if parameter.requires_grad}
    assert set(rows) == wanted == set(named.values()) - {"encoder.mask_token"}
    assert sum(len(group["params"]) for group in solver.param_groups) == len(wanted)
    landmarks = {
        "encoder.pos_embed": 0.65**5,
        "encoder.entry.weight": 0.65**5,
        "encoder.blocks.0.attn.qkv.weight": 0.65**4,
        "encoder.blocks.3.mlp.fc2.bias": 0.65,
        "encoder.norm.weight": 1.0,
        "classifier.weight": 1.0,
    }
    for name, scale in landmarks.items():
        assert rows[name]["lr"] == pytest.approx(1e-3 * scale), name
    decayed = {name for name, group in rows.items() if group["weight_decay"] == 0.05}
    assert "encoder.blocks.3.mlp.fc2.weight" in decayed and "classifier.weight" in decayed
    assert not decayed & {"encoder.pos_embed", "encoder.cls_token", "encoder.norm.weight", "classifier.bias"}


def test_a_transformer_is_tuned_by_mae_s_recipe_and_a_slow_copy_learns(splits: Splits):
    teacher = build_encoder("vit_mini", seed=0).requires_grad_(False)
    small = dataclasses.replace(PROTOCOLS["mae"], batch=30)
    settings = dataclasses.replace(SETTINGS, finetune_epochs=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PROTOCOLS, "mae", small)
        tuned = finetune(teacher, splits, settings, rates=(5e-4,))
    assert tuned.score.protocol["settings"] == "mae" and "layer decay 0.65" in str(tuned.score.protocol["training"])
    assert not torch.equal(tuned.method.encoder.entry.weight, teacher.entry.weight)
    assert not any(p.requires_grad for p in teacher.parameters()) and trainable(teacher).cls_token.requires_grad


def test_the_suite_tunes_and_probes_as_a_paper_does_where_it_is_asked_to(
    splits: Splits, monkeypatch: pytest.MonkeyPatch
):
    settings = dataclasses.replace(SETTINGS, neighbours=5, probe="lcr")
    plain = suite.evaluate(colour_blind(), splits, dataclasses.replace(settings, finetune_epochs=0, probe="none"))
    Watched(monkeypatch)
    scores = suite.evaluate(colour_blind(), splits, settings)
    assert set(scores) - set(plain) == {"species/finetune", "species/sgd", "species/sgd_50", "species/sgd_20"}
    assert {"labels", "epochs", "encoder", "eval_size", "crop_size"} <= set(scores["species/finetune"].protocol)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"protocol": "simcor"}, r"protocol='simcor' \(did you mean 'simcore'\?\): use one of simcore, mae, simmim"),
        ({"protocol": "mae"}, "protocol='mae' gives each block of a transformer its rate; resnet10 is none"),
        ({"search_on": "train"}, "search_on='train': validation or test"),
        ({"rates": ()}, r"rates=\(\): give learning rates above 0"),
        ({"rates": (0.1, -1.0)}, "give learning rates above 0"),
        ({"share": 0.001}, "no class has two labelled training images"),
    ],
)
def test_mistakes_are_named_before_anything_trains(
    splits: Splits, monkeypatch: pytest.MonkeyPatch, fields: dict, complaint: str
):
    watched = Watched(monkeypatch)
    with pytest.raises(ValueError, match=complaint):
        finetune(colour_blind(), splits, SETTINGS, **fields)
    assert not watched.trained
