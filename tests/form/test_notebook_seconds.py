"""The check of .ci/run on how long the notebooks took."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script with its own limits."""
    monkeypatch.syspath_prepend(ROOT / ".ci")
    monkeypatch.delenv("FGSSL_NOTEBOOK_S", raising=False)
    monkeypatch.delenv("FGSSL_NOTEBOOKS_S", raising=False)
    return importlib.import_module("notebook_seconds")


def junit(folder: Path, *times: float) -> str:
    cases = [f'<testcase classname="{i}.ipynb" name="{i}.ipynb" time="{time}" />' for i, time in enumerate(times)]
    path = folder / "notebooks.xml"
    path.write_text(f"<testsuites><testsuite name='pytest'>{''.join(cases)}</testsuite></testsuites>")
    return str(path)


def test_short_notebooks_pass(script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert script.main(junit(tmp_path, 12.5, 59.9)) == 0
    assert capsys.readouterr().out == "2 notebooks: 59.9 s at most, 72.4 s together\n\n"


@pytest.mark.parametrize(("time", "status"), [(71.0, 0), (121.0, 1)])
def test_a_long_notebook_is_named_and_one_of_twice_the_limit_fails(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], time: float, status: int
):
    assert script.main(junit(tmp_path, 12.5, time)) == status
    assert f"1.ipynb took {time} s, at most 60 s\n" in capsys.readouterr().out


def test_many_short_notebooks_fail_together(script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert script.main(junit(tmp_path, *[50] * 37)) == 1
    assert "all together took 1850.0 s, at most 900 s\n" in capsys.readouterr().out


def test_no_notebook_at_all_fails(script: ModuleType, tmp_path: Path):
    assert script.main(junit(tmp_path)) == 1


def test_the_environment_sets_other_limits(script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FGSSL_NOTEBOOK_S", "35")
    assert script.main(junit(tmp_path, 71)) == 1
    monkeypatch.setenv("FGSSL_NOTEBOOK_S", "100")
    assert script.main(junit(tmp_path, 71)) == 0
