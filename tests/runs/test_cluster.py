"""Workers: of this machine reachable from here alone, started again when killed, a GPU each; schedulers; Slurm jobs."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
import torch

from fgssl_edu.runs import cluster

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")
# Not importorskip: that import takes Ctrl-C over, in this process and for all its later tests
JOBQUEUE = pytest.mark.skipif(find_spec("dask_jobqueue") is None, reason="needs dask_jobqueue")


@pytest.fixture(scope="module")
def client() -> Iterator:
    """Two workers that believe in a GPU each, of two threads each."""
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cluster, "gpus", lambda: ["5", "7"])
            opened = stack.enter_context(cluster.open_cluster(threads=2))
        yield opened


@pytest.mark.slow
def test_workers_keep_the_memory_that_the_next_batch_needs(client):
    """Dask's own setting costs as much CPU again as the network (`fgssl bench embed`)."""
    assert set(client.run(os.environ.get, "MALLOC_TRIM_THRESHOLD_").values()) == {None}


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
def test_there_are_no_pages_on_what_the_workers_do(client):
    for page in ("status", "info/main/workers.html", "metrics"):
        with pytest.raises(HTTPError, match="404"):
            urlopen(f"http://{cluster.HOST}:{client.cluster.scheduler.http_server.port}/{page}", timeout=10)


@pytest.mark.slow
def test_workers_leave_ctrl_c_to_who_started_them(client):
    pids = [pid for pid, _, _ in client.run(where).values()]
    for pid in pids:
        os.kill(pid, signal.SIGINT)
    assert [pid for pid, _, _ in client.run(where).values()] == pids


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
    with (
        pytest.raises(ValueError, match="jobs=3: 2 GPUs, and a worker has one to itself; lower --jobs"),
        cluster.open_cluster(3),
    ):
        pass


def test_a_scheduler_that_does_not_answer_and_one_without_workers_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cluster, "CONNECT_S", 1)
    nowhere = "tcp://127.0.0.1:1"
    message = f"no Dask scheduler answers at '{nowhere}'.*start one with"
    with pytest.raises(ValueError, match=message), cluster.open_cluster(scheduler=nowhere):
        pass
    with (
        distributed.LocalCluster(n_workers=0, host=cluster.HOST, scheduler_kwargs=cluster.NO_PAGES) as empty,
        pytest.raises(ValueError, match=r"has no workers; start one with .*--nthreads 1"),
        cluster.open_cluster(scheduler=empty.scheduler_address),
    ):
        pass


def test_without_dask_the_way_out_is_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cluster.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r'need Dask: pip install "fgssl-edu\[cluster\]"'), cluster.open_cluster(2):
        pass


def test_gpus_are_those_that_this_process_may_see(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert cluster.gpus() == ["0", "1"]
    for named, found in (("4,6", ["4", "6"]), ("3,GPU-5a", ["3", "GPU-5a"]), ("", []), ("4,6,9", ["4", "6"])):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
        assert cluster.gpus() == found


@JOBQUEUE
@pytest.mark.filterwarnings("ignore:Couldn't detect a suitable IP address:RuntimeWarning")  # where there is no network
def test_slurms_job_script_asks_for_one_worker_with_what_the_file_says(tmp_path: Path):
    options = {"queue": "gpu", "walltime": "08:00:00", "memory": "16GB", "cores": 8, "gpus": 1, "account": "birds"}
    options |= {"directives": ["--exclude=node7"], "prologue": ["module load cuda"]}
    ctrl_c = signal.getsignal(signal.SIGINT)
    with dask.config.set(cluster.CONFIGURATION), cluster.slurm_jobs(options, tmp_path / "slurm") as slurm:
        lines = slurm.job_script().splitlines()
    assert signal.getsignal(signal.SIGINT) is ctrl_c  # which dask_jobqueue takes over when it is imported
    wanted = ["-p gpu", "-A birds", "-t 08:00:00", "--mem=15G", "--cpus-per-task=8", "--gres=gpu:1", "--exclude=node7"]
    assert {f"#SBATCH {each}" for each in wanted} <= set(lines)
    assert "module load cuda" in lines and f"#SBATCH -o {tmp_path}/slurm/fgssl-sweep-%J.out" in lines
    assert lines[-1].startswith(f"{sys.executable} -m distributed.cli.dask_worker tcp://")
    words = lines[-1].split()
    assert "--nworkers" not in words and "--no-nanny" not in words
    assert words[len(words) - 1 - words[::-1].index("--nthreads") + 1] == "1"  # the last one counts
    assert words[words.index("--resources") + 1] == "GPU=1"


@JOBQUEUE
def test_slurm_needs_to_know_what_a_run_takes(tmp_path: Path):
    with pytest.raises(ValueError, match=r"--slurm needs cores and memory in the sweep's \[cluster\]"):
        cluster.slurm_jobs({"queue": "gpu"}, tmp_path)
