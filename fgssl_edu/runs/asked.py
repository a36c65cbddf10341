"""The arm that a run was asked for (`method`): trained or loaded, scored, whatever else its lesson shows.

A lesson's notebook trains what it teaches with; a table of a paper asks for one arm after another. Both end here, and
what the notebook has trained already is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from fgssl_edu import config
from fgssl_edu.data.image_set import Splits
from fgssl_edu.evaluate import suite
from fgssl_edu.evaluate.statistics import Score
from fgssl_edu.methods.base import Method
from fgssl_edu.nets.encoders import Encoder
from fgssl_edu.runs import arms, coresets
from fgssl_edu.train import History, Monitor


class Lesson(Protocol):
    """What is needed of a `lesson.Run`."""

    slug: str
    settings: config.Settings

    def load(self) -> Splits:
        """Its images."""

    def once(self, name: str, compute: Callable[[], Any]) -> Any:
        """A result, computed once."""

    def pretrain(self, name: str, method: Method, images: Any, monitors: Sequence[Monitor] = ()) -> History:
        """Train, or load what was trained."""

    def score(self, name: str, encoder: Encoder) -> dict[str, Score]:
        """Score, or load the scores."""

    def monitors(self) -> list[Monitor]:
        """What watches a training."""


def scored(run: Lesson) -> dict[str, Score | float]:
    """Train the run's arm if it is one that is trained, and score its encoder.

    Returns:
        Every score; of an arm that trains on a choice from an open set, also how many pictures it is and, where
        somebody knows, how good.
    """
    settings = run.settings
    arm = arms.arm_named(run.slug, settings.method)
    if arm.method is None:
        return {**run.score(arm.title, arms.untrained(settings, arm.sees))}
    if not arm.extra:
        images = arms.given_to(arm, run.load().train, settings.seed)
        method = arms.build_arm(arm, settings, images)
        run.pretrain(arm.title, method, images, run.monitors())
        return {**run.score(arm.title, method.evaluated())}
    pixels, splits, found = coresets.training_images(arm.extra, settings, arm)
    method = arms.build_arm(arm, settings, splits.train)
    run.pretrain(arm.title, method, pixels, run.monitors())
    encoder = method.evaluated()
    scores = run.once(f"scores of {arm.title}", lambda: suite.evaluate(encoder, splits, settings))
    return {**scores, **found}
