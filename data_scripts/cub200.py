"""CUB-200-2011: 11,788 photographs of 200 bird species (Wah et al. 2011, Caltech technical report CNS-TR-2011-001)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fgssl_edu.data import fetch
from fgssl_edu.data.manifest import BOX


def main(target: str | Path | None = None, given: str | Path | None = None) -> Path:
    """Fetch, check, unpack and list the data set; see `fetch.build`."""
    return fetch.build("cub200", assemble, target, given)


def assemble(folder: Path, archives: Mapping[str, Path]) -> list[dict[str, object]]:
    """Unpack; the manifest's rows, from the data set's own tables, which must agree with one another."""
    fetch.unpack(archives["CUB_200_2011.tgz"], folder, top="CUB_200_2011")
    images, classes = table(folder, "images.txt"), table(folder, "classes.txt")
    label, train, box = (
        table(folder, f"{name}.txt") for name in ("image_class_labels", "train_test_split", "bounding_boxes")
    )
    if not images or any(set(images) != set(other) for other in (label, train, box)):
        raise ValueError("its tables do not list the same images: not the published archive")
    unknown = sorted({value[0] for value in label.values()} - set(classes))
    if unknown:
        raise ValueError(f"classes {unknown[:5]} are missing: not the published archive")
    return [
        {
            "path": f"images/{name}",
            "label": classes[label[key][0]][0],
            "split": "train" if train[key][0] == "1" else "test",
            **dict(zip(BOX, box[key], strict=True)),
        }
        for key, (name,) in images.items()
    ]


def table(folder: Path, name: str) -> dict[str, list[str]]:
    """A table of the data set: the first word of each line is the key of the others."""
    path = folder / name
    if not path.is_file():
        raise ValueError(f"{name} is missing: not the published archive")
    lines = (line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    return {key: values for key, *values in lines}


if __name__ == "__main__":
    fetch.command(main)
