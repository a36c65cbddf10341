"""The shipped transformer can be made again, and looks where its record says."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from fgssl_edu import cli, config
from fgssl_edu.data.image_set import ImageSet
from fgssl_edu.evaluate.attention import foreground_lift
from fgssl_edu.explain.attention import looked_at, self_attention
from fgssl_edu.nets import weights
from fgssl_edu.nets.encoders import build_encoder
from fgssl_edu.runs import arms, shipped_transformer

HEADS = [f"attention/head_{i}_foreground_lift" for i in (1, 2, 3)]


def test_made_again_at_tiny_scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arm, settings = shipped_transformer.recipe(steps=3, train_images=240)
    fewer = dataclasses.replace(settings, test_images=96)
    monkeypatch.setattr(shipped_transformer, "recipe", lambda *asked: (arm, fewer))
    record = json.loads(shipped_transformer.make(tmp_path, steps=3, train_images=240).read_text())
    content = (tmp_path / weights.TRANSFORMER).read_bytes()
    assert record["sha256"] == {weights.TRANSFORMER: hashlib.sha256(content).hexdigest()} and len(content) < 1_000_000
    made, start = load_file(tmp_path / weights.TRANSFORMER), build_encoder("vit_mini", seed=0).state_dict()
    assert set(made) == set(start) and made["cls_token"].dtype == torch.float16
    assert not torch.equal(made["cls_token"].float(), start["cls_token"].half().float())  # it was trained
    assert record["settings"]["steps"] == record["settings"]["warmup"] == 3
    assert set(record["scores"]) == set(record["untrained"]) >= set(HEADS)


def test_the_shipped_record_is_of_the_recipe_in_the_code() -> None:
    arm, settings = shipped_transformer.recipe(shipped_transformer.STEPS, shipped_transformer.TRAIN_IMAGES)
    shipped = weights.record(weights.TRANSFORMER_RECORD)
    assert {name: getattr(settings, name) for name in shipped["settings"]} == shipped["settings"]
    assert json.loads(json.dumps(dict(arm.fields))) == shipped["fields"]


@pytest.fixture(scope="module")
def unseen() -> ImageSet:
    recorded = weights.record(weights.TRANSFORMER_RECORD)["settings"]
    return arms.load(config.Settings(**{**recorded, "train_images": 48, "test_images": 240})).test


def lifts(images: Tensor, birds: Tensor) -> list[float]:
    """Of every head of the shipped transformer."""
    seen = looked_at(self_attention(build_encoder("vit_mini", init="birds"), images, 40), (10, 10))
    return [foreground_lift(seen[:, i], birds).value for i in range(3)]


def test_a_head_of_the_shipped_transformer_looks_at_the_bird_as_recorded(unseen: ImageSet) -> None:
    shipped = weights.record(weights.TRANSFORMER_RECORD)
    found = lifts(unseen.images, unseen.foreground)
    assert found == pytest.approx([shipped["scores"][name] for name in HEADS], abs=0.3)  # a quarter of its birds
    assert max(found) > 2 and min(found) < 0.5
    assert [shipped["untrained"][name] for name in HEADS] == pytest.approx([1, 1, 1], abs=0.05)


def test_it_follows_the_bird_out_of_the_middle(unseen: ImageSet) -> None:
    ends = slice(None, 40), slice(-40, None)
    images, birds = (
        torch.cat([stack[..., high, wide] for high in ends for wide in ends])
        for stack in (unseen.images, unseen.foreground)
    )
    others = torch.randperm(len(birds), generator=torch.Generator().manual_seed(0))
    assert max(lifts(images, birds)) > 1.7  # a square in the middle has 1.2
    assert lifts(images, birds[others]) == pytest.approx([1, 1, 1], abs=0.2)


def test_the_command_makes_networks_that_there_are() -> None:
    with pytest.raises(ValueError, match="encoder or transformer"):
        cli.weights("decoder", None)
