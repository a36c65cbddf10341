"""Nearest-neighbour browser: precision against hand-made features, and what the picture says."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from fgssl_edu.data.image_set import Splits
from fgssl_edu.panels.canvas import AMBER, GREEN, RED
from fgssl_edu.panels.neighbours import ALL, NeighbourBrowser, chance_precision, nearest, precision, relation


def frames(panel: NeighbourBrowser, colour: tuple[int, int, int]) -> int:
    """Pixels of a frame's colour in the picture."""
    pixels = np.asarray(panel.draw(**panel.values)).astype(int)
    return int((np.abs(pixels - np.array(colour)).max(axis=2) < 4).sum())


def test_precision_is_one_for_labels_as_features_and_chance_for_noise():
    labels = torch.arange(200) % 5
    generator = torch.Generator().manual_seed(0)
    noise = F.normalize(torch.randn(200, 32, generator=generator), dim=1)
    assert precision(F.one_hot(labels).float(), labels, 10) == 1
    assert chance_precision(labels) == pytest.approx(39 / 199)
    # 2000 neighbours: standard error .009
    assert precision(noise, labels, 10) == pytest.approx(chance_precision(labels), abs=0.04)


def test_precision_leaves_out_queries_without_a_label():
    labels = torch.tensor([0, 0, 1, 1, -1, -1])
    features = F.one_hot(torch.tensor([0, 0, 1, 1, 2, 2])).float()
    assert precision(features, labels, 1) == 1


def test_a_query_is_not_its_own_neighbour_and_neighbours_come_nearest_first():
    features = F.normalize(torch.randn(30, 8, generator=torch.Generator().manual_seed(1)), dim=1)
    similarity, found = nearest(features, 4, 10)
    assert 4 not in found and torch.equal(similarity, similarity.sort(descending=True).values)
    assert torch.allclose(similarity, features[found] @ features[4])


def test_relation_names_species_genus_and_missing_labels(splits: Splits, bare_splits: Splits):
    images = splits.test
    for j in range(1, 30):
        same = images.labels[0] == images.labels[j]
        kin = "species" if same else "genus" if images.coarse[0] == images.coarse[j] else "other"
        assert relation(images, 0, j) == kin
        assert relation(bare_splits.test, 0, j) == ("species" if same else "other")


def test_frames_tell_species_genus_and_other_apart(splits: Splits):
    species = F.one_hot(splits.test.labels).float()
    genus = F.one_hot(splits.test.coarse).float() - 0.5 * F.one_hot(splits.test.labels, 24).float() @ torch.ones(24, 6)
    panel = NeighbourBrowser({"oracle": species, "noise": torch.randn(72, 8), "genus": genus}, splits.test)
    panel.set(k=2)
    legend = 17 * 17
    assert frames(panel, GREEN) > 4 * legend and frames(panel, RED) <= 1.5 * legend
    panel.set(encoder="noise", k=10)
    assert frames(panel, RED) + frames(panel, AMBER) > 10 * legend


def test_every_control_changes_the_picture(splits: Splits):
    features = {"a": torch.randn(72, 8), "b": torch.randn(72, 8)}
    panel = NeighbourBrowser(features, splits.test)
    seen = {panel.picture()}
    for move in ({"query": 5}, {"encoder": "b"}, {"k": 3}, {"encoder": ALL}):
        panel.set(**move)
        seen.add(panel.picture())
    another = next(c for row in panel.children[1:3] for c in row.children if c.description == "Another picture")
    another.click()
    seen.add(panel.picture())
    assert len(seen) == 6 and panel.values["query"] != 5
    assert Image.open(io.BytesIO(panel.picture())).width == 1000


def test_a_folder_without_genus_shows_species_only(bare_splits: Splits):
    panel = NeighbourBrowser({"a": torch.randn(72, 8)}, bare_splits.test)
    assert frames(panel, AMBER) == 0


def test_features_that_do_not_fit_are_refused(splits: Splits):
    with pytest.raises(ValueError, match=r"'short'.*\(72, D\)"):
        NeighbourBrowser({"short": torch.randn(71, 8)}, splits.test)
    with pytest.raises(ValueError, match="empty"):
        NeighbourBrowser({}, splits.test)
