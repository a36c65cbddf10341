"""MAE: what enters the encoder, where guesses go, what the loss teaches, and how a guess becomes a picture."""

from __future__ import annotations

import pytest
import torch

from fgssl_edu import draws
from fgssl_edu.data.image_set import Batch
from fgssl_edu.losses import mae_loss, patchify
from fgssl_edu.losses.masked import normalize_patches
from fgssl_edu.methods import build
from fgssl_edu.methods.masked.mae import MAE, standardised
from fgssl_edu.nets import build_encoder
from fgssl_edu.nets.positions import sincos_positions
from fgssl_edu.views.masks import visible
from fgssl_edu.views.presets import VIEWS, scaled

SIDE = 24


def batch(count: int = 4) -> Batch:
    pixels = draws.uniform(1, 0, torch.arange(count), "pictures", 3 * SIDE**2).view(count, 3, SIDE, SIDE)
    return Batch((256 * pixels).byte(), torch.arange(count))


def mae(**fields) -> MAE:
    return MAE(build_encoder("vit_mini", seed=0), **{"size": 16, **fields})


def trained(method: MAE) -> MAE:
    """With a last layer that is not zero any more, so that guesses depend on what is seen."""
    torch.nn.init.normal_(method.decoder.leave.weight, std=0.1, generator=torch.Generator().manual_seed(0))
    return method


def test_the_first_loss_is_that_of_knowing_nothing():
    method = mae()
    loss = method(batch(), method.views(batch(), 0))["loss"].item()
    assert loss == pytest.approx(method.chance, abs=1e-4) and method.chance == 47 / 48
    assert mae(normalize=False).chance is None


def test_the_loss_is_over_hidden_patches_of_the_standardised_view():
    method = trained(mae(normalize=False))
    view, mask = method.views(batch(), 3)
    assert view.shape == (4, 3, 16, 16) and mask.shape == (4, 16) and set(mask.sum(dim=1).tolist()) == {12}
    target = (view - method.encoder.mean) / method.encoder.std
    expected = mae_loss(target, method.guess(view, mask), mask, 4, normalize=False)
    assert torch.equal(method(batch(), (view, mask))["loss"], expected)


def test_hidden_patches_do_not_enter_the_encoder():
    method = trained(mae())
    view, mask = method.views(batch(), 0)
    seen = []
    method.encoder.blocks[0].register_forward_hook(lambda layer, inputs, output: seen.append(inputs[0].shape))
    guess = method.guess(view, mask)
    assert seen == [(4, 1 + 4, 96)] and guess.shape == (4, 16, 48)
    hidden = mask.view(4, 1, 4, 4).repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)
    assert torch.equal(method.guess(torch.where(hidden, torch.rand_like(view), view), mask), guess)
    assert not torch.allclose(method.guess(torch.where(hidden, view, torch.rand_like(view)), mask), guess, atol=1e-3)


def test_the_order_of_visible_tokens_does_not_matter():
    """Tokens carry their places; the decoder puts each back where it was."""
    method = trained(mae())
    view, mask = method.views(batch(), 0)
    keep = visible(mask)
    shuffled = keep[:, torch.tensor([2, 0, 3, 1])]
    straight, turned = (method.decoder(method.encoder.tokens(view, keep=order), order) for order in (keep, shuffled))
    assert torch.allclose(straight, turned, atol=1e-5)
    wrong = method.decoder(method.encoder.tokens(view, keep=shuffled), keep)  # the control: to wrong places
    assert (wrong - straight).abs().max() > 1e-3


def test_mask_tokens_stand_where_nothing_was_seen_and_only_there():
    decoder = mae(decoder_depth=0).decoder
    entered = []
    decoder.norm.register_forward_hook(lambda layer, inputs, output: entered.append(inputs[0] - inputs[0].detach() * 0))
    tokens, keep = torch.randn(1, 3, 96), torch.tensor([[5, 2]])
    decoder(tokens, keep)
    inside = entered[0][0, 1:] - decoder.positions[0]  # (16, width)
    assert torch.allclose(inside[5], decoder.enter(tokens)[0, 1], atol=1e-6)
    assert torch.allclose(inside[2], decoder.enter(tokens)[0, 2], atol=1e-6)
    others = [place for place in range(16) if place not in (2, 5)]
    assert torch.allclose(inside[others], decoder.mask_token[0].expand(14, -1), atol=1e-6)


def test_every_trained_weight_gets_a_gradient_and_no_place_of_the_encoder_is_trained():
    method = trained(mae())
    method(batch(), method.views(batch(), 0))["loss"].backward()
    missing = [name for name, value in method.named_parameters() if value.requires_grad and value.grad is None]
    assert missing == []
    assert not method.encoder.pos_embed.requires_grad and not method.encoder.mask_token.requires_grad
    assert torch.equal(method.encoder.pos_embed[:, 1:], sincos_positions(8, 96))


def test_views_do_not_depend_on_the_batch():
    method = mae(mask="blocks")
    whole, part = method.views(batch(), 7), method.views(Batch(batch().images[2:], torch.arange(2, 4)), 7)
    assert all(torch.equal(a[2:], b) for a, b in zip(whole, part, strict=True))
    assert not torch.equal(method.views(batch(), 8)[1], whole[1])


def test_a_right_guess_is_the_picture_itself():
    """With normalised targets, colour and contrast of a patch come from the truth."""
    for normalize in (True, False):
        method = mae(normalize=normalize)
        view, mask = method.views(batch(), 0)
        target = patchify(standardised(method.encoder, view), 4)
        target = normalize_patches(target) if normalize else target
        assert torch.allclose(method.picture(view, target), view, atol=1e-5)
        assert method.loss(view, target, mask) < 1e-8


def test_a_guess_of_zeros_shows_each_patch_s_own_mean_or_one_grey():
    view, _ = mae().views(batch(), 0)
    nothing = torch.zeros(4, 16, 48)
    own = mae().picture(view, nothing).view(4, 3, 4, 4, 4, 4)
    assert own.std(dim=(3, 5)).max() < 1e-5 and own.std(dim=(2, 4)).min() > 1e-3
    grey = mae(normalize=False).picture(view, nothing)
    assert torch.allclose(grey, build_encoder("vit_mini").mean.expand_as(grey), atol=1e-6)


def test_other_masks_and_ratios():
    for kind in ("blocks", "squares", "centre", "grid"):
        method = mae(mask=kind, mask_ratio=0.5)
        assert method(batch(), method.views(batch(), 0))["loss"].isfinite()


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"size": 18}, "no multiple of the patch of 4 px"),
        ({"mask_ratio": 0.99}, "one stay visible"),
        ({"mask": "holes"}, "choose one of random"),
        ({"decoder_dim": 30}, "decoder_dim=30.*multiple of 4"),
        ({"decoder_dim": 0}, "decoder_dim=0.*multiple of 4"),
        ({"decoder_dim": 32, "decoder_heads": 5}, "decoder_heads=5"),
    ],
)
def test_mistakes_are_refused_at_construction(fields: dict, complaint: str):
    with pytest.raises(ValueError, match=complaint):
        mae(**fields)


@pytest.mark.parametrize("name", ["mae", "simmim"])
def test_an_encoder_without_patches_is_refused(name: str):
    with pytest.raises(ValueError, match="encoder='resnet10' takes whole pictures: .* use encoder='vit_mini'"):
        build(name, build_encoder("resnet10", seed=0))


def test_the_papers_settings_can_be_built():
    method = build("mae", build_encoder("vit_tiny", seed=0), preset="paper")
    assert len(method.decoder.blocks) == 8 and method.decoder.positions.shape == (1, 196, 512)
    assert method.views(batch(2), 0)[1].sum(dim=1).tolist() == [147, 147]


def test_it_uses_what_it_sees():
    """On smooth pictures neighbours tell a hidden patch: the guess beats that of knowing nothing by far."""
    from fgssl_edu.recipe import Recipe
    from fgssl_edu.train import pretrain

    coarse = draws.uniform(1, 0, torch.arange(8), "pictures", 3 * 4).view(8, 3, 2, 2)
    smooth = (torch.nn.functional.interpolate(coarse, size=SIDE, mode="bilinear") * 255).byte()
    method = mae(views=scaled(VIEWS["mae"], 0.25), mask_ratio=0.5)
    recipe = Recipe(steps=60, batch=8, warmup=5, accelerator="cpu")
    last = [row["loss"] for row in pretrain(method, smooth, recipe, progress=False).rows[-10:]]
    assert sum(last) / 10 < 0.8 * method.chance
