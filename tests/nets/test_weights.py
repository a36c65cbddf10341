"""The shipped networks are the files that their record describes, and are as good as it says."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch

import fgssl_edu
from fgssl_edu.nets import weights
from fgssl_edu.nets.decoders import Decoder
from fgssl_edu.nets.encoders import build_encoder

FOLDER = Path(fgssl_edu.__file__).parent / "weights"


def test_every_file_has_the_recorded_hash_and_is_under_a_megabyte() -> None:
    named = {**weights.record()["sha256"], **weights.record(weights.TRANSFORMER_RECORD)["sha256"]}
    assert set(named) == {path.name for path in FOLDER.glob("*.safetensors")}
    for name, expected in named.items():
        content = (FOLDER / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == expected and len(content) < 1_000_000


@pytest.mark.parametrize("load", [weights.encoder_state, weights.transformer_state])
def test_a_file_that_is_not_the_recorded_one_is_refused(load, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = {"sha256": dict.fromkeys((*weights.FILES.values(), weights.TRANSFORMER), "0" * 64)}
    monkeypatch.setattr(weights, "record", lambda name: changed)
    with pytest.raises(ValueError, match="reinstall"):
        load()


def test_encoder_and_decoder_load_whole() -> None:
    encoder = build_encoder("resnet10", init="birds", seed=3)
    assert torch.equal(encoder.state_dict()["entry.0.weight"], weights.encoder_state()["entry.0.weight"])
    Decoder(128, weights.DECODER_SIZE).load_state_dict(weights.decoder_state())
    transformer = build_encoder("vit_mini", init="birds", seed=3)
    assert torch.equal(transformer.state_dict()["cls_token"], weights.transformer_state()["cls_token"])


def test_other_networks_have_no_shipped_start() -> None:
    for name, norm in (("resnet18", "batch"), ("vit_tiny", "batch"), ("resnet10", "group")):
        with pytest.raises(ValueError, match="init='birds'"):
            build_encoder(name, norm=norm, init="birds")


def test_the_recorded_reader_names_decoded_birds() -> None:
    scores = weights.record()["scores"]
    assert scores["reader/decoded_species"] >= 0.5 and scores["reader/decoded_genus"] >= 0.9
    assert scores["reader/original_species"] > scores["reader/decoded_species"]
    assert scores["explained/bird"] >= 0.45
