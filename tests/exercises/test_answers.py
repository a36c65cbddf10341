"""Every self-check accepts right answers and tells a wrong one what it lacks; the answers stand in a file a lesson."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

HERE = Path(__file__).parent
LESSONS = {
    path.stem.rpartition("exercises_")[2].removeprefix("answers_"): import_module(path.stem)
    for pattern in ("answers_*.py", "test_exercises_*.py")
    for path in sorted(HERE.glob(pattern))
}
RIGHT = [pytest.param(*row, id=f"{name}-{i}") for name, each in LESSONS.items() for i, row in enumerate(each.RIGHT)]
WRONG = [pytest.param(*row, id=f"{name}-{i}") for name, each in LESSONS.items() for i, row in enumerate(each.WRONG)]


def test_most_lessons_are_found():
    assert len(LESSONS) >= 11


@pytest.mark.parametrize(("check", "answer"), RIGHT)
def test_a_right_answer_passes(check, answer):
    assert check(answer).passed, check(answer)


@pytest.mark.parametrize(("check", "answer", "words"), WRONG)
def test_a_wrong_answer_is_told_what_it_lacks(check, answer, words: str):
    verdict = check(answer)
    assert not verdict.passed
    assert words in verdict.message, verdict.message
