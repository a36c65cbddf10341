"""Look at a notebook: run it in JupyterLab and take a picture of every screenful, and of every panel after a move.

python tests/browser/shoot.py NOTEBOOK OUT_DIR [--scale ci]
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from lab import Lab, browser, jupyterlab, nudge, picture_of, wait_for_change

SCROLLER = ".jp-WindowedPanel-outer"  # what scrolls in a notebook


def shoot(notebook: Path, out: Path, scale: str) -> list[str]:
    """Run a copy of the notebook and photograph it; returns what went wrong."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(notebook, folder)
        home = {} if "FGSSL_HOME" in os.environ else {"FGSSL_HOME": str(Path(folder) / "home")}
        with jupyterlab(Path(folder), {"FGSSL_SCALE": scale, **home}) as address, browser() as page:
            lab = Lab(page)
            lab.open(address, notebook.name)
            lab.run_all()
            _screens(lab, out)
            _panels(lab, out)
            return [*lab.errors(), *lab.complaints]


def _screens(lab: Lab, out: Path) -> None:
    """Scroll from top to bottom by nine tenths of a window."""
    lab.reveal(0)
    scroller = lab.page.locator(SCROLLER).first
    scroller.evaluate("element => { element.scrollTop = 0 }")
    for number in range(60):
        lab.page.wait_for_timeout(700)  # widgets and formulas appear late
        lab.page.screenshot(path=str(out / f"screen_{number:02d}.png"))
        before, after = scroller.evaluate(
            "element => { const top = element.scrollTop; element.scrollTop += .9 * element.clientHeight;"
            " return [top, element.scrollTop] }"
        )
        if after - before < 5:
            return


def _panels(lab: Lab, out: Path) -> None:
    """Move the first slider of every panel by keyboard, and photograph the panel."""
    for number in lab.panel_cells():
        panel = lab.panel(number)
        if panel is None:
            continue
        before = picture_of(panel)
        nudge(panel)
        wait_for_change(panel, before)
        panel.evaluate("element => element.scrollIntoView({block: 'start'})")
        lab.page.wait_for_timeout(500)
        lab.page.screenshot(path=str(out / f"panel_of_cell_{number:02d}_moved.png"))


def main() -> int:
    """Command line; 1 if the notebook or the page complained."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebook", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--scale", default=os.environ.get("FGSSL_SCALE", "ci"))
    arguments = parser.parse_args()
    trouble = shoot(arguments.notebook, arguments.out, arguments.scale)
    print("\n".join(trouble) or f"no errors; pictures in {arguments.out}")
    return 1 if trouble else 0


if __name__ == "__main__":
    sys.exit(main())
