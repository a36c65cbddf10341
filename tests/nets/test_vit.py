from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fgssl_edu import draws
from fgssl_edu.nets import build_encoder, ema_copy
from fgssl_edu.nets.vit import VITS, VisionTransformer, ViTShape, from_timm, to_timm

TINY = ViTShape(patch=4, dim=24, depth=3, heads=3, size=16)


def pictures(*shape: int) -> Tensor:
    return draws.uniform(0, 0, torch.arange(shape[0]), "picture", shape[1] * shape[2] * shape[3]).view(shape)


def tiny() -> VisionTransformer:
    """Weights so large that tokens and attention differ from each other plainly."""
    torch.manual_seed(0)
    encoder = VisionTransformer("tiny", TINY).eval()
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter.detach(), std=0.3)
    return encoder


def as_map(tokens: Tensor, rows: int, columns: int) -> Tensor:
    return tokens[:, 1:].transpose(1, 2).unflatten(2, (rows, columns))


@pytest.mark.parametrize("name", ["vit_mini", "vit_tiny", "vit_small", "vit_base"])
def test_shapes_and_what_an_encoder_promises(name: str) -> None:
    encoder, shape = build_encoder(name, seed=0).eval(), VITS[name]
    side = 4 * shape.patch
    images = pictures(2, 3, side, side)
    with torch.no_grad():
        tokens, stages, feature_map = encoder.tokens(images), encoder.stages(images), encoder.feature_map(images)
        assert torch.equal(encoder.pool(feature_map), encoder.features(images))
        assert torch.equal(encoder(images), encoder.features(images))
        assert torch.equal(encoder.cls(images), tokens[:, 0])
    assert (encoder.name, encoder.dim, encoder.patch) == (name, shape.dim, shape.patch) and "stride" in encoder.stem
    assert tokens.shape == (2, 17, shape.dim) and feature_map.shape == (2, shape.dim, 4, 4)
    assert len(stages) == shape.depth and torch.equal(stages[-1], feature_map)
    assert torch.equal(as_map(tokens, 4, 4), feature_map)


def test_every_transformer_is_tested_above() -> None:
    assert set(VITS) == {"vit_mini", "vit_tiny", "vit_small", "vit_base"}


def test_a_grid_has_rows_first() -> None:
    """A picture of 2 x 3 patches, one of them white: its token alone differs in what enters the first block."""
    encoder, images = tiny(), torch.zeros(1, 3, 8, 12)
    white = images.clone()
    white[:, :, 4:, :4] = 1  # second row, first column
    changed = (encoder.embed(white) - encoder.embed(images)).abs().sum(dim=2)[0]
    assert changed.nonzero().flatten().tolist() == [1 + 1 * 3 + 0]
    assert encoder.feature_map(images).shape == (1, TINY.dim, 2, 3)


def test_keep_in_another_order_only_reorders_and_keeping_all_changes_nothing() -> None:
    encoder, images = tiny(), pictures(2, 3, 16, 16)
    everything = encoder.tokens(images)
    order = torch.stack([torch.randperm(16, generator=torch.Generator().manual_seed(i)) for i in (0, 1)])
    kept = encoder.tokens(images, keep=order)
    torch.testing.assert_close(kept[:, 0], everything[:, 0])
    rows = torch.arange(2)[:, None]
    torch.testing.assert_close(kept[:, 1:], everything[:, 1:][rows, order])


def test_what_is_not_kept_does_not_enter() -> None:
    encoder, images = tiny(), pictures(1, 3, 16, 16)
    keep, other = torch.tensor([[0, 5, 6]]), images.clone()
    other[:, :, 8:] = 0.5  # rows 2 and 3 of the grid: patches 8 to 15
    assert torch.equal(encoder.tokens(images, keep=keep), encoder.tokens(other, keep=keep))
    assert encoder.tokens(images, keep=keep).shape == (1, 4, TINY.dim)
    assert not torch.allclose(encoder.tokens(images), encoder.tokens(other))


def test_a_masked_patch_shows_its_place_but_not_its_content() -> None:
    encoder, images = tiny(), pictures(1, 3, 16, 16)
    mask = torch.zeros(1, 16, dtype=torch.bool)
    mask[0, [3, 9]] = True
    other = images.clone()
    other[:, :, 0:4, 12:16] = 0.1  # patch 3
    assert torch.equal(encoder.tokens(images, mask=mask), encoder.tokens(other, mask=mask))
    entered = encoder.embed(images, mask=mask)[0, 1:]
    expected = encoder.mask_token[0, 0] + encoder.pos_embed[0, 1:]
    torch.testing.assert_close(entered[[3, 9]], expected[[3, 9]])
    assert torch.equal(encoder.embed(images, mask=torch.zeros_like(mask)), encoder.embed(images))


def test_the_mask_token_learns_only_where_a_method_says_so() -> None:
    encoder, images = tiny(), pictures(1, 3, 16, 16)
    assert not encoder.mask_token.requires_grad  # a parameter that a step does not use must not wait for a gradient
    encoder.mask_token.requires_grad_(True)
    encoder.features(images).sum().backward()
    assert encoder.mask_token.grad is None or not encoder.mask_token.grad.any()
    encoder.zero_grad()
    encoder.tokens(images, mask=torch.ones(1, 16, dtype=torch.bool)).square().sum().backward()
    assert encoder.mask_token.grad.any()


def test_attention_is_what_the_last_block_mixes_values_by() -> None:
    encoder, images = tiny(), pictures(2, 3, 16, 16)
    weights = encoder.attention(images)
    assert weights.shape == (2, 3, 17, 17)
    torch.testing.assert_close(weights.sum(dim=3), torch.ones(2, 3, 17))
    x = encoder.embed(images)
    for block in encoder.blocks[:-1]:
        x = block(x)
    last = encoder.blocks[-1]
    value = last.attn._split(last.norm1(x))[2]
    mixed = last.attn.proj((weights @ value).transpose(1, 2).flatten(2))
    torch.testing.assert_close(encoder.norm(last(x)), encoder.tokens(images))
    torch.testing.assert_close(last.attn(last.norm1(x)), mixed)


def test_positions_of_its_own_size_are_the_learned_ones_and_others_lie_between_them() -> None:
    encoder = tiny()
    assert torch.equal(encoder.positions(4, 4), encoder.pos_embed)
    larger = encoder.positions(8, 8)
    assert larger.shape == (1, 65, TINY.dim) and torch.equal(larger[:, 0], encoder.pos_embed[:, 0])
    with torch.no_grad():
        encoder.pos_embed[:, 1:] = torch.arange(4.0).repeat_interleave(4)[None, :, None]  # the row's number
    ramp = as_map(encoder.positions(8, 4), 8, 4)[0, 0]
    assert torch.allclose(ramp[:, 0], ramp[:, 3]) and (ramp[1:, 0] > ramp[:-1, 0]).all()


@pytest.mark.parametrize("size", [(30, 32), (32, 33), (2, 4)])
def test_sides_that_a_patch_does_not_divide_are_refused(size: tuple[int, int]) -> None:
    encoder = build_encoder("vit_mini", seed=0)
    with pytest.raises(ValueError, match="multiples of 4"):
        encoder.features(pictures(1, 3, *size))


def test_a_mask_of_another_shape_or_kind_is_refused() -> None:
    encoder, images = tiny(), pictures(2, 3, 16, 16)
    for mask in (torch.zeros(2, 9, dtype=torch.bool), torch.zeros(2, 16)):
        with pytest.raises(ValueError, match="mask"):
            encoder.tokens(images, mask=mask)


def test_no_image_depends_on_its_batch_in_training_either() -> None:
    encoder, images = build_encoder("vit_mini", seed=0).train(), pictures(4, 3, 16, 16)
    with torch.no_grad():
        alone = torch.cat([encoder(image[None]) for image in images])
    torch.testing.assert_close(alone, encoder(images))


def test_weights_go_to_timms_names_and_back() -> None:
    one, other = tiny(), VisionTransformer("tiny", TINY)
    state = to_timm(one)
    assert {"patch_embed.proj.weight", "cls_token", "pos_embed", "norm.bias", "blocks.2.attn.qkv.bias"} <= set(state)
    assert not {"mean", "std", "mask_token"} & set(state)
    from_timm(other, state)
    images = pictures(1, 3, 16, 16)
    assert torch.equal(one.tokens(images), other.tokens(images))
    with pytest.raises(RuntimeError, match="Missing"):
        from_timm(other, {key: value for key, value in state.items() if key != "norm.bias"})


def test_a_slow_copy_computes_the_same_and_learns_nothing() -> None:
    encoder, images = tiny(), pictures(1, 3, 16, 16)
    copy = ema_copy(encoder)
    assert torch.equal(copy.cls(images), encoder.cls(images)) and not copy.cls(images).requires_grad


def test_initial_weights_are_dinos() -> None:
    encoder = build_encoder("vit_mini", seed=0)
    weights = torch.cat([block.mlp.fc1.weight.flatten() for block in encoder.blocks])
    assert 0.017 < float(weights.detach().std()) < 0.021 and not encoder.blocks[0].attn.qkv.bias.any()
    assert encoder.norm.eps == 1e-6
