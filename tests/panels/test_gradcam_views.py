"""Grad-CAM views: maps equal to the library's, edits that are edits, and sets without parts."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from fgssl_edu.data import birds
from fgssl_edu.data.birds_world import attribute_column
from fgssl_edu.data.image_set import Splits
from fgssl_edu.evaluate.attention import class_maps
from fgssl_edu.evaluate.edits import HELD_OUT_SEED, rendered_edits
from fgssl_edu.nets.encoders import Encoder
from fgssl_edu.panels.gradcam_views import NOTHING, SISTER, GradCAMViews, State
from fgssl_edu.panels.scenes import species_table
from fgssl_edu.panels.viewer import TARGETS, Viewer

SIZE = 40


def state(picture: int, **more: object) -> State:
    return State(picture, a="one", b="two", target="class", sign="helps", layer=-1, **more)


@pytest.fixture(scope="module")
def panel(splits: Splits, encoders: dict[str, Encoder]) -> GradCAMViews:
    return GradCAMViews(encoders, splits, SIZE)


@pytest.fixture(scope="module")
def viewer(panel: GradCAMViews) -> Viewer:
    return panel.viewers["one"]


def test_last_stage_class_map_is_the_library_s(viewer: Viewer, splits: Splits):
    heat, features = viewer.look(splits.test.images[3:5], 3, "class", "helps", -1)
    label = splits.test.labels[[3, 3]]
    expected = class_maps(viewer.encoder, viewer.classifier, splits.test.images[3:5], label, SIZE)
    assert torch.allclose(heat, expected, atol=1e-5) and float(heat.max()) > 0
    assert torch.allclose(features, viewer.features(splits.test.images[3:5]), atol=1e-5)


@pytest.mark.parametrize("target", TARGETS)
def test_helping_and_hurting_are_different_places(viewer: Viewer, splits: Splits, target: str):
    helps, hurts = (viewer.look(splits.test.images[:1], 0, target, sign, -1)[0] for sign in ("helps", "hurts"))
    assert float(helps.max()) > 0 or float(hurts.max()) > 0
    assert not ((helps > 0) & (hurts > 0)).any()


def test_a_map_is_its_own_image_s_whatever_is_beside_it(viewer: Viewer, splits: Splits):
    alone = viewer.look(splits.test.images[:1], 0, "loss", "helps", 1)[0]
    beside = viewer.look(splits.test.images[:3], 0, "loss", "helps", 1)[0]
    assert torch.allclose(alone[0], beside[0], rtol=1e-3, atol=1e-7)


def test_looking_leaves_encoder_and_gradients_alone(viewer: Viewer, splits: Splits):
    viewer.encoder.train()
    viewer.look(splits.test.images[:2], 0, "class", "helps", 0)
    assert viewer.encoder.training and all(p.grad is None for p in viewer.encoder.parameters())
    viewer.encoder.eval()


def test_an_edit_changes_the_part_and_keeps_the_sky(panel: GradCAMViews, splits: Splits):
    picture = next(i for i in range(72) if panel.sister_value(i, "crown") != _own(splits, i, "crown"))
    (edited,) = panel._edited(state(picture, attribute="crown"))
    (same,) = panel._edited(state(picture))
    changed = (edited.pixels != splits.test.images[picture]).any(dim=0).float().mean()
    assert torch.equal(same.pixels, splits.test.images[picture])
    assert 0 < float(changed) < 0.3


def test_a_new_sky_keeps_the_bird(panel: GradCAMViews, splits: Splits):
    shown, edited = panel._edited(state(0, sky=1))
    bird = splits.test.foreground[0] == 255
    assert torch.equal(edited.pixels, splits.test.images[0])
    assert torch.equal(shown.foreground, splits.test.foreground[0])
    difference = (shown.pixels.float() - splits.test.images[0].float()).abs().mean(dim=0)
    assert float(difference[~bird].mean()) > 4 * float(difference[bird].mean())


def test_edits_and_skies_are_those_of_the_edit_score(splits: Splits, encoders: dict[str, Encoder]):
    world, labels = birds.World.make(), torch.arange(30) % 24
    held_out = birds.sample(world, labels, torch.arange(30), HELD_OUT_SEED, birds.Knobs(background=1.0))
    rendered = birds.render(held_out, 48)
    drawn = {name: getattr(rendered, name) for name in ("images", "parts", "foreground")}
    told = {"labels": labels, "coarse": held_out.genus, "discriminative": world.discriminative[labels]}
    test = dataclasses.replace(splits.test, **drawn, **told, factors=held_out)
    panel, edits = GradCAMViews(encoders, Splits(splits.train, test), SIZE), rendered_edits(world, 48, birds=30)
    compared = 0
    for attribute, whose in edits.birds.items():
        for picture in range(0, 30, 4):
            (edited,) = panel._edited(state(picture, attribute=attribute))
            expected = edits.edited[attribute][whose == picture]
            assert torch.equal(edited.pixels, expected[0] if len(expected) else test.images[picture])
            compared += len(expected)
    assert compared > 30
    assert torch.equal(panel.skies(5), edits.backgrounds[:, 5])


def test_a_species_without_a_picture_is_nobody_s_sister(splits: Splits):
    some = splits.test.labels > 5  # the first genus has species 0 to 3, the second 4 to 7
    table = species_table(Splits(splits.train.subset(splits.train.labels > 5), splits.test.subset(some)))
    full = species_table(splits)
    assert torch.equal(full.codes, birds.World.make().codes) and torch.equal(full.genus, birds.World.make().genus)
    assert table.sibling_value(6, "tail") in {int(full.codes[s, attribute_column("tail")]) for s in (6, 7)}


def test_distance_to_a_new_sky_is_the_mean_over_four(panel: GradCAMViews):
    features = panel.viewers["two"].features(torch.cat([panel.images.images[[5]], panel.skies(5)]))
    cosine = torch.nn.functional.cosine_similarity(features[:1].double(), features[1:].double())
    assert len(cosine) == 4 and panel.sky_distance("two", 5) == pytest.approx(float(1 - cosine.mean()), rel=1e-6)


def test_every_control_changes_the_picture(panel: GradCAMViews):
    moves = [
        {"picture": 4},
        {"a": "two", "b": "one"},
        {"target": "positive"},
        {"target": "loss"},
        {"sign": "hurts"},
        {"layer": 1},
        {"attribute": "tail", "value": 2},
        {"sky": 1},
        {"attribute": NOTHING},
    ]
    seen = [panel.picture()]
    for move in moves:
        panel.set(**move)
        seen.append(panel.picture())
    assert len(set(seen)) == len(moves) + 1


def test_the_coarse_picture_has_the_same_size_and_asks_no_network(panel: GradCAMViews, monkeypatch: pytest.MonkeyPatch):
    fine = panel.draw(**panel.values)
    monkeypatch.setattr(Viewer, "look", lambda *_: pytest.fail("a network was asked"))
    coarse = panel.coarse(**panel.values)
    assert coarse.shape == fine.shape and (coarse != fine).any()


def test_another_part_offers_its_own_values_and_draws_once(panel: GradCAMViews):
    panel.set(attribute="beak_shape", value=3)
    drawn = panel.drawn
    panel.controls["attribute"].value = "crest"
    assert panel.drawn == drawn + 1 and panel.values["value"] == SISTER
    assert [words for words, _ in panel.controls["value"].options][1:] == ["smooth-headed", "crested"]


def test_photographs_have_no_edits_and_no_scores(bare_splits: Splits, encoders: dict[str, Encoder]):
    panel = GradCAMViews(encoders, bare_splits, SIZE)
    assert "attribute" not in panel.controls and "sky" not in panel.controls
    before = panel.picture()
    panel.set(picture=2, target="positive")
    assert panel.picture() != before


def test_one_encoder_is_too_few(splits: Splits, encoders: dict[str, Encoder]):
    with pytest.raises(ValueError, match="at least two"):
        GradCAMViews({"one": encoders["one"]}, splits)


def _own(splits: Splits, picture: int, attribute: str) -> int:
    return int(splits.test.factors.codes[picture, attribute_column(attribute)])
