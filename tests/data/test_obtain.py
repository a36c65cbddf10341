"""Archives from the net or from the user's folder: ways, instructions, checksums that nobody has published."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest
from small_archives import inside

from fgssl_edu.data.fetch.obtain import FIRST_SEEN, note_first_seen, obtain
from fgssl_edu.data.sources import Archive, Source

PAGE = "https://example.org/page"


def archive(file: str, content: bytes = b"", **changes: str) -> Archive:
    plain = Archive(file, PAGE, "login", str(len(content)), f"sha256:{hashlib.sha256(content).hexdigest()}", "")
    return replace(plain, **changes)


def source(*archives: Archive) -> Source:
    return Source("toys", "open", "Toys", 2, {"train": 2}, "free", "for play alone", "", "", archives)


@pytest.fixture
def mine(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    return folder


def test_what_is_absent_is_told_with_all_that_is_needed_to_get_it(tmp_path, mine):
    (mine / "a.zip").write_bytes(b"A")
    (mine / "notes.txt").write_bytes(b"")
    toys = source(archive("a.zip", b"A"), archive("b.zip", b"BB", how="form"))
    for given in (None, mine):
        with pytest.raises(ValueError) as error:
            obtain(toys, tmp_path / "toys.archives", given)
        message = str(error.value)
        assert f"b.zip (2 bytes, sha256:{hashlib.sha256(b'BB').hexdigest()})\n    from {PAGE} [form]" in message
        assert "fgssl data get toys --from FOLDER" in message and "for play alone" in message
        assert ("a.zip (1 bytes" in message) == (given is None)
    assert "holds a.zip, notes.txt" in message and inside(tmp_path) == ["mine/a.zip", "mine/notes.txt"]


def test_what_can_be_downloaded_is_and_the_rest_comes_from_the_user(tmp_path, mine, serve):
    served = serve(b"list", name="list.txt")
    (mine / "a.zip").write_bytes(b"A")
    listed = archive("list.txt", b"list", how="download", url=served.url)
    toys = source(archive("a.zip", b"A"), listed)
    found = obtain(toys, tmp_path / "toys.archives", mine)
    assert found == {"a.zip": mine / "a.zip", "list.txt": tmp_path / "toys.archives" / "list.txt"}
    (mine / "list.txt").write_bytes(b"list")
    assert obtain(toys, tmp_path / "other", mine)["list.txt"] == mine / "list.txt" and len(served.asked) == 1


def test_nothing_is_downloaded_while_something_has_to_be_fetched_by_hand(tmp_path, serve):
    served = serve(b"list", name="list.txt")
    toys = source(archive("list.txt", b"list", how="download", url=served.url), archive("a.zip", b"A"))
    with pytest.raises(ValueError, match="Please fetch"):
        obtain(toys, tmp_path / "toys.archives")
    assert served.asked == []


def test_of_two_ways_the_one_whose_files_are_there_is_taken(tmp_path, mine):
    toys = source(
        archive("labels.mat", b"L"),
        archive("one.tgz", b"1", way="original"),
        archive("two.tgz", b"2", way="original"),
        archive("all.zip", b"12", way="copy"),
    )
    for name, content in (("labels.mat", b"L"), ("one.tgz", b"1")):
        (mine / name).write_bytes(content)
    with pytest.raises(ValueError) as error:
        obtain(toys, tmp_path / "toys.archives", mine)
    first, second = str(error.value).split("Or fetch (copy):")
    assert "Either fetch (original):" in first and "two.tgz" in first and "one.tgz" not in first
    assert "all.zip" in second and "labels.mat (" not in second
    (mine / "all.zip").write_bytes(b"12")
    assert set(obtain(toys, tmp_path / "toys.archives", mine)) == {"labels.mat", "all.zip"}
    (mine / "two.tgz").write_bytes(b"2")
    assert set(obtain(toys, tmp_path / "toys.archives", mine)) == {"labels.mat", "one.tgz", "two.tgz"}


@pytest.mark.parametrize(
    ("content", "bytes_", "message"),
    [
        (b"B", "1", "its sha256 is .*, not "),
        (b"AB", "1", "2 bytes, not the 1 published"),
        (b"B", "~1", "its sha256 is"),
    ],
)
def test_a_wrong_file_of_the_users_is_refused_and_stays(tmp_path, mine, content, bytes_, message):
    (mine / "a.zip").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        obtain(source(archive("a.zip", b"A", bytes=bytes_)), tmp_path / "toys.archives", mine)
    assert (mine / "a.zip").read_bytes() == content


def test_a_page_that_says_not_found_in_place_of_an_archive_is_not_kept(tmp_path, serve):
    served = serve(b"<html>gone</html>", name="a.zip")
    listed = archive("a.zip", b"A", how="download", url=served.url, checksum="")
    with pytest.raises(ValueError, match="gave another file than the 1 bytes of a.zip"):
        obtain(source(listed), tmp_path / "toys.archives")
    assert inside(tmp_path) == []


def test_a_file_without_a_published_checksum_is_held_to_the_first_that_was_used(tmp_path, mine, serve, caplog):
    served = serve(b"first", name="a.zip")
    toys = source(archive("a.zip", how="download", url=served.url, checksum="", bytes="~5"), archive("b.zip", b"B"))
    (mine / "b.zip").write_bytes(b"B")
    notes, downloads = tmp_path / FIRST_SEEN, tmp_path / "toys.archives"
    found = obtain(toys, downloads, mine)
    assert not notes.exists()  # not before it has become a data set: it may be the wrong file
    note_first_seen(toys, found, tmp_path)
    value = f"sha256:{hashlib.sha256(b'first').hexdigest()}"
    assert json.loads(notes.read_text()) == {"toys/a.zip": value}
    assert "no checksum of toys/a.zip is published" in caplog.text and value in caplog.text
    caplog.clear()
    found["a.zip"].unlink()
    assert obtain(toys, downloads, mine) == found
    note_first_seen(toys, found, tmp_path)
    assert not caplog.text
    (mine / "a.zip").write_bytes(b"other")
    with pytest.raises(ValueError, match="not the file that was seen first.*delete the line"):
        obtain(toys, downloads, mine)
    notes.write_text("{}")
    assert obtain(toys, downloads, mine)["a.zip"] == mine / "a.zip"


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ValueError, match="--from .*nowhere: there is no such folder"):
        obtain(source(), tmp_path / "toys.archives", tmp_path / "nowhere")
