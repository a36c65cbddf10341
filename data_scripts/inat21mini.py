"""iNaturalist 2021 mini: 500,000 photographs of 10,000 species, 1,486 of them birds (Van Horn et al. 2021)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fgssl_edu.data import fetch

PARTS = {"train_mini": "train", "val": "test"}


def main(target: str | Path | None = None, given: str | Path | None = None) -> Path:
    """Fetch, check, unpack and list the data set; see `fetch.build`."""
    return fetch.build("inat21mini", assemble, target, given)


def assemble(folder: Path, archives: Mapping[str, Path]) -> list[dict[str, object]]:
    """Unpack; the rows. The published validation part is the test set: the labels of the real one are not published.

    A folder is NUMBER_KINGDOM_PHYLUM_CLASS_ORDER_FAMILY_GENUS_SPECIES; with its number it is the label, since two
    kingdoms may share a name.
    """
    rows: list[dict[str, object]] = []
    for part, split in PARTS.items():
        fetch.unpack(archives[f"{part}.tar.gz"], folder / part, top=part)
        for path in sorted((folder / part).glob("*/*.jpg")):
            label = path.parent.name
            rows.append({"path": f"{part}/{label}/{path.name}", "label": label, "split": split, "group": taxon(label)})
    return rows


def taxon(label: str) -> str:
    """The class, in the taxonomist's sense, of a species; "bird" for Aves."""
    name = label.split("_")[3]
    return "bird" if name == "Aves" else name


if __name__ == "__main__":
    fetch.command(main)
