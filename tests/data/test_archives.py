"""Hostile and damaged archives, tar and zip, and folders that appear whole or not at all."""

from __future__ import annotations

import errno
import io
import os
import random
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from small_archives import inside

from fgssl_edu.data.fetch import archives
from fgssl_edu.data.fetch.archives import staging, unpack

Entries = list[tuple[str, bytes, int]]  # name, content, Unix file type
FILE, LINK, FOLDER = stat.S_IFREG, stat.S_IFLNK, stat.S_IFDIR
TAR_TYPES = {
    FILE: tarfile.REGTYPE,
    FOLDER: tarfile.DIRTYPE,
    LINK: tarfile.SYMTYPE,
    stat.S_IFCHR: tarfile.CHRTYPE,
    stat.S_IFBLK: tarfile.BLKTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
}


def tar(path: Path, entries: Entries, mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content, kind in entries:
            info = tarfile.TarInfo(name)
            info.type = TAR_TYPES[kind]
            info.size, info.linkname = (0, content.decode()) if kind == LINK else (len(content), "")
            archive.addfile(info, io.BytesIO(content))
    return path


def plain_tar(path: Path, entries: Entries) -> Path:
    return tar(path, entries, "w")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def zipped(path: Path, entries: Entries) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content, kind in entries:
            info = zipfile.ZipInfo("x")
            info.filename = info.orig_filename = name + ("/" if kind == FOLDER else "")
            info.external_attr, info.compress_type = (kind | 0o644) << 16, zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return path


MAKERS: list[Callable[[Path, Entries], Path]] = [tar, plain_tar, zipped]
made_by = pytest.mark.parametrize("make", MAKERS, ids=["tgz", "tar", "zip"])
duplicates = pytest.mark.filterwarnings("ignore:Duplicate name")  # zipfile warns of what these tests do on purpose


@made_by
def test_what_lies_below_the_top_folder_is_unpacked(tmp_path, make):
    entries = [
        ("set", b"", FOLDER),
        ("./set/a/b.txt", b"B", FILE),
        ("set/ünï.txt", b"U", FILE),
        ("outside.txt", b"O", FILE),
        ("settle/c", b"C", FILE),
        ("set/__MACOSX/a/._b.txt", b"M", FILE),
        ("set/a/b_mask.png", b"P", FILE),
    ]
    archive = make(tmp_path / "x", entries)
    for folder in ("goal", "all", "deep"):
        (tmp_path / folder).mkdir()
    assert unpack(archive, tmp_path / "goal", "set", without="*_mask.png") == 2
    assert inside(tmp_path / "goal") == ["a/b.txt", "ünï.txt"] and (tmp_path / "goal/a/b.txt").read_text() == "B"
    assert unpack(archive, tmp_path / "all") == 5
    assert "outside.txt" in inside(tmp_path / "all") and "set/a/b.txt" in inside(tmp_path / "all")
    assert unpack(archive, tmp_path / "deep", "set/a") == 2 and inside(tmp_path / "deep") == ["b.txt", "b_mask.png"]


@made_by
def test_several_archives_share_a_folder(tmp_path, make):
    (goal := tmp_path / "goal").mkdir()
    unpack(make(tmp_path / "1", [("images/a.jpg", b"A", FILE)]), goal)
    unpack(make(tmp_path / "2", [("lists/a.txt", b"L", FILE)]), goal)
    assert inside(goal) == ["images/a.jpg", "lists/a.txt"]
    with pytest.raises(ValueError, match="3: holds images/a.jpg twice"):
        unpack(make(tmp_path / "3", [("images/a.jpg", b"B", FILE)]), goal)
    assert (goal / "images/a.jpg").read_bytes() == b"A"


HOSTILE = {
    "parent": ("set/../../evil.txt", FILE, "points out"),
    "absolute": ("/tmp/evil.txt", FILE, "points out"),
    "windows": ("set\\..\\evil.txt", FILE, "points out"),
    "drive": ("C:/evil.txt", FILE, "points out"),
    "share": ("\\\\server\\evil.txt", FILE, "points out"),
    "newline": ("set/evil\n.txt", FILE, "points out"),
    "link out": ("set/link", LINK, "a link or a device"),
    "link outside of the top folder": ("link", LINK, "a link or a device"),
    "device": ("set/null", stat.S_IFCHR, "a link or a device"),
    "block device": ("set/disk", stat.S_IFBLK, "a link or a device"),
    "pipe": ("set/pipe", stat.S_IFIFO, "a link or a device"),
    "twice": ("set/good.txt", FILE, "twice"),
    "capitals": ("set/Good.TXT", FILE, "twice"),
    "twice, in other words": ("set/./good.txt", FILE, "twice"),
    "below a file": ("set/good.txt/evil.txt", FILE, "twice"),
    "top is a file": ("set", FILE, "twice"),
}


@made_by
@duplicates
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused_and_leaves_nothing(tmp_path, name, make):
    member, kind, message = HOSTILE[name]
    content = b"/etc/passwd" if kind == LINK else b""
    archive = make(tmp_path / "x", [("set/good.txt", b"good", FILE), (member, content, kind)])
    with pytest.raises(ValueError, match=message), staging(tmp_path / "goal") as stage:
        unpack(archive, stage, "set")
    assert inside(tmp_path) == ["x"] and not (tmp_path / "goal").exists() and not Path("/tmp/evil.txt").exists()


def test_a_hard_link_is_refused(tmp_path):
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        info = tarfile.TarInfo("set/hard")
        info.type, info.linkname = tarfile.LNKTYPE, "../../secret"
        archive.addfile(info)
    with pytest.raises(ValueError, match="a link or a device"), staging(tmp_path / "goal") as stage:
        unpack(tmp_path / "x.tar", stage)


def test_an_encrypted_archive_is_refused(tmp_path):
    archive = zipped(tmp_path / "x.zip", [("a", b"secret", FILE)])
    content = bytearray(archive.read_bytes())
    content[6] |= 1  # the flags of the local header, and of the directory at the end
    content[content.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(content)
    with pytest.raises(ValueError, match="a is encrypted"), staging(tmp_path / "goal") as stage:
        unpack(archive, stage)


@made_by
def test_a_bomb_is_refused_by_what_it_declares(tmp_path, monkeypatch, make):
    monkeypatch.setattr(archives, "SMALL_BYTES", 1_000_000)
    monkeypatch.setattr(shutil, "copyfileobj", lambda *_: pytest.fail("something was unpacked"))
    archive = make(tmp_path / "x", [("set/zeros", bytes(5_000_000), FILE)])
    if make is plain_tar:  # not compressed: no bomb
        return
    assert archive.stat().st_size < 10_000
    with pytest.raises(ValueError, match="more than 0.001 GB"), staging(tmp_path / "goal") as stage:
        unpack(archive, stage, "set")
    assert inside(tmp_path) == ["x"]


def test_a_zip_that_declares_less_than_it_holds_is_refused(tmp_path):
    archive = zipped(tmp_path / "x.zip", [("zeros", bytes(100_000), FILE)])
    content = archive.read_bytes().replace((100_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    archive.write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.zip: damaged"), staging(tmp_path / "goal") as stage:
        unpack(archive, stage)
    assert inside(tmp_path) == ["x.zip"]


@made_by
def test_a_bomb_of_many_files_is_refused(tmp_path, monkeypatch, make):
    monkeypatch.setattr(archives, "MAX_FILES", 10)
    archive = make(tmp_path / "x", [(f"set/{i}", b"", FILE) for i in range(11)])
    with pytest.raises(ValueError, match="or 10 files"), staging(tmp_path / "goal") as stage:
        unpack(archive, stage, "set")


@made_by
@pytest.mark.parametrize("damage", ["cut", "text", "empty", "elsewhere", "flipped"])
def test_a_damaged_or_foreign_archive_is_refused(tmp_path, damage, make):
    archive = make(tmp_path / "x", [("set/a", random.Random(0).randbytes(50_000), FILE)])
    whole = archive.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    content = {"cut": whole[:20_000], "text": b"not an archive", "empty": b"", "elsewhere": whole, "flipped": flipped}
    archive.write_bytes(content[damage])
    if damage == "flipped" and make is plain_tar:  # has no checksum of its own: the published one finds it
        return
    with pytest.raises(ValueError, match="^x: "), staging(tmp_path / "goal") as stage:
        unpack(archive, stage, "other" if damage == "elsewhere" else "set")
    assert inside(tmp_path) == ["x"]


# ---- full disks


@made_by
@pytest.mark.parametrize("free", [100, 60_000])  # less than the archive; more than that, less than what is in it
def test_too_little_space_is_told_before_it_is_used_up(tmp_path, monkeypatch, make, free):
    archive = make(tmp_path / "x", [(f"{i}", random.Random(i).randbytes(20_000), FILE) for i in range(5)])
    if make is plain_tar or free == 60_000:
        monkeypatch.setattr(archives, "refuse_full_disk", lambda *_: None)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**6, 0, free))
    with pytest.raises(ValueError, match="Free some space, or set FGSSL_HOME"), staging(tmp_path / "goal") as stage:
        unpack(archive, stage)
    assert inside(tmp_path) == ["x"]


@made_by
def test_a_disk_that_fills_up_while_unpacking_leaves_nothing(tmp_path, monkeypatch, make):
    archive = make(tmp_path / "x", [("a", b"A", FILE), ("b", b"B", FILE)])
    copy = shutil.copyfileobj

    def full(source, file, length):
        if Path(file.name).name == "b":
            raise OSError(errno.ENOSPC, "No space left on device")
        copy(source, file, length)

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(ValueError, match="full; nothing was left.*FGSSL_HOME"), staging(tmp_path / "goal") as stage:
        unpack(archive, stage)
    assert inside(tmp_path) == ["x"]


# ---- staging


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    with staging(tmp_path / "goal") as stage:
        (stage / "a").write_text("a")
        assert not (tmp_path / "goal").exists()
    assert inside(tmp_path) == ["goal/a"]
    with pytest.raises(KeyboardInterrupt), staging(tmp_path / "other") as stage:
        (stage / "a").write_text("a")
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == ["goal"]


def test_what_a_killed_process_left_is_cleared_away(tmp_path):
    (tmp_path / ".goal.partial").mkdir()
    (tmp_path / ".goal.partial" / "old").write_text("old")
    with staging(tmp_path / "goal") as stage:
        (stage / "new").write_text("new")
    assert inside(tmp_path) == ["goal/new"]


def test_a_full_disk_leaves_nothing_and_says_what_to_do(tmp_path):
    with (
        pytest.raises(ValueError, match="full; nothing was left.*FGSSL_HOME"),
        staging(tmp_path / "goal") as stage,
    ):
        (stage / "a").write_text("a")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_in_the_way_is_not_touched(tmp_path):
    (tmp_path / "goal").mkdir()
    (tmp_path / "goal" / "mine").write_text("mine")
    with pytest.raises(ValueError, match="in the way: move it"), staging(tmp_path / "goal"):
        pass
    assert inside(tmp_path) == ["goal/mine"]
