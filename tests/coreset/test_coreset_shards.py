"""A pool in shards gives the list that the whole pool gives, whatever the cut, with ties, repeats and short lists."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fgssl_edu import coreset
from fgssl_edu.coreset.ranking import indices_of, nearest, similarity_blocks, similarity_of
from fgssl_edu.coreset.shards import Merged, ShardList, select_from_shards, shard_list


class Shards:
    """A pool in shards that answer in a random order, and how often and how deep each was asked."""

    def __init__(self, features: Tensor, centroids: Tensor, sizes: list[int], draw: random.Random, extra: int = 0):
        self.parts = list(zip(features.split(sizes), torch.arange(len(features)).split(sizes), strict=True))
        self.centroids, self.draw, self.extra = centroids, draw, extra
        self.asked: list[tuple[int, int]] = []

    def __call__(self, wanted: Mapping[int, int]) -> Iterator[tuple[int, ShardList]]:
        order = list(wanted)
        self.draw.shuffle(order)
        for shard in order:
            self.asked.append((shard, wanted[shard]))
            found = shard_list(*self.parts[shard], self.centroids, wanted[shard] + self.extra)
            assert found.keys.shape[1] == min(wanted[shard] + self.extra, found.images)
            yield shard, found


def grid(rows: int, levels: int, seed: int) -> Tensor:
    """Rows of 16 entries that are +-1: norms are 4 and cosines multiples of 1/16, with many exact ties and repeats."""
    generator = torch.Generator().manual_seed(seed)
    base = torch.randint(0, 2, (levels, 16), generator=generator) * 2.0 - 1
    flips = (torch.rand(rows, 16, generator=generator) < 0.15).float()
    return base[torch.randint(0, levels, (rows,), generator=generator)] * (1 - 2 * flips)


def cut(total: int, draw: random.Random) -> list[int]:
    """Sizes of shards, empty ones among them."""
    ends = sorted(draw.randint(0, total) for _ in range(draw.randint(0, 12)))
    return [end - start for start, end in zip([0, *ends], [*ends, total], strict=True)]


def assert_same(found: coreset.Coreset, wanted: coreset.Coreset) -> None:
    assert found.indices.tolist() == wanted.indices.tolist()
    assert found.rounds.tolist() == wanted.rounds.tolist()
    assert found.values.tolist() == wanted.values.tolist()
    assert found.similarity.tolist() == wanted.similarity.tolist()
    assert found.stopped is wanted.stopped


@pytest.mark.parametrize("hundred", range(4))
def test_any_cut_into_shards_gives_the_list_of_the_whole_pool(hundred: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("fgssl_edu.coreset.shards.SHORTEST", 1)  # lists so short that they run out
    seen = {"asked again": 0, "stops": 0, "k = 1": 0, "everything": 0, "ties": 0}
    for trial in range(100):
        draw = random.Random(1000 * hundred + trial)
        pool, k = draw.randint(1, 150), draw.choice([1, 1, 2, 5, 16])
        features = grid(pool, draw.randint(1, 12), seed=draw.randint(0, 10**6))
        if draw.random() < 0.5:  # sorted by class, as data sets often are: the near ones are in few shards
            features = features[(features @ features[0]).argsort(stable=True)]
        centroids = grid(k, draw.randint(1, 6), seed=draw.randint(0, 10**6))
        share = draw.choice([0.01, 0.05, 0.12, 0.5, 1.0])
        budget = draw.choice([None, max(1, round(share * pool)), max(1, round(share * pool)), pool + 5])
        tau = draw.choice([None, 0.5, 0.95, 1.0]) if budget else draw.choice([0.25, 0.5, 0.9375])
        rule = {"budget": budget, "tau": tau, "patience": draw.choice([1, 2, 20])}
        rule |= {"include_failing_round": draw.random() < 0.5}
        wanted = coreset.select_coreset(features, centroids, **rule)
        shards = Shards(features, centroids, cut(pool, draw), draw, extra=draw.choice([0, 0, 7]))
        sizes = [len(rows) for rows, _ in shards.parts]
        found = select_from_shards(sizes, shards, k, **rule, list_length=draw.choice([None, 1, 3, 50]))
        assert_same(found, wanted)
        seen["asked again"] += len(shards.asked) > sum(size > 0 for size in sizes)
        seen["stops"] += found.stopped
        seen["k = 1"] += k == 1 and len(found) > 3
        seen["everything"] += len(found) == pool > 20
        seen["ties"] += len(found) > 10 and len(found.similarity.unique()) < len(found)
    assert min(seen.values()) >= 8, seen  # the trials are about something


def test_merged_lists_are_the_first_of_the_whole_ranking_at_every_length():
    draw = random.Random(0)
    features, centroids = grid(90, 5, seed=1), grid(4, 3, seed=2)
    merged = Merged([30, 0, 1, 59], Shards(features, centroids, [30, 0, 1, 59], draw))
    for length in (1, 2, 7, 40, 89, 90, 500, 3):
        whole = nearest(similarity_blocks([features], centroids, 17), length)
        found = merged(length)
        assert torch.equal(found.keys, whole.keys) and (found.images, found.end) == (90, 90)


def test_a_shuffled_pool_is_read_once_and_a_sorted_one_again_where_the_target_is():
    features, centroids = grid(6000, 40, seed=3), grid(8, 8, seed=4)
    sizes, budget = [500] * 12, 300
    shuffled = Shards(features, centroids, sizes, random.Random(0))
    found = select_from_shards(sizes, shuffled, 8, budget=budget)
    assert len(shuffled.asked) == 12 and max(length for _, length in shuffled.asked) == 64
    assert_same(found, coreset.select_coreset(features, centroids, budget=budget))
    inorder = features[(features @ centroids.T).amax(dim=1).argsort(stable=True)]
    by_class = Shards(inorder, centroids, sizes, random.Random(0))
    found = select_from_shards(sizes, by_class, 8, budget=budget)
    assert_same(found, coreset.select_coreset(inorder, centroids, budget=budget))
    again = {shard for shard, length in by_class.asked if length > 64}
    assert again and again <= {7, 8, 9, 10, 11}  # no shard without near ones


def test_as_many_entries_as_the_budget_are_never_too_few():
    """The bound of the docstring: with lists of B nothing is asked twice, though one centroid meets all picks."""
    features = torch.cat([torch.full((50, 1), 1.0), torch.arange(50.0)[:, None]], dim=1)
    centroids = torch.tensor([[1.0, 0.0], [1.0, 1e-3], [1.0, 2e-3]])  # all rank the pool alike
    for budget in (1, 2, 30, 50):
        shards = Shards(features, centroids, [50], random.Random(0))
        found = select_from_shards([50], shards, 3, budget=budget, list_length=budget)
        assert len(shards.asked) == 1
        assert_same(found, coreset.select_coreset(features, centroids, budget=budget))


@pytest.mark.parametrize("sizes", [[10] * 4, [1, 39], [500, 4, 36]])
def test_images_that_could_not_be_read_leave_their_positions_empty(sizes: list[int], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("fgssl_edu.coreset.shards.SHORTEST", 1)
    total, ends = sum(sizes), torch.tensor(sizes).cumsum(0).tolist()
    features, centroids = grid(total, 6, seed=5), grid(4, 3, seed=6)
    keep = torch.tensor([i for i in range(total) if (i % 3 and i < (35 if total == 40 else 5)) or i > 500])

    def ask(wanted: Mapping[int, int]) -> Iterator[tuple[int, ShardList]]:
        for shard, length in wanted.items():
            mine = keep[(keep >= ends[shard] - sizes[shard]) & (keep < ends[shard])]
            yield shard, shard_list(features[mine], mine, centroids, length)

    for budget in (5, len(keep), 400):
        found = select_from_shards(sizes, ask, 4, budget=budget, list_length=min(budget, 50))
        wanted = coreset.select_coreset(features[keep], centroids, budget=budget)
        assert torch.equal(found.indices, keep[wanted.indices]) and torch.equal(found.values, wanted.values)
    empty = ShardList(torch.empty(4, 0, dtype=torch.int64), 0)
    with pytest.raises(ValueError, match="open set .* is empty"):
        select_from_shards([10], lambda wanted: [(shard, empty) for shard in wanted], 4, budget=3)


def test_the_list_of_a_shard_says_where_and_how_near():
    features = F.normalize(torch.randn(500, 8, generator=torch.Generator().manual_seed(0)), dim=1)
    centroids = features[[3, 400]]
    keys, count = shard_list(features, torch.arange(1000, 1500), centroids, 5)
    assert keys.shape == (2, 5) and count == 500
    assert indices_of(keys[:, 0]).tolist() == [1003, 1400]
    assert torch.allclose(similarity_of(keys), (centroids @ features.T).topk(5).values)


def test_mistakes_are_refused_before_anything_is_asked():
    def never(wanted: Mapping[int, int]):
        raise AssertionError("asked")

    with pytest.raises(ValueError, match="budget=0"):
        select_from_shards([10], never, 2, budget=0)
    with pytest.raises(ValueError, match="give a budget"):
        select_from_shards([10], never, 2)
    with pytest.raises(ValueError, match="empty"):
        select_from_shards([], never, 2, budget=1)
