"""What `fgssl doctor` finds: is everything here that the course needs, and what will be slow or missing."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
from pathlib import Path

from fgssl_edu import paths
from fgssl_edu.data import sources
from fgssl_edu.runs.data_sets import here

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "headless_shell")
SCARCE_BYTES = 5e9  # free disk below which checkpoints and data sets may not fit


def findings() -> list[tuple[str, str]]:
    """What was looked at, and what was found, in the order of importance."""
    import torch

    return [
        ("python", f"{platform.python_version()} on {platform.platform(terse=True)}"),
        *((name, version(name)) for name in ("torch", "torchvision", "lightning-fabric", "jupyterlab")),
        ("device", devices()),
        ("threads", f"{torch.get_num_threads()} for torch, {os.cpu_count()} cores seen{asked_threads()}"),
        ("FGSSL_HOME", str(paths.home() or "not set: the platform's user folders, and ./runs")),
        ("FGSSL_SCALE", os.environ.get("FGSSL_SCALE") or "not set: lecture"),
        *((name, folder(place)) for name, place in places().items()),
        ("Chromium", chromium()),
        ("data sets", data_sets()),
        ("lessons", ", ".join(slug for _, slug, _ in paths.course()) or f"none in {paths.notebooks_dir()}"),
    ]


def version(name: str) -> str:
    """The installed version of a package, or that it is missing."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "MISSING: install this package with its dependencies"


def devices() -> str:
    """The accelerators that torch can use; where there is none, what that means."""
    import torch

    if torch.cuda.is_available():
        cards = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
        return ", ".join(f"cuda:{i} {card.name}, {card.total_memory / 1e9:.0f} GB" for i, card in enumerate(cards))
    if torch.backends.mps.is_available():
        return "mps (Apple GPU)"
    built = f"built for CUDA {torch.version.cuda}, but sees no GPU" if torch.version.cuda else "built for the CPU alone"
    return f"CPU only (torch is {built}): scales ci and lecture will do, full would take days"


def asked_threads() -> str:
    """The environment variables that limit threads, where set."""
    asked = [f"{name}={os.environ[name]}" for name in ("FGSSL_THREADS", "OMP_NUM_THREADS") if name in os.environ]
    return f" ({', '.join(asked)})" if asked else ""


def places() -> dict[str, Path]:
    """The folders that a run writes to."""
    return {"data folder": paths.data_dir(), "cache folder": paths.cache_dir(), "runs folder": paths.runs_dir()}


def folder(path: Path) -> str:
    """A folder with its free disk, and whether it can be written."""
    existing = next(parent for parent in (path, *path.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    remarks = ["" if os.access(existing, os.W_OK) else "; NOT WRITABLE", "" if free > SCARCE_BYTES else "; NEARLY FULL"]
    return f"{path} ({free / 1e9:.0f} GB free{''.join(remarks)})"


def chromium() -> str:
    """The browser that the browser tests would drive."""
    found = next((place for name in BROWSERS if (place := shutil.which(name))), None)
    if found is None and importlib.util.find_spec("playwright"):
        found = playwright_chromium()
    return found or "not found: only the browser tests need it"


def playwright_chromium() -> str | None:
    """Playwright's own Chromium, if it was installed."""
    named = os.environ.get("PLAYWRIGHT_BROWSERS_PATH")
    root = Path(named) if named else Path.home() / ".cache" / "ms-playwright"
    found = sorted(path for path in root.glob("chromium*/*/*") if path.name in BROWSERS and os.access(path, os.X_OK))
    return str(found[-1]) if found else None


def data_sets() -> str:
    """Which of the catalogued data sets are on disk."""
    names = list(sources.offered())
    there = [name for name in names if here(name)]
    return f"{', '.join(there) or 'none here'}; {len(names) - len(there)} to fetch: fgssl data list"
