"""The copy of the course that a student writes in, and the server's address."""

from __future__ import annotations

from pathlib import Path

import pytest
from jupyter_server.serverapp import ServerApp

from fgssl_edu import paths
from fgssl_edu.runs import lab


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    folder = tmp_path / "shipped"
    folder.mkdir()
    for name in ("01_start.ipynb", "02_contrast.ipynb"):
        (folder / name).write_text(f"{name}, version 1")
    (folder / "conftest.py").write_text("")
    return folder


def test_a_copy_is_made_once_and_an_edited_one_is_never_overwritten(shipped: Path, tmp_path: Path):
    target = tmp_path / "mine"
    assert lab.copy_course(shipped, target) == (target, [])
    (target / "01_start.ipynb").write_text("my answers")
    assert lab.copy_course(shipped, target)[1] == []  # nothing newer: nothing to say
    for name in ("01_start.ipynb", "02_contrast.ipynb"):
        (shipped / name).write_text(f"{name}, version 2")
    _, notes = lab.copy_course(shipped, target)
    assert (target / "01_start.ipynb").read_text() == "my answers"
    assert (target / "02_contrast.ipynb").read_text() == "02_contrast.ipynb, version 2"
    assert len(notes) == 1 and "01_start.ipynb was edited and is kept" in notes[0]


def test_a_renamed_or_deleted_copy_comes_back_fresh(shipped: Path, tmp_path: Path):
    target = tmp_path / "mine"
    lab.copy_course(shipped, target)
    (target / "01_start.ipynb").rename(target / "my_start.ipynb")
    lab.copy_course(shipped, target)
    assert (target / "01_start.ipynb").exists() and (target / "my_start.ipynb").exists()


def test_a_checkout_opens_its_own_notebooks_and_a_wheel_a_copy(
    shipped: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch
):
    assert lab.course_folder() == (paths.notebooks_dir(), [])
    monkeypatch.setattr(paths, "is_checkout", lambda: False)
    monkeypatch.setattr(paths, "notebooks_dir", lambda: shipped)
    folder, _ = lab.course_folder()
    assert folder == own_home / "notebooks" and (folder / "01_start.ipynb").exists()


@pytest.mark.parametrize("further", [[], ["--port=9999"], ["--port", "9999", "--", "."]])
def test_the_server_listens_to_this_machine_alone_and_keeps_its_token(further: list[str], tmp_path: Path):
    server = ServerApp()
    server.parse_command_line(lab.arguments(tmp_path, False, further))
    assert server.ip == "127.0.0.1" and not server.open_browser
    assert not further or server.port == 9999
    assert server.cli_config.ServerApp.keys().isdisjoint({"token", "password"})
    assert "IdentityProvider" not in server.cli_config
    assert "--no-browser" not in lab.arguments(tmp_path, browser=True)


@pytest.mark.parametrize(
    "words", [["--ip=0.0.0.0"], ["--ip", "::"], ["--ServerApp.ip=*"], ["--ServerApp.ip", "0.0.0.0"]]
)
@pytest.mark.parametrize("before", [[], ["--port=9999"], [".", "--"]])
def test_an_address_is_refused_by_name_however_it_is_written(words: list[str], before: list[str], tmp_path: Path):
    with pytest.raises(ValueError, match=f"{words[0]}: the course is served to this machine alone".replace("*", r"\*")):
        lab.arguments(tmp_path, False, [*before, *words])


@pytest.mark.parametrize("word", ["--i=0.0.0.0", "--ServerApp.i=0.0.0.0", "--Server.ip=0.0.0.0"])
def test_jupyter_takes_no_other_spelling_of_the_address(word: str):
    server = ServerApp()
    server.parse_command_line([f"--ServerApp.ip={lab.ADDRESS}", word])
    assert server.ip == lab.ADDRESS


@pytest.mark.parametrize(
    "word", ["--ServerApp.iopub_data_rate_limit=1", "--zip", "--ServerApp.local_hostnames=ip", "ip"]
)
def test_options_that_are_no_address_are_handed_on(word: str, tmp_path: Path):
    assert lab.arguments(tmp_path, True, [word])[-1] == word
