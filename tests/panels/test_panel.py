"""The panel base: what is drawn when, what is kept, what is said when drawing fails."""

from __future__ import annotations

import asyncio
import io
import time

import numpy as np
import psutil
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from fgssl_edu.panels.controls import NextDraw, choice, slider
from fgssl_edu.panels.panel import GATHER_S, KEPT_STATES, SETTLE_S, SLOW_S, Panel


def grey(level: int = 0, **_: object) -> np.ndarray:
    return np.full((20, 40, 3), level, dtype=np.uint8)


def panel_of(draw=grey, **more: object) -> Panel:
    return Panel(draw, {"level": slider("Level", 0, 0, 255, 1)}, **more)


def brightness(panel: Panel) -> float:
    return float(np.asarray(Image.open(io.BytesIO(panel.picture()))).mean())


def browser_moves(panel: Panel, levels: list[int], rest_s: float = GATHER_S + 0.05) -> None:
    """What a front end does: state messages, within a running event loop."""

    async def moves() -> None:
        for level in levels:
            panel.controls["level"].set_state({"value": level})
        await asyncio.sleep(rest_s)

    asyncio.run(moves())


def test_first_picture_is_there_at_once_and_a_change_by_code_is_drawn_before_the_next_line():
    panel = panel_of()
    assert brightness(panel) == 0
    panel.controls["level"].value = 200
    assert brightness(panel) == pytest.approx(200, abs=2)  # JPEG
    panel.set(level=100)
    assert brightness(panel) == pytest.approx(100, abs=2)


def test_twenty_quick_moves_in_the_browser_are_one_picture_of_the_last_state():
    panel = panel_of()
    drawn = panel.drawn
    browser_moves(panel, list(range(1, 21)))
    assert panel.drawn == drawn + 1
    assert brightness(panel) == pytest.approx(20, abs=2)


def test_moves_faster_than_a_slow_draw_leave_no_backlog():
    def slow(level: int) -> np.ndarray:
        time.sleep(0.05)
        return grey(level)

    panel = panel_of(slow)
    drawn = panel.drawn

    async def drag() -> float:
        for level in range(1, 21):
            panel.controls["level"].set_state({"value": level})
            await asyncio.sleep(0.01)
        let_go = time.monotonic()
        while brightness(panel) < 18:  # the last state is 20
            assert time.monotonic() - let_go < 5
            await asyncio.sleep(0.005)
        return panel.drawn - drawn

    assert 1 <= asyncio.run(drag()) < 15  # 20 moves in .2 s at .08 s a picture: a few pictures, never one a move


def test_without_an_event_loop_a_move_is_drawn_at_once():
    panel = panel_of()
    panel.controls["level"].set_state({"value": 50})
    assert brightness(panel) == pytest.approx(50, abs=2)


def test_a_state_seen_before_is_not_drawn_again_and_the_cache_is_bounded():
    panel = panel_of()
    panel.set(level=1)
    drawn = panel.drawn
    panel.set(level=0)
    panel.set(level=1)
    assert panel.drawn == drawn
    for level in range(KEPT_STATES + 5):
        panel.set(level=level)
    assert len(panel._kept) == KEPT_STATES
    panel.forget()
    panel.refresh()
    assert len(panel._kept) == 1


def test_several_controls_set_by_code_give_one_picture():
    panel = Panel(lambda a, b: grey(a + b), {"a": slider("a", 0, 0, 9, 1), "b": slider("b", 0, 0, 9, 1)})
    drawn = panel.drawn
    panel.set(b=5, a=4)
    assert panel.drawn == drawn + 1 and panel.values == {"a": 4, "b": 5}


def test_slow_draws_show_a_coarse_picture_first_then_the_fine_one():
    def slow(level: int) -> np.ndarray:
        time.sleep(SLOW_S + 0.01)
        return grey(level)

    panel = panel_of(slow, coarse=lambda level: grey(255 - level))
    seen: list[float] = []
    panel.image.observe(lambda _change: seen.append(brightness(panel)), "value")
    browser_moves(panel, [40], GATHER_S + SETTLE_S + SLOW_S + 0.3)
    assert seen == pytest.approx([215, 40], abs=2)
    panel.set(level=60)  # by code: the fine one only
    assert seen[2:] == pytest.approx([60], abs=2)


def test_quick_draws_need_no_coarse_picture():
    panel = panel_of(coarse=lambda level: grey(255))
    browser_moves(panel, [40])
    assert brightness(panel) == pytest.approx(40, abs=2) and panel.drawn == 2


def test_what_draw_raises_is_raised_by_code_said_in_the_panel_and_gone_with_the_next_good_state():
    def fragile(level: int) -> np.ndarray:
        if level == 13:
            raise RuntimeError("unlucky <level>")
        return grey(level)

    panel = panel_of(fragile)
    with pytest.raises(RuntimeError, match="unlucky"):
        panel.controls["level"].value = 13
    assert "RuntimeError: unlucky &lt;level&gt;" in panel.message.value
    panel.set(level=14)
    assert panel.message.value == ""


def test_what_draw_raises_for_a_move_in_the_browser_reaches_the_event_loop():
    def fragile(level: int) -> np.ndarray:
        if level:
            raise RuntimeError("unlucky")
        return grey(level)

    panel, heard = panel_of(fragile), []

    async def move() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: heard.append(context["exception"]))
        panel.controls["level"].set_state({"value": 5})
        await asyncio.sleep(GATHER_S + 0.05)

    asyncio.run(move())
    assert isinstance(heard[0], RuntimeError) and "unlucky" in panel.message.value


@pytest.mark.parametrize("values", [{"levle": 3}, {"level": 300}, {"level": "dark"}])
def test_impossible_settings_are_refused_and_leave_the_panel_as_it_was(values: dict[str, object]):
    panel = panel_of()
    with pytest.raises(ValueError, match="level"):
        panel.set(**values)
    assert panel.values == {"level": 0}


def test_an_unknown_option_is_refused_with_the_options():
    panel = Panel(lambda kind: grey(10), {"kind": choice("Kind", [("first", 1), ("second", 2)])})
    with pytest.raises(ValueError, match="first, second"):
        panel.set(kind=3)


def test_a_button_numbers_its_draws():
    panel = Panel(lambda draw: grey(10 * draw), {"draw": NextDraw("Again")})
    panel.controls["draw"].click()
    panel.controls["draw"].click()
    assert panel.values == {"draw": 2} and brightness(panel) == pytest.approx(20, abs=2)


def test_whatever_is_drawn_is_drawn_on_one_thread_and_the_others_are_there_after():
    seen: list[int] = []

    def draw(level: int) -> np.ndarray:
        seen.append(torch.get_num_threads())
        if level == 9:
            raise RuntimeError("no")
        return grey(level)

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        panel = panel_of(draw, coarse=draw, states=[{"level": 3}])
        panel._took = 2 * SLOW_S
        browser_moves(panel, [5], rest_s=GATHER_S + SETTLE_S + 0.1)
        panel.contact_sheet()
        with pytest.raises(RuntimeError, match="no"):
            panel.set(level=9)
        after = torch.get_num_threads()
    finally:
        torch.set_num_threads(before)
    assert seen == [1] * 5 and after == 3


def test_figures_and_pillow_images_can_be_drawn_too():
    figure = Figure(figsize=(2, 1), dpi=50)
    assert Image.open(io.BytesIO(panel_of(lambda level: figure).picture())).size == (100, 50)
    assert Image.open(io.BytesIO(panel_of(lambda level: Image.new("L", (30, 20))).picture())).size == (30, 20)


def test_static_sheet_holds_every_state_and_leaves_the_controls_alone():
    panel = panel_of(states=[{"level": 0}, {"level": 100}, {"level": 200}], title="Greys")
    levels = np.asarray(panel.contact_sheet().convert("L"))
    half = levels.shape[1] // 2
    quarter = levels.shape[0] // 2
    assert panel.values == {"level": 0}
    tops = [levels[quarter // 2, half // 2], levels[quarter // 2, -half // 2], levels[-quarter // 2, half // 2]]
    assert tops == pytest.approx([0, 100, 200], abs=3)


def test_saved_notebooks_show_the_sheet_without_a_kernel(capsys: pytest.CaptureFixture[str]):
    panel = panel_of(states=[{"level": 9}], title="Greys")
    bundle = panel._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert "<details" in bundle["text/html"] and "data:image/jpeg;base64," in bundle["text/html"]
    panel.show()  # plain Python: two displays, no error
    assert "Panel" in capsys.readouterr().out


def test_memory_stays_flat_over_two_hundred_moves():
    noise = np.random.default_rng(0).integers(0, 255, (300, 500, 3)).astype(np.uint8)
    panel = panel_of(lambda level: np.roll(noise, level, axis=0))
    for level in range(KEPT_STATES + 10):
        panel.set(level=level)
    before = psutil.Process().memory_info().rss
    for move in range(200):
        panel.set(level=(7 * move) % 256)
    grown = psutil.Process().memory_info().rss - before
    assert grown < 12e6  # 200 pictures of .3 MB would be 60 MB
