"""A report over many records: what makes a line, what its numbers are, and what it warns of."""

from __future__ import annotations

import csv
import io
import math
import os
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fgssl_edu import records
from fgssl_edu.cli import app
from fgssl_edu.runs import report, report_page

PROTOCOL = {"k": 20, "encoder": "resnet10", "seed": 0}


def run(folder: Path, knn: float, seed: int = 0, method: str = "simclr", when: int = 0, **changed: object) -> Path:
    """A complete run with one metric, as `fgssl run` leaves it; written at second `when`."""
    protocol = {**PROTOCOL, "seed": seed, **changed.pop("protocol", {})}  # type: ignore[dict-item]
    metric = {"value": knn, "low": knn - 0.02, "high": knn + 0.02, "n": 960, "protocol": protocol}
    settings = {"scale": "lecture", "seed": seed, "method": method, "lr": 0.002, "encoder": "resnet10", "devices": 1}
    sources = dict.fromkeys(settings, "default") | dict.fromkeys(changed, "command line")
    record = {
        "lesson": changed.pop("lesson", "contrast"),
        "sources": sources,
        "settings": {**settings, **changed},
        "metrics": {"species/knn": metric},
        "seconds": 60.0,
        "environment": {"code": "abc"},
        "page": "page.html",
    }
    path = records.write_record(folder, record)
    os.utime(path, (1e9 + when, 1e9 + when))
    return folder


def three_seeds(root: Path) -> None:
    for seed, (low, high) in enumerate([(0.10, 0.15), (0.12, 0.19), (0.14, 0.20)]):
        run(root / f"low{seed}", low, seed)
        run(root / f"high{seed}", high, seed, lr=0.004, when=1)


def test_runs_that_differ_in_their_seed_alone_are_one_line(tmp_path: Path):
    three_seeds(tmp_path)
    run(tmp_path / "deep" / "er", 0.3, method="moco", devices=2)
    found = report.collect([tmp_path])
    assert {line.name for line in found.lines} == {"contrast: simclr", "contrast: simclr lr=0.004", "contrast: moco"}
    assert sorted(len(line.runs) for line in found.lines) == [1, 3, 3]
    assert found.metrics == ("species/knn",) and not found.warnings


def test_a_line_s_number_is_between_seeds_and_a_single_run_s_between_images(tmp_path: Path):
    three_seeds(tmp_path)
    run(tmp_path / "one", 0.3, method="moco")
    lines = {line.name: line for line in report.collect([tmp_path]).lines}
    assert lines["contrast: moco"].number("species/knn") == pytest.approx((0.3, 0.28, 0.32))
    several = lines["contrast: simclr"]
    assert several.number("species/knn") == pytest.approx(records.interval([0.10, 0.12, 0.14]))
    assert several.number("edit/score") is None and several.seconds == 60


def test_differences_are_paired_by_seed_in_points(tmp_path: Path):
    three_seeds(tmp_path)
    run(tmp_path / "high9", 0.9, 9, lr=0.004)  # no partner
    (row,) = report.collect([tmp_path]).differences("lr=0.004")
    assert row["seeds"] == 3
    assert row["species/knn"] == pytest.approx(records.paired_difference([10, 12, 14], [15, 19, 20]))
    with pytest.raises(ValueError, match=r"base='lr' names \d lines"):
        report.collect([tmp_path]).differences("lr")


def test_unlike_protocols_are_told_and_not_subtracted(tmp_path: Path):
    run(tmp_path / "a", 0.1)
    run(tmp_path / "b", 0.2, lr=0.004, protocol={"k": 5})
    found = report.collect([tmp_path])
    assert found.warnings == ("species kNN is not comparable: k 20 or 5",) and found.unlike == {"species/knn"}
    (row,) = found.differences("lr=0.004")
    assert "species/knn" not in row
    assert report_page.heads(found) == ["species kNN †"]


def test_encoders_may_differ_but_it_is_said(tmp_path: Path):
    run(tmp_path / "a", 0.1)
    run(tmp_path / "b", 0.2, encoder="vit_mini", protocol={"encoder": "vit_mini"})
    found = report.collect([tmp_path])
    assert found.warnings == ("unlike encoders: resnet10, vit_mini",) and not found.unlike


def test_what_is_not_finished_or_damaged_is_named(tmp_path: Path):
    run(tmp_path / "a", 0.1)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / records.METRICS).write_text("{}")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / records.RECORD).write_text("{")
    found = report.collect([tmp_path])
    assert len(found.lines) == 1 and len(found.warnings) == 2
    assert "did not finish" in found.warnings[0] and "damaged" in found.warnings[1]


def test_of_two_runs_of_one_seed_the_later_counts(tmp_path: Path):
    run(tmp_path / "z", 0.1, when=1)
    run(tmp_path / "a", 0.2, when=2)
    found = report.collect([tmp_path])
    assert found.lines[0].number("species/knn")[0] == 0.2
    assert len(found.warnings) == 1 and f"{tmp_path / 'z'} is left out" in found.warnings[0]


def test_mistakes_are_told(tmp_path: Path):
    with pytest.raises(ValueError, match="is no folder"):
        report.collect([tmp_path / "none"])
    with pytest.raises(ValueError, match="no complete run"):
        report.collect([tmp_path])
    run(tmp_path / "a", 0.1)
    with pytest.raises(ValueError, match="no run has species/knm; they have species/knn"):
        report.collect([tmp_path], ["species/knm"])


def test_every_number_links_to_a_run_that_is_there(tmp_path: Path):
    three_seeds(tmp_path / "runs of today")
    for folder in (tmp_path / "runs of today").iterdir():
        (folder / "page.html").write_text("a page")
    found = report.collect([tmp_path])
    page = report_page.write(found, tmp_path / "out").read_text()
    links = set(re.findall(r'href="([^"#]+)"', page))
    assert len(links) == 6
    assert all((tmp_path / "out" / link.replace("%20", " ")).is_file() for link in links)
    anchors = set(re.findall(r'href="#([^"]+)"', page))
    assert anchors == {"line-0", "line-1"} and all(f'id="{anchor}"' in page for anchor in anchors)
    assert (tmp_path / "out" / "report-species-knn.png").stat().st_size > 5000
    assert "12.0 [7.0 to 17.0]" in page and "arXiv" in page  # the lines' mean, and the papers' table


def test_markdown_and_csv_tell_the_same(tmp_path: Path):
    three_seeds(tmp_path)
    found = report.collect([tmp_path])
    report_page.write(found, tmp_path / "out")
    text = (tmp_path / "out" / "report.md").read_text()
    assert "[12.0 [7.0 to 17.0]](#line-" in text and "† " not in text
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out" / "report.csv").read_text())))
    assert [row["runs"] for row in rows] == ["3", "3"] and {row["comparable"] for row in rows} == {"yes"}
    assert math.isclose(float(rows[0]["mean"]), 0.12) and len(rows[0]["folders"].split(";")) == 3


def test_the_command_prints_what_it_found_and_where_the_page_is(tmp_path: Path):
    three_seeds(tmp_path)
    run(tmp_path / "a", 0.2, method="moco", protocol={"k": 5})
    done = CliRunner().invoke(app, ["report", str(tmp_path), "--out", str(tmp_path / "out"), "--base", "lr=0.004"])
    assert done.exit_code == 0, done.output
    assert re.search(r"contrast: simclr lr=0.004 +seeds 0, 1, 2", done.output)
    assert "species kNN is not comparable" in done.output and (tmp_path / "out" / "report.html").is_file()
    assert "Difference from contrast: simclr lr=0.004" in (tmp_path / "out" / "report.md").read_text()
