"""Inpainting: only the hole counts, nothing of it is seen, and the critic and its opponent learn apart."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from fgssl_edu import draws
from fgssl_edu.data.image_set import Batch, Images
from fgssl_edu.losses import critic_loss, fooling_loss, hole_error
from fgssl_edu.methods import METHODS, build
from fgssl_edu.methods.pretext.inpainting import BAND_WEIGHT, Inpainting
from fgssl_edu.nets import build_encoder
from fgssl_edu.nets.context import ChannelWise, Critic, MapDecoder
from fgssl_edu.recipe import Recipe
from fgssl_edu.train import pretrain
from fgssl_edu.views.holes import PLACES
from fgssl_edu.views.presets import VIEWS, scaled

SIDE = 32


def pictures(count: int = 8) -> torch.Tensor:
    """Smooth random colours: a hole can be guessed from its surroundings."""
    coarse = draws.uniform(1, 0, torch.arange(count), "pictures", 3 * 9).view(-1, 3, 3, 3)
    return (F.interpolate(coarse, size=SIDE, mode="bilinear") * 255).byte()


def batch(count: int = 8) -> Batch:
    return Batch(pictures(count), torch.arange(count))


def inpainting(**fields) -> Inpainting:
    method = Inpainting(build_encoder("resnet10", seed=0), **{"views": scaled(VIEWS["mild"], 0.0), **fields})
    method.start(Images(pictures()), resumed=False)
    return method


def test_the_error_is_that_of_the_hole_and_a_perfect_fill_costs_nothing():
    truth = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    hole = torch.zeros(2, 4, 4)
    hole[:, 1:3, 1:3] = 1
    wrong = torch.where(hole[:, None] > 0, truth, 1 - truth).requires_grad_()
    assert hole_error(wrong, truth, hole).item() == 0
    off = (truth + 0.1).requires_grad_()
    error = hole_error(off, truth, hole)
    error.backward()
    assert error.item() == pytest.approx(0.01, abs=1e-6)
    assert (off.grad[:, :, hole[0] == 0] == 0).all() and (off.grad[:, :, hole[0] > 0] > 0).all()


def test_an_error_in_the_band_counts_ten_times():
    method, truth = inpainting(overlap=2), torch.zeros(1, 3, SIDE, SIDE)
    _, hole = method.views(batch(1), 0)
    hidden = method.hidden(hole)
    assert int(hole.sum()) == 16**2 and int(hidden.sum()) == 12**2
    weight = hole + (BAND_WEIGHT - 1) * (hole & ~hidden)
    errors = []
    for row in (8, 16):  # the first row of the hole, and one of its middle
        filled = truth.clone()
        filled[:, :, row, 16] = 1.0
        errors.append(hole_error(filled, truth, weight).item())
    assert errors[0] == pytest.approx(10 * errors[1]) and errors[1] == pytest.approx(1 / (144 + 10 * 112))


def test_each_picture_counts_alike_however_large_its_hole():
    filled, truth, weight = torch.zeros(2, 3, 4, 4), torch.ones(2, 3, 4, 4), torch.zeros(2, 4, 4)
    filled[0], weight[0, 0, 0], weight[1] = 1.0, 1.0, 1.0  # a small hole without error, a large one all wrong
    assert hole_error(filled, truth, weight).item() == pytest.approx(0.5)


@pytest.mark.parametrize("place", PLACES)
def test_what_is_hidden_never_reaches_the_output(place: str):
    method = inpainting(place=place).eval()
    views, hole = method.views(batch(), 0)
    hidden = method.hidden(hole)
    changed = torch.where(hidden[:, None], 1 - views, views)
    first, second = (method.decoder(method.encoder.feature_map(method.cut(x, hidden))) for x in (views, changed))
    assert torch.equal(first, second)
    shown = torch.where(hidden[:, None], views, 1 - views)
    assert not torch.allclose(method.decoder(method.encoder.feature_map(method.cut(shown, hidden))), first, atol=1e-3)


def test_an_autoencoder_sees_what_it_is_asked_for():
    method = inpainting(autoencoder=True)
    views, hole = method.views(batch(), 0)
    assert torch.equal(method.cut(views, hole), views)
    assert not torch.equal(inpainting().cut(views, hole), views)


def test_holes_are_filled_with_the_mean_colour_and_that_is_the_chance_value():
    method = inpainting()
    pixels = pictures().float() / 255
    assert torch.allclose(method.fill, pixels.mean(dim=(0, 2, 3)))
    everywhere = torch.ones(8, SIDE, SIDE)
    flat = method.fill.view(3, 1, 1).expand(8, 3, SIDE, SIDE)
    assert method.chance == pytest.approx(hole_error(flat, pixels, everywhere).item(), rel=1e-5)
    views, hole = method.views(batch(), 0)
    seen = method.cut(views, method.hidden(hole))
    assert torch.allclose(seen[:, :, 16, 16], method.fill.expand(8, 3)) and torch.equal(seen[:, :, :8], views[:, :, :8])


def test_two_sides_of_a_critic_that_cannot_tell():
    nothing = torch.zeros(5)
    assert critic_loss(nothing, nothing).item() == pytest.approx(2 * math.log(2))
    assert fooling_loss(nothing).item() == pytest.approx(math.log(2))
    sure = critic_loss(torch.tensor([3.0]), torch.tensor([-1.0]))
    assert sure.item() == pytest.approx(math.log(1 + math.exp(-3)) + math.log(1 + math.exp(-1)))
    assert fooling_loss(torch.tensor([-9.0])) > fooling_loss(torch.tensor([9.0]))


def test_the_critic_learns_from_its_own_loss_alone_and_the_maker_from_the_rest():
    method, share = inpainting(adversarial=0.1), 0.1
    views = method.views(batch(), 0)
    method(batch(), views)["loss"].backward()
    critics = [value.grad.clone() for value in method.critic.parameters()]
    makers = {name: value.grad.clone() for name, value in method.decoder.named_parameters()}
    method.zero_grad()
    pixels, hole = views
    hidden = method.hidden(hole)
    filled = method.decoder(method.encoder.feature_map(method.cut(pixels, hidden)))
    real, fake = pixels * hole[:, None], filled * hole[:, None]
    critic_loss(method.critic(real), method.critic(fake.detach())).backward()
    for expected, value in zip(critics, method.critic.parameters(), strict=True):
        assert torch.allclose(expected, value.grad, atol=1e-6)
    assert all(value.grad is None for value in method.decoder.parameters())
    weight = hole + (BAND_WEIGHT - 1) * (hole & ~hidden)
    ((1 - share) * hole_error(filled, pixels, weight) + share * fooling_loss(method.critic(fake))).backward()
    for name, value in method.decoder.named_parameters():
        assert torch.allclose(makers[name], value.grad, atol=1e-5), name


def test_the_critic_sees_the_hole_alone():
    method = inpainting(adversarial=0.1)
    views, hole = method.views(batch(), 0)
    other = torch.where(hole[:, None], views, 1 - views)  # other surroundings
    filled = torch.rand(8, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    for ours, theirs in zip(method.judge(views, filled, hole), method.judge(other, filled, hole), strict=True):
        assert torch.equal(ours, theirs)


def test_the_critic_has_an_optimiser_of_its_own():
    recipe = Recipe(steps=10, batch=8, lr=2e-3)
    method = inpainting(adversarial=0.1)
    makers, critics = method.optimizers(recipe)
    trained = [id(each) for one in (makers, critics) for group in one.param_groups for each in group["params"]]
    assert sorted(trained) == sorted(id(each) for each in method.parameters())
    assert critics.param_groups[0]["lr"] == pytest.approx(2e-4) and critics.param_groups[0]["schedule"] == "constant"
    assert len(inpainting().optimizers(recipe)) == 1 and inpainting().critic is None


@pytest.mark.parametrize("fields", [{}, {"adversarial": 0.01}, {"place": "region", "hole": 0.4}, {"autoencoder": True}])
def test_it_fills_eight_pictures_by_heart(fields: dict):
    method = inpainting(**fields)
    recipe = Recipe(steps=60, batch=8, warmup=5, lr=3e-3, accelerator="cpu")
    history = pretrain(method, pictures(), recipe, progress=False)
    variance = inpainting().chance
    assert history.rows[-1]["error"] < 0.3 * variance < history.rows[0]["error"]
    assert history.chance == method.chance and history.rows[-1]["embedding_std"] > 0.2


def test_every_weight_gets_a_gradient():
    method = inpainting(adversarial=0.1, place="blocks")
    method(batch(), method.views(batch(), 0))["loss"].backward()
    assert [name for name, value in method.named_parameters() if value.grad is None] == []


def test_the_bridge_joins_places_and_no_channels():
    bridge = ChannelWise(4, 3)
    maps = torch.zeros(1, 4, 3, 3, requires_grad=True)
    bridge(maps)[0, 2, 0, 0].backward()  # one place of channel 2
    assert (maps.grad[0, 2] != 0).all() and not maps.grad[0, [0, 1, 3]].any()
    with torch.no_grad():
        bridge.weight.copy_(torch.eye(9).expand(4, 9, 9))
    some = torch.rand(2, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(bridge(some), some)


def test_a_decoder_draws_as_large_a_picture_as_is_asked_for_or_says_why_not():
    for side, size in ((2, 16), (4, 32), (4, 64), (7, 224)):
        assert MapDecoder(8, side, size)(torch.zeros(2, 8, side, side)).shape == (2, 3, size, size)
    with pytest.raises(ValueError, match="size=40 px"):
        MapDecoder(8, 7, 40)


def test_a_critic_judges_each_picture_by_itself():
    critic, some = Critic(), torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(critic(some)[:2], critic(some[:2]), atol=1e-6)


def test_the_papers_settings_build():
    assert METHODS["inpainting"] is Inpainting
    method = build("inpainting", build_encoder("resnet10", seed=0), preset="paper", size=64)
    assert (method.hole, method.place, method.overlap, method.adversarial) == (0.25, "centre", 4, 0.001)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"hole": 0.0}, "hole=0.0"),
        ({"place": "corner"}, "place='corner'"),
        ({"adversarial": 1.0}, "adversarial=1.0"),
        ({"overlap": 9}, "overlap=9"),
    ],
)
def test_mistakes_are_refused_at_construction(fields: dict, complaint: str):
    with pytest.raises(ValueError, match=complaint):
        inpainting(**fields)
