"""SimCore against the literal algorithm, hand examples, and what its definition promises."""

from __future__ import annotations

import random
from collections import deque

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fgssl_edu import coreset
from fgssl_edu.coreset.ranking import index_of, pack, regrouped, similarity_of

HAND = torch.tensor([[0.9, 0.8], [0.7, 0.85], [0.6, 0.3], [0.5, 0.6], [0.1, 0.2]]).T  # 2 centroids, u0..u4
UNIT = torch.eye(2)


def literal(similarity: Tensor, budget: int | None, tau: float | None, patience: int, include: bool):
    """As published, K full rankings as queues; a round pops what earlier ones took. Ties by index, cut by nearness."""
    rows = similarity.tolist()
    queues = [deque(sorted(range(len(row)), key=lambda i, row=row: (-row[i], i))) for row in rows]
    limit = len(rows[0]) if budget is None else min(budget, len(rows[0]))
    taken: set[int] = set()
    indices, rounds, values = [], [], []
    while len(indices) < limit:
        best: dict[int, float] = {}
        total = 0.0
        for row, queue in zip(rows, queues, strict=True):
            while queue[0] in taken:
                queue.popleft()
            pick = queue.popleft()
            best[pick] = max(best.get(pick, -2.0), row[pick])
            total += row[pick]
        values.append(total / len(rows))
        failed = tau is not None and len(values) > patience and values[-1] < tau * values[patience - 1]
        if failed and not include:
            return indices, rounds, values, True
        order = sorted(best, key=lambda i: (-best[i], i))[: limit - len(indices)]
        indices += order
        rounds += [len(values) - 1] * len(order)
        taken |= best.keys()
        if failed:
            return indices, rounds, values, True
    return indices, rounds, values, False


def grid(rows: int, dim: int, levels: int, seed: int) -> Tensor:
    """Rows of 16 entries that are +-1 and zeros, so that norms are 4 and cosines multiples of 1/16: many exact ties."""
    generator = torch.Generator().manual_seed(seed)
    base = torch.randint(0, 2, (levels, 16), generator=generator) * 2.0 - 1
    chosen = base[torch.randint(0, levels, (rows,), generator=generator)]
    flips = (torch.rand(rows, 16, generator=generator) < 0.15).float()
    return F.pad(chosen * (1 - 2 * flips), (0, dim - 16))


def assert_same(found: coreset.Coreset, wanted) -> None:
    indices, rounds, values, stopped = wanted
    assert found.indices.tolist() == indices
    assert found.rounds.tolist() == rounds
    assert found.values.tolist() == values
    assert found.stopped is stopped


@pytest.mark.parametrize("hundred", range(6))
def test_is_the_literal_algorithm_in_600_random_trials_with_ties(hundred: int):
    seen = {"stops": 0, "shared picks": 0, "cut": 0, "rounds": 0}
    for trial in range(100):
        draw = random.Random(1000 * hundred + trial)
        pool, k = draw.randint(1, 90), draw.choice([1, 2, 4, 8, 16])  # powers of two: means of cosines are exact
        features = grid(pool, 16, draw.randint(1, 12), seed=draw.randint(0, 10**6))
        centroids = grid(k, 16, draw.randint(1, 6), seed=draw.randint(0, 10**6))
        budget = draw.choice([None, draw.randint(1, pool), draw.randint(1, pool), pool + 5])
        tau = draw.choice([None, 0.5, 0.75, 0.95, 1.0]) if budget else draw.choice([0.25, 0.5, 0.9375, 1.0])
        settings = (budget, tau, draw.choice([1, 1, 2, 3, 20]), draw.random() < 0.5)
        wanted = literal(centroids @ features.T / 16, *settings)
        found = coreset.select_coreset(
            list(features.split(draw.randint(1, 60))),
            centroids,
            *settings,
            block_rows=draw.choice([1, 7, 20, 64, 65536]),
            list_length=draw.choice([None, 1, 3, 8, 64]),
        )
        assert_same(found, wanted)
        seen["stops"] += found.stopped
        seen["shared picks"] += bool((found.rounds.bincount()[:-1] < k).any())
        seen["cut"] += budget is not None and len(found) == budget < pool
        seen["rounds"] += len(found.values) > 5
    assert min(seen.values()) >= 10, seen  # the trials are about something


def test_the_hand_example_takes_two_nearest_pairs_and_then_the_rest():  # u2 and u3 tie at .6
    found = coreset.select_by_similarity(lambda: [HAND], budget=5)
    assert found.indices.tolist() == [0, 1, 2, 3, 4] and found.rounds.tolist() == [0, 0, 1, 1, 2]
    assert found.values.tolist() == pytest.approx([0.875, 0.6, 0.15], abs=1e-7)
    assert coreset.select_by_similarity(lambda: [HAND], budget=2).indices.tolist() == [0, 1]


@pytest.mark.parametrize(("preset", "taken"), [("repo", [0, 1]), ("paper_alg1", [0, 1, 2, 3])])
def test_the_failing_round_is_kept_by_algorithm_1_and_dropped_by_the_released_code(preset: str, taken: list[int]):
    include = coreset.PRESETS[preset]["include_failing_round"]
    found = coreset.select_by_similarity(lambda: [HAND], tau=0.95, include_failing_round=include)
    assert found.indices.tolist() == taken and found.stopped
    assert len(found.values) == 2  # the failing round's value is told in both


def test_presets_differ_in_patience_and_in_the_failing_round():
    assert coreset.PRESETS["paper_alg1"] == {"patience": 1, "include_failing_round": True}
    assert coreset.PRESETS["repo"] == {"patience": 20, "include_failing_round": False}
    falling = torch.linspace(1, 0, 50)[None]
    lengths = [len(coreset.select_by_similarity(lambda: [falling], tau=0.95, **p)) for p in coreset.PRESETS.values()]
    assert lengths == [4, 21]  # 1 - 3/49 < .95; repo: round 22 is the first below .95 (1 - 19/49)


def test_a_pick_of_two_centroids_is_taken_once_and_counts_twice():
    changed = HAND.clone()
    changed[1, 1] = 0.75
    found = coreset.select_by_similarity(lambda: [changed], budget=5)
    assert found.rounds.tolist().count(0) == 1 and found.indices[0] == 0
    assert float(found.values[0]) == pytest.approx(0.85, abs=1e-7)


def test_reordering_the_pool_reorders_the_choice():
    generator = torch.Generator().manual_seed(0)
    features, centroids = torch.randn(300, 12, generator=generator), torch.randn(7, 12, generator=generator)
    order = torch.randperm(300, generator=generator)
    one = coreset.select_coreset(features, centroids, budget=90)
    two = coreset.select_coreset(features[order], centroids, budget=90)
    assert torch.equal(order[two.indices], one.indices)


def test_lengths_of_features_and_centroids_do_not_matter():
    features, centroids = grid(200, 16, 9, seed=1), grid(8, 16, 4, seed=2)
    one = coreset.select_coreset(features, centroids, budget=60)
    lengths = 2.0 ** torch.randint(-3, 4, (200, 1), generator=torch.Generator().manual_seed(3))
    two = coreset.select_coreset(features * lengths, centroids * 4, budget=60)
    assert torch.equal(one.indices, two.indices) and torch.equal(one.values, two.values)


def test_values_never_rise_and_smaller_budgets_are_beginnings():
    generator = torch.Generator().manual_seed(4)
    features, centroids = torch.randn(500, 8, generator=generator), torch.randn(10, 8, generator=generator)
    everything = coreset.select_coreset(features, centroids, budget=10_000)
    assert sorted(everything.indices.tolist()) == list(range(500))
    assert (everything.values.diff() <= 0).all() and (everything.rounds.diff() >= 0).all()
    for budget in (1, 9, 100, 499):
        found = coreset.select_coreset(features, centroids, budget=budget)
        assert torch.equal(found.indices, everything.indices[:budget]) and len(found) == budget


def test_one_centroid_is_a_ranking_by_cosine():
    generator = torch.Generator().manual_seed(5)
    features, centroid = torch.randn(400, 16, generator=generator), torch.randn(1, 16, generator=generator)
    found = coreset.select_coreset(features, centroid, budget=37)
    cosine = F.cosine_similarity(features, centroid)
    assert torch.equal(found.indices, cosine.topk(37).indices)


def test_the_objective_is_at_its_highest_after_one_round():
    generator = torch.Generator().manual_seed(6)
    features, centroids = torch.randn(400, 6, generator=generator), torch.randn(20, 6, generator=generator)
    found = coreset.select_coreset(features, centroids, budget=200)
    first = features[found.indices[found.rounds == 0]]
    assert coreset.coverage(first, centroids) == pytest.approx(coreset.coverage(features, centroids), abs=1e-5)


def planted(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """X around 10 directions; a pool of 1500 of which 300, in random places, are drawn around the same directions."""
    generator = torch.Generator().manual_seed(seed)
    kinds = F.normalize(torch.randn(10, 32, generator=generator), dim=1)

    def near(count: int) -> Tensor:
        return kinds[torch.arange(count) % 10] + 0.03 * torch.randn(count, 32, generator=generator)

    relevant = torch.zeros(1500, dtype=torch.bool)
    relevant[torch.randperm(1500, generator=generator)[:300]] = True
    pool = torch.randn(1500, 32, generator=generator)
    pool[relevant] = near(300)
    return near(200), pool, relevant


@pytest.mark.parametrize("seed", range(3))
def test_a_planted_mixture_is_found_and_the_stopping_rule_ends_near_its_size(seed: int):
    target, pool, relevant = planted(seed)
    centroids = coreset.centroids(target, 10)
    found = coreset.select_coreset(pool, centroids, budget=300)
    assert relevant[found.indices].float().mean() >= 0.95
    # The 30 around each centroid run out in the same round, so that the values fall from .98 to .4 at once.
    for preset in coreset.PRESETS.values():
        stopped = coreset.select_coreset(pool, centroids, tau=coreset.TAU, **preset)
        assert stopped.stopped and 240 <= len(stopped) <= 360
        assert relevant[stopped.indices].float().mean() >= 0.9


def test_a_stream_that_can_be_read_once_serves_a_budget_and_refuses_a_second_reading():
    features, centroids = grid(600, 16, 9, seed=7), grid(8, 16, 4, seed=8)
    wanted = coreset.select_coreset(features, centroids, budget=500)
    once = coreset.select_coreset(iter(features.split(50)), centroids, budget=500)
    assert torch.equal(once.indices, wanted.indices)
    with pytest.raises(ValueError, match="read only once.*give a function"):
        coreset.select_coreset(iter(features.split(50)), centroids, tau=0.01, list_length=4)


def test_a_function_is_asked_again_for_longer_lists():
    features, centroids = grid(600, 16, 9, seed=7), grid(8, 16, 4, seed=8)
    asked: list[int] = []

    def blocks():
        asked.append(1)
        yield from features.split(100)

    found = coreset.select_coreset(blocks, centroids, budget=400, list_length=8)
    assert len(asked) > 2
    assert torch.equal(found.indices, coreset.select_coreset(features, centroids, budget=400).indices)


def test_a_stream_that_changes_its_length_is_refused():
    lengths = iter([100, 90, 80, 70])
    with pytest.raises(ValueError, match="gave 100 images at first and 90 later"):
        coreset.select_coreset(lambda: [grid(next(lengths), 16, 3, seed=0)], torch.ones(1, 16), 99, list_length=2)


def test_keys_sort_like_similarity_and_then_backwards_like_the_index():
    similarity = torch.tensor([0.5, -0.25, 0.0, -0.0, 0.5, -1.0, 1.0, -0.5])
    keys = pack(similarity, torch.arange(8))
    order = [index_of(key) for key in keys.sort(descending=True).values.tolist()]
    assert order == [6, 0, 4, 2, 3, 1, 7, 5]
    assert torch.equal(similarity_of(keys), similarity)
    assert index_of(int(pack(torch.tensor([-1.0]), torch.tensor([2**32 - 1])))) == 2**32 - 1


def test_blocks_are_joined_and_split_without_losing_a_row():
    rows = torch.arange(50.0)[:, None]
    blocks = [rows[:3], rows[3:5], rows[5:30], rows[30:30], rows[30:]]
    found = list(regrouped(blocks, 7))
    assert max(map(len, found)) == 7 and torch.equal(torch.cat(found), rows)


def test_half_precision_and_integer_features_are_taken():
    features, centroids = grid(100, 16, 9, seed=9), grid(4, 16, 4, seed=10)
    wanted = coreset.select_coreset(features, centroids, budget=30).indices
    for kind in (torch.float16, torch.int8, torch.float64):
        assert torch.equal(coreset.select_coreset(features.to(kind), centroids, budget=30).indices, wanted)


def test_a_row_of_zeros_has_cosine_zero():
    features = torch.tensor([[0.0, 0.0], [-1.0, 0.0], [1.0, 0.0]])
    found = coreset.select_coreset(features, UNIT[:1], budget=3)
    assert found.indices.tolist() == [2, 0, 1] and found.values.tolist() == [1, 0, -1]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "give a budget"),
        ({"budget": 0}, "budget=0"),
        ({"budget": 0.01}, r"budget=0.01 .* round\(p \* N\)"),
        ({"budget": True}, "budget=True"),
        ({"tau": 1.5}, "tau=1.5"),
        ({"tau": 0.0}, "tau=0.0"),
        ({"budget": 1, "patience": 0}, "patience=0"),
        ({"budget": 1, "block_rows": 0}, "block_rows=0"),
        ({"budget": 1, "list_length": 0}, "list_length=0"),
    ],
)
def test_mistakes_are_refused_by_value(given: dict, message: str):
    with pytest.raises(ValueError, match=message):
        coreset.select_coreset(torch.ones(3, 2), UNIT, **given)


def test_wrong_features_are_refused_by_name():
    with pytest.raises(ValueError, match=r"features is \(4, 3\).*\(n, 2\)"):
        coreset.select_coreset(torch.ones(4, 3), UNIT, budget=1)
    broken = torch.ones(40, 2)
    broken[33, 1] = torch.nan
    with pytest.raises(ValueError, match="feature of image 33 is not finite"):
        coreset.select_coreset(broken, UNIT, budget=1, block_rows=16)
    with pytest.raises(ValueError, match="empty"):
        coreset.select_coreset(torch.ones(0, 2), UNIT, budget=1)
    with pytest.raises(ValueError, match="empty"):
        coreset.select_coreset(torch.ones(3, 2), UNIT[:0], budget=1)
    with pytest.raises(ValueError, match="centroids should be finite"):
        coreset.select_coreset(torch.ones(3, 2), UNIT / 0, budget=1)


def test_epochs_are_matched_to_a_hundred_of_imagenet():
    assert coreset.epochs_rule(12_811) == 5000  # the cap: 10000 would match
    assert coreset.epochs_rule(184_488) == 694
    with pytest.raises(ValueError, match="count=0"):
        coreset.epochs_rule(0)
