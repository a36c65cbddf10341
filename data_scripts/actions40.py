"""Stanford-40 Actions: 9,532 photographs of people doing one of 40 things (Yao et al. 2011)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fgssl_edu.data import fetch


def main(target: str | Path | None = None, given: str | Path | None = None) -> Path:
    """Fetch, check, unpack and list the data set; see `fetch.build`."""
    return fetch.build("actions40", assemble, target, given)


def assemble(folder: Path, archives: Mapping[str, Path]) -> list[dict[str, object]]:
    """Unpack; the rows, each with the box of the person."""
    for archive in archives.values():
        fetch.unpack(archive, folder)
    pictures, boxes = fetch.located(folder, "*.jpg"), fetch.located(folder, "*.xml")
    return [
        {
            "path": pictures.get(name, name),
            "label": name.rpartition("_")[0],
            "split": split,
            **fetch.voc_box(folder / boxes[name.replace(".jpg", ".xml")]),
        }
        for split in ("train", "test")
        for name in fetch.lines(folder / fetch.located(folder, f"{split}.txt")[f"{split}.txt"])
    ]


if __name__ == "__main__":
    fetch.command(main)
