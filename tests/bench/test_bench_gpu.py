"""The bench for a GPU, walked through on the CPU with tiny networks and pictures; its numbers are not looked at."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from fgssl_edu import bench
from fgssl_edu.bench import train, train_gpu
from fgssl_edu.bench.train import Setting

TINY = Setting(name="tiny", crop=32, stored=48, batch=4, images=8, steps=1, rounds=1, workers=0)
SMALL = {
    "moco_v2": {"encoder": "resnet10", "fields": {"queue": 8}},
    "simclr": {"encoder": "resnet10"},
    "dino": {"encoder": "vit_mini", "fields": {"local_views": 2, "local_size": 16, "prototypes": 12, "hidden": 16}},
    "mae": {"encoder": "vit_mini", "fields": {"decoder_dim": 16, "decoder_depth": 1, "decoder_heads": 2}},
    "pairs": {"encoder": "resnet10", "fields": {"queue": 8, "memory": 8, "decoder_size": 32}},
}


def small(name: str) -> train_gpu.Measured:
    return dataclasses.replace(train_gpu.MEASURED[name], **SMALL[name])


def test_every_method_is_measured_alone_and_against_both_ceilings():
    pytest.importorskip("lightly")
    assert SMALL.keys() == train_gpu.MEASURED.keys()
    result = train_gpu.run(TINY, {name: small(name) for name in SMALL})
    assert list(result["tables"]) == [f"{name}_32" for name in SMALL]
    for table in result["tables"].values():
        assert set(table["images_per_second"]) == {"ours", "step", "views", "lightly"}
        assert set(table["ratios"]) == {"pipeline_to_step", "to_lightly"}
        assert all(value > 0 and math.isfinite(value) for value in table["ratios"].values())
        assert "megabytes" not in table  # a CPU does not count
    assert result["ratios"] == result["tables"]["moco_v2_32"]["ratios"]
    text = bench.report({"bench": "train", "scale": "lecture", "environment": {"threads": 1}, **result})
    assert "dino_32" in text and "pipeline_to_step" in text


@pytest.mark.parametrize("name", list(SMALL))
def test_lightlys_views_have_the_shapes_of_ours(name: str):
    pytest.importorskip("lightly")
    from torchvision.transforms.functional import to_pil_image

    images = torch.randint(0, 256, (4, 3, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    measured = small(name)
    learner = train_gpu.OwnLearner(measured, TINY, images)
    made = measured.transform(measured, TINY.crop)(to_pil_image(images[0]))
    mine = learner.own.views(train.Batch(images, torch.arange(4)), 0)
    assert [view.shape for view in made] == [view.shape[1:] for view in mine[: len(made)]]
    assert all(view.min() >= 0 and view.max() <= 1 for view in made)  # as our encoders take them


def test_a_step_trains_with_the_methods_own_optimisers():
    images = torch.randint(0, 256, (4, 3, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    learner = train_gpu.OwnLearner(small("pairs"), TINY, images)
    batch = train.Batch(images, torch.arange(4))
    before = {name: value.clone() for name, value in learner.own.named_parameters()}
    learner.update(batch, learner.own.views(batch, 0))
    moved = {name.split(".")[0] for name, value in learner.own.named_parameters() if not value.equal(before[name])}
    assert len(learner.optimizers) == 2 and {"base", "decoder"} <= moved


def test_the_papers_sizes_are_those_of_the_bench():
    gpu, measured = train_gpu.GPU, train_gpu.MEASURED
    assert (gpu.crop, gpu.device, gpu.precision, gpu.workers) == (224, "cuda", torch.bfloat16, 16)
    assert {each.encoder for each in measured.values()} == {"resnet50", "vit_small"}


def test_a_machine_with_a_gpu_is_measured_at_224_pixels(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(train_gpu, "run", lambda: {"ratios": {"gpu": 1.0}})
    monkeypatch.setattr(train, "run", lambda scale: {"ratios": {scale: 1.0}})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert bench.BENCHES["train"]("lecture") == {"ratios": {"gpu": 1.0}}
    assert bench.BENCHES["train"]("ci") == {"ratios": {"ci": 1.0}}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert bench.BENCHES["train"]("lecture") == {"ratios": {"lecture": 1.0}}
