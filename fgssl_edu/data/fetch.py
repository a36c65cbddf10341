"""What every data script needs: a download that resumes, a checksum, safe unpacking, a manifest, verification.

pooch checks the sum and moves the file into place; it has no resume, so `ResumingDownload` gives it one. A folder
appears under its name only when it is whole.
"""

from __future__ import annotations

import contextlib
import csv
import errno
import gzip
import hashlib
import io
import os
import shutil
import tarfile
import time
import urllib.parse
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fgssl_edu.paths import atomic_write

CHUNK_BYTES = 1 << 16  # what a broken connection can lose
ATTEMPTS = 5  # in a row without a new byte, before giving up
WAIT_S = 2.0  # before the second attempt, doubled before each further one
TIMEOUT_S = (15, 60)  # to connect, and between two pieces of data
MAX_FILES = 2_000_000  # in one archive
FULL = (errno.ENOSPC, errno.EDQUOT)
DAMAGED = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile)
FREE_SPACE = "Free some space, or set FGSSL_HOME to a folder on another disk, and run the same command again."


class ResumingDownload:
    """A pooch downloader that keeps what has arrived beside the target and asks for the rest (HTTP Range)."""

    def __init__(self, part: Path) -> None:
        self.part = part

    def __call__(self, url: str, output_file: str | Path, _pooch: object) -> None:
        """Fetch `url` to `output_file`, over as many broken connections as needed.

        Raises:
            ConnectionError: the server cannot be reached, refuses, or breaks off too often; what has come is kept.
            ValueError: the disk is full; nothing is kept.
        """
        import requests

        self.part.parent.mkdir(parents=True, exist_ok=True)
        failed = 0
        while True:
            before = self._size()
            try:
                self._rest(url)
                os.replace(self.part, output_file)
                return
            except requests.RequestException as error:
                failed = 0 if self._size() > before else failed + 1
                if failed >= ATTEMPTS or not _passing(error):
                    raise ConnectionError(
                        f"{url}: {error}. {self._size() / 1e6:.0f} MB have arrived and are kept: run the same command "
                        f"again to go on, or put the file beside {self.part} yourself, as {self.part.stem}"
                    ) from error
                time.sleep(WAIT_S * 2**failed)
            except OSError as error:
                if error.errno in FULL:
                    self.part.unlink(missing_ok=True)
                    raise ValueError(f"the disk of {self.part.parent} is full. {FREE_SPACE}") from error
                raise

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _rest(self, url: str) -> None:
        """Ask once for what is missing and append it."""
        import requests
        from tqdm import tqdm

        start = self._size()
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as answer:
            if answer.status_code == 416:  # nothing after `start`: whole already, or another file than the one begun
                if answer.headers.get("Content-Range") == f"bytes */{start}":
                    return
                self.part.unlink()
                raise requests.ConnectionError("the file on the server is shorter than the part that had arrived")
            answer.raise_for_status()
            if answer.status_code != 206 or not answer.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
                start = 0  # this server sends the whole file
            length = answer.headers.get("Content-Length")
            total = start + int(length) if length else None
            _refuse_full_disk(self.part.parent, (total or 0) - start)
            bar = tqdm(total=total, initial=start, unit="B", unit_scale=True, desc=self.part.stem)
            with bar, self.part.open("ab" if start else "wb") as file:
                for chunk in answer.iter_content(CHUNK_BYTES):
                    file.write(chunk)
                    bar.update(len(chunk))
        if total is not None and self._size() < total:
            raise requests.ConnectionError(f"the connection broke off after {self._size()} of {total} bytes")


def _passing(error: Exception) -> bool:
    """Whether trying again may help: not where the server has said that there is no such file."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status is None or status >= 500 or status == 429


def _refuse_full_disk(folder: Path, needed_bytes: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed_bytes > free:
        raise ValueError(f"{folder} has {free / 1e9:.1f} GB free, {needed_bytes / 1e9:.1f} GB are needed. {FREE_SPACE}")


def download(url: str, md5: str, folder: Path) -> Path:
    """Fetch a file unless it is there already with the right checksum.

    Args:
        url: http or https; the last part of its path is the file's name.
        md5: 32 hex digits, as published.
        folder: where the file is put.

    Returns:
        The file, whose checksum has been verified. A wrong one is deleted and raises ValueError.
    """
    import pooch

    name = PurePosixPath(urllib.parse.unquote(urllib.parse.urlsplit(url).path)).name
    if not name or urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise ValueError(f"url={url!r}: an http or https address that ends in a file name is needed")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        got = pooch.retrieve(
            url, f"md5:{md5}", fname=name, path=folder, downloader=ResumingDownload(folder / f"{name}.part")
        )
    except ValueError as error:
        if "known hash" not in str(error):
            raise
        raise ValueError(
            f"{name} from {url} is not the published file ({error}); it was deleted. Run the same command again: it "
            "starts afresh. If the checksum is wrong again, the file on the server has changed: do not use it"
        ) from error
    return Path(got)


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


def unpack(archive: Path, folder: Path, top: str, limit_bytes: int) -> int:
    """Unpack what lies below `top/` in a tar archive, trusting nothing that the archive says.

    Only plain files and folders are made, with the user's own rights, in an empty folder; a link, a device, an absolute
    path, a `..`, a name used twice, or more bytes or files than the limits is refused.

    Args:
        archive: a tar file, compressed or not.
        folder: where the content of `top/` is put; the caller removes it on failure (see `staging`).
        top: name of the archive's own folder; what lies outside of it is left out.
        limit_bytes: unpacked, in all.

    Returns:
        Number of files written.
    """
    written, declared = 0, 0
    try:
        with tarfile.open(archive) as tar:
            for count, member in enumerate(tar):
                path = _checked(archive, member)
                declared += member.size
                if declared > limit_bytes or count >= MAX_FILES:
                    raise ValueError(
                        f"{archive.name}: more than {limit_bytes / 1e9:g} GB or {MAX_FILES} files: "
                        "not the expected archive"
                    )
                if path.parts[:1] != (top,) or not member.isreg():
                    continue
                goal = folder.joinpath(*path.parts[1:])
                goal.parent.mkdir(parents=True, exist_ok=True)
                source = tar.extractfile(member)
                assert source is not None  # it is a regular file
                with goal.open("xb") as file:
                    shutil.copyfileobj(source, file, CHUNK_BYTES)
                written += 1
    except DAMAGED as error:
        raise ValueError(
            f"{archive.name}: damaged, or no tar archive ({error}); delete it and run the same command again"
        ) from error
    except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
        raise ValueError(f"{archive.name}: holds {error.filename} twice: not the expected archive") from error
    if not written:
        raise ValueError(f"{archive.name}: nothing in it lies in {top}/: not the expected archive")
    return written


def _checked(archive: Path, member: tarfile.TarInfo) -> PurePosixPath:
    """The path of a member that is safe to write, or ValueError."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or "\\" in member.name or ":" in member.name:
        raise ValueError(f"{archive.name}: refused, {member.name!r} points out of the folder")
    if not (member.isreg() or member.isdir()):
        raise ValueError(f"{archive.name}: refused, {member.name!r} is a link or a device, not a plain file")
    return path


def digests(folder: Path, names: Sequence[str]) -> list[str]:
    """SHA-256 of files, in hex digits, in the order of the names."""

    def digest(name: str) -> str:
        with (folder / name).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(digest, names))


def write_manifest(folder: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    """Write manifest.csv from rows with path, label, split and what else is known; adds the SHA-256 of each file."""
    sums = digests(folder, [str(row["path"]) for row in rows])
    first = ("path", "label", "split", "sha256")
    table = [{**row, "sha256": value} for row, value in zip(rows, sums, strict=True)]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, [*first, *(name for name in rows[0] if name not in first)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return atomic_write(folder / "manifest.csv", text.getvalue())


@dataclass(frozen=True)
class Verification:
    """What a folder was found to hold, against its manifest."""

    images: int  # rows of the manifest
    problems: tuple[str, ...]  # files that are missing or changed, one line each
    stray: tuple[str, ...]  # image files without a row
    duplicates: tuple[tuple[str, str], ...]  # the same bytes in test and in what is trained on

    def __str__(self) -> str:
        found = [*self.problems, *(f"{name}: no row in manifest.csv" for name in self.stray)]
        found += [f"{test} is the same file as {train}" for test, train in self.duplicates]
        state = "not as manifest.csv says" if self.problems else "as manifest.csv says"
        return "\n  ".join([f"{self.images} images, {state}", *found])


def verify(folder: Path) -> Verification:
    """Check every file of a folder against its manifest.csv, and look for files that are in train and in test.

    Without a column sha256 only missing files are found, and duplicates all the same. A duplicate here has the same
    bytes; a picture that was saved twice has not.
    """
    from fgssl_edu.data.folder import read_manifest, stray_images  # brings torch along: not needed to download

    rows = read_manifest(folder)
    missing = [row["path"] for row in rows if not (folder / row["path"]).is_file()]
    gone = set(missing)
    there = [row for row in rows if row["path"] not in gone]
    sums = digests(folder, [row["path"] for row in there])
    problems = [f"{name}: missing" for name in missing]
    owner: dict[str, str] = {}
    for row, value in zip(there, sums, strict=True):
        if row.get("sha256", value) != value:
            problems.append(f"{row['path']}: changed (sha256 {value[:12]}... instead of {row['sha256'][:12]}...)")
        if row["split"] != "test":
            owner.setdefault(value, row["path"])
    tested = [(row["path"], owner.get(value)) for row, value in zip(there, sums, strict=True) if row["split"] == "test"]
    duplicates = tuple((test, train) for test, train in tested if train is not None)
    stray = stray_images(folder, {row["path"] for row in rows})
    return Verification(len(rows), tuple(problems), tuple(stray), duplicates)
