"""An executed notebook as one HTML file that shows everything without a network.

Notebook converters leave live widgets to scripts from the network. Here a widget becomes what it last showed: its
pictures and texts, and the values of its controls.
"""

from __future__ import annotations

import copy
import html
from collections.abc import Mapping
from typing import Any

WIDGET_STATE = "application/vnd.jupyter.widget-state+json"
VIEW = "application/vnd.jupyter.widget-view+json"
SCRIPTS = ("require_js_url", "jquery_url", "mermaid_js_url", "mermaid_layout_elk_js_url")


def as_html(notebook: Any) -> str:
    """The page of an executed notebook, with pictures, widgets and style inside it.

    Formulas stay as they were written where MathJax cannot be fetched; nothing else is asked of the network.

    Args:
        notebook: nbformat node; it is not changed.
    """
    from nbconvert import HTMLExporter

    notebook = copy.deepcopy(notebook)
    states = notebook.metadata.get("widgets", {}).get(WIDGET_STATE, {}).get("state", {})
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if VIEW in output.get("data", {}):
                freeze(output["data"], states)
    notebook.metadata.pop("widgets", None)
    exporter = HTMLExporter(embed_images=True, **dict.fromkeys(SCRIPTS, ""))
    page, _ = exporter.from_notebook_node(notebook)
    page = page.replace('<script src=""></script>', "")
    return page.replace(f'<script src="{exporter.mathjax_url}">', f'<script defer src="{exporter.mathjax_url}">')


def freeze(data: dict[str, Any], states: Mapping[str, Any]) -> None:
    """Put what a widget last showed in the place of the widget, before any static picture that it brought itself."""
    shown = snapshot(data.pop(VIEW)["model_id"], states)
    data["text/html"] = f'<div class="fgssl-snapshot">{shown}</div>' + "".join(data.get("text/html", ""))


def snapshot(model_id: str, states: Mapping[str, Any]) -> str:
    """HTML of a widget and everything inside it, from its saved state."""
    model = states.get(model_id)
    if model is None:
        return "<em>(a widget whose state was not saved)</em>"
    kind, state = model["model_name"], model["state"]
    if state.get("layout") and states.get(reference(state["layout"]), {}).get("state", {}).get("display") == "none":
        return ""
    if "children" in state:
        inner = [snapshot(reference(child), states) for child in state["children"]]
        direction = "row" if kind == "HBoxModel" else "column"
        return f'<div style="display:flex;flex-wrap:wrap;gap:.6em;flex-direction:{direction}">{"".join(inner)}</div>'
    if kind == "ImageModel":
        data = next((buffer["data"] for buffer in model.get("buffers", ()) if buffer["path"] == ["value"]), "")
        return (
            f'<img style="max-width:100%" src="data:image/{state.get("format", "png")};base64,{data}">' if data else ""
        )
    if kind == "HTMLModel":
        return str(state.get("value", ""))
    return control(state)


def control(state: Mapping[str, Any]) -> str:
    """A control as "description: value"."""
    value: object = state.get("value")
    labels = state.get("_options_labels")
    if labels and isinstance(state.get("index"), int):
        value = labels[state["index"]]
    words = [str(word) for word in (state.get("description"), value) if word not in (None, "")]
    return f"<span>{html.escape(': '.join(words))}</span>"


def reference(text: str) -> str:
    """The model that "IPY_MODEL_<id>" names."""
    return text.removeprefix("IPY_MODEL_")
