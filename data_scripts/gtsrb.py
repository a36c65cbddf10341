"""GTSRB: 39,270 pictures of 43 German traffic signs (Stallkamp et al. 2012).

Pictures of one sign, taken while a car drives past it, form a track of 30: nearly the same picture. The published
split keeps tracks apart; the column `track` is there for who splits the training pictures again. Signs have a left and
a right: no horizontal flip.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from fgssl_edu.data import fetch


def main(target: str | Path | None = None, given: str | Path | None = None) -> Path:
    """Fetch, check, unpack and list the data set; see `fetch.build`."""
    return fetch.build("gtsrb", assemble, target, given)


def assemble(folder: Path, archives: Mapping[str, Path]) -> list[dict[str, object]]:
    """Unpack; the rows, with the box of each sign where the tables have it."""
    fetch.unpack(archives["GTSRB-Training_fixed.zip"], folder / "train", top="GTSRB/Training")
    fetch.unpack(archives["GTSRB_Final_Test_Images.zip"], folder / "test", top="GTSRB/Final_Test/Images")
    fetch.unpack(archives["GTSRB_Final_Test_GT.zip"], folder)
    rows: list[dict[str, object]] = []
    for path in sorted((folder / "train").glob("*/*.ppm")):
        label, track = path.parent.name, path.stem.partition("_")[0]
        rows.append(
            {"path": f"train/{label}/{path.name}", "label": label, "split": "train", "track": f"{label}_{track}"}
        )
    boxes = {}
    for tables in sorted((folder / "train").glob("*/GT-*.csv")):
        boxes |= {f"train/{tables.parent.name}/{sign['Filename']}": box(sign) for sign in table(tables)}
    for sign in table(folder / "GT-final_test.csv"):
        name = f"test/{sign['Filename']}"
        rows.append({"path": name, "label": f"{int(sign['ClassId']):05d}", "split": "test", "track": ""})
        boxes[name] = box(sign)
    known = all(row["path"] in boxes for row in rows)
    return [{**row, **boxes[str(row["path"])]} for row in rows] if known else rows


def table(path: Path) -> list[dict[str, str]]:
    """One of the data set's tables."""
    return list(csv.DictReader(fetch.lines(path), delimiter=";"))


def box(sign: Mapping[str, str]) -> dict[str, object]:
    """The box of a sign."""
    return fetch.corners(*(int(sign[f"Roi.{side}"]) for side in ("X1", "Y1", "X2", "Y2")))


if __name__ == "__main__":
    fetch.command(main)
