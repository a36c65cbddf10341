"""The data sets for people: which there are, what one asks for, and the script that fetches it."""

from __future__ import annotations

import importlib.util
import textwrap
from collections.abc import Sequence
from types import ModuleType

from fgssl_edu import paths
from fgssl_edu.data import sources
from fgssl_edu.data.manifest import MANIFEST

WIDTH = 110  # of text


def here(name: str) -> bool:
    """Whether a data set is on disk."""
    return (paths.data_dir() / name / MANIFEST).is_file()


def script(name: str) -> ModuleType:
    """The module of a data script, imported by its path.

    Raises:
        ValueError: an unknown name; a set that is not offered, with the reason.
    """
    sources.find(name)
    specification = importlib.util.spec_from_file_location(
        f"data_scripts_{name}", paths.data_scripts_dir() / f"{name}.py"
    )
    assert specification and specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def overview() -> str:
    """All data sets as a table, those that are not offered with the reason under a heading of their own."""
    found = sources.read().values()
    lines = []
    for kind in sources.KINDS[:-1]:
        rows = [
            (s.name, "here" if here(s.name) else "-", s.download, s.how, s.licence, s.title)
            for s in found
            if s.kind == kind
        ]
        if rows:
            lines += ["", *columns([(kind.upper(), "on disk", "to fetch", "how", "licence", ""), *rows])]
    lines += ["", sources.KINDS[-1].upper()]
    for s in found:
        if s.kind == sources.KINDS[-1]:
            lines += textwrap.wrap(f"{s.title}: {s.remark}", WIDTH, subsequent_indent="    ")
    own = [("birds", "always here: rendered"), ("folder:PATH", "your own photographs")]
    return "\n".join([*columns(own), *lines])


def about(name: str) -> str:
    """All that the table of sources knows of a data set, for who is about to fetch or cite it."""
    source = sources.find(name)
    sizes = ", ".join(f"{count:,} {split}" for split, count in source.sizes.items())
    pairs = [
        ("title", source.title),
        ("images", f"{sizes}; {source.classes or 'no'} classes"),
        ("on disk", str(paths.data_dir() / name) if here(name) else f"no: fgssl data get {name}"),
        *(("archive", str(archive)) for archive in source.archives),
        ("terms", source.terms),
        ("cite", source.citation),
        ("remark", source.remark),
    ]
    rows = []
    for name, text in pairs:
        lines = [piece for line in text.splitlines() for piece in textwrap.wrap(line, WIDTH, break_on_hyphens=False)]
        rows += [(name if i == 0 else "", line) for i, line in enumerate(lines)]
    return "\n".join(columns(rows))


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of words as lines, every column but the last as wide as its widest word."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)] + [0]
    return ["  ".join(f"{word:{width}}" for word, width in zip(row, widths, strict=True)).rstrip() for row in rows]
