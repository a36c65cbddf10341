"""A recipe refuses what cannot be, and takes its part of a run's settings."""

from __future__ import annotations

import pytest

from fgssl_edu.config import Settings
from fgssl_edu.recipe import Recipe


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"steps": 0}, "steps=0 should be a whole number"),
        ({"batch": 8.0}, "batch=8.0 should be a whole number"),
        ({"lr": -1.0}, "lr=-1.0 should be above 0"),
        ({"optimizer": "adam"}, "optimizer='adam' should be one of adamw, sgd, lars"),
        ({"lr_schedule": "step"}, "lr_schedule='step' should be one of cosine, steps"),
        ({"warmup": 7}, "warmup=7 should be 0 to steps=6"),
        ({"accumulate": 3}, "batch=8 should be a multiple of accumulate x devices x nodes = 3"),
        ({"clip": 0.0}, "clip=0.0 should be above 0"),
        ({"precision": "fp8"}, "precision='fp8' should be one of"),
    ],
)
def test_a_recipe_refuses_what_cannot_be(changes: dict, complaint: str):
    with pytest.raises(ValueError, match=complaint):
        Recipe(**{"steps": 6, "batch": 8, "lr": 1e-3, "warmup": 2, **changes})


def test_a_recipe_takes_its_part_of_the_settings():
    made = Recipe.of(Settings(steps=50, batch=16, lr=0.1, seed=4, optimizer="sgd"))
    assert (made.steps, made.batch, made.lr, made.seed, made.optimizer, made.accumulate) == (50, 16, 0.1, 4, "sgd", 1)


def test_the_rate_falls_to_a_tenth_twice_or_along_a_cosine():
    steps = Recipe(steps=200, batch=8, warmup=10, lr_schedule="steps")
    found = [steps.rate(step) for step in (0, 9, 10, 119, 120, 159, 160, 199)]
    assert found == pytest.approx([0.1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01])
    cosine = Recipe(steps=200, batch=8, warmup=0)
    assert [cosine.rate(step) for step in (0, 100, 200)] == pytest.approx([1, 0.5, 0])


def test_of_few_images_a_batch_is_what_the_processes_can_share():
    settings = Settings(batch=8, devices=2, nodes=2, train_images=8)
    assert Recipe.of(settings).batch == Recipe.of(settings, 9).batch == 8
    assert Recipe.of(settings, 7).batch == 4
    assert Recipe.of(Settings(batch=8, train_images=8), 7).batch == 7
