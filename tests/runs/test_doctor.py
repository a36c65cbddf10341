"""What `fgssl doctor` finds."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fgssl_edu.runs import doctor


def test_findings_name_what_a_course_needs(own_home: Path):
    found = dict(doctor.findings())
    assert found["torch"] == torch.__version__.split("+")[0] or found["torch"] == torch.__version__
    assert found["FGSSL_HOME"] == str(own_home)
    assert found["data sets"].startswith("none here; ") and found["data sets"].endswith(" to fetch: fgssl data list")
    (own_home / "data" / "cub200").mkdir(parents=True)
    (own_home / "data" / "cub200" / "manifest.csv").touch()
    assert doctor.data_sets().startswith("cub200; ")
    assert found["lessons"].startswith("start, ")


def test_a_machine_without_gpu_is_told_what_that_means(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert doctor.devices().startswith("CPU only") and "full would take days" in doctor.devices()


def test_a_missing_package_and_a_full_or_read_only_disk_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert doctor.version("no-such-package").startswith("MISSING")
    monkeypatch.setattr(doctor, "SCARCE_BYTES", float("inf"))
    monkeypatch.setattr(doctor.os, "access", lambda *_: False)
    said = doctor.folder(tmp_path / "not" / "yet")
    assert "NOT WRITABLE" in said and "NEARLY FULL" in said


def test_chromium_is_found_where_playwright_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    assert doctor.playwright_chromium() is None
    binary = tmp_path / "chromium-1" / "chrome-linux" / "chrome"
    binary.parent.mkdir(parents=True)
    binary.touch(mode=0o755)
    assert doctor.playwright_chromium() == str(binary)
