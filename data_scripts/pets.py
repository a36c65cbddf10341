"""Oxford-IIIT Pet: 7,349 photographs of 37 breeds of cats and dogs (Parkhi et al. 2012)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fgssl_edu.data import fetch


def main(target: str | Path | None = None, given: str | Path | None = None) -> Path:
    """Fetch, check, unpack and list the data set; see `fetch.build`."""
    return fetch.build("pets", assemble, target, given)


def assemble(folder: Path, archives: Mapping[str, Path]) -> list[dict[str, object]]:
    """Unpack all but the masks; the rows."""
    for part in ("images", "annotations"):
        fetch.unpack(archives[f"{part}.tar.gz"], folder / part, top=part, without="*.png")
    rows: list[dict[str, object]] = []
    for split, part in (("train", "trainval"), ("test", "test")):
        for line in fetch.lines(folder / "annotations" / f"{part}.txt"):
            name = line.split()[0]
            rows.append({"path": f"images/{name}.jpg", "label": name.rpartition("_")[0], "split": split})
    return rows


if __name__ == "__main__":
    fetch.command(main)
