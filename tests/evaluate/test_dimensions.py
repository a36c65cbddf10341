"""True roles of feature dimensions: values for random, constant and planted input, and the rank correlation by hand."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fgssl_edu.data.birds import Knobs, World, bird_set
from fgssl_edu.data.image_set import ImageSet
from fgssl_edu.evaluate.dimensions import (
    Roles,
    agreement,
    eta_squared,
    gradcam_scores,
    importance,
    interventions,
    loss_scores,
    moves,
    profile,
    ranks,
    spearman,
    true_roles,
)
from fgssl_edu.evaluate.edits import Edits, movement, rendered_edits
from fgssl_edu.evaluate.features import extract
from fgssl_edu.losses import info_nce
from fgssl_edu.nets.encoders import build_encoder
from fgssl_edu.views.augment import Augment
from fgssl_edu.views.presets import VIEWS

WORLD = World.make(species=8, genera=2)
SPECIES = torch.arange(480) % 8
GENUS = SPECIES // 4
SKY = torch.arange(480) // 8 % 6


def noise(rows: int, columns: int, seed: int = 0) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


class Reads(nn.Module):
    """Two dimensions of a corner, where rarely is any bird, two of the middle, and a constant one."""

    def features(self, images: Tensor) -> Tensor:
        corner, middle = images[:, :2, :5, :5].mean(dim=(2, 3)), images[:, :2, 14:34, 14:34].mean(dim=(2, 3))
        return torch.cat([corner, middle, torch.ones(len(images), 1)], dim=1)


@pytest.fixture(scope="module")
def edits() -> Edits:
    return rendered_edits(WORLD, 48, birds=24)


def test_eta_squared_by_hand():
    features = torch.tensor([[0.0], [2.0], [4.0], [6.0]])  # means 1 and 5 about 3: 16 of 20
    assert eta_squared(features, torch.tensor([5, 5, 9, 9])).tolist() == pytest.approx([0.8])
    fine = torch.tensor([0, 1, 2, 3])  # what is left within the two is all of the rest
    assert eta_squared(features, fine, within=torch.tensor([0, 0, 1, 1])).tolist() == pytest.approx([0.2])


def test_planted_dimensions_have_the_role_that_was_planted():
    genus, species = noise(2, 1)[GENUS], noise(8, 1, 1)[SPECIES]
    species = species - torch.stack([species[g == GENUS].mean() for g in (0, 1)])[GENUS][:, None]
    planted = torch.cat([noise(6, 1, 2)[SKY], genus, species, torch.full((480, 1), 0.1)], dim=1)
    sky, coarse, fine = (
        eta_squared(planted, SKY),
        eta_squared(planted, GENUS),
        eta_squared(planted, SPECIES, within=GENUS),
    )
    assert torch.allclose(sky, torch.tensor([1.0, 0, 0, 0]).double(), atol=1e-6)
    assert torch.allclose(coarse, torch.tensor([0.0, 1, 0, 0]).double(), atol=1e-6)
    assert torch.allclose(fine, torch.tensor([0.0, 0, 1, 0]).double(), atol=1e-6)


def test_random_features_have_the_share_that_chance_gives():
    features = noise(480, 2000)
    assert float(eta_squared(features, SKY).mean()) == pytest.approx(5 / 479, rel=0.05)
    assert float(eta_squared(features, SPECIES, within=GENUS).mean()) == pytest.approx(6 / 479, rel=0.05)


def test_eta_squared_ignores_scale_and_offset_and_shares_add_up():
    features = noise(480, 5) + noise(8, 5, 1)[SPECIES]
    both = eta_squared(features, GENUS) + eta_squared(features, SPECIES, within=GENUS)
    assert torch.allclose(both, eta_squared(features, SPECIES))
    assert torch.allclose(eta_squared(3 * features - 7, SPECIES), eta_squared(features, SPECIES), atol=1e-6)


def test_a_group_in_two_coarser_ones_or_a_missing_row_is_refused():
    with pytest.raises(ValueError, match="number the groups"):
        eta_squared(noise(480, 2), SPECIES % 4, within=GENUS)
    with pytest.raises(ValueError, match="one for each row"):
        eta_squared(noise(480, 2), SPECIES[:9])


def test_moves_are_0_unmoved_1_for_unrelated_rows_and_0_for_a_constant():
    first, second = noise(4000, 3) * torch.tensor([1.0, 5, 0]), noise(4000, 3, 1) * torch.tensor([1.0, 5, 0])
    variance = torch.tensor([1.0, 25, 0])
    assert moves(first, first, variance).abs().max() == 0
    assert moves(first, second, variance).mean(dim=0).tolist() == pytest.approx([1, 1, 0], abs=0.1)


def test_interventions_tell_the_dimensions_of_the_sky_from_those_of_the_bird(edits: Edits):
    edit, sky = interventions(Reads(), edits)
    assert (sky[:2] > 5 * edit[:2]).all() and (edit[2:4] > 5 * edit[:2].max()).all()
    assert edit[4] == 0 and sky[4] == 0


def test_interventions_move_as_far_as_the_edit_score_says(edits: Edits):
    class Unit(Reads):
        def features(self, images: Tensor) -> Tensor:
            return F.normalize(super().features(images), dim=1)

    original, elsewhere = Unit().features(edits.original / 255), Unit().features(edits.backgrounds[0] / 255)
    variance = original.double().var(dim=0, correction=0)
    back = (moves(original, elsewhere, variance) * variance).sum(dim=1)  # half the squared distance of unit rows
    assert torch.allclose(back, movement(original, elsewhere), atol=1e-6)


def test_true_roles_of_a_reader_of_corners_and_middles(edits: Edits):
    images = bird_set(160, size=48, world=WORLD, knobs=Knobs(pose=0.2, light=0.2))
    roles = true_roles(Reads(), images, edits)
    assert roles.alive.tolist() == [True] * 4 + [False]
    assert (roles.background[:2] > 3 * roles.genus[:2]).all() and (roles.genus[2:4] > roles.genus[:2].max()).all()
    assert (roles.telling[2:4] > 5 * roles.telling[:2].max()).all() and roles.telling[4] == 0
    assert all(len(role) == 5 and (role >= 0).all() and (role <= 1).all() for role in roles.named().values())


def test_photographs_have_no_true_roles(edits: Edits):
    images = torch.zeros(4, 3, 48, 48, dtype=torch.uint8)
    photographs = ImageSet(images, torch.arange(4), tuple("abcd"), name="folder", provenance="", licence="")
    with pytest.raises(ValueError, match="'folder'"):
        true_roles(Reads(), photographs, edits)


def test_scores_are_those_of_the_loss_and_do_not_depend_on_blocks(monkeypatch: pytest.MonkeyPatch):
    head = nn.Linear(6, 4)
    features, keys = noise(10, 6).abs(), noise(10, 4, 1)
    scores = loss_scores(head, features, keys)
    one, bank = features[:1].clone().requires_grad_(), F.normalize(keys, dim=1)
    loss = info_nce(F.normalize(head(one), dim=1), bank[:1], bank[1:], 0.2)
    expected = -one * torch.autograd.grad(loss, one)[0]
    assert torch.allclose(scores[0], expected.relu()[0].detach(), atol=1e-6)
    monkeypatch.setattr("fgssl_edu.evaluate.dimensions.BLOCK", 3)
    assert torch.allclose(loss_scores(head, features, keys), scores, atol=1e-6)
    hurts = loss_scores(head, features, keys, sign="hurts")
    assert scores.shape == hurts.shape == (10, 6) and (scores * hurts).abs().max() == 0
    assert head.training and all(p.grad is None for p in head.parameters())


def test_score_of_a_dimension_that_the_head_ignores_is_0():
    head = nn.Linear(6, 4, bias=False)
    with torch.no_grad():
        head.weight[:, 2] = 0
    scores = loss_scores(head, noise(10, 6).abs(), noise(10, 4, 1))
    assert scores[:, 2].abs().max() == 0 and importance(scores)[2] == 0 and importance(scores).max() <= 1


def test_a_constant_head_has_no_score_anywhere():
    head = nn.Linear(6, 4)
    nn.init.zeros_(head.weight)
    assert loss_scores(head, noise(10, 6), noise(10, 4, 1)).abs().max() == 0


def test_scores_of_pictures_are_those_of_their_features_and_leave_the_network_alone():
    encoder, head = build_encoder("resnet10", seed=0), nn.Linear(128, 8)
    images = bird_set(12, size=48, world=WORLD).images
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    augment = Augment(VIEWS["mild"], 32)
    scores = gradcam_scores(encoder, head, images, augment, 40)
    encoder.eval()
    keys = head(encoder(augment(images, 0, 0, torch.arange(12), "dimensions/key"))).detach()
    assert torch.allclose(scores, loss_scores(head, extract(encoder, images, 40), keys), atol=1e-6)
    assert all(torch.equal(before[name], value) for name, value in encoder.state_dict().items())


def test_importance_weighs_every_image_alike():
    scores = torch.tensor([[0.0, 2.0, 4.0], [100.0, 0.0, 50.0]])
    assert importance(scores).tolist() == pytest.approx([0.5, 0.25, 0.75])
    assert importance(torch.ones(3, 4)).tolist() == [0, 0, 0, 0]


def test_ranks_share_ties():
    assert ranks(torch.tensor([3.0, 1.0, 3.0, 0.0])).tolist() == [2.5, 1, 2.5, 0]


def test_spearman_by_hand_and_against_scipy():
    values = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])
    assert spearman(values, values.exp())[0] == pytest.approx(1) and spearman(values, -values)[0] == pytest.approx(-1)
    assert spearman(values, torch.ones(5))[0] == 0
    assert spearman(values, torch.tensor([2.0, 1.0, 4.0, 3.0, 5.0]))[0] == pytest.approx(0.8)
    from scipy.stats import spearmanr

    first, second = (noise(60, 1, seed)[:, 0].mul(2).round() for seed in (0, 1))  # with many ties
    assert spearman(first, second)[0] == pytest.approx(float(spearmanr(first, second).statistic), abs=1e-9)


def test_spearman_interval_covers_no_relation_in_95_of_100():
    found = [spearman(noise(128, 1, 2 * i)[:, 0], noise(128, 1, 2 * i + 1)[:, 0]) for i in range(400)]
    covered = sum(low < 0 < high for _, low, high in found) / 400
    assert 0.92 < covered < 0.98  # 95 % of 400 draws, two standard errors
    assert math.isnan(spearman(torch.arange(5.0), torch.arange(5.0))[1])


def roles(count: int = 64) -> Roles:
    rising = torch.linspace(0, 1, count).double()
    alive = torch.ones(count, dtype=torch.bool)
    return Roles(1 - rising, rising, rising.square(), rising, 1 - rising, alive)


def test_agreement_and_profile_know_a_good_criterion_a_bad_one_and_a_blind_one():
    truth, good = roles(), torch.linspace(0, 1, 64)
    rows = agreement({"good": good, "bad": -good, "blind": torch.ones(64)}, truth)
    assert [row["criterion"] for row in rows] == ["good", "bad", "blind"]
    assert [round(row["alignment, background"][0]) for row in rows] == [-1, 1, 0]
    assert [round(row["alignment, species in genus"][0]) for row in rows] == [1, -1, 0]
    found = profile(good, truth)
    assert (found["background"].diff() < 0).all() and (found["species in genus"].diff() > 0).all()
    blind = profile(torch.rand(64, generator=torch.Generator().manual_seed(0)), truth, groups=2)
    assert all(torch.allclose(values, torch.ones(2).double(), atol=0.25) for values in blind.values())
    with pytest.raises(ValueError, match="64"):
        profile(good, truth, groups=65)


def test_dead_dimensions_do_not_count():
    truth, criterion = roles(), torch.linspace(0, 1, 64)
    criterion[:32] = 0  # as low as can be, and not because they hold the sky
    alive = torch.arange(64) >= 32
    dead = Roles(*(getattr(truth, name) * alive for name in ("background", "genus", "species", "edit", "sky")), alive)
    (row,) = agreement({"std": criterion}, dead)
    assert row["alignment, background"][0] == pytest.approx(-1) and row["alignment, genus"][0] == pytest.approx(1)
