"""SimMIM: mask tokens in the encoder, a linear head, squares of several patches."""

from __future__ import annotations

import pytest
import torch

from fgssl_edu import draws
from fgssl_edu.data.image_set import Batch
from fgssl_edu.losses import simmim_loss
from fgssl_edu.methods import build
from fgssl_edu.methods.masked.simmim import SimMIM
from fgssl_edu.nets import build_encoder

SIDE = 24


def batch(count: int = 4) -> Batch:
    pixels = draws.uniform(1, 0, torch.arange(count), "pictures", 3 * SIDE**2).view(count, 3, SIDE, SIDE)
    return Batch((256 * pixels).byte(), torch.arange(count))


def simmim(**fields) -> SimMIM:
    method = SimMIM(build_encoder("vit_mini", seed=0), **{"size": 16, **fields})
    torch.nn.init.normal_(method.head.weight, std=0.1, generator=torch.Generator().manual_seed(0))
    return method


def large(mask: torch.Tensor) -> torch.Tensor:
    return mask.view(-1, 1, 4, 4).repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)


def test_the_loss_is_the_absolute_error_over_hidden_pixels():
    method = simmim()
    view, mask = method.views(batch(), 3)
    assert set(mask.sum(dim=1).tolist()) == {12}  # ceil(.6 x 4) = 3 of 4 squares, 4 patches each
    target = (view - method.encoder.mean) / method.encoder.std
    outputs = method(batch(), (view, mask))
    guess = method.guess(view, mask)
    assert torch.equal(outputs["loss"], simmim_loss(target, guess, mask, 4))
    hidden = large(mask).expand_as(view)
    assert torch.allclose(outputs["loss"], (guess - target)[hidden].abs().mean(), atol=1e-5)


def test_all_places_enter_the_encoder_but_not_what_is_hidden():
    method = simmim()
    view, mask = method.views(batch(), 0)
    seen = []
    method.encoder.blocks[0].register_forward_hook(lambda layer, inputs, output: seen.append(inputs[0].shape))
    guess = method.guess(view, mask)
    assert seen == [(4, 1 + 16, 96)] and guess.shape == view.shape
    other = torch.where(large(mask), torch.rand_like(view), view)
    assert torch.equal(method.guess(other, mask), guess)
    other = torch.where(large(mask), view, torch.rand_like(view))
    assert (method.guess(other, mask) - guess).abs().max() > 1e-3


def test_the_head_is_linear_and_each_patch_has_its_own_pixels():
    method = simmim()
    view, mask = method.views(batch(), 0)
    tokens = method.encoder.tokens(view, mask=mask)[:, 1:]
    patch = method.head(tokens)[1, 6].view(4, 4, 3).permute(2, 0, 1)  # row 1, column 2
    assert torch.equal(method.guess(view, mask)[1, :, 4:8, 8:12], patch)


def test_every_trained_weight_gets_a_gradient_the_mask_token_too():
    method = simmim()
    method(batch(), method.views(batch(), 0))["loss"].backward()
    missing = [name for name, value in method.named_parameters() if value.requires_grad and value.grad is None]
    assert missing == [] and method.encoder.mask_token.grad.abs().sum() > 0


def test_the_mask_token_learns_nothing_where_nothing_is_hidden():
    method = simmim()
    view, mask = method.views(batch(), 0)
    method.guess(view, torch.zeros_like(mask)).sum().backward()
    assert method.encoder.mask_token.grad.abs().sum() == 0


def test_the_first_guess_is_grey_and_a_right_one_is_the_picture():
    method = SimMIM(build_encoder("vit_mini", seed=0), size=16)
    view, mask = method.views(batch(), 0)
    grey = method.picture(view, method.guess(view, mask))
    assert torch.allclose(grey, method.encoder.mean.expand_as(view), atol=1e-6)
    target = (view - method.encoder.mean) / method.encoder.std
    assert torch.allclose(method.picture(view, target), view, atol=1e-6) and method.loss(view, target, mask) < 1e-6


def test_the_papers_squares():
    method = build("simmim", build_encoder("vit_tiny", seed=0), preset="paper")
    assert method.views(batch(2), 0)[1].sum(dim=1).tolist() == [120, 120]  # 30 of 49 squares of 32 px


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [({"cell": 3}, "choose a divisor of 4"), ({"mask_ratio": 0.9}, "hides 4 of 4 cells"), ({"size": 15}, "15 px")],
)
def test_mistakes_are_refused_at_construction(fields: dict, complaint: str):
    with pytest.raises(ValueError, match=complaint):
        simmim(**fields)
