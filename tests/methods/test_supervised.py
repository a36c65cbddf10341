"""The supervised reference, and how methods are built by name."""

from __future__ import annotations

import inspect
import math

import pytest
import torch

from fgssl_edu import draws
from fgssl_edu.data.image_set import Batch
from fgssl_edu.methods import METHODS, PRESETS, build
from fgssl_edu.nets import build_encoder
from fgssl_edu.recipe import Recipe
from fgssl_edu.train import pretrain
from fgssl_edu.views.presets import VIEWS, ViewPreset, scaled

SIDE = 24
LABELS = torch.tensor([2, 0, 1, 1, 0, 2, 0, 1])


def pictures() -> torch.Tensor:
    """Smooth random colours, so that crops of one picture look alike."""
    coarse = draws.uniform(1, 0, torch.arange(8), "pictures", 3 * 4).view(-1, 3, 2, 2)
    return (torch.nn.functional.interpolate(coarse, size=SIDE, mode="bilinear") * 255).byte()


def supervised(**fields):
    fields = {"labels": LABELS, "classes": 3, "size": 16, **fields}
    return build("supervised", build_encoder("resnet10", seed=0), **fields)


def test_it_learns_eight_labels_by_heart():
    method = supervised(views=scaled(VIEWS["mild"], 0.25))
    history = pretrain(method, pictures(), Recipe(steps=60, batch=8, warmup=5, accelerator="cpu"), progress=False)
    assert history.chance == pytest.approx(math.log(3))
    assert history.rows[-1]["loss"] < 0.05 * history.chance  # five seeds ended below .01 of it
    assert history.rows[-1]["accuracy"] == 1.0


def test_the_label_of_an_image_is_found_by_its_position():
    method = supervised().eval()
    order = torch.tensor([5, 1, 6])
    batch = Batch(pictures()[order], order)
    views = method.views(batch, 0)
    logits = method.classifier(method.encoder(views[0]))
    expected = torch.nn.functional.cross_entropy(logits, torch.tensor([2, 0, 0]))
    assert method(batch, views)["loss"].item() == pytest.approx(expected.item(), abs=1e-6)


def test_labels_follow_the_device_but_not_the_checkpoint():
    assert "labels" in dict(supervised().named_buffers()) and "labels" not in supervised().state_dict()


@pytest.mark.parametrize("labels", [torch.tensor([0, 1, -1]), torch.tensor([0, 3]), torch.tensor([]), torch.rand(8)])
def test_labels_that_are_no_classes_are_refused(labels: torch.Tensor):
    with pytest.raises(ValueError, match="labels must be whole numbers"):
        supervised(labels=labels)


def test_labels_of_another_set_are_refused_before_training():
    with pytest.raises(ValueError, match="labels: 3 for 8 images"):
        recipe = Recipe(steps=1, batch=4, warmup=0, accelerator="cpu")
        pretrain(supervised(labels=LABELS[:3]), pictures(), recipe, progress=False)


def test_a_head_starts_from_its_seed_and_leaves_global_random_numbers_alone():
    state = torch.get_rng_state()
    first, again, other = supervised(seed=1), supervised(seed=1), supervised(seed=2)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first.classifier.weight, again.classifier.weight)
    assert not torch.equal(first.classifier.weight, other.classifier.weight)


@pytest.mark.parametrize(("name", "preset"), [(name, preset) for name in PRESETS for preset in PRESETS[name]])
def test_presets_name_fields_of_their_method_and_say_where_values_are_from(name: str, preset: str):
    known = inspect.signature(METHODS[name]).parameters
    for field, (value, source) in PRESETS[name][preset].items():
        assert field in known and source
        for views in (value if isinstance(value, tuple) else (value,)) if field == "views" else ():
            assert isinstance(views, ViewPreset) or views in VIEWS


@pytest.mark.parametrize(
    ("name", "fields", "complaint"),
    [
        ("simclt", {}, r"method='simclt' is unknown \(did you mean 'simclr'\?\)"),
        ("moco", {"preset": "v3"}, "preset='v3': moco has v1, v2"),
        ("supervised", {"preset": "v1"}, "supervised has none"),
        ("moco", {"temprature": 0.2}, r"moco has no field 'temprature' \(did you mean 'temperature'\?\)"),
    ],
)
def test_unknown_names_are_refused_with_what_there_is(name: str, fields: dict, complaint: str):
    with pytest.raises(ValueError, match=complaint):
        build(name, build_encoder("resnet10", seed=0), **fields)
