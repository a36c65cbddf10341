"""Food-11: 16,643 photographs of 11 kinds of food (Singla, Yuan, Ebrahimi 2016), as folders of classes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fgssl_edu.data import fetch

PARTS = {"training": "train", "validation": "train", "evaluation": "test"}


def main(target: str | Path | None = None, given: str | Path | None = None) -> Path:
    """Fetch, check, unpack and list the data set; see `fetch.build`."""
    return fetch.build("food11", assemble, target, given)


def assemble(folder: Path, archives: Mapping[str, Path]) -> list[dict[str, object]]:
    """Unpack; the rows. Training and validation are trained on, as in SimCore."""
    fetch.unpack(archives["food11-image-dataset.zip"], folder)
    rows: list[dict[str, object]] = []
    for part, split in PARTS.items():
        for path in sorted(folder.rglob(f"{part}/*/*.jpg")):
            name = path.relative_to(folder).as_posix()
            rows.append({"path": name, "label": path.parent.name, "split": split, "published_split": part})
    return rows


if __name__ == "__main__":
    fetch.command(main)
