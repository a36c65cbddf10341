"""The shipped networks can be made again: the whole command at tiny scale, and its scores of the real files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from fgssl_edu import config
from fgssl_edu.evaluate.features import extract
from fgssl_edu.evaluate.knn import knn
from fgssl_edu.nets import weights
from fgssl_edu.nets.decoders import Decoder
from fgssl_edu.nets.encoders import build_encoder
from fgssl_edu.runs import arms, shipped
from fgssl_edu.views import resized


@pytest.fixture(scope="module")
def splits():
    recorded = weights.record()["settings"]
    settings = config.Settings(**{**recorded, "train_images": 960, "test_images": 240})
    return arms.load(settings)


def test_made_again_at_tiny_scale(tmp_path: Path) -> None:
    record = json.loads(shipped.make(tmp_path, steps=3, decoder_steps=3, train_images=256).read_text())
    assert set(record["sha256"]) == set(weights.FILES.values())
    made = load_file(tmp_path / weights.FILES["encoder"])
    assert set(made) == set(load_file(Path(str(weights._folder())) / weights.FILES["encoder"]))
    assert made["entry.0.weight"].dtype == torch.float16
    assert record["settings"]["steps"] == 3 and 0 <= record["scores"]["reader/decoded_species"] <= 1


def test_the_shipped_encoder_scores_as_recorded(splits) -> None:
    encoder, size = build_encoder("resnet10", init="birds"), 40
    features = extract(encoder, splits.train.images, size), extract(encoder, splits.test.images, size)
    score = knn(features[0], splits.train.labels, features[1], splits.test.labels).value
    # a third of the labels and a quarter of the test birds of the record: fewer neighbours, and a wide interval
    assert score > weights.record()["scores"]["species/knn"] - 0.2


def test_the_shipped_decoder_explains_unseen_birds(splits) -> None:
    encoder, decoder = build_encoder("resnet10", init="birds"), Decoder(128, weights.DECODER_SIZE)
    decoder.load_state_dict(weights.decoder_state())
    pictures, originals = shipped.decoded(encoder, decoder, splits.test.images), resized(splits.test.images, 40)
    mean = resized(splits.train.images, 40).mean(dim=0)
    whole = shipped.explained(pictures, originals, mean, torch.ones(len(originals), 1, 1, 1))
    assert abs(whole - weights.record()["scores"]["explained/picture"]) < 0.05


def test_explained_variance_has_its_landmarks() -> None:
    originals = torch.rand(6, 3, 8, 8)
    mean, mask = originals.mean(dim=0), torch.ones(6, 1, 8, 8)
    assert shipped.explained(originals, originals, mean, mask) == 1
    assert abs(shipped.explained(mean.expand_as(originals), originals, mean, mask)) < 1e-6
    mask[:, :, :4] = 0
    worse = originals.clone()
    worse[:, :, :4] = 0
    assert shipped.explained(worse, originals, mean, mask) == 1  # outside the mask nothing counts
