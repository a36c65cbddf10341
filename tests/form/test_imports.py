"""Who may import whom: floors, no cycles, heavy libraries only where needed. Read from source, late imports too."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import fgssl_edu

PACKAGE = Path(fgssl_edu.__file__).parent
# A line may import from itself and from the lines above it. Each line is a floor, or a part of one in the order of use.
LEVELS = (
    ("scales", "config", "draws", "paths", "records", "distributed", "recipe"),
    ("views",),
    ("nets",),
    ("losses",),
    ("gradcam",),
    ("data",),
    ("methods", "coreset", "exercises"),
    ("train", "checkpoints", "devices", "progress"),
    ("evaluate", "explain"),
    ("figures",),
    ("panels",),
    ("runs",),
    ("lesson",),
    ("cli", "cli_shards", "cli_coreset", "cli_sweep", "bench"),
)
LEVEL = {name: level for level, names in enumerate(LEVELS) for name in names}
# The first line that may import a library, so that training runs on a bare node.
LIBRARY_FROM = {
    "matplotlib": "figures",
    "ipywidgets": "panels",
    "papermill": "runs",
    "nbconvert": "runs",
    "filelock": "runs",
    "rich": "runs",
    "typer": "cli",
}
LIBRARY_ONLY = {"lightning_fabric": {"train", "devices"}, "tqdm": {"progress", "train", "distributed", "data"}}
WITHOUT_TORCH = ("fgssl_edu", "fgssl_edu.config", "fgssl_edu.recipe", "fgssl_edu.paths", "fgssl_edu.cli")


def module_name(path: Path) -> str:
    """fgssl_edu/data/birds.py -> fgssl_edu.data.birds; a folder's __init__.py -> the folder."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py")) if "course" not in path.parts}


def imported(module: str) -> set[str]:
    """Every module that this one names in an import anywhere in its source; names that are no module are cut off."""
    path = MODULES[module]
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            base = ".".join(part for part in (start, node.module) if part)
            deeper = {f"{base}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else base for name in deeper}
    return found


IMPORTS = {module: imported(module) for module in MODULES}


def unit(module: str) -> str | None:
    """The folder or file directly under the package; None for the package itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else None


def own_imports(module: str) -> set[str]:
    return {name for name in IMPORTS[module] if name in MODULES and unit(name)} - {module}


def test_every_module_has_a_floor():
    strangers = {unit(module) for module in MODULES} - {None, "__main__"} - LEVEL.keys()
    assert not strangers, f"give {sorted(strangers)} a floor in LEVELS"


@pytest.mark.parametrize("module", [module for module in MODULES if unit(module) in LEVEL])
def test_imports_come_from_the_own_floor_or_a_lower_one(module: str):
    upward = [name for name in own_imports(module) if LEVEL[unit(name)] > LEVEL[unit(module)]]
    assert not upward, f"{module} imports upward: {sorted(upward)}"


def test_the_package_itself_imports_none_of_its_modules():
    assert not {name for name in IMPORTS["fgssl_edu"] if name in MODULES}


def test_no_module_imports_itself_through_others():
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, "a circle: " + " -> ".join((*trail[trail.index(module) :], module))
        if module not in done:
            for name in sorted(own_imports(module)):
                visit(name, (*trail, module))
            done.add(module)

    for module in MODULES:
        visit(module, ())
    assert done == set(MODULES)


@pytest.mark.parametrize("library", sorted(LIBRARY_FROM))
def test_heavy_libraries_stay_on_their_floors(library: str):
    users = {unit(module) for module in MODULES if library in {name.split(".")[0] for name in IMPORTS[module]}}
    low = {user for user in users if user is None or LEVEL[user] < LEVEL[LIBRARY_FROM[library]]}
    assert not low, f"{library} is imported below {LIBRARY_FROM[library]}, by {sorted(map(str, low))}"


@pytest.mark.parametrize("library", sorted(LIBRARY_ONLY))
def test_devices_and_progress_bars_are_named_in_few_places(library: str):
    users = {unit(module) for module in MODULES if library in {name.split(".")[0] for name in IMPORTS[module]}}
    assert users <= LIBRARY_ONLY[library]


def test_importing_the_package_is_instant_and_settings_and_cli_need_no_torch():
    lines = [
        "import sys, time",
        "start = time.process_time()",
        "import fgssl_edu",
        "print(time.process_time() - start)",
    ]
    lines += [f"import {module}" for module in WITHOUT_TORCH if module in MODULES]
    lines += ["print(sorted({'torch', 'matplotlib', 'ipywidgets', 'papermill', 'sklearn'} & set(sys.modules)))"]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    seconds, heavy = done.stdout.splitlines()
    assert float(seconds) < 0.1  # CPU seconds
    assert heavy == "[]"
