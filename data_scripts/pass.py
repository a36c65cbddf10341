"""PASS: 1,439,588 photographs without people or parts of people, all CC BY (Asano et al. 2021), version 3."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from fgssl_edu.data import fetch

CREATORS = "pass_metadata.csv"  # who took each photograph: CC BY asks for the name


def main(target: str | Path | None = None, given: str | Path | None = None) -> Path:
    """Fetch, check, unpack and list the data set; see `fetch.build`."""
    return fetch.build("pass", assemble, target, given)


def assemble(folder: Path, archives: Mapping[str, Path]) -> list[dict[str, object]]:
    """Unpack; the rows, all unlabelled. The list of photographers stays with the pictures."""
    for number in range(10):
        fetch.unpack(archives[f"PASS.{number}.tar"], folder)
    shutil.copyfile(archives[CREATORS], folder / CREATORS)
    paths = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.jp*g"))
    return [{"path": path, "label": "", "split": "unlabelled"} for path in paths]


if __name__ == "__main__":
    fetch.command(main)
