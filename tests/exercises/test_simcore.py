"""The checks of the lesson `simcore` accept a right answer, in any form, and name what a wrong one breaks."""

from __future__ import annotations

import pytest
import torch

from fgssl_edu.exercises.simcore import check_facility_value, check_round


def one_round(similarity, taken):
    best, pick = similarity.masked_fill(taken[:, None], -torch.inf).max(dim=0)
    return pick.unique(), best.mean()


def round_in_python(similarity, taken):
    free = [row for row in range(len(similarity)) if not taken[row]]
    picks = [max(free, key=lambda row: float(similarity[row, column])) for column in range(similarity.shape[1])]
    return sorted(set(picks)), sum(float(similarity[row, column]) for column, row in enumerate(picks)) / len(picks)


def nearest_overall(similarity, taken):
    best = similarity.masked_fill(taken[:, None], -torch.inf).max(dim=1).values.topk(2)
    return best.indices, best.values.mean()


def repeated(similarity, taken):
    best, pick = similarity.masked_fill(taken[:, None], -torch.inf).max(dim=0)
    return pick, best.mean()


def forgetful(similarity, taken):
    return one_round(similarity, torch.zeros_like(taken))


def merged_value(similarity, taken):
    picks, _ = one_round(similarity, taken)
    return picks, similarity[picks].max(dim=1).values.mean()


def zeroed(similarity, taken):
    best, pick = (similarity * ~taken[:, None]).max(dim=0)
    return pick.unique(), best.mean()


def destructive(similarity, taken):
    similarity[taken] = -torch.inf
    best, pick = similarity.max(dim=0)
    return pick.unique(), best.mean()


def marking(similarity, taken):
    picks, value = one_round(similarity, taken)
    taken[picks] = True
    return picks, value


@pytest.mark.parametrize("answer", [one_round, round_in_python])
def test_a_right_round_passes(answer):
    assert check_round(answer).passed, check_round(answer)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda s, t: (torch.tensor([1]), torch.tensor(0.875)), "each centroid"),
        (lambda s, t: (one_round(s, t)[0], one_round(s, t)[1] * 2), "(.9 + .85) / 2"),
        (forgetful, "second round"),
        (nearest_overall, "u0 alone"),
        (repeated, "come once"),
        (merged_value, "(.9 + .8) / 2"),
        (zeroed, "negative"),
        (destructive, "do not write"),
        (marking, "do not write"),
        (lambda s, t: one_round(s, t)[0], "two things"),
        (lambda s, t: (torch.tensor(0), 0.875), "a sequence"),
    ],
)
def test_a_wrong_round_is_told_what_it_breaks(answer, words):
    verdict = check_round(answer)
    assert not verdict.passed and words in verdict.message, verdict


def facility(similarity, chosen):
    return similarity[chosen].max(dim=0).values.sum()


@pytest.mark.parametrize("answer", [facility, lambda s, c: float(facility(s, c))])
def test_a_right_value_passes(answer):
    assert check_facility_value(answer).passed, check_facility_value(answer)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda s, c: s[c].max(dim=0).values.mean(), "1.7"),
        (lambda s, c: s[c].max(dim=1).values.sum(), "1.7"),
        (lambda s, c: s[c].sum(), "1.75"),
        (lambda s, c: s[c].mean(dim=0).sum(), "1.75"),
        (lambda s, c: facility(s, torch.cat([c, torch.tensor([0])])), "only chosen"),
        (lambda s, c: facility(s, c) - 0.01 * (len(c) > 2), "not monotone"),
        (lambda s, c: facility(s, c) + 0.1 * (len(c) > 2) * len(c) ** 2, "not submodular"),
        (lambda s, c: s[c].max(dim=0).values.clamp(min=0).sum(), "negative"),
        (lambda s, c: facility(s, c) + 0.01 * max(0, len(c) - 2), "first round"),
    ],
)
def test_a_wrong_value_is_told_what_it_breaks(answer, words):
    verdict = check_facility_value(answer)
    assert not verdict.passed and words in verdict.message, verdict


def test_an_unwritten_answer_is_said_to_be_unwritten():
    def stub(similarity, taken):
        raise NotImplementedError

    assert "not written yet" in check_round(stub).message
    assert "not written yet" in check_facility_value(stub).message
