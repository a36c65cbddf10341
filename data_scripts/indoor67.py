"""MIT Indoor-67: 15,620 photographs of 67 kinds of rooms, 6,700 of them in its split (Quattoni and Torralba 2009)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fgssl_edu.data import fetch


def main(target: str | Path | None = None, given: str | Path | None = None) -> Path:
    """Fetch, check, unpack and list the data set; see `fetch.build`."""
    return fetch.build("indoor67", assemble, target, given)


def assemble(folder: Path, archives: Mapping[str, Path]) -> list[dict[str, object]]:
    """Unpack; the rows, of the published split alone. Some files are GIF or PNG under a name that ends in .jpg."""
    fetch.unpack(archives["indoorCVPR_09.tar"], folder)
    return [
        {"path": f"Images/{name}", "label": name.partition("/")[0], "split": split}
        for split in ("train", "test")
        for name in fetch.lines(archives[f"{split.title()}Images.txt"])
    ]


if __name__ == "__main__":
    fetch.command(main)
