"""The bench of streams compares the same pictures, and a process of its own measures its own memory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from fgssl_edu import bench
from fgssl_edu.bench import stream
from fgssl_edu.data import shard_writing

pytest.importorskip("webdataset")


def test_reports_rates_memory_and_ratios(tmp_path: Path):
    result = stream.run("ci")
    table, growth = result["tables"]["32 px"], result["tables"]["growth"]
    assert set(table["images_per_cpu_second"]) == {"memory", "mapped", "stream", "decode"}
    assert set(table["images_per_second"]) == {"memory, step", "mapped, step", "stream, step"}
    assert set(table["ratios"]) == set(stream.COMPARED) | set(stream.COMPARED_STEP)
    assert list(growth["images_per_cpu_second"]) == ["6e1", "1e2"] and list(growth["ratios"]) == ["peak, 1e2 to 6e1"]
    assert all(value > 0 for value in result["ratios"].values())
    assert json.loads(json.dumps(result)) == result
    text = bench.report({"bench": "stream", "scale": "ci", "environment": {"threads": 1}, **result})
    assert all(row in text for row in (*table["ratios"], *growth["megabytes"]))


def test_the_three_sets_have_the_same_pictures(tmp_path: Path):
    setting = stream.SETTINGS["ci"][0]
    sets = stream.stored(setting, tmp_path)
    batches = {name: torch.cat([batch.images for batch in images.batches(7)]) for name, images in sets.items()}
    assert torch.equal(batches["memory"], batches["stream"]) and torch.equal(batches["memory"], batches["mapped"])


@pytest.mark.slow
def test_a_process_of_its_own_measures_its_own_memory(tmp_path: Path):
    noise = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    raw = [shard_writing.encode(image, 32) for image in noise]
    samples = (shard_writing.Sample(raw[i % 4]) for i in range(6000))
    index = shard_writing.write_shards(samples, tmp_path / "set", 3000, size=32)
    held = sum(shard.bytes for shard in index.shards) / 1e6
    big = torch.ones(60_000_000)  # 240 MB here must not be seen there
    found = stream.measured(tmp_path / "set", 100, own_process=True)
    assert 0.8 * held < found["megabytes"] < 4 * held + 60 and len(big)  # files of both shards, batches and libraries
