"""A question with one right answer: choose, and read why."""

from __future__ import annotations

import html
from collections.abc import Sequence

import ipywidgets as widgets


class Choice(widgets.VBox):
    """A question with options; choosing one says whether it is right, and why.

    Args:
        question: one sentence.
        options: the answers to choose from, at least two.
        answer: the right one, an element of `options`.
        why: one or two sentences, shown with the right choice.
    """

    def __init__(self, question: str, options: Sequence[str], answer: str, why: str) -> None:
        if answer not in options or len(options) < 2:
            raise ValueError(f"answer={answer!r} should be one of at least two options, got {list(options)}")
        self.answer, self.why = answer, why
        style = "<style>.fgssl-choice label{font-size:16px;line-height:26px;white-space:normal;height:auto}</style>"
        title = widgets.HTML(f'{style}<b style="font-size:17px">{html.escape(question)}</b>')
        self.options = widgets.RadioButtons(options=list(options), value=None, layout=widgets.Layout(width="98%"))
        self.options.add_class("fgssl-choice")
        self.reply = widgets.HTML()
        self.options.observe(self._respond, "value")
        super().__init__([title, self.options, self.reply])

    def _respond(self, change: dict[str, object]) -> None:
        right = change["new"] == self.answer
        colour, word = ("#00694e", "&#10003; Right.") if right else ("#a14800", "&#10007; Not this one.")
        why = html.escape(self.why) if right else "Think again, or look at the figures above."
        self.reply.value = f'<div style="font-size:16px"><b style="color:{colour}">{word}</b> {why}</div>'
