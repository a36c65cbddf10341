"""A sweep on Dask: a local cluster, a running scheduler, a worker that dies, one GPU a run, Slurm's job script."""

# ruff: noqa: F811  # a fixture is imported
from __future__ import annotations

import importlib.util
import signal
import sys
import textwrap
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "faults"))
from sweep_course import SIGN_AND_STAY, Watch, course, driven, kernel_that_signs  # noqa: F401

from sweep_course import states, tries, write_lesson, write_sweep  # isort: skip

from fgssl_edu.runs import places
from fgssl_edu.runs.drive import Entry
from fgssl_edu.runs.places import Place

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")
if importlib.util.find_spec("dask_jobqueue") is None:
    pytest.skip("the extra `cluster` is not installed", allow_module_level=True)
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
    options = {"host": "127.0.0.1", "scheduler_kwargs": places.NO_PAGES, "processes": True, "memory_limit": 0}
    with distributed.LocalCluster(n_workers=1, threads_per_worker=4, resources={"GPU": 1}, **options) as running:
        found = driven(write_sweep(tmp_path, "seeds = 2"), Place(scheduler=running.scheduler_address))
        assert states(found) == ["complete", "complete"]
        ends = [(entry.run.folder / "run.log").stat().st_mtime for entry in found.entries]
        begins = [(entry.run.folder / "tries").stat().st_mtime for entry in found.entries]
        assert max(begins) > min(ends)  # one after the other, though the worker has four threads
        with distributed.Client(running) as client:
            assert client.nthreads()  # a sweep leaves somebody else's cluster as it was


def test_a_scheduler_that_does_not_answer_and_one_without_workers_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(places, "CONNECT_S", 1)
    with pytest.raises(ValueError, match=r"no Dask scheduler answers at 'tcp://127.0.0.1:1'.*start one with"):
        places.connected("tcp://127.0.0.1:1")
    with (
        distributed.LocalCluster(n_workers=0, host="127.0.0.1", scheduler_kwargs=places.NO_PAGES) as empty,
        pytest.raises(ValueError, match=r"has no workers; start one with .*--nthreads 1"),
    ):
        places.connected(empty.scheduler_address)


def test_more_jobs_than_gpus_are_refused_and_named_gpus_are_those_that_runs_get(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ValueError, match="--jobs 3: a run takes a GPU of its own, and there are 2"):
        places.local_cluster(3, ("0", "1"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-5a")
    assert places.visible_gpus() == ("3", "GPU-5a")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert places.visible_gpus() == ()


@pytest.mark.kernel
def test_a_local_cluster_gives_each_worker_a_gpu_of_its_own(
    course: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    write_lesson(course, SHOWS_GPU)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")  # nothing is computed on them
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
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    assert Place(jobs=jobs).environment(scale)["FGSSL_THREADS"] == threads
    assert "FGSSL_THREADS" not in Place().environment(scale)  # alone, a run chooses for itself
    monkeypatch.setenv("FGSSL_THREADS", "3")
    assert Place(jobs=jobs).environment(scale)["FGSSL_THREADS"] == "3"


def test_slurms_job_script_asks_for_one_run_with_what_the_file_says(tmp_path: Path):
    options = {"queue": "gpu", "walltime": "08:00:00", "memory": "16GB", "cores": 8, "gpus": 1, "account": "birds"}
    options |= {"directives": ["--exclude=node7"], "prologue": ["module load cuda"]}
    ctrl_c = signal.getsignal(signal.SIGINT)
    place = Place(jobs=4, slurm=options, folder=tmp_path)
    with dask.config.set(places.CONFIGURATION), places.slurm_cluster(place) as slurm:
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
    assert place.environment("full")["FGSSL_THREADS"] == "4"


def test_slurm_needs_to_know_what_a_run_takes():
    with pytest.raises(ValueError, match=r"--slurm needs cores and memory in the sweep's \[cluster\]"):
        places.slurm_cluster(Place(slurm={"queue": "gpu"}))


def test_without_the_extra_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(ValueError, match=r'need Dask: pip install "fgssl-edu\[cluster\]"'),
        places.opened(Place(jobs=2), 2),
    ):
        pass
