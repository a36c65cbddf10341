"""Stanford Dogs: 20,580 photographs of 120 breeds (Khosla et al. 2011); they are pictures of ImageNet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fgssl_edu.data import fetch


def main(target: str | Path | None = None, given: str | Path | None = None) -> Path:
    """Fetch, check, unpack and list the data set; see `fetch.build`."""
    return fetch.build("dogs", assemble, target, given)


def assemble(folder: Path, archives: Mapping[str, Path]) -> list[dict[str, object]]:
    """Unpack; the rows, each with the box of the first dog in it."""
    fetch.unpack(archives["images.tar"], folder / "Images", top="Images")
    fetch.unpack(archives["annotation.tar"], folder / "Annotation", top="Annotation")
    fetch.unpack(archives["lists.tar"], folder)
    return [
        {
            "path": f"Images/{name}",
            "label": str(name).partition("/")[0],
            "split": split,
            **fetch.voc_box(folder / "Annotation" / str(name).removesuffix(".jpg")),
        }
        for split in ("train", "test")
        for name in fetch.mat(folder / f"{split}_list.mat")["file_list"]
    ]


if __name__ == "__main__":
    fetch.command(main)
