"""Workers and drivers that embed an open set are killed with SIGKILL; the choice is that of one undisturbed process."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "contract"))  # also in the processes that are started
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "runs"))
from contract_methods import context
from shards_setup import at_once, chosen, damaged, lists, network, same, written

from fgssl_edu.data.shards import Index, read_index
from fgssl_edu.runs import cluster, embed
from fgssl_edu.runs.notebook import RunFailed

pytest.importorskip("webdataset")
pytestmark = pytest.mark.slow
WAIT_S = 120  # at most for a sign of life, on a busy machine


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return written(tmp_path / "set")


@pytest.fixture(scope="module")
def client() -> Iterator:
    pytest.importorskip("distributed")
    with cluster.open_cluster(2, threads=1) as opened:
        yield opened


def test_two_workers_choose_what_one_process_does(index: Index, client):
    assert same(chosen(lists(index, client=client)), at_once(index, *network()))


def test_a_damaged_shard_is_refused_by_name_through_the_workers(index: Index, client):
    damaged(index, 4)
    with pytest.raises(ValueError, match=r"000004.tar: damaged: .* Copy it again"):
        chosen(lists(index, client=client))


def test_all_workers_killed_at_work_the_choice_is_the_same(index: Index, client):
    killed: list[int] = []

    class Kill(list):
        def append(self, line: str) -> None:
            super().append(line)
            if "of 11 shards" in line and not killed:
                killed.extend(client.run(os.getpid).values())
                for pid in killed:
                    os.kill(pid, signal.SIGKILL)

    said = Kill()
    assert same(chosen(lists(index, said, client=client)), at_once(index, *network()))
    assert len(killed) == 2 and not set(killed) & set(client.run(os.getpid).values())
    assert [line for line in said if line.startswith("11 of 11")]


def test_a_shard_that_kills_every_worker_is_named(index: Index, client, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(client.cluster.scheduler, "allowed_failures", 0)
    monkeypatch.setattr(embed, "listed", fatal)
    with pytest.raises(RunFailed, match="000002.tar: every worker that read it died"):
        list(lists(index, client=client)({2: 5}))


def fatal(job: embed.Job, name: str, length: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_driver_goes_on_after_the_shards_that_were_done(
    index: Index, own_home: Path, monkeypatch: pytest.MonkeyPatch
):
    made = context()
    near, far = made.Pipe(duplex=False)
    driver = made.Process(target=drive, args=(index.folder, own_home, far))
    driver.start()
    far.close()
    try:
        heard = ""
        while not heard.startswith("4 of 11"):
            assert near.poll(WAIT_S), "the driver says nothing"
            heard = near.recv()
        driver.kill()
    finally:
        driver.join(timeout=10)
        near.close()
    assert driver.exitcode == -9
    again, asked = lists(index), []
    done = {path.name.removesuffix(".pt") for path in again.place.glob("*.tar.pt")}
    real = embed.listed
    monkeypatch.setattr(embed, "listed", lambda job, name, length: asked.append(name) or real(job, name, length))
    first = list(again(dict.fromkeys(range(11), 64)))
    assert len(done) >= 4 and len(first) == 11
    assert sorted({*asked, *done}) == [shard.name for shard in index.shards] and not done & set(asked)
    assert same(chosen(again), at_once(index, *network()))


def drive(folder: Path, home: Path, line) -> None:
    """Make the lists of all shards, and report each."""

    class Line(list):
        append = staticmethod(line.send)

    os.environ["FGSSL_HOME"] = str(home)
    torch.set_num_threads(1)
    list(lists(read_index(folder), Line())(dict.fromkeys(range(11), 64)))
