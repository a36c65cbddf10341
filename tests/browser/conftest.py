"""The browser tests run where Playwright and a Chromium are installed, and must run where FGSSL_REQUIRE_BROWSER=1."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for lab.py, which shoot.py shares
from lab import browser, chromium


@pytest.fixture(scope="module")  # not session: while Playwright is open, no other test can run an event loop
def page() -> Iterator[object]:
    """A page of a headless Chromium, 1600 x 1000."""
    needed = {"playwright": importlib.util.find_spec("playwright"), "Chromium": chromium()}
    missing = [name for name, found in needed.items() if not found]
    if missing:
        reason = f"{' and '.join(missing)} missing: uv sync --group browser, and install chromium or set FGSSL_CHROMIUM"
        if os.environ.get("FGSSL_REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    with browser() as opened:
        yield opened


@pytest.fixture
def screenshots(tmp_path: Path) -> Path:
    """Where pictures for people go: FGSSL_SCREENSHOTS, else the test's own folder."""
    folder = Path(os.environ.get("FGSSL_SCREENSHOTS") or tmp_path / "screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
