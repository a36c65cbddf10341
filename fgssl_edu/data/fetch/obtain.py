"""The archives of a data set: downloaded, or found where the user put them; checked in either case.

Where nobody has published a checksum, the SHA-256 of the first archive that became a data set is noted in
`first_seen.json` beside the data sets, and holds from then on.
"""

from __future__ import annotations

import hashlib
import json
import logging
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

from fgssl_edu.data.fetch.downloads import download
from fgssl_edu.data.sources import DOWNLOAD, Archive, Source
from fgssl_edu.paths import atomic_write

LOGGER = logging.getLogger(__name__)
FIRST_SEEN = "first_seen.json"


def obtain(source: Source, folder: Path, given: Path | None = None) -> dict[str, Path]:
    """Every archive of a data set, by file name, each checked.

    Args:
        source: of the table.
        folder: what is downloaded is put here.
        given: a folder of the user's that is looked into first; nothing in it is changed.

    Raises:
        ValueError: an archive that has to be fetched by hand is not in `given`, with how to get it; a wrong one.
        ConnectionError: see `ResumingDownload`.
    """
    if given is not None and not given.is_dir():
        raise ValueError(f"--from {given}: there is no such folder")
    chosen = _way(source, given)
    found = {}
    for archive in chosen:
        own = given / archive.file if given else None
        if own is not None and own.is_file():
            _refuse_other(archive, own)
        else:
            own = download(archive.url, archive.checksum, folder, archive.file)
            if archive.size not in (None, own.stat().st_size):
                own.unlink()  # whole, but another file than the table means: a page that says "not found", for example
                raise ValueError(f"{archive.url} gave another file than the {archive.size:,} bytes of {archive.file}")
        if noted := _noted(folder.parent / FIRST_SEEN).get(f"{source.name}/{archive.file}"):
            _refuse_other_than_first(own, noted, folder.parent / FIRST_SEEN)
        found[archive.file] = own
    return found


def _way(source: Source, given: Path | None) -> tuple[Archive, ...]:
    """The first way whose archives are all to be had: those that are not downloaded lie in `given`."""
    for archives in source.ways.values():
        if not any(_missing(archives, given)):
            return archives
    raise ValueError("\n".join(_instructions(source, given)))


def _missing(archives: tuple[Archive, ...], given: Path | None) -> list[Archive]:
    return [a for a in archives if a.how != DOWNLOAD and not (given and (given / a.file).is_file())]


def _instructions(source: Source, given: Path | None) -> Iterator[str]:
    """What to fetch by hand, from where, and what to do then, line by line."""
    yield f"{source.name}: {source.title} cannot be downloaded by a program alone."
    yield f"Terms: {source.terms}."
    for number, (way, archives) in enumerate(source.ways.items()):
        missing = _missing(archives, given)
        what = f" ({way})" if way else ""
        yield f"{'Either' if number == 0 and len(source.ways) > 1 else 'Or' if number else 'Please'} fetch{what}:"
        yield from (textwrap.indent(str(archive), "  ") for archive in missing)
    yield "into one folder, keep the names, and run"
    yield f"  fgssl data get {source.name} --from FOLDER"
    if given:
        there = sorted(path.name for path in given.iterdir())
        yield f"--from {given} holds {', '.join(there[:10]) or 'nothing'}{' ...' if len(there) > 10 else ''}"


def _refuse_other(archive: Archive, path: Path) -> None:
    """Refuse a file of the user's whose size or checksum is not what was published."""
    size = path.stat().st_size
    if archive.size not in (None, size):
        raise ValueError(f"{path} has {size:,} bytes, not the {archive.size:,} published: fetch it again")
    kind, _, published = archive.checksum.partition(":")
    if kind and (value := _digest(path, kind)) != published:
        raise ValueError(f"{path} is not the published file: its {kind} is {value}, not {published}; fetch it again")


def note_first_seen(source: Source, found: Mapping[str, Path], folder: Path) -> None:
    """Note the checksums of archives for which nobody has published one, now that they have become a data set.

    Args:
        source: of the table.
        found: what `obtain` gave.
        folder: where the notes lie.
    """
    notes = folder / FIRST_SEEN
    for archive in source.archives:
        name = f"{source.name}/{archive.file}"
        if archive.file in found and not archive.checksum and name not in (noted := _noted(notes)):
            value = f"sha256:{_digest(found[archive.file], 'sha256')}"
            atomic_write(notes, json.dumps({**noted, name: value}, indent=1) + "\n")
            LOGGER.warning("no checksum of %s is published; from now on it is held to %s (%s)", name, value, notes)


def _noted(notes: Path) -> dict[str, str]:
    return json.loads(notes.read_text(encoding="utf-8")) if notes.is_file() else {}


def _refuse_other_than_first(path: Path, noted: str, notes: Path) -> None:
    if (value := f"sha256:{_digest(path, 'sha256')}") != noted:
        raise ValueError(
            f"{path} is not the file that was seen first: {value} instead of {noted}. None is published, so one of "
            f"the two may be damaged or changed: compare them, and delete the line in {notes} to take this one"
        )


def _digest(path: Path, kind: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()
