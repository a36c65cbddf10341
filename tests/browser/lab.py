"""A JupyterLab of our own and a headless Chromium in front of it: shared by the browser test and by `shoot.py`."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

START_S, RUN_S = 120, 420  # until JupyterLab answers; until a notebook has run
POLL_MS = 200  # between two looks at a running notebook; Playwright looks at every frame, which costs CPU
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SETTINGS = {  # no question about news, no look for updates: the test needs no network
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}
HARMLESS = (  # lines of the browser's console that JupyterLab itself writes
    "favicon",
    "the server responded with a status of 404",
    "net::ERR_INTERNET_DISCONNECTED",
    "net::ERR_NAME_NOT_RESOLVED",
)


def chromium() -> str | None:
    """Path of an installed Chromium, or None; `FGSSL_CHROMIUM` names another."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return os.environ.get("FGSSL_CHROMIUM") or next((path for name in names if (path := shutil.which(name))), None)


@contextlib.contextmanager
def jupyterlab(folder: Path, environment: dict[str, str]) -> Iterator[str]:
    """Serve a folder; yields the address with its token. Settings, workspaces and history stay in `folder/.lab`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token, private = secrets.token_hex(16), folder / ".lab"
    for name, values in SETTINGS.items():
        target = private / "settings" / f"{name}.jupyterlab-settings"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(values))
    homes = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "IPYTHONDIR": "ipython",
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={port}", "--allow-root"]
    command += [f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={folder}"]
    command += ["--LabApp.expose_app_in_browser=True"]
    log = (private / "server.log").open("w")
    server = subprocess.Popen(
        command,
        env={**os.environ, **{name: str(private / home) for name, home in homes.items()}, **environment},
        cwd=folder,
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        _wait_for(f"http://127.0.0.1:{port}/api?token={token}", server, private / "server.log")
        yield f"http://127.0.0.1:{port}/lab/tree/{{notebook}}?token={token}"
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        log.close()


def _wait_for(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    start = time.monotonic()
    while time.monotonic() - start < START_S:
        if server.poll() is not None:
            raise RuntimeError(f"JupyterLab ended with {server.returncode}:\n{log.read_text()[-2000:]}")
        with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=5):
            return
        time.sleep(0.3)
    raise RuntimeError(f"JupyterLab did not answer in {START_S} s:\n{log.read_text()[-2000:]}")


@dataclass
class Lab:
    """One notebook open in one page; everything the page complained about is kept."""

    page: object  # playwright.sync_api.Page
    complaints: list[str] = field(default_factory=list)

    def open(self, address: str, notebook: str) -> None:
        """Open a notebook and wait for its kernel."""
        self.page.on("pageerror", lambda error: self.complaints.append(f"page error: {error}"))
        self.page.on("console", self._console)
        self.page.goto(address.format(notebook=notebook), timeout=START_S * 1000)
        self.page.wait_for_function(
            "() => window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'",
            timeout=START_S * 1000,
        )
        with contextlib.suppress(Exception):  # the file browser takes a fifth of a projector's width
            self.page.evaluate("() => window.jupyterapp.shell.collapseLeft()")

    def _console(self, message: object) -> None:
        if message.type == "error" and not any(words in message.text for words in HARMLESS):
            self.complaints.append(f"console error: {message.text}")

    def run_all(self) -> None:
        """Run every cell and wait until the last has run and the kernel rests."""
        self.page.set_default_timeout(RUN_S * 1000)
        self.page.evaluate(
            "() => { window.ran = null; window.jupyterapp.commands.execute('notebook:run-all-cells')"
            ".then(() => { window.ran = true }, error => { window.ran = String(error) }) }"
        )
        self.page.wait_for_function("() => window.ran !== null", timeout=RUN_S * 1000, polling=POLL_MS)
        self.page.wait_for_function(
            "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'"
        )

    def cells(self) -> list[dict[str, object]]:
        """The cells as the notebook model has them now, outputs included."""
        return self.page.evaluate("() => window.jupyterapp.shell.currentWidget.content.model.toJSON().cells")

    def errors(self) -> list[str]:
        """Every error and every red line (stderr) in the notebook, and every code cell that did not run."""
        found = []
        for number, cell in enumerate(self.cells()):
            if cell["cell_type"] != "code" or not "".join(cell["source"]).strip():
                continue
            if cell["execution_count"] is None:
                found.append(f"cell {number} did not run")
            for output in cell["outputs"]:
                if output["output_type"] == "error":
                    found.append(f"cell {number}: {output['ename']}: {output['evalue']}")
                if output["output_type"] == "stream" and output["name"] == "stderr":
                    found.append(f"cell {number}, stderr: {''.join(output['text'])}")
        return found

    def reveal(self, number: int) -> None:
        """Scroll a cell to the top of the window (cells far away are not in the page)."""
        self.page.evaluate(
            "async number => { const content = window.jupyterapp.shell.currentWidget.content;"
            " content.activeCellIndex = number; await content.scrollToItem(number, 'start') }",
            number,
        )
        self.page.wait_for_timeout(400)

    def panel(self, number: int) -> object | None:
        """The panel of a cell with a slider, scrolled into view; None where the cell's widget is no such panel."""
        self.reveal(number)
        panel = self.page.locator(f'[data-windowed-list-index="{number}"] .fgssl-panel').first
        return panel if panel.count() and panel.locator(".noUi-handle").count() else None

    def panel_cells(self) -> list[int]:
        """Numbers of the cells that show a widget."""
        kind = "application/vnd.jupyter.widget-view+json"
        return [
            number
            for number, cell in enumerate(self.cells())
            if cell["cell_type"] == "code" and any(kind in output.get("data", {}) for output in cell["outputs"])
        ]


def nudge(panel: object) -> None:
    """Move the first slider a step by keyboard: right, or left where it stands at its end."""
    handle = panel.locator(".noUi-handle").first
    handle.focus()
    now, most = (float(handle.get_attribute(name)) for name in ("aria-valuenow", "aria-valuemax"))
    panel.page.keyboard.press("ArrowRight" if now < most else "ArrowLeft")


def picture_of(panel: object) -> str:
    """The bytes behind a panel's picture, as a data address: changes exactly when the picture does."""
    return panel.locator("img.widget-image, .widget-image img, img").first.evaluate(
        "async image => { const blob = await (await fetch(image.src)).blob();"
        " return await new Promise(done => { const reader = new FileReader();"
        " reader.onload = () => done(reader.result); reader.readAsDataURL(blob) }) }"
    )


def wait_for_change(panel: object, before: str, within_s: float = 15) -> str:
    """The panel's picture once it differs from `before`; raises AssertionError if it stays."""
    start = time.monotonic()
    while time.monotonic() - start < within_s:
        now = picture_of(panel)
        if now != before:
            return now
        panel.page.wait_for_timeout(50)
    raise AssertionError(f"the picture did not change within {within_s} s")


@contextlib.contextmanager
def browser(width: int = 1600, height: int = 1000) -> Iterator[object]:
    """A page of a headless Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        program = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        try:
            yield program.new_page(viewport={"width": width, "height": height})
        finally:
            program.close()
