"""The controls of the panels: labelled, wide enough not to clip, and worked by keyboard."""

from __future__ import annotations

from collections.abc import Sequence

import ipywidgets as widgets
from traitlets import Int

LETTER, TRACK = 9, 300  # pixels of a label's letter; of a slider's track with its number
STYLE = (  # controls that can be read from the back row
    "<style>.fgssl-panel .widget-label,.fgssl-panel .widget-label-basic,.fgssl-panel .widget-readout,"
    ".fgssl-panel select,.fgssl-panel button{font-size:16px!important}.fgssl-panel{padding-left:6px}</style>"
)


def _layout(width: str) -> widgets.Layout:
    return widgets.Layout(width=width, height="34px", margin="2px 22px 2px 0")


class NextDraw(widgets.Button):
    """A button that counts its clicks: a control whose `value` numbers the random draw."""

    value = Int(0, min=0)

    def __init__(self, label: str, tip: str = "") -> None:
        super().__init__(description=label, tooltip=tip or label, layout=_layout("auto"))
        self.on_click(self._next)

    def _next(self, _button: widgets.Button) -> None:
        self.value += 1


def slider(label: str, value: float, low: float, high: float, step: float) -> widgets.Widget:
    """A labelled slider, of whole numbers where `step` is one; the picture follows while it moves."""
    layout = _layout(f"{LETTER * len(label) + TRACK}px")
    kind = widgets.IntSlider if isinstance(step, int) else widgets.FloatSlider
    look = {"description_width": "initial"}
    return kind(value=value, min=low, max=high, step=step, description=label, style=look, layout=layout)


def switch(label: str, value: bool = True) -> widgets.Widget:
    """A labelled box that is ticked or not."""
    layout = _layout(f"{LETTER * len(label) + 40}px")
    return widgets.Checkbox(value=value, description=label, indent=False, layout=layout)


def steps(label: str, options: Sequence[tuple[str, object]], value: object) -> widgets.SelectionSlider:
    """A labelled slider over given values, each (words, value)."""
    width = f"{LETTER * (len(label) + max(len(words) for words, _ in options)) + 210}px"
    style = {"description_width": "initial"}
    return widgets.SelectionSlider(
        options=list(options), value=value, description=label, style=style, layout=_layout(width)
    )


def choice(label: str, options: Sequence[object], value: object | None = None) -> widgets.Dropdown:
    """A labelled drop-down list; the first option is chosen unless told."""
    words = [str(option[0]) if isinstance(option, tuple) else str(option) for option in options]
    first = options[0][1] if isinstance(options[0], tuple) else options[0]
    width = LETTER * (len(label) + max(14, *map(len, words))) + 44
    return widgets.Dropdown(
        options=list(options),
        value=first if value is None else value,
        description=label,
        style={"description_width": "initial"},
        layout=_layout(f"{width}px"),
    )


def allowed(control: widgets.Widget) -> str:
    """What a control can be set to, in words."""
    if hasattr(control, "options"):
        options = [option[0] if isinstance(option, tuple) else option for option in control.options]
        return f"choose one of {', '.join(map(str, options))}"
    if hasattr(control, "max"):
        return f"it goes from {control.min} to {control.max} in steps of {control.step}"
    return "see the control"
