"""COCO 2017: the 118,287 photographs of its training part, without their annotations (Lin et al. 2014)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fgssl_edu.data import fetch


def main(target: str | Path | None = None, given: str | Path | None = None) -> Path:
    """Fetch, check, unpack and list the data set; see `fetch.build`."""
    return fetch.build("coco", assemble, target, given)


def assemble(folder: Path, archives: Mapping[str, Path]) -> list[dict[str, object]]:
    """Unpack; the rows, all unlabelled: a scene of many things has no one class."""
    fetch.unpack(archives["train2017.zip"], folder)
    paths = sorted((folder / "train2017").glob("*.jpg"))
    return [{"path": f"train2017/{path.name}", "label": "", "split": "unlabelled"} for path in paths]


if __name__ == "__main__":
    fetch.command(main)
