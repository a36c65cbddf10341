"""The concept browser and its numbers: whose pictures, in which order, how pure, and how pure by chance."""

from __future__ import annotations

import time

import pytest
import torch
import torch.nn.functional as F

from fgssl_edu.data.image_set import Splits
from fgssl_edu.evaluate.concepts import prototype_scores, purity
from fgssl_edu.methods.clustering.swav import SwAV
from fgssl_edu.nets.encoders import build_encoder
from fgssl_edu.panels.concepts import LEAST, ConceptBrowser
from fgssl_edu.views import resized

K = 12


def noise(rows: int, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(rows, K, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def panel(splits: Splits) -> ConceptBrowser:
    told = F.one_hot(splits.test.coarse % K, K).float() + noise(len(splits.test))
    return ConceptBrowser({"by genus": told, "noise": noise(len(splits.test), 1)}, splits.test)


def test_purity_of_truth_chance_and_a_single_cluster():
    labels = torch.arange(40) % 4
    right = purity(labels, labels, 4)
    assert right.overall == 1 and right.majority.tolist() == [0, 1, 2, 3] and right.sizes.tolist() == [10] * 4
    one = purity(torch.zeros(40, dtype=torch.long), labels, 3)
    assert one.overall == 0.25 == one.chance and one.sizes.tolist() == [40, 0, 0]
    assert one.majority.tolist()[1:] == [-1, -1] and one.shares.tolist()[1:] == [0, 0]
    alone = purity(torch.arange(40), labels, 40)
    assert alone.overall == 1 == alone.chance  # why purity is nothing without its chance


def test_purity_by_hand_and_without_the_unlabelled():
    cluster, labels = torch.tensor([0, 0, 0, 1, 1, 1]), torch.tensor([2, 2, 1, 0, -1, -1])
    found = purity(cluster, labels, 2)
    assert found.shares.tolist() == pytest.approx([2 / 3, 1.0]) and found.majority.tolist() == [2, 0]
    assert found.overall == pytest.approx(3 / 4) and found.sizes.tolist() == [3, 3]


def test_scores_are_cosines_of_whole_pictures_and_leave_the_method_as_it_was(splits: Splits):
    method = SwAV(build_encoder("resnet10", seed=0), size=32, prototypes=K).train()
    before = {name: value.clone() for name, value in method.state_dict().items()}
    scores = prototype_scores(method, splits.test.images, 40)
    assert method.training and all(torch.equal(value, before[name]) for name, value in method.state_dict().items())
    method.eval()
    z = F.normalize(method.projector(method.encoder(resized(splits.test.images[:5], 40))), dim=1)
    assert torch.allclose(scores[:5], z @ method.prototypes.detach().T, atol=1e-5)
    assert scores.shape == (len(splits.test), K) and scores.abs().max() <= 1 + 1e-5


def test_every_picture_belongs_to_its_nearest_prototype_nearest_first(panel: ConceptBrowser, splits: Splits):
    members = [panel.members("noise", prototype) for prototype in range(K)]
    assert sorted(torch.cat(members).tolist()) == list(range(len(splits.test)))
    for prototype, own in enumerate(members):
        cosines = panel.scores["noise"][own, prototype]
        assert torch.equal(cosines, cosines.sort(descending=True).values)


def test_orders_are_what_they_are_called(panel: ConceptBrowser):
    for method in ("by genus", "noise"):
        found = panel.purities[method]
        largest = panel.ordered(method, "largest")
        sizes = found["species"].sizes[largest].tolist()
        assert sizes == sorted(sizes, reverse=True) and min(sizes) > 0
        for kind in ("species", "genus"):
            order = panel.ordered(method, kind)
            assert set(order.tolist()) == set(largest.tolist())
            shares = [found[kind].shares[i].item() for i in order.tolist() if found[kind].sizes[i] >= LEAST]
            assert shares == sorted(shares, reverse=True)


def test_prototypes_that_are_the_genus_are_pure_by_genus(panel: ConceptBrowser):
    found = panel.purities["by genus"]["genus"]
    assert found.overall == 1 > found.chance
    assert panel.alive["by genus"] < K == panel.alive["noise"]


def test_the_slider_ends_where_the_richest_method_ends_and_a_poorer_one_shows_its_last(panel: ConceptBrowser):
    assert panel.controls["place"].max == panel.alive["noise"]
    last = panel.draw(method="by genus", order="largest", place=panel.alive["by genus"])
    assert (panel.draw(method="by genus", order="largest", place=K) == last).all()
    assert (panel.draw(method="noise", order="largest", place=K) != last).any()


def test_every_control_changes_the_picture(panel: ConceptBrowser):
    seen = [panel.picture()]
    for move in ({"place": 2}, {"method": "noise"}, {"order": "species"}, {"order": "genus"}):
        panel.set(**move)
        seen.append(panel.picture())
    assert len(set(seen)) == 5


def test_photographs_without_a_genus_are_ordered_by_species_only(bare_splits: Splits):
    panel = ConceptBrowser({"noise": noise(len(bare_splits.test))}, bare_splits.test)
    with pytest.raises(ValueError, match="choose one of"):
        panel.set(order="genus")
    before = panel.picture()
    panel.set(order="species", place=2)
    assert panel.picture() != before


def test_scores_of_other_pictures_are_refused(splits: Splits):
    with pytest.raises(ValueError, match="these pictures need"):
        ConceptBrowser({"noise": noise(3)}, splits.test)
    with pytest.raises(ValueError, match="is empty"):
        ConceptBrowser({}, splits.test)


def test_pictures_follow_the_controls_in_time(panel: ConceptBrowser):
    seconds, moves = [], [(m, o) for m in ("noise", "by genus") for o in ("largest", "species", "genus")]
    for i in range(24):
        method, order = moves[i % 6]
        start = time.process_time()
        panel.set(method=method, order=order, place=1 + i // 6)
        seconds.append(time.process_time() - start)
    assert sorted(seconds)[22] < 0.1  # as promised where only pictures change; 20 ms were seen
