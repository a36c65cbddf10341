"""The loader: order, ranks, and a position that can be saved anywhere."""

from __future__ import annotations

from itertools import islice

import pytest
import torch

from fgssl_edu.data.loader import Loader, permutation

COUNT, BATCH = 23, 4
IMAGES = torch.arange(COUNT, dtype=torch.uint8)[:, None, None, None].expand(COUNT, 3, 2, 2).contiguous()


def seen(loader: Loader, steps: int) -> list[list[int]]:
    return [batch.index.tolist() for batch in islice(loader, steps)]


def test_an_epoch_shows_each_image_at_most_once_and_drops_the_rest():
    loader = Loader(IMAGES, BATCH, seed=0)
    assert loader.steps_per_epoch == 5
    first = [i for batch in seen(loader, 5) for i in batch]
    assert len(first) == len(set(first)) == 20 and (loader.epoch, loader.position) == (1, 0)
    second = [i for batch in seen(loader, 5) for i in batch]
    assert len(set(second)) == 20 and first != second


def test_pixels_belong_to_their_index():
    for batch in islice(Loader(IMAGES, BATCH, seed=5), 12):
        assert torch.equal(batch.images[:, 0, 0, 0].long(), batch.index)
        assert batch.images.dtype == torch.uint8 and batch.images.shape == (BATCH, 3, 2, 2)


def test_the_order_is_a_function_of_seed_and_epoch_and_leaves_the_global_state_alone():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    orders = {(s, e): tuple(permutation(COUNT, s, e).tolist()) for s in range(4) for e in range(4)}
    assert torch.equal(before, torch.get_rng_state())
    assert len(set(orders.values())) == 16 and all(sorted(o) == list(range(COUNT)) for o in orders.values())
    torch.manual_seed(99)
    assert orders[2, 3] == tuple(permutation(COUNT, 2, 3).tolist())


@pytest.mark.parametrize("world", [2, 4])
def test_the_ranks_rows_joined_are_the_batch_of_one_process(world):
    one = Loader(IMAGES, BATCH, seed=7)
    many = [Loader(IMAGES, BATCH, seed=7, rank=r, world=world) for r in range(world)]
    for _ in range(11):
        joined = torch.cat([next(loader).index for loader in many])
        assert torch.equal(joined, next(one).index)


@pytest.mark.parametrize("stop", range(13))
def test_a_resumed_loader_goes_on_with_exactly_what_was_not_seen(stop):
    whole = seen(Loader(IMAGES, BATCH, seed=3), 13)
    stopped = Loader(IMAGES, BATCH, seed=3)
    head, state = seen(stopped, stop), stopped.state_dict()
    assert all(type(value) is int for value in state.values())
    resumed = Loader(IMAGES, BATCH, seed=3)
    resumed.load_state_dict(state)
    assert head + seen(resumed, 13 - stop) == whole


def test_one_process_may_go_on_where_two_stopped():
    whole = seen(Loader(IMAGES, BATCH, seed=3), 8)
    second = Loader(IMAGES, BATCH, seed=3, rank=1, world=2)
    seen(second, 3)
    alone = Loader(IMAGES, BATCH, seed=3)
    alone.load_state_dict(second.state_dict())
    assert seen(alone, 5) == whole[3:]


@pytest.mark.parametrize(
    ("name", "other"), [("count", (IMAGES[:20], BATCH, 3)), ("seed", (IMAGES, BATCH, 4)), ("batch", (IMAGES, 5, 3))]
)
def test_the_position_of_another_run_is_refused_by_name(name, other):
    with pytest.raises(ValueError, match=f"^{name}="):
        Loader(IMAGES, BATCH, 3).load_state_dict(Loader(*other).state_dict())


@pytest.mark.parametrize("batch", [0, -1, COUNT + 1])
def test_an_impossible_batch_is_refused_with_what_to_do(batch):
    with pytest.raises(ValueError, match=f"batch={batch}.*1 to {COUNT}"):
        Loader(IMAGES, batch, seed=0)


def test_a_batch_that_cannot_be_shared_is_refused():
    with pytest.raises(ValueError, match="batch=5 cannot be shared by 2 processes"):
        Loader(IMAGES, 5, seed=0, rank=0, world=2)


def test_a_batch_of_the_whole_set_is_an_epoch():
    loader = Loader(IMAGES, COUNT, seed=0)
    assert sorted(next(loader).index.tolist()) == list(range(COUNT)) and loader.epoch == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_batches_are_the_same_as_on_the_cpu():
    for a, b in islice(zip(Loader(IMAGES, BATCH, 1), Loader(IMAGES, BATCH, 1, device="cuda"), strict=False), 7):
        assert b.images.is_cuda and b.index.is_cuda and torch.equal(a.images, b.images.cpu())
