"""A lesson at scale full runs from its first cell to its record: its networks and recipes, a handful of pictures."""

from __future__ import annotations

import functools
import json

import pytest
import torch

from fgssl_edu import paths, records
from fgssl_edu.evaluate import suite

FEW: dict[str, object] = {"scale": "full", "dataset": "birds", "init": "random", "seed": 0, "steps": 2, "batch": 4}
FEW |= {"train_images": 48, "test_images": 24, "species": 8, "image_size": 64, "crop_size": 48, "eval_size": 48}
FEW |= {"neighbours": 5, "accelerator": "cpu"}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:FigureCanvasAgg is non-interactive")
@pytest.mark.parametrize("slug", ["rotation", "no-negatives"])  # a pretext task's AlexNet, a ResNet-50 with LARS
def test_every_cell_of_a_lesson_runs_at_full_and_leaves_a_record(slug: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(suite, "edit_score", functools.partial(suite.edit_score, birds=6))
    monkeypatch.setattr(suite, "few_shot", functools.partial(suite.few_shot, shots=(1,), count=1))
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    (notebook,) = (path for _, name, path in paths.course() if name == slug)
    space: dict[str, object] = {"__name__": "__main__"}
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code" and "parameters" in cell["metadata"].get("tags", []):
            space |= FEW  # what papermill would inject, with the sizes that this lesson does not declare
        elif cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), f"{slug}, cell {cell['id']}", "exec"), space)
    run = space["run"]
    record = records.read_record(run.folder)
    assert record["settings"]["encoder"] in ("alexnet", "resnet50") and record["settings"]["batch"] == 4
    assert record["unlike_paper"] and record["notes"] == list(run.notes) and len(run.notes) == 1
    assert "_like: not the setting of arXiv" in run._repr_html_() and "birds for imagenet1k" in record["unlike_paper"]
