"""An executed notebook as a page that needs no network."""

from __future__ import annotations

import re

import nbformat
import pytest

from fgssl_edu.runs import page

STATES = {
    "box": {
        "model_name": "VBoxModel",
        "state": {"children": ["IPY_MODEL_slider", "IPY_MODEL_gone", "IPY_MODEL_image"]},
    },
    "slider": {
        "model_name": "FloatSliderModel",
        "state": {"description": "strength <1>", "value": 0.5, "layout": "IPY_MODEL_l"},
    },
    "l": {"model_name": "LayoutModel", "state": {"display": None}},
    "gone": {"model_name": "HTMLModel", "state": {"value": "hidden words", "layout": "IPY_MODEL_none"}},
    "none": {"model_name": "LayoutModel", "state": {"display": "none"}},
    "image": {
        "model_name": "ImageModel",
        "state": {"format": "jpeg"},
        "buffers": [{"data": "QUJD", "path": ["value"], "encoding": "base64"}],
    },
    "select": {"model_name": "DropdownModel", "state": {"_options_labels": ["a", "b"], "index": 1, "description": "k"}},
}


def test_a_widget_becomes_what_it_last_showed():
    shown = page.snapshot("box", STATES)
    assert "strength &lt;1&gt;: 0.5" in shown and 'src="data:image/jpeg;base64,QUJD"' in shown
    assert "hidden words" not in shown
    assert page.snapshot("select", STATES) == "<span>k: b</span>"
    assert "not saved" in page.snapshot("unknown", STATES)


def test_a_static_sheet_that_came_with_a_panel_stands_below_the_panel():
    data = {page.VIEW: {"model_id": "select"}, "text/html": "<details>states</details>"}
    page.freeze(data, STATES)
    assert page.VIEW not in data
    assert data["text/html"] == '<div class="fgssl-snapshot"><span>k: b</span></div><details>states</details>'


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the converter's own libraries
def test_a_page_asks_the_network_for_formulas_alone():
    cell = nbformat.v4.new_code_cell("panel")
    data = {page.VIEW: {"model_id": "box"}, "text/plain": "VBox()"}
    cell.outputs = [nbformat.v4.new_output("display_data", data)]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("$x^2$"), cell])
    book.metadata["widgets"] = {page.WIDGET_STATE: {"state": STATES}}
    html = page.as_html(book)
    asked = re.findall(r"""<(?:script|link|img|iframe)[^>]*(?:src|href)=["']([^"']*)""", html)
    assert [address for address in asked if not address.startswith("data:")] == [
        address for address in asked if "mathjax" in address
    ]
    assert "<script defer src=" in html and 'base64,QUJD"' in html and "VBox()" not in html
    assert page.WIDGET_STATE in book.metadata["widgets"]  # the notebook itself is not changed
