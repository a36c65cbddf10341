"""What a lecturer does, in a real JupyterLab: open a lesson, run all, move a control, see the picture follow."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import nbformat
import pytest
from lab import Lab, jupyterlab, nudge, picture_of, wait_for_change

from fgssl_edu import config

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
FOLLOWS_S = 10  # from the last key to the last picture; .2 s at rest, far more while other tests run
pytestmark = pytest.mark.browser

TINY = """
import time
import numpy as np
from fgssl_edu.panels.controls import NextDraw, slider
from fgssl_edu.panels.panel import Panel

def draw(level, again):
    time.sleep(0.08)
    if level == 25:
        raise RuntimeError("unlucky level")
    return np.full((60, 1000, 3), 9 * level + again, dtype=np.uint8)

panel = Panel(draw, {"level": slider("Level", 0, 0, 25, 1), "again": NextDraw("Again")}, states=[{"level": 20}])
panel.show()
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One home for all lessons, as a reader has: what lessons share is computed once."""
    return tmp_path_factory.mktemp("home")


@pytest.mark.parametrize("lesson", config.LESSONS)
def test_a_lesson_runs_and_its_panels_follow_their_controls(
    lesson: str, page: object, tmp_path: Path, home: Path, screenshots: Path
):
    folder = tmp_path / "course"
    shutil.copytree(NOTEBOOKS, folder, ignore=shutil.ignore_patterns(".*", "runs"))
    with jupyterlab(folder, {"FGSSL_SCALE": "ci", "FGSSL_HOME": str(home), "OMP_NUM_THREADS": "1"}) as address:
        lab = Lab(page)
        try:
            lab.open(address, next(NOTEBOOKS.glob(f"*_{lesson}.ipynb")).name)
            lab.run_all()
            assert lab.errors() == []
            panels = 0
            for number in lab.panel_cells():
                panel = lab.panel(number)
                if panel is None:
                    continue
                panels += 1
                _move_every_control(panel)
                page.screenshot(path=str(screenshots / f"{lesson}_panel_{panels}.png"))
            assert panels > 0, "the lesson shows no panel"
            assert lab.complaints == []
        finally:
            page.goto("about:blank")  # before its server goes, or the next lesson hears this one ask for it


def _move_every_control(panel: object) -> None:
    """The first slider by keyboard, the first list with a choice, and every button: each gives another picture."""
    before = picture_of(panel)
    nudge(panel)
    before = wait_for_change(panel, before)
    lists = panel.locator("select:has(option:nth-child(2))")
    if lists.count():
        chosen = lists.first.evaluate("list => list.selectedIndex")  # a later cell may have moved the panel
        lists.first.select_option(index=(chosen + 1) % lists.first.locator("option").count())
        before = wait_for_change(panel, before)
    for button in panel.locator("button.widget-button:visible").all():
        button.click()
        before = wait_for_change(panel, before)


@pytest.fixture(scope="module")
def tiny(page: object, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A notebook with one slow panel, open and run."""
    folder = tmp_path_factory.mktemp("tiny")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(TINY, id="panel")])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, folder / "tiny.ipynb")
    with jupyterlab(folder, {}) as address:
        lab = Lab(page)
        lab.open(address, "tiny.ipynb")
        lab.run_all()
        yield lab


def test_twenty_quick_moves_leave_no_backlog(tiny: Lab):
    panel = tiny.panel(0)
    panel.locator(".noUi-handle").first.focus()
    for _ in range(20):
        tiny.page.keyboard.press("ArrowRight")
    let_go = time.monotonic()
    while _level(panel) != 20:
        assert time.monotonic() - let_go < FOLLOWS_S
        tiny.page.wait_for_timeout(20)
    settled = picture_of(panel)
    tiny.page.wait_for_timeout(500)
    assert picture_of(panel) == settled  # nothing was still waiting to be drawn


def test_an_error_is_said_in_the_panel_and_goes_with_the_next_move(tiny: Lab):
    panel = tiny.panel(0)
    panel.locator(".noUi-handle").first.focus()
    tiny.page.keyboard.press("End")
    panel.locator("[role=alert]").wait_for()
    assert "RuntimeError: unlucky level" in panel.locator("[role=alert]").inner_text()
    tiny.page.keyboard.press("Home")
    panel.locator("[role=alert]").wait_for(state="detached")
    assert _level(panel) == 0


def test_a_slider_at_its_end_is_moved_left(tiny: Lab):
    panel = tiny.panel(0)
    panel.locator(".noUi-handle").first.focus()
    tiny.page.keyboard.press("End")
    panel.locator("[role=alert]").wait_for()  # the last level is the unlucky one
    before = picture_of(panel)
    nudge(panel)
    wait_for_change(panel, before)
    assert _level(panel) == 24


def test_the_static_sheet_is_folded_below_the_panel(tiny: Lab):
    sheet = tiny.page.locator("details.fgssl-static").first
    assert not sheet.locator("img").is_visible()
    sheet.locator("summary").click()
    sheet.locator("img").wait_for()
    assert sheet.locator("img").evaluate("image => image.naturalWidth") > 500


@pytest.mark.parametrize(
    "source", ["import sys; print('careful', file=sys.stderr)", "import warnings; warnings.warn('careful')"]
)
def test_red_output_is_an_error(source: str, page: object, tmp_path: Path):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source, id="red")])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, tmp_path / "red.ipynb")
    with jupyterlab(tmp_path, {}) as address:
        lab = Lab(page)
        lab.open(address, "red.ipynb")
        lab.run_all()
        (error,) = lab.errors()
    assert error.startswith("cell 0, stderr:") and "careful" in error


def _level(panel: object) -> int:
    """The level that the panel's grey picture shows."""
    grey = panel.locator(".widget-image").first.evaluate(
        "async image => { const bitmap = await createImageBitmap(await (await fetch(image.src)).blob());"
        " const canvas = document.createElement('canvas'); const context = canvas.getContext('2d');"
        " context.drawImage(bitmap, 0, 0); return context.getImageData(5, 5, 1, 1).data[0] }"
    )
    return round(grey / 9)
