"""`pytest --nbmake notebooks` runs every lesson at scale ci, unless FGSSL_SCALE says otherwise."""

from __future__ import annotations

import os

CHOSEN = "FGSSL_SCALE" in os.environ
os.environ.setdefault("FGSSL_SCALE", "ci")


def pytest_report_header() -> str:
    """Say at which scale the lessons run, and who chose it."""
    return f"lessons at scale {os.environ['FGSSL_SCALE']} ({'FGSSL_SCALE' if CHOSEN else 'FGSSL_SCALE was not set'})"
