"""A sweep on Dask: a local cluster, a running scheduler, a worker that dies, one GPU a run."""

# ruff: noqa: F811  # a fixture is imported
from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "faults"))
from sweep_course import SIGN_AND_STAY, Watch, course, driven, kernel_that_signs  # noqa: F401

from sweep_course import states, tries, write_lesson, write_sweep  # isort: skip

from fgssl_edu.runs import cluster, places
from fgssl_edu.runs.drive import Entry
from fgssl_edu.runs.places import Place

distributed = pytest.importorskip("distributed")
STAYS_ONCE = f"if seed == 0 and len((folder / 'tries').read_text()) == 1:\n{textwrap.indent(SIGN_AND_STAY, '    ')}"
RAISES = "assert seed < 2, 'the third raises'"


@pytest.mark.kernel
def test_a_killed_worker_costs_a_run_its_try_and_a_failing_run_is_not_tried_again(course: Path, tmp_path: Path):
    write_lesson(course, STAYS_ONCE, RAISES)
    killed: list[str] = []

    def kill(entry: Entry) -> None:
        if entry.run.seed == 0:
            run = kernel_that_signs(course).parent()
            dask_worker = run.parent()
            killed.append(" ".join(dask_worker.cmdline()))
            dask_worker.kill()

    found = driven(write_sweep(tmp_path, "seeds = 3"), Place(jobs=2), Watch(kill))
    assert len(killed) == 1 and "spawn_main" in killed[0]
    assert states(found) == ["complete", "complete", "failed"]
    assert "AssertionError: the third raises" in found.entries[2].error
    assert [tries(entry) for entry in found.entries] == [2, 1, 1]


SHOWS_GPU = """
with (folder.parent / "gpus").open("a") as seen:
    seen.write(os.environ.get("CUDA_VISIBLE_DEVICES", "none") + " " + os.environ["FGSSL_THREADS"] + "\\n")
"""


@pytest.mark.kernel
def test_a_scheduler_that_runs_has_its_workers_gpus_used_by_one_run_each(course: Path, tmp_path: Path):
    write_lesson(course, SHOWS_GPU)
    options = {"host": "127.0.0.1", "scheduler_kwargs": cluster.NO_PAGES, "processes": True, "memory_limit": 0}
    with distributed.LocalCluster(n_workers=1, threads_per_worker=4, resources={"GPU": 1}, **options) as running:
        found = driven(write_sweep(tmp_path, "seeds = 2"), Place(scheduler=running.scheduler_address))
        assert states(found) == ["complete", "complete"]
        ends = [(entry.run.folder / "run.log").stat().st_mtime for entry in found.entries]
        begins = [(entry.run.folder / "tries").stat().st_mtime for entry in found.entries]
        assert max(begins) > min(ends)  # one after the other, though the worker has four threads
        with distributed.Client(running) as client:
            assert client.nthreads()  # a sweep leaves somebody else's cluster as it was


@pytest.mark.kernel
def test_a_local_cluster_gives_each_worker_a_gpu_of_its_own(
    course: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    write_lesson(course, SHOWS_GPU)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")  # nothing is computed on them
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    found = driven(write_sweep(tmp_path, "seeds = 2"), Place(jobs=2))
    assert states(found) == ["complete", "complete"]
    seen = (found.entries[0].run.folder.parent / "gpus").read_text().splitlines()
    assert sorted(seen) == ["4 1", "7 1"]


@pytest.mark.parametrize(
    ("cores", "jobs", "scale", "threads"),
    [(16, 2, "lecture", "4"), (8, 4, "full", "2"), (2, 4, "lecture", "1"), (16, 2, "ci", "1")],
)
def test_runs_share_the_cores(cores: int, jobs: int, scale: str, threads: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("FGSSL_THREADS", raising=False)
    monkeypatch.setattr(cluster, "cores", lambda: cores)
    assert Place(jobs=jobs).environment(scale)["FGSSL_THREADS"] == threads
    assert Place(jobs=jobs, slurm={"cores": 8}).environment("full")["FGSSL_THREADS"] == "4"
    assert "FGSSL_THREADS" not in Place().environment(scale)  # alone, a run chooses for itself
    monkeypatch.setenv("FGSSL_THREADS", "3")
    assert Place(jobs=jobs).environment(scale)["FGSSL_THREADS"] == "3"


def test_without_the_extra_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(ValueError, match=r'need Dask: pip install "fgssl-edu\[cluster\]"'),
        places.opened(Place(jobs=2), 2),
    ):
        pass
