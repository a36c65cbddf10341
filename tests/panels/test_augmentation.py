"""Augmentation strength: identity at 0, further apart with strength, and what is said where species are unknown."""

from __future__ import annotations

import pytest
import torch

from fgssl_edu.data.image_set import Splits
from fgssl_edu.nets.encoders import Encoder
from fgssl_edu.panels.augmentation import PAIRS, AugmentationStrength, Pairs, gallery_index


@pytest.fixture(scope="module")
def panel(splits: Splits, encoders: dict[str, Encoder]) -> AugmentationStrength:
    return AugmentationStrength(encoders["one"], splits.test)


def test_at_strength_zero_both_views_are_the_picture(panel: AugmentationStrength):
    views, cosine, features = panel._views(3, "mild", 0.0, 0)
    assert torch.allclose(views[0], views[1]) and torch.allclose(cosine, torch.ones_like(cosine), atol=1e-5)
    assert (features @ panel.features.T).argmax(dim=1).eq(3).all()


def test_views_move_further_with_strength(panel: AugmentationStrength):
    distance = [float((1 - panel._views(0, "mild", s, 0)[1]).mean()) for s in (0.0, 0.5, 1.0, 2.0)]
    assert distance[1] < distance[3] and distance[0] < min(distance[1:])


def test_every_control_changes_the_picture_and_the_same_draw_is_the_same_picture(panel: AugmentationStrength):
    seen = [panel.picture()]
    for move in ({"strength": 0.4}, {"preset": "simclr"}, {"picture": 9}, {"draw": 1}):
        panel.set(**move)
        seen.append(panel.picture())
    assert len(set(seen)) == 5
    panel.forget()
    panel.refresh()
    assert panel.picture() == seen[-1]


def test_pairs_are_split_by_species():
    features = torch.eye(4)[[0, 0, 1, 1]]
    pairs = Pairs.of(features, torch.tensor([0, 0, 1, -1]))
    assert pairs.same.tolist() == [1.0] and sorted(pairs.other.tolist()) == [0.0, 0.0]


def test_gallery_has_several_pictures_of_a_class_even_where_classes_are_many():
    labels = torch.arange(2000) % 200
    chosen = gallery_index(labels)
    assert len(chosen) == 192 and int(labels[chosen].bincount().max()) == 8
    assert len(gallery_index(torch.full((50,), -1))) == 50


def test_pictures_without_labels_still_give_views(splits: Splits, encoders: dict[str, Encoder]):
    import dataclasses

    images = splits.test
    bare = dataclasses.replace(images, labels=torch.full_like(images.labels, -1), coarse=None, coarse_classes=())
    panel = AugmentationStrength(encoders["one"], bare)
    assert not len(panel.pairs.same) and panel.contact_sheet().width > 1000


def test_the_encoder_is_left_in_its_mode(splits: Splits, encoders: dict[str, Encoder]):
    encoders["two"].train()
    AugmentationStrength(encoders["two"], splits.test).set(strength=2.0)
    assert encoders["two"].training
    encoders["two"].eval()


def test_an_unknown_preset_is_refused_with_the_known(splits: Splits, encoders: dict[str, Encoder]):
    with pytest.raises(ValueError, match="mild"):
        AugmentationStrength(encoders["one"], splits.test, preset="wild")


def test_shown_pairs_are_those_whose_cosine_is_written(panel: AugmentationStrength):
    views, cosine, features = panel._views(2, "mild", 1.0, 0)
    again = torch.nn.functional.normalize(panel.encoder.eval().features(views[1]).detach(), dim=1)
    assert torch.allclose((features * again).sum(dim=1), cosine[:PAIRS], atol=1e-5)
