"""Workers on this machine: reachable from here alone, started again when killed, one GPU each where there are GPUs."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch

from fgssl_edu.runs import cluster

pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def client() -> Iterator:
    """Two workers that believe in a GPU each, of two threads each."""
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cluster, "gpus", lambda: ["5", "7"])
            opened = stack.enter_context(cluster.open_cluster(threads=2))
        yield opened


def where() -> tuple[int, str, int]:
    return os.getpid(), os.environ["CUDA_VISIBLE_DEVICES"], torch.get_num_threads()


def die_once(marker: Path) -> str:
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


@pytest.mark.slow
def test_each_worker_has_a_process_a_gpu_and_its_threads(client):
    found = client.run(where)
    assert {(card, threads) for _, card, threads in found.values()} == {("5", 2), ("7", 2)}
    assert len({pid for pid, _, _ in found.values()} - {os.getpid()}) == 2
    assert cluster.share_of_gpu(client) == {"GPU": 1}


@pytest.mark.slow
def test_workers_listen_on_this_machine_alone(client):
    import psutil

    for pid in [os.getpid(), *(pid for pid, _, _ in client.run(where).values())]:
        listening = [each for each in psutil.Process(pid).net_connections() if each.status == psutil.CONN_LISTEN]
        assert listening and {each.laddr.ip for each in listening} == {cluster.HOST}


@pytest.mark.slow
def test_a_task_whose_worker_is_killed_is_done_again(client, tmp_path: Path):
    share = cluster.share_of_gpu(client)
    tasks = [client.submit(die_once, tmp_path / name, resources=share, pure=False) for name in "abc"]
    assert client.gather(tasks) == ["done"] * 3


@pytest.mark.slow
def test_a_running_scheduler_is_used_and_left_running(client):
    with cluster.open_cluster(scheduler=client.scheduler.address) as second:
        assert second.submit(sum, [1, 2]).result() == 3
    assert client.submit(sum, [2, 2]).result() == 4


@pytest.mark.parametrize(("jobs", "message"), [(0, "jobs=0: at least 1"), (-3, "jobs=-3")])
def test_no_workers_are_refused(jobs: int, message: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cluster, "gpus", list)
    with pytest.raises(ValueError, match=message), cluster.open_cluster(jobs):
        pass


def test_more_workers_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cluster, "gpus", lambda: ["0", "1"])
    with pytest.raises(ValueError, match="jobs=3: 2 GPUs, and a worker has one to itself"), cluster.open_cluster(3):
        pass


def test_an_address_where_nothing_answers_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cluster, "CONNECT_S", 0.2)
    address = "tcp://127.0.0.1:9"
    with pytest.raises(ValueError, match=f"{address}.*: nothing answers"), cluster.open_cluster(scheduler=address):
        pass


def test_without_dask_the_way_out_is_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cluster.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r'need Dask: pip install "fgssl-edu\[cluster\]"'), cluster.open_cluster(2):
        pass


def test_gpus_are_those_that_this_process_may_see(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert cluster.gpus() == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    assert cluster.gpus() == ["4", "6"]
