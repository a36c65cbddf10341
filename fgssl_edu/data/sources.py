"""The table of sources, `data_scripts/sources.csv`: every data set, its archives, its terms; the only place of these.

A row is an archive. What is said of the whole set stands in its first row and is empty in the others. A set that is
made from another has one row without an archive; sets that are not offered have one row, whose remark is the reason.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from fgssl_edu import config, paths

KINDS = ("fine-grained", "open", "not offered")
DOWNLOAD = "download"  # anything else under `how` (login, form, by hand) is for the user to do
MADE = "made here"  # from another set: there is no archive
ABOUT = "~"  # before a size that is known roughly; it is shown, and not checked


@dataclass(frozen=True)
class Archive:
    """One file to be had."""

    file: str  # its name
    url: str  # of the file; of a page that leads to it where it cannot be downloaded
    how: str  # download, login, form, by hand
    bytes: str  # exact, rough ("~5800000000") or, where nobody knows, empty
    checksum: str  # "md5:...", "sha1:...", "sha256:..."; empty where none is published
    way: str  # of several ways to get the same pictures, the one that needs this file; empty: all do

    @property
    def size(self) -> int | None:
        """Exact size in bytes, where it is published."""
        return int(self.bytes) if self.bytes and not self.bytes.startswith(ABOUT) else None

    def __str__(self) -> str:
        size = f"{self.size:,} bytes" if self.size is not None else f"size {size_text([self])}"
        return f"{self.file} ({size}, {self.checksum or 'no checksum is published'})\n  from {self.url} [{self.how}]"


@dataclass(frozen=True)
class Source:
    """One data set."""

    name: str
    kind: str  # of KINDS
    title: str
    classes: int
    sizes: dict[str, int]  # {split: images} as published: train, test, unlabelled
    licence: str  # in a word or two
    terms: str
    citation: str
    remark: str  # what to know before numbers are compared; why it is not offered
    archives: tuple[Archive, ...]

    @property
    def ways(self) -> dict[str, tuple[Archive, ...]]:
        """The ways to get the set, each with all the archives that it needs; one way ("") for most sets."""
        names = dict.fromkeys(archive.way for archive in self.archives if archive.way) or {"": None}
        return {name: tuple(a for a in self.archives if a.way in ("", name)) for name in names}

    @property
    def how(self) -> str:
        """How the set is obtained: download, or the hardest that one of its archives asks for; or made from another."""
        hard = (archive.how for archive in self.archives if archive.how != DOWNLOAD)
        return next(hard, DOWNLOAD if self.archives else MADE)

    @property
    def download(self) -> str:
        """Size of what has to be fetched, the first way, for people."""
        return size_text(next(iter(self.ways.values())))


def size_text(archives: list[Archive] | tuple[Archive, ...]) -> str:
    """The sum of sizes: "1.2 GB"; "~5.8 GB" if some are rough; "0.3 GB+" if some are not known; or "unknown"."""
    if not archives:
        return "nothing"
    known = [int(archive.bytes.removeprefix(ABOUT)) for archive in archives if archive.bytes]
    if not known:
        return "unknown"
    rough = ABOUT if any(archive.bytes.startswith(ABOUT) for archive in archives) else ""
    total = f"{sum(known) / 1e9:.1f} GB" if sum(known) >= 1e8 else f"{sum(known) / 1e6:.1f} MB"
    return rough + total + ("+" if len(known) < len(archives) else "")


def table_path() -> Path:
    """The file: the checkout's, or the copy inside an installed package."""
    return paths.data_scripts_dir() / "sources.csv"


def read() -> dict[str, Source]:
    """All sources by name, in the order of the table."""
    groups: dict[str, list[dict[str, str]]] = {}
    with table_path().open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            groups.setdefault(row["name"], []).append(row)
    return {name: _source(rows) for name, rows in groups.items()}


def offered() -> dict[str, Source]:
    """The sources that a script fetches or unpacks."""
    return {name: source for name, source in read().items() if source.kind != "not offered"}


def find(name: str) -> Source:
    """The source of a set that is offered.

    Raises:
        ValueError: an unknown name, with the known ones; a set that is not offered, with the reason.
    """
    known = read()
    if name not in known:
        there = ", ".join(offered())
        raise ValueError(f"no data set {name!r}{config.suggestion(name, known)}; there are {there}")
    if known[name].kind == "not offered":
        raise ValueError(f"{name} ({known[name].title}) is not offered: {known[name].remark}")
    return known[name]


def _source(rows: list[dict[str, str]]) -> Source:
    first = rows[0]
    archives = tuple(
        Archive(**{key: row[key] for key in ("file", "url", "how", "bytes", "checksum", "way")})
        for row in rows
        if row["file"]
    )
    texts = {key: first[key] for key in ("name", "kind", "title", "licence", "terms", "citation", "remark")}
    sizes = {split: int(first[split]) for split in ("train", "test", "unlabelled") if first[split]}
    return Source(**texts, classes=int(first["classes"] or 0), sizes=sizes, archives=archives)
