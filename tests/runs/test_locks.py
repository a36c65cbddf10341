"""Locks of runs and trainings: who holds one, who waits, whose lock is broken, on this host and on another."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fgssl_edu.runs import locks


def test_a_held_lock_names_its_owner_and_goes_with_the_block(tmp_path: Path):
    path = tmp_path / "new" / ".lock"
    with locks.held(path, wait=False):
        assert locks.owner(path).startswith(f"process {os.getpid()} on ")
        with pytest.raises(locks.Busy, match=f"in use by process {os.getpid()}"), locks.held(path, wait=False):
            pass
    assert not path.exists() and locks.owner(path) == "another process"


def test_who_waits_is_told_for_whom_and_comes_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path, order, held = tmp_path / ".lock", [], threading.Event()

    def first() -> None:
        with locks.held(path, wait=False):
            held.set()
            threading.Event().wait(1.5)
            order.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    held.wait()
    with locks.held(path, wait=True):
        order.append("second")
    thread.join()
    assert order == ["first", "second"]
    assert capsys.readouterr().out == f"waiting for {os_owner()}, which does the same\n"


def os_owner() -> str:
    import socket

    return f"process {os.getpid()} on {socket.gethostname()}"


def test_a_killed_owners_lock_is_broken_at_once(tmp_path: Path):
    path = tmp_path / ".lock"
    code = (
        "import os, signal, sys; from pathlib import Path; from fgssl_edu.runs import locks\n"
        "with locks.held(Path(sys.argv[1]), wait=False): os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert killed.returncode == -9 and path.exists()
    with locks.held(path, wait=False):
        assert locks.owner(path) == os_owner()


@pytest.mark.parametrize("alive", [False, True])
def test_on_another_host_silence_alone_tells_that_an_owner_is_dead(
    alive: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(locks, "LEASE_S", 1.2)
    path = tmp_path / ".lock"
    with locks.held(path, wait=False):
        text = path.read_text()
    elsewhere = re.sub("^host=.+$", "host=elsewhere", text, flags=re.MULTILINE)
    assert elsewhere != text
    path.write_text(elsewhere)
    ended = threading.Event()

    def touch() -> None:
        while not ended.wait(0.2):
            os.utime(path)

    heart = threading.Thread(target=touch)
    if alive:
        heart.start()
        with pytest.raises(locks.Timeout):
            locks.SoftFileLease(path, lease_duration=1.2).acquire(timeout=2.5)
        ended.set()
        heart.join()
    else:
        with pytest.raises(locks.Busy, match="on elsewhere"), locks.held(path, wait=False):
            pass
        with locks.held(path, wait=True):
            assert locks.owner(path) == os_owner()


def test_who_lost_its_lock_is_stopped_like_by_ctrl_c(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(locks, "LEASE_S", 0.6)
    path = tmp_path / ".lock"
    with pytest.raises(KeyboardInterrupt), locks.held(path, wait=False):
        path.unlink()
        threading.Event().wait(10)
