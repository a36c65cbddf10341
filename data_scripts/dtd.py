"""Describable Textures: 5,640 pictures of 47 kinds of textures (Cimpoi et al. 2014), first of ten partitions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fgssl_edu.data import fetch


def main(target: str | Path | None = None, given: str | Path | None = None) -> Path:
    """Fetch, check, unpack and list the data set; see `fetch.build`."""
    return fetch.build("dtd", assemble, target, given)


def assemble(folder: Path, archives: Mapping[str, Path]) -> list[dict[str, object]]:
    """Unpack; the rows. Train and val of partition 1 are trained on, as in SimCore."""
    fetch.unpack(archives["dtd-r1.0.1.tar.gz"], folder, top="dtd")
    return [
        {
            "path": f"images/{name}",
            "label": name.partition("/")[0],
            "split": "test" if part == "test" else "train",
            "published_split": part,
        }
        for part in ("train", "val", "test")
        for name in fetch.lines(folder / "labels" / f"{part}1.txt")
    ]


if __name__ == "__main__":
    fetch.command(main)
