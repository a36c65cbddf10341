"""Flowers-102: 8,189 photographs of 102 kinds of flowers (Nilsback and Zisserman 2008)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fgssl_edu.data import fetch


def main(target: str | Path | None = None, given: str | Path | None = None) -> Path:
    """Fetch, check, unpack and list the data set; see `fetch.build`."""
    return fetch.build("flowers102", assemble, target, given)


def assemble(folder: Path, archives: Mapping[str, Path]) -> list[dict[str, object]]:
    """Unpack; the rows. Train and val are trained on; the test part is the large one, as published."""
    fetch.unpack(archives["102flowers.tgz"], folder)
    labels = fetch.mat(archives["imagelabels.mat"])["labels"]
    splits = fetch.mat(archives["setid.mat"])
    parts = {"trnid": ("train", "train"), "valid": ("train", "val"), "tstid": ("test", "test")}
    return [
        {
            "path": f"jpg/image_{number:05d}.jpg",
            "label": f"{labels[number - 1]:03d}",  # the archives hold no names
            "split": split,
            "published_split": published,
        }
        for part, (split, published) in parts.items()
        for number in map(int, splits[part])
    ]


if __name__ == "__main__":
    fetch.command(main)
