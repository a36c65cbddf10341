"""Downloads over bad connections and onto full disks."""

from __future__ import annotations

import errno
import hashlib
import random
import shutil
import socket

import pytest
from small_archives import inside

from fgssl_edu.data.fetch import downloads

CONTENT = random.Random(0).randbytes(300_000)
WRONG = "md5:" + "0" * 32


def test_a_file_is_fetched_checked_and_not_fetched_again(serve, tmp_path):
    served = serve(CONTENT)
    for _ in range(2):
        path = downloads.download(served.url, served.md5, tmp_path / "new", "archive.tgz")
        assert path == tmp_path / "new" / "archive.tgz" and path.read_bytes() == CONTENT
    assert len(served.asked) == 1 and inside(tmp_path) == ["new/archive.tgz"]


def test_a_broken_connection_is_taken_up_where_it_broke(serve, tmp_path):
    served = serve(CONTENT, cuts=[2 * downloads.CHUNK_BYTES, downloads.CHUNK_BYTES])
    assert downloads.download(served.url, served.md5, tmp_path, "archive.tgz").read_bytes() == CONTENT
    assert served.asked == ["", "bytes=131072-", "bytes=196608-"] and inside(tmp_path) == ["archive.tgz"]


def test_a_second_start_goes_on_with_what_had_arrived(serve, tmp_path):
    (tmp_path / "archive.tgz.part").write_bytes(CONTENT[:123_456])
    served = serve(CONTENT)
    assert downloads.download(served.url, served.md5, tmp_path, "archive.tgz").read_bytes() == CONTENT
    assert served.asked == ["bytes=123456-"] and inside(tmp_path) == ["archive.tgz"]


def test_a_part_that_was_whole_already_is_taken(serve, tmp_path):
    (tmp_path / "archive.tgz.part").write_bytes(CONTENT)
    served = serve(CONTENT)
    assert downloads.download(served.url, served.md5, tmp_path, "archive.tgz").read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_thrown_away(serve, tmp_path):
    (tmp_path / "archive.tgz.part").write_bytes(CONTENT + b"more")
    served = serve(CONTENT)
    assert downloads.download(served.url, served.md5, tmp_path, "archive.tgz").read_bytes() == CONTENT
    assert served.asked == ["bytes=300004-", ""]


def test_a_server_that_sends_no_parts_or_is_busy_is_asked_again(serve, tmp_path):
    served = serve(CONTENT, ranges=False, cuts=[downloads.CHUNK_BYTES], statuses=[503, 429])
    assert downloads.download(served.url, served.md5, tmp_path, "archive.tgz").read_bytes() == CONTENT
    assert served.asked == ["", "", "", "bytes=65536-"]


def test_a_server_that_breaks_off_again_and_again_leaves_the_part_to_go_on_with(serve, tmp_path):
    served = serve(CONTENT, cuts=[100_000] + [0] * downloads.ATTEMPTS)
    with pytest.raises(ConnectionError, match="0 MB have arrived and are kept: run the same command again"):
        downloads.download(served.url, served.md5, tmp_path, "archive.tgz")
    assert inside(tmp_path) == ["archive.tgz.part"]
    assert downloads.download(served.url, served.md5, tmp_path, "archive.tgz").read_bytes() == CONTENT


def test_a_missing_file_is_told_at_once_and_leaves_nothing(serve, tmp_path):
    served = serve(CONTENT, statuses=[404] * 3)
    with pytest.raises(ConnectionError, match="404.*archive.tgz"):
        downloads.download(served.url, served.md5, tmp_path, "archive.tgz")
    assert len(served.asked) == 1 and inside(tmp_path) == []


def test_a_server_that_is_not_there_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "WAIT_S", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as closed_soon:
        port = closed_soon.getsockname()[1]
    with pytest.raises(ConnectionError, match="name its folder with --from"):
        downloads.download(f"http://127.0.0.1:{port}/a.tgz", WRONG, tmp_path, "a.tgz")
    assert inside(tmp_path) == []


def test_without_a_network_one_try_and_a_few_words(tmp_path, monkeypatch):
    asked = []

    def nowhere(*address, **_):
        asked.append(address)
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    with pytest.raises(ConnectionError, match=r"a.tgz: there is no such host, or no network\. 0 MB"):
        downloads.download("http://nowhere.test/a.tgz", "", tmp_path, "a.tgz")
    assert len(asked) == 1


def test_a_wrong_checksum_leaves_nothing_and_says_what_to_do(serve, tmp_path):
    served = serve(CONTENT)
    with pytest.raises(ValueError, match="not the published file.*Run the same command again"):
        downloads.download(served.url, WRONG, tmp_path, "archive.tgz")
    assert inside(tmp_path) == []


def test_a_part_of_another_file_is_found_out_by_the_checksum(serve, tmp_path):
    (tmp_path / "archive.tgz.part").write_bytes(b"x" * 1000)
    served = serve(CONTENT)
    with pytest.raises(ValueError, match="starts afresh"):
        downloads.download(served.url, served.md5, tmp_path, "archive.tgz")
    assert downloads.download(served.url, served.md5, tmp_path, "archive.tgz").read_bytes() == CONTENT


def test_too_little_space_is_told_before_a_byte_is_written(serve, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 5, 1000))
    served = serve(CONTENT)
    with pytest.raises(ValueError, match="0.0 GB free.*FGSSL_HOME"):
        downloads.download(served.url, served.md5, tmp_path, "archive.tgz")
    assert inside(tmp_path) == []


def test_a_disk_that_fills_up_on_the_way_leaves_nothing(serve, tmp_path, monkeypatch):
    def full(*_: object) -> None:
        (tmp_path / "archive.tgz.part").write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(downloads.ResumingDownload, "_rest", full)
    with pytest.raises(ValueError, match="full.*Free some space"):
        downloads.download("http://127.0.0.1/archive.tgz", WRONG, tmp_path, "archive.tgz")
    assert inside(tmp_path) == []


@pytest.mark.parametrize("url", ["ftp://a.org/b.tgz", "file:///etc/passwd", "b.tgz", ""])
def test_an_address_of_another_kind_is_refused(url, tmp_path):
    with pytest.raises(ValueError, match="an http or https address"):
        downloads.download(url, WRONG, tmp_path, "b.tgz")


@pytest.mark.parametrize("kind", ["md5", "sha1", "sha256"])
def test_the_published_kinds_of_checksums_are_known(serve, tmp_path, kind):
    served = serve(CONTENT)
    right = f"{kind}:{hashlib.new(kind, CONTENT).hexdigest()}"
    assert downloads.download(served.url, right, tmp_path, "a.tgz").read_bytes() == CONTENT
    with pytest.raises(ValueError, match="not the published file"):
        downloads.download(served.url, right[:-1] + ("0" if right[-1] != "0" else "1"), tmp_path, "b.tgz")
    assert inside(tmp_path) == ["a.tgz"]


def test_without_a_checksum_whatever_comes_whole_is_taken(serve, tmp_path):
    served = serve(CONTENT, cuts=[70_000])
    assert downloads.download(served.url, "", tmp_path, "other name.tgz").read_bytes() == CONTENT
    assert inside(tmp_path) == ["other name.tgz"]
