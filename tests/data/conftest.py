"""A server on this machine that behaves well or badly, as a test wants."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from fine_grained_archives import Small
from small_archives import data_script

from fgssl_edu.data import sources

Ready = Callable[..., tuple[Callable[[], Path], dict]]


@dataclass
class Served:
    """One file behind an address, and what was asked of it."""

    content: bytes
    name: str = "archive.tgz"
    ranges: bool = True  # whether it can send a part
    cuts: list[int] = field(default_factory=list)  # after how many bytes the next answers break off
    statuses: list[int] = field(default_factory=list)  # of the next answers, instead of the file
    holds: list[int] = field(default_factory=list)  # after how many bytes the next answers stop until the asker is gone
    asked: list[str] = field(default_factory=list)  # the Range header of each request
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/files/{self.name}?download=1"

    @property
    def md5(self) -> str:
        return f"md5:{hashlib.md5(self.content).hexdigest()}"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        wanted = handler.headers.get("Range", "")
        self.asked.append(wanted)
        match = re.fullmatch(r"bytes=(\d+)-", wanted) if self.ranges else None
        start, total = int(match[1]) if match else 0, len(self.content)
        status = self.statuses.pop(0) if self.statuses else 416 if match and start >= total else 206 if match else 200
        body = b"" if status >= 400 else self.content[start:]
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        if status in (206, 416):
            handler.send_header(
                "Content-Range", f"bytes {start}-{total - 1}/{total}" if status == 206 else f"bytes */{total}"
            )
        handler.end_headers()
        if self.holds:
            handler.wfile.write(body[: self.holds.pop(0)])
            with contextlib.suppress(ConnectionError):
                handler.connection.recv(1)
            return
        handler.wfile.write(body[: self.cuts.pop(0)] if self.cuts and body else body)
        handler.close_connection = True


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Served]]:
    """`serve(content, ...)` puts a file on 127.0.0.1; downloads do not wait between attempts."""
    monkeypatch.setattr("fgssl_edu.data.fetch.downloads.WAIT_S", 0.0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    servers: list[tuple[ThreadingHTTPServer, threading.Thread]] = []

    def start(content: bytes, **behaviour: object) -> Served:
        served = Served(content, **behaviour)  # type: ignore[arg-type]

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                served.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        served.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((server, thread))
        return served

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def publish(
    serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., dict[str, Served]]:
    """`publish(name, {file: content}, train=3)`: the table of sources, with small archives in the place of the real.

    Addresses, sizes and checksums become those of the archives, of the kind that the table has; where the real table
    knows no size or no checksum, so does this one. What else is named replaces what is said of the set.
    """

    def start(name: str, files: dict[str, bytes], **changes: object) -> dict[str, Served]:
        with sources.table_path().open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        own = [row for row in rows if row["name"] == name]
        own[0].update({key: str(value) for key, value in changes.items()})
        served = {}
        for row in own:
            if (content := files.get(row["file"])) is None:
                continue
            kind = row["checksum"].partition(":")[0]
            row["checksum"] = f"{kind}:{hashlib.new(kind, content).hexdigest()}" if kind else ""
            row["bytes"] = str(len(content)) if row["bytes"].isdecimal() else row["bytes"]
            if row["how"] == sources.DOWNLOAD:
                served[row["file"]] = serve(content, name=row["file"])
                row["url"] = served[row["file"]].url
        table = tmp_path_factory.mktemp("table") / "sources.csv"
        with table.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
        monkeypatch.setattr(sources, "table_path", lambda: table)
        return served

    return start


@pytest.fixture
def ready(publish: Callable[..., dict[str, Served]], tmp_path: Path) -> Ready:
    """`ready(name, small)`: its archives are published, those for the user to fetch lie in a folder of his."""

    def start(name: str, small: Small, **changes: object) -> tuple[Callable[[], Path], dict]:
        name = name.split()[0]
        served = publish(name, dict(small.files), **{**small.sizes(), **changes})
        mine = tmp_path / "mine"
        mine.mkdir()
        for file in small.files.keys() - served.keys():
            (mine / file).write_bytes(small.files[file])
        script = data_script(name)
        return lambda: script.main(given=mine), served

    return start
