"""The Sinkhorn panel: what each control does to who gets which prototype."""

from __future__ import annotations

import time

import pytest
import torch

from fgssl_edu.losses import sinkhorn_knopp
from fgssl_edu.panels.sinkhorn import DRAWN, NETWORK, PROTOTYPES, SAMPLES, SinkhornLive, best_liked, drawn


def held(scores: torch.Tensor, epsilon: float = 0.05, iterations: int = 3) -> torch.Tensor:
    return sinkhorn_knopp(scores, epsilon, iterations).sum(dim=0)


@pytest.fixture(scope="module")
def panel() -> SinkhornLive:
    return SinkhornLive(0.3 * torch.randn(80, 20, generator=torch.Generator().manual_seed(0)))


def test_blobs_are_as_large_as_the_control_says():
    for crowd in (0.1, 0.2, 0.6, 1.0):
        blob = drawn(crowd).argmax(dim=1).bincount(minlength=PROTOTYPES)
        assert blob[0] == round(crowd * SAMPLES) and blob.sum() == SAMPLES
        assert blob[1:].max() - blob[1:].min() <= 1


def test_what_all_like_takes_all_of_a_softmax_and_nothing_of_sinkhorn(panel: SinkhornLive):
    plain, liked = panel.scores(DRAWN, 0.2, 0.0), panel.scores(DRAWN, 0.2, 1.5)
    assert (liked / 0.05).softmax(dim=1).sum(dim=0)[0] > 0.9 * SAMPLES
    assert torch.allclose(held(liked), held(plain), atol=1e-3)


def test_a_crowd_is_shared_out_by_softness_or_patience_not_by_three_iterations(panel: SinkhornLive):
    crowd = panel.scores(DRAWN, 0.6, 0.0)
    even = SAMPLES / PROTOTYPES
    assert held(crowd)[0] > 3 * even
    assert held(crowd, epsilon=0.5)[0] < 1.3 * even
    assert held(crowd, iterations=1000)[0] < 1.6 * even


def test_a_networks_scores_are_of_the_prototypes_that_its_samples_like_best():
    scores = torch.full((SAMPLES + 5, 9), -1.0)
    scores[:, 2:8] = 0.5
    kept = best_liked(scores)
    assert kept.shape == (SAMPLES, PROTOTYPES) and (kept == 0.5).all()


def test_the_network_is_offered_where_there_is_one(panel: SinkhornLive):
    with pytest.raises(ValueError, match="choose one of"):
        SinkhornLive().set(source=NETWORK)
    before = panel.picture()
    panel.set(source=NETWORK)
    assert panel.picture() != before
    first = panel.scores(NETWORK, 0.2, 0.0)
    assert torch.equal(first.argmax(dim=1), first.argmax(dim=1).sort().values)  # in blocks, one a prototype
    panel.set(source=DRAWN)


def test_moving_a_favourite_leaves_the_networks_scores_as_they_were(panel: SinkhornLive):
    before = panel.scores(NETWORK, 0.2, 0.0)
    panel.scores(NETWORK, 0.2, 2.0)
    assert torch.equal(panel.scores(NETWORK, 0.2, 0.0), before)


def test_every_control_changes_the_picture(panel: SinkhornLive):
    seen = [panel.picture()]
    for move in ({"crowd": 0.6}, {"favour": 0.0}, {"epsilon": 0.5}, {"epsilon": 0.05, "iterations": 1000}):
        panel.set(**move)
        seen.append(panel.picture())
    assert len(set(seen)) == 5


@pytest.mark.parametrize("shape", [(SAMPLES - 1, 20), (80, PROTOTYPES - 1), (80,)])
def test_too_few_scores_are_refused(shape: tuple[int, ...]):
    with pytest.raises(ValueError, match="the panel shows 60 by 6"):
        SinkhornLive(torch.zeros(shape))


def test_codes_follow_the_controls_in_time(panel: SinkhornLive):
    seconds = []
    for i in range(21):
        start = time.process_time()
        panel.set(favour=round(0.1 * i, 1), crowd=0.3, iterations=1000)
        seconds.append(time.process_time() - start)
    assert sorted(seconds[1:])[18] < 0.1  # as promised where only pictures change; 45 ms were seen
