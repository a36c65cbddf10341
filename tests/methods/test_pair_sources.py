"""Where the second picture of a pair comes from: renderer, nearest picture, bank; and pairs that are only looked at."""

from __future__ import annotations

import copy

import pytest
import torch
from pairs_setup import BATCH, BIRDS, COUNT, batch, make, recipe, same, step

from fgssl_edu import draws
from fgssl_edu.data.birds import Knobs, bird_set
from fgssl_edu.data.image_set import Images
from fgssl_edu.methods.finegrained.pair_sources import FeatureBank, nearest, redraw
from fgssl_edu.methods.finegrained.pairs_shown import remember


def test_the_bank_drops_the_oldest_batch_and_knows_which_pictures_it_holds():
    bank = FeatureBank(20, 3)
    for number in range(4):  # 32 rows through 20 places
        index = torch.arange(8) + 8 * number
        rows, places = bank.with_new(index[:, None].float().expand(8, 3), index)
        bank.store(index[:, None].float().expand(8, 3), index)
        kept = min(20, 8 * (number + 1))
        expected = torch.arange(8 * (number + 1) - kept, 8 * (number + 1))
        assert torch.equal(places, expected) and torch.equal(rows[:, 0], expected.float())  # oldest first
        assert sorted(bank.places.tolist())[-kept:] == expected.tolist()
    assert torch.equal(bank.values[:, 0], bank.places.float())
    more = FeatureBank(4, 3)
    rows, places = more.with_new(torch.arange(8)[:, None].float().expand(8, 3), torch.arange(8))
    more.store(torch.arange(8)[:, None].float().expand(8, 3), torch.arange(8))
    assert places.tolist() == [4, 5, 6, 7] and sorted(more.places.tolist()) == [4, 5, 6, 7]


def test_rendered_pairs_keep_the_species_and_all_its_parts_and_change_the_rest():
    factors, index = BIRDS.factors, torch.arange(COUNT)
    made = redraw(factors, index, seed=0, step=3)
    for name in ("species", "genus", "codes", "coat", "plump", "angle", "scale", "shift", "mirrored", "shape", "tint"):
        assert torch.equal(getattr(made, name), getattr(factors, name))
    assert (made.background_key != factors.background_key).all()
    assert (made.gain != factors.gain).any(dim=1).float().mean() > 0.8  # a donor may be the bird itself
    assert set(made.contrast.tolist()) <= set(factors.contrast.tolist())  # light as in the set
    free = redraw(factors, index, seed=0, step=3, what="all")
    for name in ("species", "genus", "codes", "coat", "plump"):
        assert torch.equal(getattr(free, name), getattr(factors, name))
    assert (free.shape != factors.shape).any(dim=1).float().mean() > 0.8 and not torch.equal(free.angle, factors.angle)


def test_rendered_pairs_are_drawn_by_seed_step_and_image_alone():
    factors = BIRDS.factors
    whole = redraw(factors, torch.arange(COUNT), 0, 3, "all")
    part = redraw(factors, torch.tensor([5, 2]), 0, 3, "all")
    for name in ("background_key", "angle", "tint", "gain"):
        assert torch.equal(getattr(part, name), getattr(whole, name)[[5, 2]])
        assert not torch.equal(getattr(redraw(factors, torch.tensor([5, 2]), 0, 4, "all"), name), getattr(part, name))
        assert not torch.equal(getattr(redraw(factors, torch.tensor([5, 2]), 1, 3, "all"), name), getattr(part, name))


def test_a_planted_shortcut_is_gone_from_rendered_pairs():
    tied = bird_set(240, size=32, knobs=Knobs(correlation=1.0)).factors
    assert torch.equal(tied.background_family, tied.species % 6)
    made = redraw(tied, torch.arange(240), 0, 0)
    assert (made.background_family == tied.species % 6).float().mean() < 0.35  # one in six by chance


def test_the_renderers_pair_is_the_picture_itself_and_a_rendered_one():
    method = make(decoder="renderer", factors=BIRDS.factors)
    seen = []
    pair_loss = method.base.pair_loss
    method.base.pair_loss = lambda first, second: (seen.append((first, second)), pair_loss(first, second))[1]
    views = method.views(batch(), 0)
    method(batch(), views)
    first, second = seen[0]
    assert torch.allclose(first, BIRDS.images[:BATCH].float() / 255) and torch.equal(second, views[-1])
    inside = (BIRDS.foreground[:BATCH] == 255)[:, None].expand_as(first)
    outside = (BIRDS.foreground[:BATCH] == 0)[:, None].expand_as(first)
    change = (first - second).abs()
    assert change[outside].mean() > 1.5 * change[inside].mean() > 0


def test_the_nearest_picture_is_a_real_one_and_never_the_picture_itself():
    memory = draws.normal(0, 0, torch.arange(30), "memory", 6)
    places = torch.arange(30) % 10  # each picture thrice
    chosen = nearest(memory[:10], torch.arange(10), memory, places)
    assert (chosen != torch.arange(10)).all()
    free = nearest(memory[:10], torch.full((10,), -1), memory, places)
    assert torch.equal(free, torch.arange(10))  # the control: each is nearest to itself
    close = torch.tensor([[1.0, 0.1]]), torch.tensor([[9.0, 0.0], [1.0, 1.0], [-1.0, 0.0]])
    assert nearest(close[0], torch.tensor([7]), close[1], torch.tensor([7, 3, 4])).tolist() == [3]


def test_nearest_pairs_are_pictures_of_the_training_set():
    method, seen = make(decoder="nearest"), []
    pair_loss = method.base.pair_loss
    method.base.pair_loss = lambda first, second: (seen.append((first, second)), pair_loss(first, second))[1]
    optimizers = method.optimizers(recipe())
    for number in range(3):
        step(method, optimizers, number)
        distance = torch.cdist(seen[-1][1].flatten(1), BIRDS.images.float().flatten(1) / 255)
        closest, which = distance.min(dim=1)
        assert closest.max() < 1e-2 and (which != batch(number).index).all()


def test_pictures_can_be_disturbed_without_training():
    method = make(threshold=0.5)
    optimizers = method.optimizers(recipe())
    for number in range(3):
        step(method, optimizers, number)
    before = copy.deepcopy(method.state_dict())
    found = method.perturb(BIRDS.images[:4], index=torch.arange(4))
    assert same(before, method.state_dict()) and method.training and method.base.new_keys == []
    again = method.perturb(BIRDS.images[:4], index=torch.arange(4))
    assert torch.equal(found.perturbed, again.perturbed) and torch.equal(found.gradcam, again.gradcam)
    assert found.image.shape == found.reconstruction.shape == found.perturbed.shape == (4, 3, 32, 32)
    assert found.gradcam.shape == found.moved.shape == (4, 128) and found.masked.dtype == torch.bool
    still = method.perturb(BIRDS.images[:4], sigma_cam=0.0, sigma_var=0.0)
    assert torch.equal(still.perturbed, still.reconstruction) and torch.equal(still.moved, still.features)
    only = method.perturb(BIRDS.images[:4], criteria="variance", threshold=0.5, mode="quantile")
    assert int(only.masked.sum()) == 64 and torch.equal(only.moved[:, ~only.masked], only.features[:, ~only.masked])
    assert (only.moved[:, only.masked] != only.features[:, only.masked]).float().mean() > 0.9
    rendered = method.perturb(BIRDS.images[:4], decoder="renderer", factors=BIRDS.factors.subset(torch.arange(4)))
    assert torch.equal(rendered.reconstruction, rendered.image) and not torch.equal(rendered.perturbed, rendered.image)
    with pytest.raises(ValueError, match="give factors="):
        method.perturb(BIRDS.images[:4], decoder="renderer")
    with pytest.raises(ValueError, match="fill it with remember"):
        method.perturb(BIRDS.images[:4], decoder="nearest")


def test_an_untrained_method_can_remember_pictures_to_be_looked_at():
    method = make(decoder="nearest", base="moco")
    remember(method, Images(BIRDS.images))
    assert int(method.bank.filled) == COUNT and int(method.base.queue.filled) == 20
    free = method.perturb(BIRDS.images[:4], sigma_cam=0.0, sigma_var=0.0)
    assert torch.allclose(free.perturbed, free.image, atol=1e-6)  # not of that set: itself is nearest
    own = method.perturb(BIRDS.images[:4], index=torch.arange(4), sigma_cam=0.0, sigma_var=0.0)
    assert not torch.allclose(own.perturbed, own.image, atol=1e-2)
    with pytest.raises(ValueError, match="it was built with 'nearest'"):
        method.perturb(BIRDS.images[:4], decoder="learned")
