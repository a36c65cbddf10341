"""Keep the exact versions that CI ran in one place, pyproject's constraint-dependencies, and constraints.txt in step.

- `python .ci/constraints.py`: say what is out of step; exit 1 if anything is.
- `python .ci/constraints.py export`: write constraints.txt (what pip reads) from pyproject.toml.
- `python .ci/constraints.py freeze`: take the versions of the environment that runs this script, then export.
"""

from __future__ import annotations

import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = ROOT / "pyproject.toml"
EXPORT = ROOT / "constraints.txt"
HEADER = "# Written by `python .ci/constraints.py export` from pyproject.toml: exactly what CI ran, for pip -c.\n"
PIN = re.compile(r"[a-z0-9-]+==[\w.]+")
TORCH_PINS_THEM = ("cuda-", "nvidia-", "triton")  # torch's own metadata names their versions, and only on Linux


def normalised(name: str) -> str:
    """The package name as registries compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(pyproject: dict) -> list[str]:
    """The `name==version` lines of pyproject.toml."""
    return pyproject["tool"]["uv"]["constraint-dependencies"]


def direct(pyproject: dict) -> set[str]:
    """Names of every package that pyproject.toml asks for itself."""
    asked = list(pyproject["project"]["dependencies"])
    for group in (*pyproject["dependency-groups"].values(), *pyproject["project"]["optional-dependencies"].values()):
        asked += [entry for entry in group if isinstance(entry, str)]
    return {normalised(re.split(r"[\s<>=!~;\[]", entry, maxsplit=1)[0]) for entry in asked}


def problems(pyproject: dict, exported: str) -> list[str]:
    """What is out of step, one line each; empty when all is well."""
    lines = pins(pyproject)
    found = [f"not an exact pin by name and version: {line}" for line in lines if not PIN.fullmatch(line)]
    missing = direct(pyproject) - {line.split("==")[0] for line in lines}
    found += [f"pyproject.toml asks for {name} and pins no version of it" for name in sorted(missing)]
    if lines != sorted(lines):
        found.append("constraint-dependencies are not sorted")
    if exported != exported_text(lines):
        found.append("constraints.txt differs from pyproject.toml: run `python .ci/constraints.py export`")
    return found


def exported_text(lines: list[str]) -> str:
    """What constraints.txt should hold."""
    return HEADER + "".join(f"{line}\n" for line in lines)


def frozen(pyproject: dict) -> list[str]:
    """The pins of the running environment, less what the oldest Python of this project could not install."""
    from packaging.specifiers import SpecifierSet  # only here: a check needs nothing but Python

    oldest = re.search(r">=([\d.]+)", pyproject["project"]["requires-python"])[1]
    skipped = (*TORCH_PINS_THEM, pyproject["project"]["name"])
    lines = set()
    for package in importlib.metadata.distributions():
        name, requires = normalised(package.metadata["Name"]), package.metadata["Requires-Python"] or ""
        if not name.startswith(skipped) and SpecifierSet(requires).contains(f"{oldest}.0"):
            lines.add(f"{name}=={package.version}")
    return sorted(lines)


def freeze(text: str) -> str:
    """pyproject.toml's text with the versions of the running environment in its constraint list."""
    block = "".join(f'  "{line}",\n' for line in frozen(tomllib.loads(text)))
    return re.sub(r"constraint-dependencies = \[[^\]]*\]", f"constraint-dependencies = [\n{block}]", text)


def main(arguments: list[str]) -> int:
    """Run one of the three commands; the exit status."""
    if arguments not in ([], ["export"], ["freeze"]):
        print(__doc__)
        return 2
    if arguments == ["freeze"]:
        PYPROJECT.write_text(freeze(PYPROJECT.read_text()))
    pyproject = tomllib.loads(PYPROJECT.read_text())
    if arguments:
        EXPORT.write_text(exported_text(pins(pyproject)))
    found = problems(pyproject, EXPORT.read_text() if EXPORT.exists() else "")
    print("\n".join(found) or f"{len(pins(pyproject))} versions pinned, constraints.txt in step")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
