"""The arm that a run was asked for: trained once or not at all, on what it trains on, and scored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from fgssl_edu import config, lesson, train
from fgssl_edu.data.image_set import Splits
from fgssl_edu.evaluate import suite
from fgssl_edu.evaluate.statistics import Score
from fgssl_edu.nets.encoders import Encoder
from fgssl_edu.runs import asked, notebook, parameters

TINY = {"scale": "ci", "steps": 2, "batch": 16, "train_images": 96, "test_images": 48, "image_size": 32}
TINY |= {"crop_size": 24, "eval_size": 24}


def sizes(encoder: Encoder, splits: Splits, settings: config.Settings, **_: object) -> dict[str, Score]:
    """In place of every score: what was scored on what."""
    about = {"train_images": len(splits.train), "encoder": encoder.name}
    return {"species/knn": Score(float(encoder.features(torch.ones(1, 3, 24, 24)).detach().mean()), None, about)}


@pytest.fixture(autouse=True)
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A home of its own, and no scores that take long."""
    monkeypatch.setattr(suite, "evaluate", sizes)
    monkeypatch.setenv("FGSSL_HOME", str(tmp_path))
    monkeypatch.delenv(notebook.SUPERVISED, raising=False)
    with torch.random.fork_rng():
        yield


def start(slug: str, **given: object) -> lesson.Run:
    return lesson.start({**TINY, **given}, slug)


def test_an_arm_is_trained_once_and_then_loaded(monkeypatch: pytest.MonkeyPatch):
    first = asked.scored(start("common-rationale", method="moco"))
    monkeypatch.setattr(train, "pretrain", lambda *_, **__: pytest.fail("trained again"))
    monkeypatch.setattr(suite, "evaluate", lambda *_, **__: pytest.fail("scored again"))
    again = asked.scored(start("common-rationale", method="moco"))
    assert {name: score.value for name, score in first.items()} == {name: s.value for name, s in again.items()}
    assert first["species/knn"].protocol["train_images"] == 96


def test_an_untrained_arm_is_scored_as_it_is_where_the_lesson_has_a_use_for_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(train, "pretrain", lambda *_, **__: pytest.fail("trained"))
    run = start("synthesised-pairs", method="start")
    assert asked.scored(run)["species/knn"].protocol["encoder"] == "resnet10"
    with pytest.raises(ValueError, match="is not trained"):
        parameters.settle("contrast", {"method": "random"})


def test_an_arm_of_the_open_set_trains_on_the_choice_and_is_scored_on_x():
    small = {"target_images": 48, "open_images": 60, "centroids": 4, "budget": 0.1}
    found = asked.scored(start("simcore", method="simcore", **small))
    assert found["coreset/size"] == 6
    assert found["species/knn"].protocol["train_images"] == 48


def test_a_supervised_arm_is_given_the_labels():
    trained = asked.scored(start("synthesised-pairs", method="supervised"))["species/knn"]
    assert trained.value != asked.scored(start("synthesised-pairs", method="start"))["species/knn"].value
