"""Tar and zip archives unpacked, trusting nothing that they say, into a folder that appears whole or not at all."""

from __future__ import annotations

import contextlib
import fnmatch
import gzip
import lzma
import os
import shutil
import stat
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from fgssl_edu.data.fetch.downloads import CHUNK_BYTES, FREE_SPACE, FULL, refuse_full_disk

MAX_FILES = 2_000_000  # in one archive
MAX_RATIO = 20  # unpacked bytes to the archive's own; photographs 1, tables and XML up to 10
SMALL_BYTES = 1 << 26  # what any archive may unpack to, whatever the ratio
ENCRYPTED = 0x1  # bit of a zip member's flags
MAC_FOLDER, MAC_PREFIX = "__MACOSX", "._"  # what macOS adds to archives: a folder, or a file beside each file
DAMAGED = (
    *(tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, lzma.LZMAError),
    *(EOFError, NotImplementedError),  # the second: a zip file's compression that Python does not know
)


@dataclass(frozen=True)
class Member:
    """One entry of an archive, as the archive describes it."""

    name: str
    size: int  # unpacked bytes
    kind: str  # file, folder, other (a link, a device)
    open: Callable[[], IO[bytes]]


@contextlib.contextmanager
def staging(target: Path) -> Iterator[Path]:
    """A folder beside `target` that becomes `target` when the block ends well, and vanishes when it does not."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ValueError(f"{target} is in the way: move it elsewhere or delete it, and run the same command again")
    stage = target.with_name(f".{target.name}.partial")
    shutil.rmtree(stage, ignore_errors=True)  # left by a process that was killed
    stage.mkdir(parents=True)
    try:
        yield stage
        if target.exists():
            target.rmdir()  # empty: see above; Windows replaces no folder
        os.replace(stage, target)
    except OSError as error:
        if error.errno in FULL:
            raise ValueError(f"the disk of {target.parent} is full; nothing was left there. {FREE_SPACE}") from error
        raise
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def unpack(archive: Path, folder: Path, top: str = "", without: str = "") -> int:
    """Unpack what lies below `top/` in a tar or zip archive, trusting nothing that the archive says.

    Only plain files and folders are made, with the user's own rights. A link, a device, an absolute path, a drive, a
    `..`, a name used twice (also where only capitals tell two apart: such an archive would unpack to different
    folders on different machines), more files than `MAX_FILES`, more bytes than `MAX_RATIO` allows or than the disk has
    are refused, wherever in the archive they stand.

    Args:
        archive: a tar file, compressed or not, or a zip file.
        folder: where it is put; several archives may share one. The caller removes it on failure (see `staging`).
        top: the archive's own folder, "a/b" too: its content is put into `folder`, what lies outside is left out.
        without: a pattern of file names to leave out, such as "*_superpixels.png".

    Returns:
        Number of files written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    refuse_full_disk(folder, archive.stat().st_size)
    seen: set[str] = set()
    try:
        with contextlib.closing(_members(archive)) as members:
            for member, path in _within_limits(archive, folder, members):
                inside = _below(path, top)
                if inside is None or member.kind != "file" or (without and fnmatch.fnmatch(path.name, without)):
                    continue
                _note(archive, member.name, inside, seen)
                _write(archive, member, folder / inside)
    except DAMAGED as error:
        raise ValueError(
            f"{archive.name}: damaged, or no archive ({error}); delete {archive} and run the same command again"
        ) from error
    if not seen:
        raise ValueError(f"{archive.name}: nothing in it lies in {top or '.'}/: not the expected archive")
    return len(seen)


def _members(archive: Path) -> Generator[Member, None, None]:
    """What an archive holds, in its order."""
    if tarfile.is_tarfile(archive):
        with tarfile.open(archive) as tar:
            for entry in tar:
                kind = "file" if entry.isreg() else "folder" if entry.isdir() else "other"
                yield Member(entry.name, entry.size, kind, partial(tar.extractfile, entry))  # type: ignore[arg-type]
            while tar.fileobj and tar.fileobj.read(CHUNK_BYTES):
                pass  # to the end, where a compressed file's own checksum stands
        return
    with zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():
            kind = "folder" if info.is_dir() else "file"
            if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
                kind = "other"  # Unix file type; systems without such leave it 0
            if info.flag_bits & ENCRYPTED:
                raise zipfile.BadZipFile(f"{info.filename} is encrypted")
            yield Member(info.orig_filename, info.file_size, kind, partial(opened.open, info))


def _within_limits(archive: Path, folder: Path, members: Iterator[Member]) -> Iterator[tuple[Member, PurePosixPath]]:
    """Members with paths that are safe to write; ValueError as soon as one is not, or there is too much of them."""
    limit = max(MAX_RATIO * archive.stat().st_size, SMALL_BYTES)
    free = shutil.disk_usage(folder).free
    declared = 0
    for count, member in enumerate(members):
        path = PurePosixPath(member.name)
        drive = ":" in member.name or "\\" in member.name
        if path.is_absolute() or ".." in path.parts or drive or min(member.name, default="x") < " ":
            raise ValueError(f"{archive.name}: refused, {member.name!r} points out of the folder")
        if member.kind == "other":
            raise ValueError(f"{archive.name}: refused, {member.name!r} is a link or a device, not a plain file")
        declared += member.size
        if declared > limit or count >= MAX_FILES:
            raise ValueError(
                f"{archive.name}: unpacks to more than {limit / 1e9:.2g} GB or {MAX_FILES} files: "
                "not the expected archive"
            )
        if declared > free:
            raise ValueError(f"the disk of {folder.parent} is full; nothing was left there. {FREE_SPACE}")
        yield member, path


def _below(path: PurePosixPath, top: str) -> PurePosixPath | None:
    """The path inside the folder `top` of an archive; None for what lies elsewhere, or is macOS's own."""
    outer = PurePosixPath(top).parts
    if path.parts[: len(outer)] != outer or MAC_FOLDER in path.parts or path.name.startswith(MAC_PREFIX):
        return None
    return PurePosixPath(*path.parts[len(outer) :])


def _note(archive: Path, name: str, inside: PurePosixPath, seen: set[str]) -> None:
    """Note a name as used; ValueError where it was, capitals apart."""
    key = unicodedata.normalize("NFC", str(inside)).casefold()
    if key in seen or key == ".":
        raise ValueError(f"{archive.name}: holds {name} twice: not the expected archive")
    seen.add(key)


def _write(archive: Path, member: Member, goal: Path) -> None:
    try:
        goal.parent.mkdir(parents=True, exist_ok=True)
        with member.open() as source, goal.open("xb") as file:
            shutil.copyfileobj(source, file, CHUNK_BYTES)
    except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
        raise ValueError(f"{archive.name}: holds {member.name} twice: not the expected archive") from error
    if goal.stat().st_size != member.size:
        raise ValueError(f"{archive.name}: {member.name} is shorter than it says; fetch it again")
