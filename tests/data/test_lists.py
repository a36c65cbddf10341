"""Text lists, MATLAB files and annotations that data sets bring along, whole and damaged."""

from __future__ import annotations

import pytest
from small_archives import cells, mat, voc

from fgssl_edu.data import fetch
from fgssl_edu.data.manifest import BOX


def test_lines_lose_white_space_marks_and_empty_ones(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone two\r\n\r\n  three\n")
    assert fetch.lines(tmp_path / "a.txt") == ["one two", "three"]


def test_a_matlab_file_is_read_without_its_empty_axes(tmp_path):
    (tmp_path / "a.mat").write_bytes(mat(names=cells(["one", "two"]), numbers=[[3, 4]]))
    found = fetch.mat(tmp_path / "a.mat")
    assert list(found["names"]) == ["one", "two"] and found["numbers"].tolist() == [3, 4]


@pytest.mark.parametrize("content", [b"", b"no MATLAB file", b"x" * 1000, mat(names=cells(["one", "two"]))[:150]])
def test_what_is_no_matlab_file_is_named(tmp_path, content):
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.mat: no MATLAB file"):
        fetch.mat(tmp_path / "a.mat")


def test_files_are_located_by_their_names(tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "a.jpg").touch()
    (tmp_path / "b.jpg").touch()
    assert fetch.located(tmp_path, "*.jpg") == {"a.jpg": "deep/er/a.jpg", "b.jpg": "b.jpg"}
    (tmp_path / "deep" / "b.jpg").touch()
    with pytest.raises(ValueError, match="b.jpg lies in two places"):
        fetch.located(tmp_path, "*.jpg")


def test_corners_become_a_box_counted_from_zero_or_from_one():
    assert list(fetch.corners(3, 4, 23, 14).values()) == ["3", "4", "20", "10"]
    assert list(fetch.corners(1, 1, 40, 30, first=1).values()) == ["0", "0", "40", "30"]  # MATLAB's whole picture


def test_the_first_object_of_an_annotation_gives_the_box(tmp_path):
    (tmp_path / "a").write_bytes(voc((3, 4, 23, 14), (0, 0, 5, 5)))
    assert fetch.voc_box(tmp_path / "a") == dict(zip(BOX, ("3", "4", "20", "10"), strict=True))
    (tmp_path / "a").write_bytes(voc())
    assert set(fetch.voc_box(tmp_path / "a").values()) == {""}


@pytest.mark.parametrize("content", [b"", b"<annotation><object>", b"\xff\xd8 a picture"])
def test_what_is_no_annotation_is_named(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ValueError, match="a: no annotation"):
        fetch.voc_box(tmp_path / "a")


def test_an_annotation_that_blows_up_is_refused(tmp_path):
    entities = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 20 if i else "ha" * 20}">' for i in range(9))
    (tmp_path / "a").write_text(f"<!DOCTYPE a [{entities}]><a>&e8;</a>")
    with pytest.raises(ValueError, match="a: no annotation"):
        fetch.voc_box(tmp_path / "a")
