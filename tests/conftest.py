"""What every test stands on: a home of its own, one thread, and the real photographs where there are any."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """The thread count decides the last bits of a result, and a test before this one may have changed it."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Data, caches and runs of a test go to a folder of its own, never to the user's."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("FGSSL_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def photographs() -> Path:
    """The folder of real photographs that FGSSL_TEST_DATA names, or the test is skipped."""
    named = os.environ.get("FGSSL_TEST_DATA")
    if not named or not Path(named).is_dir():
        pytest.skip("FGSSL_TEST_DATA names no folder of photographs")
    return Path(named)
