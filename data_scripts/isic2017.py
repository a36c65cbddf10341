"""ISIC 2017: 2,000 + 600 dermoscopic pictures of melanoma, seborrheic keratosis and nevus (Codella et al. 2018).

The 150 pictures of its validation part are used by none of the papers here, and are not fetched.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from fgssl_edu.data import fetch

DISEASES = ("melanoma", "seborrheic_keratosis")


def main(target: str | Path | None = None, given: str | Path | None = None) -> Path:
    """Fetch, check, unpack and list the data set; see `fetch.build`."""
    return fetch.build("isic2017", assemble, target, given)


def assemble(folder: Path, archives: Mapping[str, Path]) -> list[dict[str, object]]:
    """Unpack all but the superpixels; the rows. What is neither melanoma nor keratosis is a nevus."""
    rows: list[dict[str, object]] = []
    for split, part in (("train", "Training"), ("test", "Test_v2")):
        fetch.unpack(archives[f"ISIC-2017_{part}_Data.zip"], folder / split, without="*_superpixels.png")
        pictures = fetch.located(folder / split, "*.jpg")
        for row in csv.DictReader(fetch.lines(archives[f"ISIC-2017_{part}_Part3_GroundTruth.csv"])):
            disease = next((name for name in DISEASES if float(row[name])), "nevus")
            name = f"{row['image_id']}.jpg"
            rows.append({"path": f"{split}/{pictures.get(name, name)}", "label": disease, "split": split})
    return rows


if __name__ == "__main__":
    fetch.command(main)
