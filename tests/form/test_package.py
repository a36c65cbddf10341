"""The project's own papers: versions, pins, what is committed, and that the README tells what is there."""

from __future__ import annotations

import importlib
import importlib.util
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

import fgssl_edu

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LARGEST_BYTES = 1_000_000
# Written in pieces, so that this file does not hold what it looks for.
MACHINE_PATH = re.compile(r"(?<![\w./-])/(work|farm|home|root|Users)/\w")
REGISTRY = re.compile(
    "|".join(["pypi" + r"\.org", "python" + r"hosted\.org", "registry" + r"\.npmjs", r"deb\." + "debian"])
)


def committed() -> list[Path]:
    """What git holds, or would with the next commit."""
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


def texts() -> list[tuple[str, str]]:
    found = []
    for path in committed():
        data = path.read_bytes()
        if b"\0" not in data:
            found.append((str(path.relative_to(ROOT)), data.decode()))
    return found


def load_constraints_script():
    spec = importlib.util.spec_from_file_location("constraints", ROOT / ".ci" / "constraints.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_version_is_one():
    citation = (ROOT / "CITATION.cff").read_text()
    assert PYPROJECT["project"]["version"] == fgssl_edu.__version__
    assert f"version: {fgssl_edu.__version__}\n" in citation


def test_every_direct_dependency_is_pinned_and_the_export_is_in_step():
    script = load_constraints_script()
    assert script.problems(PYPROJECT, (ROOT / "constraints.txt").read_text()) == []


@pytest.mark.parametrize(
    ("line", "complaint"),
    [("torch>=2.11", "exact pin"), ("torch @ file:///somewhere", "exact pin"), ("torch==2.15.0+cpu", "exact pin")],
)
def test_a_pin_that_is_no_plain_version_is_refused(line: str, complaint: str):
    script = load_constraints_script()
    pyproject = {**PYPROJECT, "tool": {"uv": {"constraint-dependencies": [line]}}}
    assert complaint in script.problems(pyproject, script.exported_text([line]))[0]


def test_torch_is_pinned_to_the_versions_that_were_measured():
    pins = PYPROJECT["tool"]["uv"]["constraint-dependencies"]
    assert {"torch==2.15.0", "torchvision==0.29.2"} <= set(pins)


def test_no_source_file_is_ignored_by_git():
    sources = {path for folder in ("fgssl_edu", "tests") for path in (ROOT / folder).rglob("*.py")}
    assert sources - set(committed()) == set()


def test_no_lock_file_is_committed():
    assert ROOT / "uv.lock" not in committed()


def test_no_file_names_a_machine_path_or_a_registry():
    found = [f"{name}: {hit[0]}" for name, text in texts() for hit in MACHINE_PATH.finditer(text)]
    found += [f"{name}: {hit[0]}" for name, text in texts() for hit in REGISTRY.finditer(text)]
    assert not found


def test_no_large_file_is_committed():
    large = {str(path.relative_to(ROOT)): path.stat().st_size for path in committed()}
    assert {name: size for name, size in large.items() if size > LARGEST_BYTES} == {}


def test_the_course_table_of_the_readme_is_the_notebooks_in_their_order():
    rows = re.findall(r"^\| (\d\d) \| `([\w-]+)` \|", (ROOT / "README.md").read_text(), flags=re.MULTILINE)
    assert [f"{number}_{slug}" for number, slug in rows] == sorted(
        path.stem for path in (ROOT / "notebooks").glob("*.ipynb")
    )


def test_the_readme_shows_the_numbers_of_the_shipped_records(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(ROOT / ".ci")
    readme = importlib.import_module("readme")
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme.render(text) == text, "run `python .ci/readme.py`"
    assert readme.render(text.replace(" ± ", " +- ")) == text


def test_the_readme_has_no_gaps_left_open():
    assert "@@" not in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("command", ["run", "lab", "warm", "data", "doctor", "bench", "reference"])
def test_the_readme_or_contributing_names_every_command(command: str):
    text = (ROOT / "README.md").read_text() + (ROOT / "CONTRIBUTING.md").read_text()
    assert f"fgssl {command}" in text


def test_ci_script_is_executable_and_parses():
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0
