"""Streams: the order, ranks and positions of a loader; damage that is named; threads and memory that end."""

from __future__ import annotations

import logging
import threading
from itertools import islice
from pathlib import Path

import pytest
import torch

from fgssl_edu.data import shard_writing, stream
from fgssl_edu.data.image_set import Images
from fgssl_edu.data.shard_writing import Sample, write_shards
from fgssl_edu.data.shards import INDEX
from fgssl_edu.data.stream import Order, StreamedImages, StreamLoader

pytest.importorskip("webdataset")
SIDE, COUNT, PER_SHARD, BATCH = 16, 61, 7, 4
GREYS = torch.arange(COUNT, dtype=torch.uint8)[:, None, None, None].expand(COUNT, 3, SIDE, SIDE) * 4


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine shards of plain grey pictures, picture i of level 4 i; the last has five."""
    folder = tmp_path_factory.mktemp("shards") / "set"
    write_shards([Sample(image) for image in GREYS], folder, PER_SHARD, size=SIDE)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    (tmp_path / "set").mkdir()
    for path in made.iterdir():
        (tmp_path / "set" / path.name).write_bytes(path.read_bytes())
    return tmp_path / "set"


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith(("shards", "pictures"))] == []


def opened(folder: Path, group: int = 3, **options) -> StreamedImages:
    return StreamedImages(folder, SIDE, group=group, **options)


def seen(loader, steps: int) -> list[list[int]]:
    """Positions of the next batches, whose pixels must be theirs; the loader is closed."""
    found = []
    for batch in islice(loader, steps):
        levels = batch.images.flatten(1).float().mean(1) / 4
        assert torch.equal(levels.round().long(), batch.index), (levels, batch.index)
        assert batch.images.dtype == torch.uint8 and batch.images.shape == (len(batch.index), 3, SIDE, SIDE)
        found.append(batch.index.tolist())
    loader.close()
    return found


def test_an_epoch_shows_each_image_at_most_once_another_order_each_time(made: Path):
    loader = opened(made).loader(BATCH, seed=0)
    assert loader.steps_per_epoch == 15
    epochs = [sum(part, []) for part in (lambda all_: (all_[:15], all_[15:]))(seen(loader, 30))]
    assert all(len(set(epoch)) == 60 for epoch in epochs) and epochs[0] != epochs[1]
    assert (loader.epoch, loader.position) == (2, 0)


@pytest.mark.parametrize("group", [1, 3, 9, 50])
def test_the_order_is_a_permutation_that_keeps_groups_together_and_is_a_function_of_seed_and_epoch(group: int):
    starts = [*range(0, COUNT, PER_SHARD), COUNT]
    torch.manual_seed(1)
    before = torch.get_rng_state()
    orders = {}
    for seed in range(3):
        for epoch in range(3):
            order = Order(starts, group, seed, epoch)
            rows = torch.cat([order.rows(i, min(i + 5, COUNT))[0] for i in range(0, COUNT, 5)])
            assert sorted(rows.tolist()) == list(range(COUNT))
            assert torch.equal(rows, Order(starts, group, seed, epoch).rows(0, COUNT)[0])  # however it is cut
            for begin, end, shards in zip(order.begins[:-1], order.begins[1:], order.groups, strict=True):
                assert {i // PER_SHARD for i in rows[begin:end].tolist()} == set(shards)
            orders[seed, epoch] = tuple(rows.tolist())
    assert len(set(orders.values())) == 9 and torch.equal(before, torch.get_rng_state())


def test_all_shards_in_one_group_mix_any_two_pictures():
    """Neighbours in the set are as often far apart as others: the mean distance of two places is a third."""
    places = torch.stack([Order([0, 50, 100, 150, 200], 4, seed, 0).rows(0, 200)[0].argsort() for seed in range(200)])
    apart = (places[:, 0::2] - places[:, 1::2]).abs().float().mean() / 200
    assert abs(float(apart) - 1 / 3) < 0.01


@pytest.mark.parametrize("world", [2, 4])
def test_the_ranks_rows_joined_are_the_batch_of_one_process(made: Path, world: int):
    images = opened(made)
    one = seen(images.loader(BATCH, seed=7), 20)
    many = [seen(images.loader(BATCH, 7, rank, world), 20) for rank in range(world)]
    assert [sum(rows, []) for rows in zip(*many, strict=True)] == one


@pytest.mark.parametrize("stop", [*range(5), 14, 15, 16, 29])
def test_a_resumed_stream_goes_on_with_exactly_what_was_not_seen(made: Path, stop: int):
    images = opened(made)
    whole = seen(images.loader(BATCH, seed=3), 32)
    stopped = images.loader(BATCH, seed=3)
    head, state = seen(stopped, stop), stopped.state_dict()
    assert all(type(value) is int for value in state.values()) and len(state) == 6
    resumed = opened(made).loader(BATCH, seed=3)
    next(resumed)  # threads that are ahead are ended
    resumed.load_state_dict(state)
    assert head + seen(resumed, 32 - stop) == whole


@pytest.mark.parametrize(("name", "other"), [("seed", (BATCH, 4, 3)), ("batch", (5, 3, 3)), ("group", (BATCH, 3, 4))])
def test_the_position_of_another_run_is_refused_by_name(made: Path, name: str, other: tuple[int, int, int]):
    batch, seed, group = other
    with pytest.raises(ValueError, match=f"^{name}="):
        opened(made).loader(BATCH, 3).load_state_dict(opened(made, group).loader(batch, seed).state_dict())
    with pytest.raises(ValueError, match="batch=62: the set has 61 images"):
        opened(made).loader(62, seed=0)


@pytest.mark.parametrize("world", [1, 3])
def test_batches_have_every_image_once_in_index_order_shared_by_the_processes(
    made: Path, world: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(stream, "world_size", lambda: world)
    shares = []
    for rank in range(world):
        monkeypatch.setattr(stream, "rank", lambda rank=rank: rank)
        found = list(opened(made).batches(8))
        assert all(torch.equal(b.images[:, 0, 0, 0], (b.index * 4).to(torch.uint8)) for b in found)
        shares.append(torch.cat([batch.index for batch in found]).tolist())
    assert shares == [list(range(rank, COUNT, world)) for rank in range(world)]


def test_one_batch_of_a_pass_may_be_all_that_is_wanted(made: Path):
    passing = opened(made).batches(8)
    assert next(passing).index.tolist() == list(range(8))
    passing.close()


def test_a_method_that_picks_single_pictures_is_told(made: Path):
    images = opened(made)
    with pytest.raises(ValueError, match="a streamed set gives its pictures in its own order"):
        images.take(torch.tensor([3]))
    assert torch.equal(images.first(9), GREYS[:9]) and torch.equal(images.first(99), GREYS)
    assert len(images) == images.count == COUNT and images.shape == (COUNT, 3, SIDE, SIDE)


def test_the_identity_is_the_index_not_the_pixels(made: Path, folder: Path, monkeypatch: pytest.MonkeyPatch):
    first = opened(made).identity()
    assert opened(folder).identity() == first and first[:4] == [COUNT, 3, SIDE, SIDE]
    (folder / "000003.tar").unlink()
    assert opened(folder, on_bad="skip").identity() != first
    assert Images(GREYS).identity()[:4] == first[:4]


@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_what_can_be_seen_from_outside_is_told_before_training(damage: str, folder: Path):
    path = folder / "000002.tar"
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(ValueError, match=f"1 of 9 shards are bad: 000002.tar: {damage}"):
        opened(folder)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def test_damage_inside_is_told_by_name_in_the_step_and_nothing_hangs(folder: Path):
    flip(folder / "000004.tar")
    images = opened(folder)
    with pytest.raises(ValueError, match=r"000004\.tar: damaged"):
        seen(loader := images.loader(BATCH, seed=0), 16)
    loader.close()
    with pytest.raises(ValueError, match=r"000004\.tar: damaged"):
        list(images.batches(8))


def test_a_shard_that_vanishes_while_training_is_told(folder: Path):
    loader = opened(folder, group=1).loader(BATCH, seed=0)
    next(loader)
    for path in folder.glob("*.tar"):
        path.unlink()
    with pytest.raises(ValueError, match=r"0\.tar|\d\.tar: missing"):
        list(islice(loader, 15))
    loader.close()


def test_bad_shards_are_left_out_as_asked_and_positions_close_up(folder: Path, caplog: pytest.LogCaptureFixture):
    (folder / "000000.tar").unlink()
    flip(folder / "000004.tar")
    with caplog.at_level(logging.WARNING):
        images = opened(folder, on_bad="skip")
    assert images.skipped == ("000000.tar", "000004.tar") and "000000.tar: missing; 000004.tar: damaged" in caplog.text
    kept = [i for i in range(COUNT) if i // PER_SHARD not in (0, 4)]
    assert images.count == len(kept) == 47
    for batch in images.batches(10):
        assert (batch.images[:, 0, 0, 0] / 4).tolist() == [kept[i] for i in batch.index.tolist()]
    with pytest.raises(ValueError, match="on_bad='perhaps'"):
        opened(folder, on_bad="perhaps")
    for path in folder.glob("*.tar"):
        path.unlink()
    with pytest.raises(ValueError, match="9 of 9 shards are bad"):
        opened(folder, on_bad="skip")


@pytest.fixture
def with_bad_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two shards of four; picture 1 cannot be decoded, nor any of the second shard."""
    whole = shard_writing.encode
    monkeypatch.setattr(
        shard_writing, "encode", lambda picture, *how: picture if isinstance(picture, bytes) else whole(picture, *how)
    )
    pictures: list = [GREYS[0], b"no picture", GREYS[2], GREYS[3], *[b"neither"] * 4]
    write_shards([Sample(picture) for picture in pictures], tmp_path / "set", 4, size=SIDE)
    return tmp_path / "set"


def test_a_bad_picture_is_refused_or_shown_as_the_next_one(with_bad_pictures: Path, caplog: pytest.LogCaptureFixture):
    with pytest.raises(ValueError, match=r"000000\.tar, picture 1: cannot be decoded"):
        list(opened(with_bad_pictures).batches(4))
    passing = opened(with_bad_pictures, on_bad="skip").batches(4)
    assert torch.equal(next(passing).images, GREYS[[0, 2, 2, 3]])
    assert "000000.tar, picture 1" in caplog.text
    with pytest.raises(ValueError, match=r"000001\.tar, picture 0: .*all of this shard"):
        next(passing)


def test_an_index_of_other_shards_is_told(folder: Path, tmp_path: Path):
    write_shards([Sample(image) for image in GREYS[:14]], tmp_path / "other", PER_SHARD, size=SIDE)
    for path in (tmp_path / "other").glob("*.tar"):
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "000000.tar").write_bytes((folder / "000001.tar").read_bytes())
    with pytest.raises(ValueError, match=rf"000000\.tar: damaged: its content is not what {INDEX} was written for"):
        list(opened(folder).batches(8))


def test_only_a_few_groups_and_batches_are_held(made: Path, monkeypatch: pytest.MonkeyPatch):
    """At every step, at most the shards of the groups in use and of the one after; batches ahead are bounded."""
    loader = opened(made, group=2).loader(BATCH, seed=0)
    assert isinstance(loader, StreamLoader)
    most = 0
    for _ in range(40):
        next(loader)
        most = max(most, len(loader.ahead.files))
        assert len(loader.ahead.waiting) == stream.AHEAD
    loader.close()
    assert most == 2 * 3  # a batch over the border of two groups, and the group after


def test_a_stream_may_be_closed_twice_and_begin_again(made: Path):
    loader = opened(made).loader(BATCH, seed=0)
    next(loader)
    loader.close()
    loader.close()
    assert seen(loader, 2)  # and may begin again
