"""The table of sources: whole, well-formed, and in step with the scripts."""

from __future__ import annotations

import csv
import re

import pytest

from fgssl_edu.data import sources
from fgssl_edu.data.catalog import CATALOG
from fgssl_edu.paths import data_scripts_dir

HEX = {"md5": 32, "sha1": 40, "sha256": 64}
OFFERED = sources.offered()


def test_every_offered_set_has_a_script_and_a_name_in_the_catalog_and_the_others_have_neither():
    scripts = {path.stem for path in data_scripts_dir().glob("*.py")}
    assert scripts == set(OFFERED)
    assert set(CATALOG) == {"birds", "folder:PATH", "shards:PATH", "mapped:PATH", *OFFERED}


@pytest.mark.parametrize("name", OFFERED)
def test_every_set_is_described(name: str):
    source = OFFERED[name]
    assert source.kind in sources.KINDS and source.title and source.citation and source.licence and source.terms
    assert source.sizes and source.download and len(source.licence) <= 40
    assert source.archives or source.how == sources.MADE


@pytest.mark.parametrize("name", OFFERED)
def test_every_archive_has_an_address_and_well_formed_numbers(name: str):
    for archive in OFFERED[name].archives:
        assert re.fullmatch(r"https?://\S+", archive.url) and re.fullmatch(r"[\w.+ -]+", archive.file)
        assert archive.how in ("download", "login", "form", "by hand")
        assert re.fullmatch(r"(~?\d+)?", archive.bytes)
        kind, _, digits = archive.checksum.partition(":")
        assert not kind or re.fullmatch(rf"[0-9a-f]{{{HEX[kind]}}}", digits)


def test_what_is_said_of_a_set_stands_in_its_first_row_alone():
    seen = set()
    with sources.table_path().open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            assert None not in row and None not in row.values()
            if row["name"] in seen:
                own = {key for key, value in row.items() if value}
                assert own <= {"name", "way", "how", "file", "url", "bytes", "checksum"}
            seen.add(row["name"])


def test_no_script_holds_an_address_or_a_checksum():
    for path in data_scripts_dir().glob("*.py"):
        assert not re.search(r"https?://|[0-9a-f]{32}", path.read_text(encoding="utf-8")), path.name


@pytest.mark.parametrize("name", ["birdsnap", "celeba", "facescrub", "webvision", "webfg496"])
def test_what_is_not_offered_is_refused_with_the_reason(name: str):
    reason = sources.read()[name].remark
    assert len(reason) > 40
    with pytest.raises(ValueError, match=re.escape(f"is not offered: {reason}")):
        sources.find(name)


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"no data set 'cub20' \(did you mean 'cub200'\?\); there are cub200"):
        sources.find("cub20")


@pytest.mark.parametrize(
    ("sizes", "text"),
    [
        (["1150585339"], "1.2 GB"),
        (["502", "14989"], "0.0 MB"),
        (["~5800000000", "1000"], "~5.8 GB"),
        (["100", ""], "0.0 MB+"),
        (["~300000000", ""], "~0.3 GB+"),
        (["", ""], "unknown"),
        ([], "nothing"),
    ],
)
def test_sizes_for_people(sizes: list[str], text: str):
    archives = [sources.Archive("a", "u", "download", size, "", "") for size in sizes]
    assert sources.size_text(archives) == text
