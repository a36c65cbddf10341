"""Our vision transformer against timm's: the same weights give the same tokens, both ways."""

from __future__ import annotations

import pytest
import torch

from fgssl_edu import draws
from fgssl_edu.nets import build_encoder
from fgssl_edu.nets.vit import VITS, from_timm, to_timm

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]  # the peer's own warnings are its own

CLOSE = {"rtol": 0, "atol": 1e-5}  # timm's fused attention adds up in another order


def timms(name: str):
    shape = VITS[name]
    model = pytest.importorskip("timm.models.vision_transformer").VisionTransformer(
        img_size=shape.size,
        patch_size=shape.patch,
        embed_dim=shape.dim,
        depth=shape.depth,
        num_heads=shape.heads,
        num_classes=0,
    )
    return model.eval()


def pictures(name: str) -> torch.Tensor:
    side = VITS[name].size
    return draws.uniform(0, 0, torch.arange(2), "picture", 3 * side * side).view(-1, 3, side, side)


@pytest.mark.parametrize("name", ["vit_mini", "vit_tiny"])
def test_timm_loads_our_weights_and_gives_our_tokens(name: str) -> None:
    encoder, peer, images = build_encoder(name, seed=0).eval(), timms(name), pictures(name)
    peer.load_state_dict(to_timm(encoder), strict=True)
    theirs = peer.forward_features((images - encoder.mean) / encoder.std)
    torch.testing.assert_close(encoder.tokens(images), theirs, **CLOSE)


@pytest.mark.parametrize("name", ["vit_mini", "vit_tiny"])
def test_we_load_timms_weights_and_give_its_tokens(name: str) -> None:
    encoder, peer, images = build_encoder(name, seed=0).eval(), timms(name), pictures(name)
    before = encoder.tokens(images)
    from_timm(encoder, peer.state_dict())
    theirs = peer.forward_features((images - encoder.mean) / encoder.std)
    torch.testing.assert_close(encoder.tokens(images), theirs, **CLOSE)
    assert not torch.allclose(before, theirs, **CLOSE)  # or the weights had nothing to do with it


def test_vit_tiny_is_timms_vit_tiny() -> None:
    peer = pytest.importorskip("timm").create_model("vit_tiny_patch16_224", num_classes=0)
    from_timm(build_encoder("vit_tiny"), peer.state_dict())  # strict: the very same names and shapes
