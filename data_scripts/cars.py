"""Stanford Cars: 16,185 photographs of 196 models of cars (Krause et al. 2013).

Its own host is gone: the archives come from the user.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fgssl_edu.data import fetch


def main(target: str | Path | None = None, given: str | Path | None = None) -> Path:
    """Fetch, check, unpack and list the data set; see `fetch.build`."""
    return fetch.build("cars", assemble, target, given)


def assemble(folder: Path, archives: Mapping[str, Path]) -> list[dict[str, object]]:
    """Unpack; the rows, with boxes, from the development kit and the test labels that were published later."""
    fetch.unpack(archives["car_devkit.tgz"], folder)
    for part in ("cars_train", "cars_test"):
        if f"{part}.tgz" in archives:
            fetch.unpack(archives[f"{part}.tgz"], folder)
        else:
            fetch.unpack(archives["stanford-cars-dataset.zip"], folder, top=part)  # cars_train/cars_train/00001.jpg
    classes = fetch.mat(folder / "devkit" / "cars_meta.mat")["class_names"]
    lists = {
        "train": folder / "devkit" / "cars_train_annos.mat",
        "test": archives["cars_test_annos_withlabels.mat"],
    }
    return [
        {
            "path": f"cars_{split}/{car['fname']}",
            "label": str(classes[int(car["class"]) - 1]),
            "split": split,
            **fetch.corners(*(int(car[f"bbox_{side}"]) for side in ("x1", "y1", "x2", "y2")), first=1),
        }
        for split, path in lists.items()
        for car in fetch.mat(path)["annotations"]
    ]


if __name__ == "__main__":
    fetch.command(main)
