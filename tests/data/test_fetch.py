"""Downloads over bad connections, hostile archives, full disks, and what a manifest proves."""

from __future__ import annotations

import errno
import io
import os
import random
import shutil
import socket
import tarfile
from pathlib import Path

import pytest

from fgssl_edu.data import fetch

CONTENT = random.Random(0).randbytes(300_000)


def inside(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


# ---- downloads


def test_a_file_is_fetched_checked_and_not_fetched_again(serve, tmp_path):
    served = serve(CONTENT)
    for _ in range(2):
        path = fetch.download(served.url, served.md5, tmp_path / "new")
        assert path == tmp_path / "new" / "archive.tgz" and path.read_bytes() == CONTENT
    assert len(served.asked) == 1 and inside(tmp_path) == ["new/archive.tgz"]


def test_a_broken_connection_is_taken_up_where_it_broke(serve, tmp_path):
    served = serve(CONTENT, cuts=[2 * fetch.CHUNK_BYTES, fetch.CHUNK_BYTES])
    assert fetch.download(served.url, served.md5, tmp_path).read_bytes() == CONTENT
    assert served.asked == ["", "bytes=131072-", "bytes=196608-"] and inside(tmp_path) == ["archive.tgz"]


def test_a_second_start_goes_on_with_what_had_arrived(serve, tmp_path):
    (tmp_path / "archive.tgz.part").write_bytes(CONTENT[:123_456])
    served = serve(CONTENT)
    assert fetch.download(served.url, served.md5, tmp_path).read_bytes() == CONTENT
    assert served.asked == ["bytes=123456-"] and inside(tmp_path) == ["archive.tgz"]


def test_a_part_that_was_whole_already_is_taken(serve, tmp_path):
    (tmp_path / "archive.tgz.part").write_bytes(CONTENT)
    served = serve(CONTENT)
    assert fetch.download(served.url, served.md5, tmp_path).read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_thrown_away(serve, tmp_path):
    (tmp_path / "archive.tgz.part").write_bytes(CONTENT + b"more")
    served = serve(CONTENT)
    assert fetch.download(served.url, served.md5, tmp_path).read_bytes() == CONTENT
    assert served.asked == ["bytes=300004-", ""]


def test_a_server_that_sends_no_parts_or_is_busy_is_asked_again(serve, tmp_path):
    served = serve(CONTENT, ranges=False, cuts=[fetch.CHUNK_BYTES], statuses=[503, 429])
    assert fetch.download(served.url, served.md5, tmp_path).read_bytes() == CONTENT
    assert served.asked == ["", "", "", "bytes=65536-"]


def test_a_server_that_breaks_off_again_and_again_leaves_the_part_to_go_on_with(serve, tmp_path):
    served = serve(CONTENT, cuts=[100_000] + [0] * fetch.ATTEMPTS)
    with pytest.raises(ConnectionError, match="0 MB have arrived and are kept: run the same command again"):
        fetch.download(served.url, served.md5, tmp_path)
    assert inside(tmp_path) == ["archive.tgz.part"]
    assert fetch.download(served.url, served.md5, tmp_path).read_bytes() == CONTENT


def test_a_missing_file_is_told_at_once_and_leaves_nothing(serve, tmp_path):
    served = serve(CONTENT, statuses=[404] * 3)
    with pytest.raises(ConnectionError, match="404.*archive.tgz"):
        fetch.download(served.url, served.md5, tmp_path)
    assert len(served.asked) == 1 and inside(tmp_path) == []


def test_a_server_that_is_not_there_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "WAIT_S", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as closed_soon:
        port = closed_soon.getsockname()[1]
    with pytest.raises(ConnectionError, match="put the file beside"):
        fetch.download(f"http://127.0.0.1:{port}/a.tgz", "0" * 32, tmp_path)
    assert inside(tmp_path) == []


def test_a_wrong_checksum_leaves_nothing_and_says_what_to_do(serve, tmp_path):
    served = serve(CONTENT)
    with pytest.raises(ValueError, match="not the published file.*Run the same command again"):
        fetch.download(served.url, "0" * 32, tmp_path)
    assert inside(tmp_path) == []


def test_a_part_of_another_file_is_found_out_by_the_checksum(serve, tmp_path):
    (tmp_path / "archive.tgz.part").write_bytes(b"x" * 1000)
    served = serve(CONTENT)
    with pytest.raises(ValueError, match="starts afresh"):
        fetch.download(served.url, served.md5, tmp_path)
    assert fetch.download(served.url, served.md5, tmp_path).read_bytes() == CONTENT


def test_too_little_space_is_told_before_a_byte_is_written(serve, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 5, 1000))
    served = serve(CONTENT)
    with pytest.raises(ValueError, match="0.0 GB free.*FGSSL_HOME"):
        fetch.download(served.url, served.md5, tmp_path)
    assert inside(tmp_path) == []


def test_a_disk_that_fills_up_on_the_way_leaves_nothing(serve, tmp_path, monkeypatch):
    def full(*_: object) -> None:
        (tmp_path / "archive.tgz.part").write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fetch.ResumingDownload, "_rest", full)
    with pytest.raises(ValueError, match="full.*Free some space"):
        fetch.download("http://127.0.0.1/archive.tgz", "0" * 32, tmp_path)
    assert inside(tmp_path) == []


@pytest.mark.parametrize("url", ["ftp://a.org/b.tgz", "file:///etc/passwd", "http://a.org/", "b.tgz"])
def test_an_address_without_a_file_is_refused(url, tmp_path):
    with pytest.raises(ValueError, match="an http or https address"):
        fetch.download(url, "0" * 32, tmp_path)


# ---- archives


def tar(path: Path, members: list[tuple[str | tarfile.TarInfo, bytes]], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:
        for member, content in members:
            info = tarfile.TarInfo(member) if isinstance(member, str) else member
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def test_what_lies_below_the_top_folder_is_unpacked(tmp_path):
    members = [
        (special("set", tarfile.DIRTYPE), b""),
        ("./set/a/b.txt", b"B"),
        ("set/ünï.txt", b"U"),
        ("outside.txt", b"O"),
        ("settle/c", b"C"),
    ]
    (goal := tmp_path / "goal").mkdir()
    assert fetch.unpack(tar(tmp_path / "x.tgz", members), goal, "set", limit_bytes=100) == 2
    assert inside(goal) == ["a/b.txt", "ünï.txt"] and (goal / "a/b.txt").read_text() == "B"


HOSTILE = {
    "parent": ("set/../../evil.txt", "points out"),
    "absolute": ("/tmp/evil.txt", "points out"),
    "windows": ("set\\..\\evil.txt", "points out"),
    "drive": ("C:/evil.txt", "points out"),
    "link out": (special("set/link", tarfile.SYMTYPE, "/etc"), "a link or a device"),
    "link": (special("set/link", tarfile.SYMTYPE, "good.txt"), "a link or a device"),
    "hard link": (special("set/hard", tarfile.LNKTYPE, "../../secret"), "a link or a device"),
    "device": (special("set/null", tarfile.CHRTYPE), "a link or a device"),
    "block device": (special("set/disk", tarfile.BLKTYPE), "a link or a device"),
    "pipe": (special("set/pipe", tarfile.FIFOTYPE), "a link or a device"),
    "twice": ("set/good.txt", "twice"),
    "below a file": ("set/good.txt/evil.txt", "twice"),
    "top is a file": ("set", "twice"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused_and_leaves_nothing(tmp_path, name):
    member, message = HOSTILE[name]
    archive = tar(tmp_path / "x.tgz", [("set/good.txt", b"good"), (member, b"")])
    with pytest.raises(ValueError, match=message), fetch.staging(tmp_path / "goal") as stage:
        fetch.unpack(archive, stage, "set", limit_bytes=1000)
    assert inside(tmp_path) == ["x.tgz"] and not (tmp_path / "goal").exists() and not Path("/tmp/evil.txt").exists()


def test_a_bomb_is_refused_by_what_it_declares(tmp_path):
    archive = tar(tmp_path / "x.tgz", [("set/zeros", bytes(5_000_000))])
    assert archive.stat().st_size < 10_000
    with pytest.raises(ValueError, match="more than 0.001 GB"), fetch.staging(tmp_path / "goal") as stage:
        fetch.unpack(archive, stage, "set", limit_bytes=1_000_000)
    assert inside(tmp_path) == ["x.tgz"]


def test_a_bomb_of_many_files_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "MAX_FILES", 10)
    archive = tar(tmp_path / "x.tgz", [(f"set/{i}", b"") for i in range(11)])
    with pytest.raises(ValueError, match="or 10 files"), fetch.staging(tmp_path / "goal") as stage:
        fetch.unpack(archive, stage, "set", limit_bytes=1000)


@pytest.mark.parametrize("damage", ["cut", "text", "empty", "elsewhere"])
def test_a_damaged_or_foreign_archive_is_refused(tmp_path, damage):
    archive = tar(tmp_path / "x.tgz", [("set/a", random.Random(0).randbytes(5000))])
    whole = archive.read_bytes()
    content = {"cut": whole[:2000], "text": b"not an archive", "empty": b"", "elsewhere": whole}[damage]
    archive.write_bytes(content)
    with pytest.raises(ValueError, match=r"^x\.tgz: "), fetch.staging(tmp_path / "goal") as stage:
        fetch.unpack(archive, stage, "other" if damage == "elsewhere" else "set", limit_bytes=10_000)
    assert inside(tmp_path) == ["x.tgz"]


# ---- staging


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    with fetch.staging(tmp_path / "goal") as stage:
        (stage / "a").write_text("a")
        assert not (tmp_path / "goal").exists()
    assert inside(tmp_path) == ["goal/a"]
    with pytest.raises(KeyboardInterrupt), fetch.staging(tmp_path / "other") as stage:
        (stage / "a").write_text("a")
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == ["goal"]


def test_what_a_killed_process_left_is_cleared_away(tmp_path):
    (tmp_path / ".goal.partial").mkdir()
    (tmp_path / ".goal.partial" / "old").write_text("old")
    with fetch.staging(tmp_path / "goal") as stage:
        (stage / "new").write_text("new")
    assert inside(tmp_path) == ["goal/new"]


def test_a_full_disk_leaves_nothing_and_says_what_to_do(tmp_path):
    with (
        pytest.raises(ValueError, match="full; nothing was left.*FGSSL_HOME"),
        fetch.staging(tmp_path / "goal") as stage,
    ):
        (stage / "a").write_text("a")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_in_the_way_is_not_touched(tmp_path):
    (tmp_path / "goal").mkdir()
    (tmp_path / "goal" / "mine").write_text("mine")
    with pytest.raises(ValueError, match="in the way: move it"), fetch.staging(tmp_path / "goal"):
        pass
    assert inside(tmp_path) == ["goal/mine"]


# ---- manifests


def listed(folder: Path) -> Path:
    rows = []
    for name, split in (("a.png", "train"), ("b.png", "train"), ("c.png", "test"), ("d.png", "test")):
        (folder / name).write_bytes(name.encode())
        rows.append({"path": name, "label": "x, y", "split": split, "box_x": 1.5})
    fetch.write_manifest(folder, rows)
    return folder


def test_a_manifest_that_was_just_written_verifies(tmp_path):
    found = fetch.verify(listed(tmp_path))
    assert found == fetch.Verification(4, (), (), ()) and str(found) == "4 images, as manifest.csv says"
    assert (tmp_path / "manifest.csv").read_text().splitlines()[0] == "path,label,split,sha256,box_x"


def test_missing_changed_and_stray_files_are_named(tmp_path):
    listed(tmp_path)
    (tmp_path / "a.png").unlink()
    (tmp_path / "c.png").write_bytes(b"C.png")
    (tmp_path / "e.jpg").write_bytes(b"e")
    found = fetch.verify(tmp_path)
    assert (
        found.problems[0] == "a.png: missing"
        and found.problems[1].startswith("c.png: changed")
        and len(found.problems) == 2
    )
    assert found.stray == ("e.jpg",) and "not as manifest.csv says" in str(found)


def test_a_folder_without_a_manifest_cannot_be_verified(tmp_path):
    with pytest.raises(ValueError, match="manifest.csv does not exist"):
        fetch.verify(tmp_path / "nowhere")


def test_the_same_picture_in_train_and_test_is_reported(tmp_path):
    listed(tmp_path)
    (tmp_path / "d.png").write_bytes((tmp_path / "b.png").read_bytes())
    assert fetch.verify(tmp_path).duplicates == (("d.png", "b.png"),)


@pytest.mark.parametrize(("name", "images"), [("birds", 2313), ("flowers", 900), ("signs", 3612), ("single", 4)])
def test_real_photographs_are_as_their_manifests_say(photographs, name, images):
    assert fetch.verify(photographs / name) == fetch.Verification(images, (), (), ())
