"""A download that resumes and is checked.

pooch checks the sum and moves the file into place; it has no resume, so `ResumingDownload` gives it one.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
import urllib.parse
from pathlib import Path

CHUNK_BYTES = 1 << 16  # what a broken connection can lose
ATTEMPTS = 5  # in a row without a new byte, before giving up
WAIT_S = 2.0  # before the second attempt, doubled before each further one
TIMEOUT_S = (15, 60)  # to connect, and between two pieces of data
FULL = (errno.ENOSPC, errno.EDQUOT)
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
                        f"{url}: {_reason(error)}. {self._size() / 1e6:.0f} MB have arrived and are kept: run the same "
                        f"command again to go on; or get {self.part.stem} elsewhere and name its folder with --from"
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
            refuse_full_disk(self.part.parent, (total or 0) - start)
            bar = tqdm(total=total, initial=start, unit="B", unit_scale=True, desc=self.part.stem)
            with bar, self.part.open("ab" if start else "wb") as file:
                for chunk in answer.iter_content(CHUNK_BYTES):
                    file.write(chunk)
                    bar.update(len(chunk))
        if total is not None and self._size() < total:
            raise requests.ConnectionError(f"the connection broke off after {self._size()} of {total} bytes")


def _passing(error: Exception) -> bool:
    """Whether trying again may help: not where there is no such host, or the server says that there is no such file."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return not _nowhere(error) and (status is None or status >= 500 or status == 429)


def _nowhere(error: Exception) -> bool:
    """Whether a host's name leads nowhere: mostly there is no network."""
    return type(_cause(error)).__name__ == "NameResolutionError"


def _reason(error: Exception) -> str:
    """What went wrong, in a few words: urllib3's own text is a line of Python objects."""
    cause = _cause(error)
    if cause is None:
        return str(error)
    return "there is no such host, or no network" if _nowhere(error) else f"no answer ({type(cause).__name__})"


def _cause(error: Exception) -> object:
    """What urllib3 gives as the reason of a connection that did not come about; None of other errors."""
    return getattr(error.args[0] if error.args else None, "reason", None)


def refuse_full_disk(folder: Path, needed_bytes: int) -> None:
    """ValueError where the disk of a folder has less than `needed_bytes` left."""
    free = shutil.disk_usage(folder).free
    if needed_bytes > free:
        raise ValueError(f"{folder} has {free / 1e9:.1f} GB free, {needed_bytes / 1e9:.1f} GB are needed. {FREE_SPACE}")


def download(url: str, checksum: str, folder: Path, name: str) -> Path:
    """Fetch a file unless it is there already with the right checksum.

    Args:
        url: http or https.
        checksum: as published, "md5:", "sha1:" or "sha256:" and hex digits; "" where nothing is published.
        folder: where the file is put.
        name: of the file.

    Returns:
        The file, whose checksum has been verified. A wrong one is deleted and raises ValueError.
    """
    import pooch

    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise ValueError(f"url={url!r}: an http or https address is needed")
    folder.mkdir(parents=True, exist_ok=True)
    pooch.get_logger().setLevel("WARNING")  # the progress bar tells what happens
    downloader = ResumingDownload(folder / f"{name}.part")
    try:
        return Path(pooch.retrieve(url, checksum or None, fname=name, path=folder, downloader=downloader))
    except ValueError as error:
        if "known hash" not in str(error):
            raise
        raise ValueError(
            f"{name} from {url} is not the published file ({error}); it was deleted. Run the same command again: it "
            "starts afresh. If the checksum is wrong again, the file on the server has changed: do not use it"
        ) from error
