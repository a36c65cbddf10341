"""Coreset budget: the orders against the selection itself, what ends a selection, and what the picture shows."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fgssl_edu import coreset
from fgssl_edu.data.image_set import ImageSet
from fgssl_edu.data.open_set import OpenSet
from fgssl_edu.panels.canvas import GREEN, MARGIN, RED
from fgssl_edu.panels.coreset_budget import BUDGETS, MAP_TOP, SIDE, CoresetBudget
from fgssl_edu.panels.coreset_orders import FACILITY, METHODS, ORACLE, RANDOM, SIMCORE, Order, Orders

COUNT, TARGET, DIM = 600, 60, 16
PICTURES_S = 0.1  # CPU seconds from slider to picture, as promised; 25 ms were seen
MOVES = 40


@pytest.fixture(scope="module")
def planted() -> tuple[torch.Tensor, OpenSet, torch.Tensor]:
    """60 target features in 6 clusters, and 600 of an open set of which 20 % lie in the same clusters."""
    generator = torch.Generator().manual_seed(0)
    centres = F.normalize(torch.randn(6, DIM, generator=generator), dim=1)
    target = centres[torch.arange(TARGET) % 6] + 0.1 * torch.randn(TARGET, DIM, generator=generator)
    relevant = torch.arange(COUNT) % 5 == 0
    near = centres[torch.arange(COUNT) % 6] + 0.1 * torch.randn(COUNT, DIM, generator=generator)
    features = torch.where(relevant[:, None], near, torch.randn(COUNT, DIM, generator=generator))
    pixels = torch.randint(0, 256, (COUNT, 3, 24, 24), dtype=torch.uint8, generator=generator)
    images = ImageSet(pixels, torch.full((COUNT,), -1), (), name="toy", provenance="made here", licence="none")
    return target, OpenSet(images, relevant, relevant.long(), ("other", "near")), features


@pytest.fixture(scope="module")
def panel(planted: tuple[torch.Tensor, OpenSet, torch.Tensor]) -> CoresetBudget:
    return CoresetBudget(*planted, ks=(1, 6, 30))


@pytest.fixture(scope="module")
def orders(planted: tuple[torch.Tensor, OpenSet, torch.Tensor]) -> Orders:
    target, pool, features = planted
    return Orders(target, features, pool.relevant, (1, 6), most=COUNT // 2, seed=0)


def frames(panel: CoresetBudget, colour: tuple[int, int, int]) -> int:
    """Pixels of a frame's colour below the plots."""
    pixels = np.asarray(panel.draw(**panel.values)).astype(int)[550:]
    return int((np.abs(pixels - np.array(colour)).max(axis=2) < 4).sum())


@pytest.mark.parametrize("k", [1, 6])
@pytest.mark.parametrize("budget", [3, 17, 60, 250])
@pytest.mark.parametrize("tau", [0.0, 0.9, 0.97])
def test_a_state_shows_what_the_selection_itself_would_return(planted, orders: Orders, k: int, budget: int, tau: float):
    target, _, features = planted
    centroids = coreset.centroids(F.normalize(target, dim=1), k, 0)
    wanted = coreset.select_coreset([F.normalize(features, dim=1)], centroids, budget=budget, tau=tau or None)
    order = orders[SIMCORE, k]
    count = order.count(budget, tau)
    assert set(order.indices[:count].tolist()) == set(wanted.indices.tolist())


def test_count_ends_with_budget_or_before_the_failing_round():
    order = Order(np.arange(7), np.array([1, 1, 1, 2, 2, 3, 3]), np.array([1.0, 0.96, 0.9]), np.arange(7) % 2 == 0)
    assert order.ends.tolist() == [3, 5, 7]
    assert order.failing_round(0.95) == 3 and order.failing_round(0.5) is None
    assert [order.count(6, tau) for tau in (0.0, 0.95, 0.99)] == [6, 5, 3]
    assert order.count(2, 0.99) == 2 and order.precision(3) == pytest.approx(2 / 3)


def test_a_failing_round_of_the_greedy_baseline_ends_it_too(orders: Orders):
    order = orders[FACILITY, 1]
    assert order is orders[FACILITY, 6] and len(order.values) == order.rounds[-1]
    assert order.count(200, 0.9) < order.count(200, 0.0) == 200


def test_random_and_oracle_bound_the_precision_of_the_planted_set(orders: Orders):
    assert orders[ORACLE, 6].precision(120) == 1
    assert orders[RANDOM, 6].precision(300) == pytest.approx(0.2, abs=0.06)  # standard error .023 without replacement
    assert orders[SIMCORE, 6].precision(100) > 0.9
    assert orders[RANDOM, 1] is orders[RANDOM, 6]  # it knows no centroids
    assert len(orders[ORACLE, 1].indices) == orders[ORACLE, 1].count(300, 0.0) == 120  # no more are relevant


def test_the_first_round_alone_covers_all_that_can_be_covered(orders: Orders):
    order = orders[SIMCORE, 6]
    first = int(order.ends[0])
    assert orders.coverage(order, first, 6) == pytest.approx(1, abs=1e-6)
    assert orders.coverage(order, 1, 6) < 0.9
    # greedy maximisation begins with a compromise between the centroids, and so needs more pictures for the same f
    assert orders.coverage(orders[RANDOM, 6], first, 6) < orders.coverage(orders[FACILITY, 6], first, 6) < 1


def test_every_control_changes_the_picture(panel: CoresetBudget):
    panel.set(method=SIMCORE, k=6, budget=0.1, tau=0.0, round=1)
    seen = {panel.picture()}
    moves = ({"round": 2}, {"budget": 0.2}, {"k": 1}, {"tau": 0.95}, *({"method": method} for method in METHODS[1:]))
    for move in moves:
        panel.set(**move)
        seen.add(panel.picture())
    assert len(seen) == 1 + len(moves)


def test_the_round_slider_ends_where_the_selection_ends(panel: CoresetBudget):
    panel.set(method=SIMCORE, k=6, budget=0.1, tau=0.0, round=1)
    last = panel.controls["round"].max
    panel.set(round=last)
    panel.set(budget=BUDGETS[0])
    assert panel.controls["round"].max == 1 == panel.values["round"] < last
    panel.set(k=1, budget=0.1)
    assert panel.controls["round"].max == 60  # one picture a round
    with pytest.raises(ValueError, match="61"):
        panel.set(round=61)


def test_frames_tell_relevant_picks_from_others(panel: CoresetBudget):
    panel.set(method=ORACLE, budget=0.1, tau=0.0, round=1)
    assert frames(panel, GREEN) > 24 * 1000 and frames(panel, RED) < 100
    panel.set(method=RANDOM)
    assert frames(panel, RED) > 10 * 1000


def test_where_nobody_knows_what_is_relevant_picks_are_shown_and_none_is_judged(planted):
    target, pool, features = planted
    unknown = OpenSet(pool.images, torch.zeros(COUNT, dtype=torch.bool), pool.group, pool.groups)
    panel = CoresetBudget(target, unknown, features, ks=(1, 6, 30))
    assert list(panel.controls["method"].options) == [SIMCORE, FACILITY, RANDOM]
    for method in (SIMCORE, FACILITY, RANDOM):
        panel.set(method=method, budget=0.1)
        assert frames(panel, GREEN) < 100 and frames(panel, RED) < 100


def test_a_small_set_is_shown_at_every_budget_and_offers_only_the_ks_it_has(planted):
    target, pool, features = planted
    small = OpenSet(pool.images.subset(torch.arange(20)), pool.relevant[:20], pool.group[:20], pool.groups)
    panel = CoresetBudget(target[:3], small, features[:20])
    assert [k for _, k in panel.controls["k"].options] == [1, 3]
    for budget in BUDGETS:
        panel.set(budget=budget)
    assert panel.contact_sheet().width == 2 * 760 + 10


def test_pictures_follow_the_sliders_in_time(panel: CoresetBudget):
    panel.set(method=SIMCORE, k=30, budget=0.5, tau=0.0, round=1)
    seconds = []
    taus = [tau for _, tau in panel.controls["tau"].options]
    for i in range(MOVES):
        start = time.process_time()
        panel.set(k=(1, 6, 30)[i % 3], tau=taus[i % len(taus)], round=1 + i // 21)
        seconds.append(time.process_time() - start)
    assert sorted(seconds)[int(0.95 * MOVES) - 1] < PICTURES_S


def test_a_further_map_is_offered_and_moves_the_points_alone(planted):
    """Every pick lies where the map has it, and nothing beside the map changes."""
    target, pool, features = planted
    draw = torch.Generator().manual_seed(1)
    laid = torch.randn(TARGET, 2, generator=draw), torch.randn(COUNT, 2, generator=draw)
    panel = CoresetBudget(target, pool, features, ks=(1, 6), points={"UMAP": laid})
    assert panel.controls["map"].options == ("PCA", "UMAP") and panel.states[-1] == {"map": "UMAP"}
    before = np.asarray(panel.draw(**panel.values)).copy()
    panel.set(map="UMAP")
    after = np.asarray(panel.draw(**panel.values))
    changed = (before != after).any(axis=2).nonzero()
    assert changed[0].min() >= MAP_TOP - 9 and changed[0].max() < MAP_TOP + SIDE + 9  # rings reach over the border
    assert changed[1].max() < MARGIN + SIDE + 9
    places = panel.maps["UMAP"][0]
    assert (
        np.corrcoef(places[:, 0], laid[1][:, 0])[0, 1] > 0.95 and np.corrcoef(places[:, 1], -laid[1][:, 1])[0, 1] > 0.95
    )


def test_without_further_maps_there_is_nothing_to_choose(planted, panel: CoresetBudget):
    assert "map" not in panel.controls and list(panel.maps) == ["PCA"]
    assert "map" not in CoresetBudget(*planted, ks=(1,), points={}).controls


def test_points_of_other_sets_are_refused(planted):
    target, pool, features = planted
    x, heap = torch.zeros(TARGET, 2), torch.zeros(COUNT, 2)
    for points in ({"UMAP": (heap, x)}, {"UMAP": (x, heap[:-1])}, {"PCA": (x, heap)}):
        with pytest.raises(ValueError, match=r"points .*\(60, 2\) of X and \(600, 2\)"):
            CoresetBudget(target, pool, features, ks=(1,), points=points)


def test_features_that_do_not_fit_are_refused(planted):
    target, pool, features = planted
    with pytest.raises(ValueError, match=r"pool_features.*\(600, 16\)"):
        CoresetBudget(target, pool, features[:-1])
    with pytest.raises(ValueError, match="target_features"):
        CoresetBudget(target[:0], pool, features)
