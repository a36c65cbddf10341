"""An open set embedded shard by shard: the choice from all features at once, and what is done is not done again."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from shards_setup import BUDGET, EVAL, PER_SHARD, SHARDS, SIDE, at_once, chosen, damaged, lists, network, same, written

from fgssl_edu import coreset
from fgssl_edu.data.shards import Index
from fgssl_edu.runs import embed

pytest.importorskip("webdataset")


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return written(tmp_path / "set")


def test_shard_by_shard_the_choice_is_that_of_all_features_at_once(index: Index):
    wanted = at_once(index, *network())
    assert len(wanted) == BUDGET
    assert same(chosen(lists(index)), wanted)


def test_a_second_time_everything_comes_from_disk(index: Index, monkeypatch: pytest.MonkeyPatch):
    first = chosen(lists(index))
    monkeypatch.setattr(embed, "listed", lambda *_: pytest.fail("embedded again"))
    assert same(chosen(lists(index)), first)


def test_only_what_is_missing_or_damaged_on_disk_is_made_again(
    index: Index, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    made = lists(index)
    first = chosen(made)
    (made.place / "000003.tar.pt").unlink()
    (made.place / "000007.tar.pt").write_bytes(b"torn")
    real, asked, said = embed.listed, [], []
    monkeypatch.setattr(embed, "listed", lambda job, name, length: asked.append(name) or real(job, name, length))
    assert same(chosen(lists(index, said)), first)
    assert asked == ["000003.tar", "000007.tar"]
    assert said[0] == f"embedding 2 shards, {2 * PER_SHARD} pictures, on cpu; 9 are on disk"
    assert "000007.tar.pt cannot be read" in capsys.readouterr().out


def test_a_longer_list_takes_the_place_of_a_shorter_one_and_serves_for_it(index: Index, monkeypatch):
    made = lists(index)
    ((_, short),) = made({0: 2})
    ((_, long),) = made({0: 5})
    assert short.keys.shape == (5, 2) and torch.equal(long.keys[:, :2], short.keys)
    monkeypatch.setattr(embed, "listed", lambda *_: pytest.fail("embedded again"))
    ((_, again),) = made({0: 3})
    assert torch.equal(again.keys, long.keys)


def test_whatever_changes_a_list_has_a_place_of_its_own(index: Index, tmp_path: Path):
    encoder, centroids = network()
    with torch.no_grad():
        other, _ = network()
        next(other.parameters()).mul_(1.001)
    half = centroids.clone()
    half[0] *= 0.5
    made = [
        embed.ShardLists(index, encoder, centroids, SIDE, EVAL),
        embed.ShardLists(index, other, centroids, SIDE, EVAL),
        embed.ShardLists(index, encoder, half, SIDE, EVAL),
        embed.ShardLists(index, encoder, centroids, 40, EVAL),
        embed.ShardLists(index, encoder, centroids, SIDE, 32),
        embed.ShardLists(index, encoder, centroids, SIDE, EVAL, "cuda"),
        embed.ShardLists(index, encoder, centroids, SIDE, EVAL, on_bad="skip"),
    ]
    assert len({each.place for each in made}) == len(made)
    assert embed.ShardLists(index, encoder, centroids, SIDE, EVAL).place == made[0].place


def test_a_damaged_shard_is_refused_by_name(index: Index):
    damaged(index, 4)
    with pytest.raises(ValueError, match=r"000004.tar: damaged: .* Copy it again"):
        chosen(lists(index))


def test_a_damaged_shard_is_left_out_where_that_is_asked(index: Index, caplog: pytest.LogCaptureFixture):
    wanted = at_once(index, *network(), leave=("000004.tar",))
    damaged(index, 4)
    with caplog.at_level(logging.WARNING):
        found = chosen(lists(index, on_bad="skip"))
    assert same(found, wanted)
    assert "000004.tar" in caplog.text


def test_a_worker_of_other_code_or_with_another_set_or_without_the_network_refuses(index: Index, tmp_path: Path):
    job = lists(index).job
    with pytest.raises(ValueError, match="runs other code of fgssl_edu"):
        embed.listed(job._replace(code="0"), "000000.tar", 3)
    with pytest.raises(ValueError, match="has changed, or is another set"):
        embed.listed(job._replace(digest="0"), "000000.tar", 3)
    with pytest.raises(ValueError, match="FGSSL_HOME has to be on a file system that all workers share"):
        embed.listed(job._replace(network=tmp_path / "gone.pt"), "000000.tar", 3)


def test_progress_is_told_in_at_most_twenty_lines(index: Index, monkeypatch: pytest.MonkeyPatch):
    empty = coreset.ShardList(torch.zeros(5, 1, dtype=torch.int64), 1)
    monkeypatch.setattr(embed, "listed", lambda *_: empty)
    monkeypatch.setattr(embed, "MOST_LINES", 3)
    said: list[str] = []
    list(lists(index, said)(dict.fromkeys(range(SHARDS), 1)))
    assert said[0] == "embedding 11 shards, 130 pictures, on cpu"
    assert [line.split(",")[0] for line in said[1:]] == ["4 of 11 shards", "8 of 11 shards", "11 of 11 shards"]


def test_on_a_gpu_the_network_runs_in_bfloat16(monkeypatch: pytest.MonkeyPatch):
    asked: list[tuple] = []
    real = torch.autocast
    monkeypatch.setattr(embed.torch, "autocast", lambda *given, **how: asked.append((given, how)) or real("cpu", **how))
    encoder, _ = network()
    monkeypatch.setattr(type(encoder), "to", lambda self, device: self)
    images = torch.zeros(2, 3, SIDE, SIDE, dtype=torch.uint8)
    assert embed.embedded(encoder, images, EVAL, "cuda").dtype == torch.float32
    assert asked == [(("cuda", torch.bfloat16), {"enabled": True})]
