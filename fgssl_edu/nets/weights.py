"""The networks that come with the package, trained on birds: an encoder with its head and a decoder; a transformer.

Where a paper starts from ImageNet weights, a laptop cannot: these are a trained start for rendered birds. They were
made by `fgssl weights` and `fgssl weights transformer`, which train for as long as it takes and write the record beside
them.
"""

from __future__ import annotations

import hashlib
import json
from importlib import resources
from typing import Any

from torch import Tensor

FILES = {"encoder": "birds_encoder.safetensors", "decoder": "birds_decoder.safetensors"}
RECORD = "birds.json"
TRANSFORMER, TRANSFORMER_RECORD = "birds_dino.safetensors", "birds_dino.json"
DECODER_SIZE = 40  # px
HEAD = "head."  # the encoder's file holds its projection head too, under this prefix


def record(name: str = RECORD) -> dict[str, Any]:
    """How the shipped weights were made, what they score, and the SHA-256 of each file."""
    return json.loads(_folder().joinpath(name).read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def encoder_state() -> dict[str, Tensor]:
    """The encoder's state, for a resnet10; float32 on the CPU."""
    return {name: value for name, value in _state(FILES["encoder"]).items() if not name.startswith(HEAD)}


def head_state() -> dict[str, Tensor]:
    """The state of the head that the encoder was trained with: `projection("mlp", 128, 128, 128)`."""
    state = _state(FILES["encoder"])
    return {name.removeprefix(HEAD): value for name, value in state.items() if name.startswith(HEAD)}


def decoder_state() -> dict[str, Tensor]:
    """The state of a `Decoder(128, 40)` of the encoder's features."""
    return _state(FILES["decoder"])


def transformer_state() -> dict[str, Tensor]:
    """The state of a vit_mini that DINO trained, its teacher; float32 on the CPU."""
    return _state(TRANSFORMER, TRANSFORMER_RECORD)


def _folder() -> Any:
    return resources.files("fgssl_edu") / "weights"


def _state(name: str, described: str = RECORD) -> dict[str, Tensor]:
    """A shipped file as float32; ValueError where it is not the file that its record names."""
    from safetensors.torch import load

    content = _folder().joinpath(name).read_bytes()
    if hashlib.sha256(content).hexdigest() != record(described)["sha256"][name]:
        raise ValueError(f"{name} is not the file that weights/{described} describes; reinstall the package")
    return {key: value.float() if value.is_floating_point() else value for key, value in load(content).items()}


def half(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same state as it is shipped: floats in half precision, contiguous."""
    return {
        key: (value.detach().cpu().half() if value.is_floating_point() else value.detach().cpu()).contiguous()
        for key, value in state.items()
    }
