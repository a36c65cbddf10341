"""What all data scripts share: from a name to a folder with a manifest, or to nothing and a reason."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from small_archives import inside, picture, rows_of, zip_file

from fgssl_edu.data import fetch, sources
from fgssl_edu.paths import data_dir

TABLE = """name,kind,title,way,how,file,url,bytes,checksum,classes,train,test,unlabelled,licence,terms,citation,remark
toys,open,Toys,,download,toys.zip,x,1,md5:0,2,2,1,,free,for play,,
"""
FILES = {f"{label}/{split}.png": picture(i, kind="png") for i, (label, split) in enumerate(["ax", "ay", "bx"])}


def assemble(folder: Path, archives: Mapping[str, Path]) -> list[dict[str, object]]:
    fetch.unpack(archives["toys.zip"], folder)
    split = {"ax": "train", "ay": "test", "bx": "train"}
    return [
        {"path": f"{key[0]}/{key[1]}.png", "label": key[0], "split": value, "note": key} for key, value in split.items()
    ]


@pytest.fixture
def toys(publish, monkeypatch, tmp_path_factory):
    """`toys(files)`: publish a data set of three pictures."""
    table = tmp_path_factory.mktemp("toys") / "sources.csv"
    table.write_text(TABLE)
    monkeypatch.setattr(sources, "table_path", lambda: table)
    return lambda files=FILES: publish("toys", {"toys.zip": zip_file(files)})["toys.zip"]


def test_a_name_becomes_a_folder_and_pictures_without_a_row_are_not_kept(toys):
    toys({**FILES, "masks/ax.png": b"mask", "README": b"read me"})
    folder = fetch.build("toys", assemble)
    assert folder == data_dir() / "toys"
    assert inside(data_dir()) == [
        f"toys/{name}" for name in ("README", "a/x.png", "a/y.png", "b/x.png", "manifest.csv")
    ]
    row = rows_of(folder)[1]
    assert row == {
        "path": "a/y.png",
        "label": "a",
        "split": "test",
        "sha256": hashlib.sha256(FILES["a/y.png"]).hexdigest(),
        "note": "ay",
    }


def test_a_second_run_does_nothing(toys):
    served = toys()
    folder = fetch.build("toys", assemble)
    stamp = (folder / "manifest.csv").stat().st_mtime_ns
    assert fetch.build("toys", assemble) == folder
    assert len(served.asked) == 1 and (folder / "manifest.csv").stat().st_mtime_ns == stamp


def test_a_download_that_was_stopped_goes_on(toys, tmp_path, monkeypatch):
    monkeypatch.setattr("fgssl_edu.data.fetch.downloads.CHUNK_BYTES", 100)
    served = toys()
    served.cuts = [200] + [0] * 5
    with pytest.raises(ConnectionError, match="run the same command again"):
        fetch.build("toys", assemble, tmp_path / "toys")
    assert inside(tmp_path) == ["toys.archives/toys.zip.part"]
    fetch.build("toys", assemble, tmp_path / "toys")
    assert served.asked[-1] == "bytes=200-" and [path.name for path in tmp_path.iterdir()] == ["toys"]


GET = """
import sys
from pathlib import Path
import tqdm
from fgssl_edu.data import fetch, sources

class Told(tqdm.tqdm):
    def update(self, count):  # called when a piece is in the file
        print("piece", flush=True)

def assemble(folder, archives):
    fetch.unpack(archives["toys.zip"], folder)
    split = {"ax": "train", "ay": "test", "bx": "train"}
    return [{"path": f"{k[0]}/{k[1]}.png", "label": k[0], "split": v} for k, v in split.items()]

tqdm.tqdm = Told
sources.table_path = lambda: Path(sys.argv[1])
print(fetch.build("toys", assemble, sys.argv[2]))
"""


def test_a_process_that_is_killed_in_the_middle_of_a_download_is_gone_on_with(toys, tmp_path):
    served = toys({**FILES, "more": random.Random(0).randbytes(2**20)})
    served.holds = [2**19]
    command = [sys.executable, "-c", GET, str(sources.table_path()), str(tmp_path / "toys")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert [process.stdout.readline() for _ in range(3)] == ["piece\n"] * 3
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL and not (tmp_path / "toys").exists()
    arrived = (tmp_path / "toys.archives" / "toys.zip.part").stat().st_size
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == str(tmp_path / "toys") and len(rows_of(tmp_path / "toys")) == 3
    assert 3 * 2**16 <= arrived <= 2**19 and served.asked == ["", f"bytes={arrived}-"]
    assert [path.name for path in tmp_path.iterdir()] == ["toys"]


def test_what_fails_after_the_download_needs_no_second_one(toys, tmp_path, monkeypatch):
    served = toys()

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("fgssl_edu.data.fetch.script.write_manifest", stopped)
        fetch.build("toys", assemble, tmp_path / "toys")
    assert inside(tmp_path) == ["toys.archives/toys.zip"]
    fetch.build("toys", assemble, tmp_path / "toys")
    assert len(served.asked) == 1 and [path.name for path in tmp_path.iterdir()] == ["toys"]


def test_a_wrong_checksum_leaves_nothing(toys, tmp_path):
    served = toys()
    served.content = zip_file({**FILES, "a/y.png": FILES["a/x.png"]})
    with pytest.raises(ValueError, match="not the published file"):
        fetch.build("toys", assemble, tmp_path / "toys")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", ["copyfileobj", "digests"])
def test_a_full_disk_leaves_nothing_but_the_archive(toys, tmp_path, monkeypatch, step):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    toys()
    monkeypatch.setattr(*{"copyfileobj": (shutil, step), "digests": ("fgssl_edu.data.manifest.digests",)}[step], full)
    with pytest.raises(ValueError, match="disk.*full.*Free some space"):
        fetch.build("toys", assemble, tmp_path / "toys")
    assert inside(tmp_path) == ["toys.archives/toys.zip"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a/x.png": b"x"}, "toys: its lists name files that are missing: a/y.png, b/x.png"),
        ({"c": b""}, "a/x.png, a/y.png, b/x.png. Not the published archives, or not all of them"),
    ],
)
def test_a_missing_file_leaves_no_folder(toys, tmp_path, files, message):
    toys(files)
    with pytest.raises(ValueError, match=message):
        fetch.build("toys", assemble, tmp_path / "toys")
    assert not (tmp_path / "toys").exists()


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"split": "train"}, "3 train, 2 classes were found, 2 train, 1 test, 2 classes are published"),
        ({"label": "c"}, "2 train, 1 test, 1 classes were found"),
        ({"label": ""}, "2 train, 1 test, 0 classes were found"),
    ],
)
def test_other_numbers_than_the_published_are_refused(toys, tmp_path, change, found):
    toys()
    with pytest.raises(ValueError, match=found):
        fetch.build("toys", lambda *words: [{**row, **change} for row in assemble(*words)], tmp_path / "toys")
    assert not (tmp_path / "toys").exists()


def test_a_folder_of_ones_own_is_not_overwritten_and_nothing_is_downloaded(toys, tmp_path):
    (tmp_path / "toys").mkdir()
    (tmp_path / "toys" / "mine.txt").write_text("mine")
    served = toys()
    with pytest.raises(ValueError, match="in the way"):
        fetch.build("toys", assemble, tmp_path / "toys")
    assert served.asked == [] and inside(tmp_path) == ["toys/mine.txt"]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (KeyError("a.jpg"), r"toys: its lists are not as they were published \(KeyError\('a.jpg'\)\)"),
        (FileNotFoundError(errno.ENOENT, "No such file", "list.txt"), "toys: list.txt is not in its archives"),
        (TypeError("float() argument"), "toys: its lists are not as they were published"),
        (ValueError("invalid literal for int() with base 10: 'x'"), "toys: invalid literal .*nothing was kept"),
    ],
)
def test_lists_that_contradict_each_other_are_a_message_and_no_folder(toys, tmp_path, error, message):
    def contradict(*_: object) -> None:
        raise error

    toys()
    with pytest.raises(ValueError, match=message):
        fetch.build("toys", contradict, tmp_path / "toys")
    assert not (tmp_path / "toys").exists()
