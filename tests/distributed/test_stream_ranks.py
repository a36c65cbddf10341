"""Two gloo processes on one stream compute what one does: banks, passes over the set, and the order of the steps."""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "contract"))  # also in the processes that are started
from contract_methods import BATCH, SIDE, digest, make, pictures
from contract_processes import on_both

from fgssl_edu.data.shard_writing import Sample, write_shards
from fgssl_edu.data.stream import StreamedImages
from fgssl_edu.recipe import Recipe
from fgssl_edu.train import pretrain

NAMES = ("Clusters", "simclr", "deepcluster")
RECIPE = Recipe(steps=4, batch=BATCH, lr=1e-3, warmup=2, accelerator="cpu")  # over the end of an epoch


def trained(folder: Path, processes: int) -> dict[str, tuple[list[float], str]]:
    """{name: (losses, hash of the state)}."""
    found = {}
    for name in NAMES:
        method, images = make(name), StreamedImages(folder / "set", SIDE, group=2)
        history = pretrain(method, images, dataclasses.replace(RECIPE, devices=processes), progress=False)
        found[name] = (history.column("loss")[1], digest(method.state_dict()))
    return found


def on_one(rank: int, folder: Path) -> dict:
    os.environ.update(LOCAL_RANK=str(rank), WORLD_SIZE="2", NODE_RANK="0")
    return trained(folder, processes=2)


@pytest.mark.slow
def test_two_processes_lose_what_one_does(tmp_path: Path):
    pytest.importorskip("webdataset")
    write_shards([Sample(image) for image in pictures(25)], tmp_path / "set", 5, size=SIDE)  # shares of 13 and 12
    alone, both = trained(tmp_path, processes=1), on_both(on_one, tmp_path)
    for name, (losses, _) in alone.items():
        assert both[0][name] == both[1][name]
        assert both[0][name][0] == pytest.approx(losses, abs=1e-4), name
