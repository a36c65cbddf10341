"""The base of every panel: controls above one picture, drawn anew when a control moves.

Three traps of notebook widgets shape it. `interact` and `Output` swallow errors, so that a broken panel passes every
automatic run: here plain observers draw, and what they raise is shown in the panel and raised again. Slider moves come
faster than pictures are drawn: moves made in the browser are gathered for 30 ms and only the last state is drawn. A
saved notebook has no kernel: `show` adds a static sheet of a few states.
"""

from __future__ import annotations

import asyncio
import base64
import html
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import ipywidgets as widgets
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from traitlets import TraitError

from fgssl_edu.panels.canvas import MARGIN, WIDTH, Canvas, encode
from fgssl_edu.panels.controls import STYLE, allowed
from fgssl_edu.panels.threads import one_thread

GATHER_S = 0.03  # moves made in the browser within this time give one picture
SLOW_S = 0.12  # a draw that takes longer has a coarse picture before it, where the panel has one
SETTLE_S = 0.15  # after a coarse picture, the fine one waits this long for the hand to rest
KEPT_STATES = 48  # pictures in the cache; about 0.2 MB each
SHEET_WIDTH = 760  # pixels of one state on the static sheet
Pixels = NDArray[np.uint8]


class Panel(widgets.VBox):
    """Controls above one picture; `draw(**values)` makes the picture of every state.

    Args:
        draw: the controls' values by name -> (H, W, 3) uint8 array, Pillow image or matplotlib Figure.
        controls: widgets by name; a dict, or rows of dicts to lay them out in lines; what has no `value` is furniture.
        states: what the static sheet shows: values that differ from the first state, one mapping a picture.
        coarse: a stand-in for `draw` without what takes long, shown first where the last draw was slow.
        title: a line above the controls.
    """

    def __init__(
        self,
        draw: Callable[..., object],
        controls: Mapping[str, widgets.Widget] | Sequence[Mapping[str, widgets.Widget]],
        states: Sequence[Mapping[str, object]] = (),
        coarse: Callable[..., object] | None = None,
        title: str = "",
    ) -> None:
        rows = [controls] if isinstance(controls, Mapping) else list(controls)
        self.draw, self.coarse, self.states, self.title = draw, coarse, tuple(states), title
        self.controls: dict[str, widgets.Widget] = {
            name: control for row in rows for name, control in row.items() if control.has_trait("value")
        }
        look = widgets.Layout(max_width="100%", width=f"{WIDTH}px", height="auto", margin=f"4px 0 4px {-MARGIN}px")
        self.image = widgets.Image(format="jpeg", layout=look)
        self.message = widgets.HTML()
        self.drawn = 0  # pictures computed so far
        self._took = 0.0  # seconds for the last of them
        self._kept: OrderedDict[tuple[object, ...], bytes] = OrderedDict()
        self._sheet: bytes | None = None
        self._held, self._gathering = False, False
        self._timer: asyncio.TimerHandle | None = None
        # JupyterLab may handle widget messages on a thread of their own, beside a running cell
        self._lock = threading.RLock()
        for control in self.controls.values():
            control.observe(self._changed, "value")
        wrap = widgets.Layout(flex_flow="row wrap", align_items="center", width="100%", overflow="visible")
        heading = widgets.HTML(f'{STYLE}<b style="font-size:18px">{html.escape(title)}</b>')
        lines = [widgets.HBox(list(row.values()), layout=wrap) for row in rows]
        super().__init__([heading, *lines, self.message, self.image])
        self.add_class("fgssl-panel")
        self.refresh()

    @property
    def values(self) -> dict[str, object]:
        """Where every control stands."""
        return {name: control.value for name, control in self.controls.items()}

    def set(self, **values: object) -> None:
        """Move several controls by code, then draw once; raises what the drawing raises.

        Raises:
            ValueError: there is no such control, or it cannot take the value.
        """
        unknown = sorted(set(values) - set(self.controls))
        if unknown:
            raise ValueError(f"no control {', '.join(unknown)} in this panel; it has {', '.join(self.controls)}")
        with self.hold():
            for name in self.controls:  # in their order: what a control offers may depend on those before it
                if name in values:
                    self._move(name, values[name])
        self.refresh()

    def _move(self, name: str, value: object) -> None:
        control, before = self.controls[name], self.controls[name].value
        try:
            control.value = value
        except TraitError as error:
            raise ValueError(f"{name}={value!r} is not possible; {allowed(control)}") from error
        if control.value != value:  # sliders clip silently
            control.value = before
            raise ValueError(f"{name}={value!r} is not possible; {allowed(control)}")

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Move controls inside without drawing."""
        before, self._held = self._held, True
        try:
            yield
        finally:
            self._held = before

    def picture(self) -> bytes:
        """The JPEG that is shown."""
        return bytes(self.image.value)

    def forget(self) -> None:
        """Drop every kept picture: what `draw` reads has changed."""
        with self._lock:
            self._kept.clear()
            self._sheet = None

    def _changed(self, change: Mapping[str, object]) -> None:
        if self._held:
            return
        if not change["owner"]._property_lock:  # type: ignore[attr-defined]  # filled while a browser's message is applied
            self.refresh()
        elif not self._gathering:
            self._gathering = self._after(GATHER_S, self._draw_moves)

    def _after(self, seconds: float, call: Callable[[], None]) -> bool:
        """Call once, later, instead of what waits now; at once where no event loop runs. Whether it waits."""
        self._cancel()
        try:
            self._timer = asyncio.get_running_loop().call_later(seconds, call)
        except RuntimeError:
            self.refresh()
        return self._timer is not None

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._gathering = None, False

    def _draw_moves(self) -> None:
        """One picture for the browser's moves of the last 30 ms; a coarse one first where the fine one is slow."""
        self._cancel()
        if self.coarse is None or self._took < SLOW_S or self._key() in self._kept:
            self.refresh()
            return
        with self._lock, self._shown_errors():
            self.image.value = encode(pixels_of(self.coarse, self.values))
        self._after(SETTLE_S, self.refresh)

    def refresh(self) -> None:
        """Draw the present state, or show it again if it is kept."""
        self._cancel()
        with self._lock, self._shown_errors():
            self.image.value = self._render()
            if self.message.value:
                self.message.value = ""

    def _key(self) -> tuple[object, ...]:
        return tuple(self.values.values())

    def _render(self) -> bytes:
        key = self._key()
        if key not in self._kept:
            start = time.perf_counter()
            self._kept[key] = encode(pixels_of(self.draw, self.values))
            self._took, self.drawn = time.perf_counter() - start, self.drawn + 1
            while len(self._kept) > KEPT_STATES:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    @contextmanager
    def _shown_errors(self) -> Iterator[None]:
        """In a live lab what an observer raises goes to a log that nobody reads: say it in the panel, then raise it."""
        try:
            yield
        except Exception as error:
            words = html.escape(f"{type(error).__name__}: {error}")
            self.message.value = f'<div role="alert" style="color:#a14800;font-size:16px"><b>&#10007; {words}</b></div>'
            raise

    def contact_sheet(self) -> Image.Image:
        """Several states in one static picture, two in a line, each under what was changed for it."""
        start = self.values
        pictures = []
        for state in self.states or ({},):
            pixels = pixels_of(self.draw, {**start, **state})
            scale = SHEET_WIDTH / pixels.shape[1]
            size = (SHEET_WIDTH, round(pixels.shape[0] * scale))
            pictures.append(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
        captions = [", ".join(f"{self._name(n)} {self._word(n, v)}" for n, v in state.items()) for state in self.states]
        return _arrange(pictures, captions or [""])

    def _name(self, control: str) -> str:
        return (self.controls[control].description or control).rstrip(":") + ":"

    def _word(self, control: str, value: object) -> str:
        """A value as the control shows it."""
        for option in getattr(self.controls[control], "_options_full", ()):
            if option[1] == value:
                return str(option[0])
        return str(value)

    def static(self) -> str:
        """The contact sheet as HTML that needs no kernel, folded so that it does not rival the live panel."""
        if self._sheet is None:
            self._sheet = encode(np.asarray(self.contact_sheet()))
        data = base64.b64encode(self._sheet).decode()
        name = html.escape(self.title or "this panel")
        return (
            f'<details class="fgssl-static"><summary style="cursor:pointer;font-size:14px;color:#5f5f5f">{name} (some '
            f'states as one picture, for a reader without a kernel)</summary><img alt="{name}" style="max-width:100%" '
            f'src="data:image/jpeg;base64,{data}"></details>'
        )

    def _repr_mimebundle_(self, **kwargs: object) -> dict[str, object]:
        """The live widget, and the static sheet for viewers that know no widgets."""
        return {**super()._repr_mimebundle_(**kwargs), "text/html": self.static()}

    def show(self) -> None:
        """Display the panel and, folded under it, its static sheet."""
        from IPython.display import HTML, display

        display(super()._repr_mimebundle_(), raw=True)
        display(HTML(self.static()))


def pixels_of(draw: Callable[..., object], values: Mapping[str, object]) -> Pixels:
    """What `draw` makes of the controls' values, on one thread, as (H, W, 3) uint8."""
    with one_thread():
        return as_pixels(draw(**values))


def as_pixels(drawn: object) -> Pixels:
    """What a `draw` may return (array, Pillow image, matplotlib Figure) as (H, W, 3) uint8."""
    if isinstance(drawn, np.ndarray):
        assert drawn.dtype == np.uint8 and drawn.ndim == 3 and drawn.shape[2] == 3, "draw returns (H, W, 3) uint8"
        return drawn
    if isinstance(drawn, Image.Image):
        return np.asarray(drawn.convert("RGB"))
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(drawn)  # type: ignore[arg-type]
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _arrange(pictures: Sequence[Image.Image], captions: Sequence[str], columns: int = 2) -> Image.Image:
    """Pictures of one width under their captions, in lines."""
    columns, head = min(columns, len(pictures)), 34
    lines = [list(range(i, min(i + columns, len(pictures)))) for i in range(0, len(pictures), columns)]
    heights = [max(pictures[i].height for i in line) + head + MARGIN for line in lines]
    sheet = Canvas(sum(heights), columns * SHEET_WIDTH + (columns - 1) * MARGIN)
    top = 0
    for line, height in zip(lines, heights, strict=True):
        for column, i in enumerate(line):
            left = column * (SHEET_WIDTH + MARGIN)
            sheet.write(captions[i], left + MARGIN, top + 6, bold=True, room=SHEET_WIDTH - 2 * MARGIN)
            sheet.put(pictures[i], left, top + head)
        top += height
    return sheet.picture
