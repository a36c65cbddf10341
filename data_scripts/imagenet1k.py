"""ImageNet-1k (ILSVRC2012): 1,331,167 photographs of 1,000 kinds of things (Russakovsky et al. 2015).

Its archives come from the user: who wants them has to agree to ImageNet's terms.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fgssl_edu.data import fetch

BIRD = "n01503061"  # WordNet's synset of all birds


def main(target: str | Path | None = None, given: str | Path | None = None) -> Path:
    """Fetch, check, unpack and list the data set; see `fetch.build`."""
    return fetch.build("imagenet1k", assemble, target, given)


def assemble(folder: Path, archives: Mapping[str, Path]) -> list[dict[str, object]]:
    """Unpack; the rows. Labels are WordNet ids, the test set is the published validation part."""
    fetch.unpack(archives["ILSVRC2012_devkit_t12.tar.gz"], folder / "devkit", top="ILSVRC2012_devkit_t12")
    synsets = fetch.mat(folder / "devkit" / "data" / "meta.mat")["synsets"]
    names = {int(synset["ILSVRC2012_ID"]): str(synset["WNID"]) for synset in synsets}
    truth = fetch.lines(folder / "devkit" / "data" / "ILSVRC2012_validation_ground_truth.txt")
    tested = [names[int(number)] for number in truth]
    fetch.unpack(archives["ILSVRC2012_img_train.tar"], folder / "train")
    for inner in sorted((folder / "train").glob("*.tar")):  # an archive a class
        fetch.unpack(inner, inner.with_suffix(""))
        inner.unlink()
    fetch.unpack(archives["ILSVRC2012_img_val.tar"], folder / "val")
    rows: list[dict[str, object]] = [
        {"path": f"train/{path.parent.name}/{path.name}", "label": path.parent.name, "split": "train"}
        for path in sorted((folder / "train").glob("*/*.JPEG"))
    ]
    for number, label in enumerate(tested, 1):
        rows.append({"path": f"val/ILSVRC2012_val_{number:08d}.JPEG", "label": label, "split": "test"})
    birds = below(synsets, BIRD)
    return [{**row, "group": "bird" if row["label"] in birds else "no bird"} for row in rows] if birds else rows


def below(synsets: Any, wnid: str) -> set[str]:
    """WordNet ids of all that is of a kind, by the development kit's hierarchy; none where it has no such kind."""
    known = {int(synset["ILSVRC2012_ID"]): synset for synset in synsets}
    ends = [number for number, synset in known.items() if synset["WNID"] == wnid]
    reached = set(ends)
    while ends:
        synset = known[ends.pop()]
        children = np.atleast_1d(synset["children"]).ravel()[: int(synset["num_children"])]
        new = {int(child) for child in children} - reached
        reached |= new
        ends += sorted(new)
    return {str(known[number]["WNID"]) for number in reached}


if __name__ == "__main__":
    fetch.command(main)
