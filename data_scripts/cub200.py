"""CUB-200-2011: 11,788 photographs of 200 bird species (Wah et al. 2011, Caltech technical report CNS-TR-2011-001).

Run `fgssl data get cub200`, or `python data_scripts/cub200.py`. Terms: the photographs belong to their photographers;
the authors give the set for non-commercial research and education. 1.2 GB are downloaded, about 1.3 GB stay on disk.
"""

from __future__ import annotations

from pathlib import Path

from fgssl_edu.data import fetch
from fgssl_edu.paths import data_dir

URL = "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz"
MD5 = "97eceeb196236b17998738112f37df78"
BYTES = 1_150_585_339
TOP = "CUB_200_2011"
UNPACKED_LIMIT = 4_000_000_000  # bytes; far above the real size, far below a full disk
BOX = ("box_x", "box_y", "box_width", "box_height")  # pixels of the original picture


def main(url: str = URL, md5: str = MD5, target: str | Path | None = None) -> Path:
    """Download, check, unpack and list the data set; if it is there already, do nothing.

    Args:
        url: of the archive. A file of that name beside `target` with the right checksum saves the download.
        md5: of the archive.
        target: the folder to make; by default `cub200` among the data sets.

    Returns:
        The folder, with manifest.csv.
    """
    folder = Path(target) if target else data_dir() / "cub200"
    if (folder / "manifest.csv").is_file():
        return folder
    with fetch.staging(folder) as stage:
        archive = fetch.download(url, md5, folder.parent)
        fetch.unpack(archive, stage, top=TOP, limit_bytes=UNPACKED_LIMIT)
        fetch.write_manifest(stage, rows(stage))
    archive.unlink()
    return folder


def rows(folder: Path) -> list[dict[str, object]]:
    """The manifest's rows, from the data set's own tables, which must agree with one another and with the files."""
    images, classes = table(folder, "images.txt"), table(folder, "classes.txt")
    label, train, box = (
        table(folder, f"{name}.txt") for name in ("image_class_labels", "train_test_split", "bounding_boxes")
    )
    if not images or any(set(images) != set(other) for other in (label, train, box)):
        raise ValueError("CUB-200-2011: its tables do not list the same images: not the published archive")
    unknown = sorted({value[0] for value in label.values()} - set(classes))
    missing = [name for (name,) in images.values() if not (folder / "images" / name).is_file()]
    if unknown or missing:
        raise ValueError(
            f"CUB-200-2011: classes {unknown[:5]} or images {missing[:5]} are missing: not the published archive"
        )
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
        raise ValueError(f"CUB-200-2011: {name} is missing: not the published archive")
    lines = (line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    return {key: values for key, *values in lines}


if __name__ == "__main__":
    place = main()
    print(f"{place}: {fetch.verify(place)}")
