"""Where things are kept, atomic writing, and the hash of the code."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path

import pytest

from fgssl_edu import config, paths


def test_everything_goes_under_home_when_it_is_set(own_home: Path):
    assert paths.home() == own_home
    assert (paths.data_dir(), paths.cache_dir(), paths.runs_dir()) == (
        own_home / "data",
        own_home / "cache",
        own_home / "runs",
    )
    assert paths.runs_dir(notebook=True) == own_home / "runs"


def test_without_home_runs_go_to_the_working_folder_and_by_hand_to_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FGSSL_HOME", "")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.chdir(tmp_path)
    assert paths.home() is None
    assert paths.runs_dir() == tmp_path / "runs"
    by_hand = paths.runs_dir(notebook=True)
    assert by_hand != tmp_path / "runs" and by_hand.name == "runs" and by_hand.parent == paths.data_dir().parent


def test_a_file_is_written_whole_readable_and_without_leftovers(tmp_path: Path):
    target = tmp_path / "new" / "folder" / "file.json"
    assert paths.atomic_write(target, "é") == target
    assert target.read_bytes() == "é".encode()
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~mask
    assert list(target.parent.iterdir()) == [target]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    target = paths.atomic_write(tmp_path / "file", b"old")

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        paths.atomic_write(target, b"new")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_code_hash_follows_what_computes_and_not_what_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    package = tmp_path / "package"
    (package / "methods").mkdir(parents=True)
    (package / "figures").mkdir()
    (package / "config.py").write_text("a")
    (package / "methods" / "moco.py").write_text("b")
    (package / "figures" / "bars.py").write_text("c")
    monkeypatch.setattr(paths, "PACKAGE", package)
    compute = paths.code_hash.__wrapped__
    first = compute()
    (package / "figures" / "bars.py").write_text("changed")
    assert compute() == first
    (package / "methods" / "moco.py").write_text("changed")
    assert compute() != first
    shutil.move(package / "config.py", package / "gradcam.py")  # the same content under another name
    assert len({compute(), first}) == 2


def test_the_course_is_in_order_and_every_lesson_has_settings():
    lessons = paths.course()
    assert [number for number, _, _ in lessons] == list(range(1, len(lessons) + 1))
    assert [slug for _, slug, _ in lessons] == list(config.LESSONS)
    assert all(json.loads(path.read_text())["nbformat"] == 4 for _, _, path in lessons)


def test_an_installed_package_finds_its_course_inside_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "fgssl_edu" / "course" / "notebooks").mkdir(parents=True)
    monkeypatch.setattr(paths, "PACKAGE", tmp_path / "fgssl_edu")
    assert not paths.is_checkout()
    assert paths.notebooks_dir() == tmp_path / "fgssl_edu" / "course" / "notebooks"
    assert paths.data_scripts_dir() == tmp_path / "fgssl_edu" / "course" / "data_scripts"


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path):
    (tmp_path / ".made.partial").mkdir()
    (tmp_path / ".made.partial" / "half").touch()  # of somebody who was killed
    with paths.whole_folder(tmp_path / "made") as partial:
        (partial / "file").touch()
        assert not (tmp_path / "made").exists()
    assert [path.name for path in tmp_path.rglob("*")] == ["made", "file"]
    with pytest.raises(ZeroDivisionError), paths.whole_folder(tmp_path / "deep" / "other") as partial:
        (partial / "file").touch()
        raise ZeroDivisionError
    assert list((tmp_path / "deep").iterdir()) == []
    with pytest.raises(ValueError, match="made is there already and not empty"), paths.whole_folder(tmp_path / "made"):
        pass
