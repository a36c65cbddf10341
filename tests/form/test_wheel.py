"""What is published works without the checkout: the wheel carries the course, and a lesson runs from it."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

from fgssl_edu import records

ROOT = Path(__file__).resolve().parents[2]
JUNK = ("__pycache__", ".ipynb_checkpoints", ".pyc", ".DS_Store", "/runs/2", "uv.lock")

pytestmark = pytest.mark.slow


def build(kind: str, project: Path, folder: Path) -> Path:
    """Build with the environment's own hatchling: no isolated environment, so no network."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", str(folder)]
    subprocess.run(command, cwd=project, check=True, capture_output=True, text=True)
    (built,) = [path for path in folder.iterdir() if path.suffix in {".whl", ".gz"}]
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def elsewhere(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel in it; what it depends on is borrowed from the running environment.

    A folder named in a .pth file is searched, but its own .pth files are not read: the checkout, installed in
    editable form, stays out.
    """
    folder = tmp_path_factory.mktemp("elsewhere") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    asked = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = Path(subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip())
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return python


def names_of(archive: Path) -> list[str]:
    if archive.suffix == ".whl":
        return zipfile.ZipFile(archive).namelist()
    return [name.split("/", 1)[1] for name in tarfile.open(archive).getnames()]


def course_of(folder: str) -> set[str]:
    return {f"{folder}/{path.name}" for path in (ROOT / folder).iterdir() if path.suffix in {".ipynb", ".py"}}


def test_the_wheel_carries_code_course_and_records_and_no_junk(wheel: Path):
    names = names_of(wheel)
    assert {f"fgssl_edu/course/{name}" for name in course_of("notebooks") | course_of("data_scripts")} <= set(names)
    data = [
        path
        for path in (ROOT / "fgssl_edu").rglob("*")
        if path.suffix in {".json", ".csv", ".toml", ".safetensors", ".py"}
    ]
    assert {str(path.relative_to(ROOT)) for path in data} <= set(names)
    assert [name for name in names if any(junk in name for junk in JUNK)] == []
    assert len(names) == len(set(names))


def test_a_wheel_built_from_the_source_archive_is_the_same(wheel: Path, tmp_path: Path):
    archive = build("sdist", ROOT, tmp_path / "sdist")
    assert [name for name in names_of(archive) if any(junk in name for junk in JUNK)] == []
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path, filter="data")
    (project,) = [path for path in tmp_path.iterdir() if path.name.startswith("fgssl_edu-")]
    again = build("wheel", project, tmp_path / "again")
    assert sorted(names_of(again)) == sorted(names_of(wheel))


def test_the_installed_package_is_not_the_checkout(elsewhere: Path, tmp_path: Path):
    asked = [
        str(elsewhere),
        "-c",
        "import fgssl_edu; from fgssl_edu import paths; print(fgssl_edu.__file__, paths.notebooks_dir())",
    ]
    module, notebooks = subprocess.run(asked, cwd=tmp_path, check=True, capture_output=True, text=True).stdout.split()
    assert module.startswith(str(elsewhere.parents[1])) and notebooks.startswith(str(elsewhere.parents[1]))


@pytest.mark.kernel
def test_a_lesson_runs_from_the_installed_wheel_and_leaves_a_complete_record(elsewhere: Path, tmp_path: Path):
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("FGSSL_", "PYTHON", "VIRTUAL_"))
    }
    environment |= {"FGSSL_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
    environment["JUPYTER_PATH"] = str(Path(sys.prefix) / "share" / "jupyter")  # the page's templates are borrowed too
    command = [str(elsewhere), "-c", "from fgssl_edu.cli import main; main()", "run", "contrast", "-p", "scale=ci"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = (tmp_path / "home" / "runs" / "contrast").iterdir()
    record = records.read_record(folder)
    assert record["settings"]["scale"] == "ci" and record["metrics"]
    assert record["environment"]["commit"] is None  # no checkout was in sight
    assert (folder / record["notebook"]).is_file() and (folder / record["page"]).is_file()
