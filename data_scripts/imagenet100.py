"""ImageNet-100: 131,689 photographs of 100 of ImageNet's kinds of things, by the list of CMC (Tian et al. 2020).

There is no archive of it: its files are those of an imagenet1k on disk. Other papers draw other hundreds.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from fgssl_edu.data import fetch
from fgssl_edu.data.manifest import MANIFEST, read_manifest
from fgssl_edu.paths import data_dir

CLASSES = Path(__file__).with_suffix(".txt")  # a WordNet id a line: the file of that name in HobbitLong/CMC


def main(target: str | Path | None = None, given: str | Path | None = None) -> Path:
    """Link and list the data set; see `fetch.build`. `given` is an imagenet1k that lies elsewhere."""
    whole = Path(given).expanduser() if given else data_dir() / "imagenet1k"
    return fetch.build("imagenet100", partial(assemble, whole), target)


def assemble(whole: Path, folder: Path, _archives: Mapping[str, Path]) -> list[dict[str, str]]:
    """Link to the files of imagenet1k; their rows."""
    if not (whole / MANIFEST).is_file():
        raise ValueError(f"{whole} holds no imagenet1k, of which it is a part; run `fgssl data get imagenet1k` first")
    wanted = set(fetch.lines(CLASSES))
    rows = [row for row in read_manifest(whole) if row["label"] in wanted]
    for row in rows:
        (folder / row["path"]).parent.mkdir(parents=True, exist_ok=True)
        link(whole / row["path"], folder / row["path"])
    return rows


def link(path: Path, goal: Path) -> None:
    """Give a file a second name; a copy where that cannot be: on another disk, or a disk that knows no links."""
    if not path.is_file():
        raise ValueError(f"{path} is missing; `fgssl data verify imagenet1k` says what else is")
    try:
        goal.hardlink_to(path)
    except OSError:
        shutil.copyfile(path, goal)


if __name__ == "__main__":
    fetch.command(main)
