"""Synthesised pairs: what each part trains and leaves alone, and that without its parts it is the base, bit by bit."""

from __future__ import annotations

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from pairs_setup import BASES, BATCH, BIRDS, COUNT, SMALL, batch, encoder, make, recipe, same, step

from fgssl_edu.data.image_set import Images
from fgssl_edu.methods.finegrained.perturbation import spread_of
from fgssl_edu.methods.finegrained.synthesized_pairs import SynthesizedPairs
from fgssl_edu.train import pretrain
from fgssl_edu.views.presets import VIEWS, scaled


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("nothing", [{"criteria": "none"}, {"alpha": 0.0, "nu": 0.0}], ids=str)
def test_without_its_parts_it_is_the_base_bit_by_bit(base: str, nothing: dict):
    """Parameters, running statistics, queue and losses, over five steps of the training loop."""
    plain, method = BASES[base](), SynthesizedPairs(encoder(), base=base, decoder_size=32, **SMALL, **nothing)
    histories = [pretrain(each, BIRDS.images, recipe(), progress=False) for each in (plain, method)]
    assert same(plain.state_dict(), method.base.state_dict())
    assert histories[0].column("loss") == histories[1].column("loss") and histories[0].chance == histories[1].chance


@pytest.mark.parametrize("part", [{"alpha": 0.0}, {"nu": 0.0}], ids=str)
def test_either_part_changes_the_weights(part: dict):
    """The control of the test above."""
    plain, method = BASES["moco"](), make(**part)
    for each in (plain, method):
        optimizers = each.optimizers(recipe())
        for number in (0, 1):  # the first picture of a blank decoder does not depend on the features
            step(each, optimizers, number)
    assert not same(plain.state_dict(), method.base.state_dict())


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("decoder", ["learned", "renderer", "nearest", "identity"])
def test_no_picture_that_is_not_a_view_moves_the_running_statistics(base: str, decoder: str):
    plain, method = BASES[base](), make(base=base, decoder=decoder, factors=BIRDS.factors)
    views = method.views(batch(), 0)
    plain(batch(), plain.views(batch(), 0))
    method(batch(), views)
    assert same(plain.state_dict(), method.base.state_dict())
    assert all(layer.track_running_stats for layer in method.modules() if hasattr(layer, "track_running_stats"))


def test_a_first_picture_of_a_blank_decoder_costs_what_chance_says():
    method = make(nu=0.0)
    method.optimizers(recipe())
    plain = math.log(1 + SMALL["queue"])
    assert method.chance > plain and make(nu=0.5, alpha=0.0).optimizers(recipe()) is not None
    picture = F.interpolate(BIRDS.images.float() / 255, size=32)  # they have that size
    spread = (picture - picture.mean(dim=0)).square().mean().item() / 0.225**2
    assert method.chance == pytest.approx(plain + spread, rel=1e-4)
    pairs = make(nu=0.5, alpha=0.0)
    pairs.optimizers(recipe())
    assert pairs.chance == pytest.approx(plain + 0.5 * math.log(2 * BATCH - 1))


def test_the_bank_is_never_longer_than_the_set_and_a_constant_dimension_has_no_spread():
    method = make(memory=4096)
    assert len(method.bank.values) == COUNT
    optimizers = method.optimizers(recipe())
    for number in range(4):
        step(method, optimizers, number)
    assert int(method.bank.filled) == COUNT and sorted(method.bank.places.tolist()) == list(range(COUNT))
    rows = method.bank.values.clone()
    rows[:, 0] = 0
    assert spread_of(rows)[0] == 0


@pytest.mark.parametrize(
    ("fields", "needs", "extra"),
    [
        ({}, {"scores", "bank", "decoder"}, 2),
        ({"criteria": "gradcam"}, {"scores", "decoder"}, 1),
        ({"criteria": "variance"}, {"bank", "decoder"}, 1),
        ({"criteria": "random"}, {"decoder"}, 1),
        ({"criteria": "random", "per_dimension": True}, {"bank", "decoder"}, 1),
        ({"decoder": "renderer", "factors": BIRDS.factors}, set(), 1),
        ({"decoder": "identity"}, set(), 0),
        ({"decoder": "nearest", "criteria": "gradcam"}, {"scores", "bank"}, 1),
        ({"nu": 0.0}, {"decoder"}, 0),
    ],
)
def test_nothing_is_computed_that_the_criteria_do_not_need(fields: dict, needs: set, extra: int):
    method, used = make(**fields), set()
    scores = method.scores
    method.scores = lambda features: (used.add("scores"), scores(features))[1]
    views = method.views(batch(), 0)
    method(batch(), views)
    used |= {name for name in ("bank", "decoder") if getattr(method, name) is not None}
    assert used == needs and len(views) == 2 + extra


@pytest.mark.parametrize("fields", [{}, {"base": "simsiam"}, {"decoder": "nearest"}], ids=str)
def test_a_state_that_is_saved_and_loaded_goes_on_with_the_same_bits(fields: dict):
    """Bank, pointer, places, queue and both optimisers."""
    method = make(threshold=0.5, memory=20, **fields)
    optimizers = method.optimizers(recipe())
    for number in range(3):
        step(method, optimizers, number)
    saved = copy.deepcopy((method.state_dict(), [each.state_dict() for each in optimizers]))
    assert int(saved[0]["bank.filled"]) == 20 and "bank.places" in saved[0] and "bank.pointer" in saved[0]
    assert len(saved[1]) == len(method.base.optimizers(recipe())) + (method.decoder is not None)
    other = make(threshold=0.5, memory=20, seed=0, **fields)
    other.load_state_dict(saved[0])
    others = other.optimizers(recipe())
    for mine, state in zip(others, saved[1], strict=True):
        mine.load_state_dict(state)
    for number in range(3, 6):
        losses = [step(*each, number)["loss"] for each in ((method, optimizers), (other, others))]
        assert torch.equal(*losses)
    assert same(method.state_dict(), other.state_dict())
    fresh = make(threshold=0.5, memory=20, **fields)  # the control: without the saved state it goes elsewhere
    assert not torch.equal(step(fresh, fresh.optimizers(recipe()), 5)["loss"], losses[0])


def test_encoder_and_decoder_have_optimisers_of_their_own():
    method = make(decoder_lr=3e-3)
    *base, own = method.optimizers(recipe())
    assert isinstance(own, torch.optim.Adam) and own.param_groups[0]["schedule"] == "constant"
    assert own.param_groups[0]["lr"] == 3e-3
    trained = [each for optimizer in (*base, own) for group in optimizer.param_groups for each in group["params"]]
    assert {id(each) for each in trained} == {id(each) for each in method.parameters() if each.requires_grad}
    assert len(trained) == len({id(each) for each in trained})
    assert len(make(alpha=0.0).optimizers(recipe())) == 1  # nothing trains the decoder then, and no gradient is missed
    assert not any(each.requires_grad for each in make(alpha=0.0).decoder.parameters())


def test_a_decoder_can_be_given_and_fitted_before_the_first_step():
    plain = make()
    given = {name: value + 1 for name, value in plain.decoder.state_dict().items()}
    assert same(make(decoder_start=given).decoder.state_dict(), given)
    fitted, resumed = make(decoder_steps=2), SynthesizedPairs(encoder(), **SMALL, decoder_size=32, decoder_steps=2)
    assert same(plain.base.state_dict(), fitted.base.state_dict())  # the encoder waits, its statistics too
    assert not same(plain.decoder.state_dict(), fitted.decoder.state_dict())
    resumed.start(Images(BIRDS.images), resumed=True)
    assert same(plain.decoder.state_dict(), resumed.decoder.state_dict())  # what was fitted is in the state
    assert not any(each.requires_grad for each in make(decoder_steps=2, alpha=0.0).decoder.parameters())


def test_it_learns_eight_images_by_heart():
    views = scaled(VIEWS["mild"], 0.25)
    method = SynthesizedPairs(encoder(), **SMALL | {"queue": 8}, decoder_size=32, views=views)
    history = pretrain(method, BIRDS.images[:8], recipe(steps=40, warmup=5), progress=False)
    first, last = history.rows[0], history.rows[-1]
    assert last["loss"] < 0.65 * history.chance
    assert last["reconstruction"] < 0.6 * first["reconstruction"] and last["pair"] < first["pair"]
    assert last["embedding_std"] > 0.3


def test_its_text_tells_every_setting():
    text = repr(make())
    every = (
        "seed alpha nu criteria sigma_cam sigma_var threshold stat mode sign times_feature per_dimension clamp source"
    )
    every += " decoder_size decoder_lr decoder_steps grad_through_decoder memory redraw factors"
    every += " temperature queue ema symmetric splits views size"  # the base's
    assert [name for name in every.split() if f"{name}=" not in text] == []
    birds = BIRDS.factors, BIRDS.factors.new_background(1)
    texts = [repr(make(decoder="renderer", factors=factors)) for factors in birds]
    assert texts[0] != texts[1] and all("factors=none" not in each for each in texts)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"base": "byol"}, "base='byol' is unknown: use one of moco, simsiam"),
        ({"decoder": "gan"}, "decoder='gan' is unknown: use one of learned"),
        ({"criteria": "cam"}, "criteria='cam' is unknown"),
        ({"decoder": "renderer"}, "decoder='renderer' draws from the true factors"),
        ({"redraw": "sky", "factors": BIRDS.factors}, "redraw='sky' is unknown: use one of surroundings, all"),
        ({"nu": -1.0}, "nu=-1.0"),
        ({"alpha": math.inf}, "alpha=inf"),
        ({"memory": 1}, "memory=1"),
        ({"decoder_size": 33}, "size=33"),
        (
            {"decoder": "renderer", "factors": BIRDS.factors.subset(torch.arange(5))},
            "factors: of 5 birds for 24 images",
        ),
    ],
)
def test_mistakes_are_refused_before_anything_trains(fields: dict, complaint: str):
    with pytest.raises(ValueError, match=complaint):
        make(**fields)


def test_pairs_need_two_pictures_a_piece():
    with pytest.raises(ValueError, match="batch=4, accumulate=4: pairs need 2"):
        make().optimizers(recipe(batch=4, accumulate=4))
