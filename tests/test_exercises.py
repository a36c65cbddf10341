"""The exercises' checks accept the library's own functions and name the property that a wrong answer breaks."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from fgssl_edu import exercises, gradcam, losses


def knn(query, bank, labels, k, temperature):
    similarity, index = (bank @ query).topk(k)
    return torch.zeros(int(labels.max()) + 1).index_add(0, labels[index], (similarity / temperature).exp()).argmax()


def two_classes(query, bank, labels, k, temperature):
    similarity, index = (bank @ query).topk(k)
    return torch.zeros(2).index_add(0, labels[index], (similarity / temperature).exp()).argmax()


def average_precision(relevant):
    places = relevant.nonzero()[:, 0] + 1
    return (torch.arange(1, len(places) + 1) / places).mean()


def edit_score(original, edited, elsewhere):
    def move(other):
        return (1 - F.cosine_similarity(original, other, dim=1)).mean()

    return move(edited) / move(elsewhere)


def rescued_precision(relevant):
    """Interpolated: at every hit the best precision from there on."""
    places = relevant.nonzero()[:, 0] + 1
    precision = torch.arange(1, len(places) + 1) / places
    return precision.flip(0).cummax(0).values.mean()


def blind_to_key(query, key, queue, temperature):
    """Takes the positive's similarity for 1."""
    logits = torch.cat([torch.ones(len(query), 1), query @ queue.T], dim=1) / temperature
    return F.cross_entropy(logits, torch.zeros(len(query), dtype=torch.long))


def cam(score, maps, pool=(2, 3)):
    gradient = torch.autograd.grad(score, maps)[0]
    return F.relu(((gradient.mean(dim=pool, keepdim=True) if pool else gradient) * maps).sum(dim=1))


def cam_by_backward(score, maps):
    score.backward()
    return F.relu((maps.grad.mean(dim=(2, 3), keepdim=True) * maps).sum(dim=1))


def mean_of_ratios(original, edited, elsewhere):
    near, far = (1 - F.cosine_similarity(original, other, dim=1) for other in (edited, elsewhere))
    return (near / far).mean()


RIGHT = [
    (exercises.check_knn, knn),
    (exercises.check_average_precision, average_precision),
    (exercises.check_nt_xent, losses.nt_xent),
    (exercises.check_info_nce, losses.info_nce),
    (exercises.check_gradcam, lambda score, maps: gradcam.gradcam(score, maps, sign="score")),
    (exercises.check_gradcam, cam_by_backward),
    (exercises.check_edit_score, edit_score),
]
WRONG = [
    (exercises.check_knn, lambda q, b, y, k, t: knn(q, b, y, len(b), t), "do you use k"),
    (exercises.check_knn, lambda q, b, y, k, t: knn(q, b, y, k if k == 1 else len(b), t), "only the k nearest"),
    (exercises.check_knn, lambda q, b, y, k, t: y[(b @ q).topk(k).indices].mode().values, "weigh more"),
    (exercises.check_knn, lambda q, b, y, k, t: knn(q, b, y, 5, t), "do you use k"),
    (exercises.check_knn, lambda q, b, y, k, t: knn(q, b, y, k, 0.07), "temperature 10"),
    (exercises.check_knn, lambda q, b, y, k, t: knn(q, b, (y > 0) * 1, k, t), "any numbers"),
    (exercises.check_knn, two_classes, "any numbers"),
    (exercises.check_average_precision, rescued_precision, "own place"),
    (exercises.check_average_precision, lambda r: r.float().mean(), "exactly 1"),
    (exercises.check_average_precision, lambda r: average_precision(r) * r.sum() / len(r), "exactly 1"),
    (exercises.check_nt_xent, lambda a, b, t: F.cross_entropy(a @ b.T / t, torch.arange(len(a))), r"ln(2N-1)"),
    (exercises.check_nt_xent, lambda a, b, t: losses.nt_xent(a, b.detach(), t), "no gradient"),
    (exercises.check_nt_xent, lambda a, b, t: losses.nt_xent(a, b, 1.0), "divided by the temperature"),
    (exercises.check_info_nce, lambda q, k, b, t: losses.info_nce(q, k, torch.cat([b, k]), t), r"ln(1+K)"),
    (exercises.check_info_nce, lambda q, k, b, t: losses.info_nce(q, k, b, 0.5), "divided by the temperature"),
    (exercises.check_info_nce, blind_to_key, "similarity of query and key"),
    (exercises.check_info_nce, lambda q, k, b, t: losses.info_nce(q, k.roll(1, 0), b, t), "its own key"),
    (exercises.check_info_nce, lambda q, k, b, t: losses.info_nce(q, k, b, t).item(), "no gradient"),
    (exercises.check_gradcam, lambda s, m: gradcam.gradcam(s, m, sign="score", rectify=False), "ReLU"),
    (exercises.check_gradcam, lambda s, m: gradcam.gradcam(s, m, sign="helps"), "linear head"),
    (exercises.check_gradcam, lambda s, m: cam(s, m, pool=()), "mean of its gradient"),
    (exercises.check_gradcam, lambda s, m: cam(s, m, pool=(0, 2, 3)), "over the batch"),
    (exercises.check_edit_score, mean_of_ratios, "mean of each bird's ratio"),
    (exercises.check_edit_score, lambda a, b, c: edit_score(a, b, c).clamp(max=1), "above 1"),
    (exercises.check_edit_score, lambda a, b, c: (a - b).norm(dim=1).mean() / (a - c).norm(dim=1).mean(), "length"),
    (exercises.check_edit_score, lambda a, b, c: edit_score(a, c, b), "score 0"),
]


@pytest.mark.parametrize(("check", "answer"), RIGHT)
def test_right_answer_passes(check, answer):
    assert check(answer).passed, check(answer)


@pytest.mark.parametrize(("check", "answer", "word"), WRONG)
def test_wrong_answer_is_told_the_property_that_failed(check, answer, word):
    verdict = check(answer)
    assert not verdict.passed
    assert word in verdict.message


def test_an_unwritten_answer_is_said_to_be_unwritten():
    def stub(first, second, temperature):
        raise NotImplementedError

    verdict = exercises.check_nt_xent(stub)
    assert not verdict.passed
    assert "not written yet" in verdict.message
    assert "not written yet" in verdict._repr_html_()
