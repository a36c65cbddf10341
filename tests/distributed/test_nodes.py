"""Other nodes, which here are this machine once more: by hand, by a Slurm that is none, and when one goes away."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "contract"))  # also in the processes that are started
from contract_methods import make
from launching import Forked, alive
from test_launch_ranks import CLOSE, OfRows, train

from fgssl_edu import paths
from fgssl_edu.runs import nodes, rank
from fgssl_edu.runs.crew import ProcessFailed
from fgssl_edu.runs.lines import Head, Line

SRUN = """#!{python}
import os, sys
words = sys.argv[1:]
open({seen!r}, "w").write(" ".join(words))
command = [word for word in words if not word.startswith("-") or word == "-m"]
os.execv(command[0], command)
"""


@pytest.fixture(autouse=True)
def meeting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A meeting of the test's own, on this machine's loopback."""
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FGSSL_HOST", "127.0.0.1")
    monkeypatch.setattr(rank, "start", Forked)
    nodes._meeting.cache_clear()
    yield
    if nodes._meeting.cache_info().currsize:
        nodes._meeting()[0].__exit__()


def by_hand() -> threading.Thread:
    """Another node, in a thread, that joins as soon as it can."""
    head, file = nodes._meeting()
    joined = threading.Thread(target=nodes.join, args=(file,))
    joined.start()
    while "node" not in head.events.get():
        pass
    return joined


def test_two_nodes_by_hand_lose_what_one_process_does_training_after_training(capsys: pytest.CaptureFixture[str]):
    other = by_hand()
    for name in ("simclr", "moco"):
        curve = train(make(name), 1).column("loss")[1]
        together = train(make(name), 1, nodes=2).column("loss")[1]
        assert together == pytest.approx(curve, abs=CLOSE)
    nodes._meeting()[0].__exit__()
    other.join(20)
    assert not other.is_alive() and capsys.readouterr().out.endswith("the run has ended\n")


def test_a_node_that_goes_away_stops_the_training(monkeypatch: pytest.MonkeyPatch):
    started: list[Forked] = []
    monkeypatch.setattr(rank, "start", lambda *given: started.append(Forked(*given)) or started[-1])
    other = by_hand()

    def leave(step: int) -> None:
        if step == 3:
            nodes._joined(nodes._meeting()[0])[0].close()

    with pytest.raises(ProcessFailed, match=r"node \S+ is gone; all processes were stopped"):
        train(make("simclr"), 1, nodes=2, monitors=[OfRows(leave)])
    other.join(20)
    assert not other.is_alive() and alive([each.pid for each in started], within_s=5) == []


def test_the_first_node_prints_what_the_others_have_to_run(capsys: pytest.CaptureFixture[str]):
    head, file = nodes._meeting()
    nodes._invite(head, file, count=3, missing=2)
    said = capsys.readouterr().out
    assert "nodes=3: on each of the 2 other nodes, with the same files, run" in said
    assert re.search(r"fgssl join (.*)\n", said)[1] == str(file)
    assert file.parent == paths.cache_dir() / "nodes" and file.parent.stat().st_mode & 0o077 == 0


@pytest.mark.slow
def test_in_a_slurm_job_srun_brings_the_other_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen = tmp_path / "seen"
    srun = tmp_path / "bin" / "srun"
    srun.parent.mkdir()
    srun.write_text(SRUN.format(python=sys.executable, seen=str(seen)))
    srun.chmod(0o755)
    monkeypatch.setenv("PATH", f"{srun.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setenv("SLURM_NNODES", "2")
    curve = train(make("simclr"), 1).column("loss")[1]
    assert train(make("simclr"), 1, nodes=2).column("loss")[1] == pytest.approx(curve, abs=CLOSE)
    assert "--overlap --nodes=1 --ntasks=1 --ntasks-per-node=1 --relative=1" in seen.read_text()


def test_a_slurm_job_that_is_too_small_or_cannot_start_them_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setenv("SLURM_NNODES", "2")
    with pytest.raises(ValueError, match="nodes=4: the Slurm job has 2; use `sbatch --nodes 4`"):
        train(make("simclr"), 1, nodes=4)
    srun = tmp_path / "srun"
    srun.write_text("#!/bin/sh\nexit 7\n")
    srun.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(ValueError, match="srun ended with status 7 before all nodes had joined"):
        train(make("simclr"), 1, nodes=2)


def test_a_file_that_is_not_there_or_of_a_run_that_is_over_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="no run waits there"):
        nodes.join(tmp_path / "none.json")
    with Head() as head:
        text = f'{{"host": "127.0.0.1", "port": {head.port}, "token": "x"}}'
    (tmp_path / "over.json").write_text(text)
    with pytest.raises(ValueError, match="cannot be reached .* it may be over"):
        nodes.join(tmp_path / "over.json")


def test_who_does_not_know_the_token_is_not_heard():
    with Head() as head:
        for hello in ({"token": "guessed", "rank": 0}, {"rank": 1}, {"token": 3}):
            stranger = Line.to(head.host, head.port, **hello)
            assert list(stranger) == []  # hung up on
            stranger.close()
        friend = Line.to(head.host, head.port, token=head.token, rank=2)
        friend.send(row={"loss": 1.5})
        assert head.events.get() == {"rank": 2}
        assert head.events.get() == {"rank": 2, "row": {"loss": 1.5}}
        friend.close()
        assert head.events.get() == {"rank": 2, "left": True} and head.lines == []
        assert head.events.empty()
