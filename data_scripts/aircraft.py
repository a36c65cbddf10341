"""FGVC-Aircraft: 10,000 photographs of 100 variants of aircraft (Maji et al. 2013)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fgssl_edu.data import fetch
from fgssl_edu.data.manifest import CUT_BOTTOM

BANNER = 20  # pixels at the lower edge of every picture, with the photographer's name


def main(target: str | Path | None = None, given: str | Path | None = None) -> Path:
    """Fetch, check, unpack and list the data set; see `fetch.build`."""
    return fetch.build("aircraft", assemble, target, given)


def assemble(folder: Path, archives: Mapping[str, Path]) -> list[dict[str, object]]:
    """Unpack; the rows, with boxes. Train and val are trained on, as in the papers."""
    fetch.unpack(archives["fgvc-aircraft-2013b.tar.gz"], folder, top="fgvc-aircraft-2013b/data")
    boxes = dict(line.split(maxsplit=1) for line in fetch.lines(folder / "images_box.txt"))
    rows: list[dict[str, object]] = []
    for part in ("train", "val", "test"):
        for line in fetch.lines(folder / f"images_variant_{part}.txt"):
            name, label = line.split(maxsplit=1)
            rows.append(
                {
                    "path": f"images/{name}.jpg",
                    "label": label,
                    "split": "test" if part == "test" else "train",
                    "published_split": part,
                    **fetch.corners(*map(int, boxes[name].split()), first=1),
                    CUT_BOTTOM: BANNER,
                }
            )
    return rows


if __name__ == "__main__":
    fetch.command(main)
