"""Linear probes: limits, nested label sets, choices made on training images only."""

from __future__ import annotations

import time

import pytest
import torch
import torch.nn.functional as F

from fgssl_edu.data.image_set import stratified_share
from fgssl_edu.evaluate.probe import STRENGTHS, few_shot, fit_linear, fit_logistic, label_curve, linear_probe


def blobs(
    count: int, classes: int = 6, dim: int = 12, spread: float = 1.0, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    centres = torch.randn(classes, dim, generator=torch.Generator().manual_seed(99)) * 2
    labels = torch.arange(count) % classes
    return centres[labels] + spread * torch.randn(count, dim, generator=torch.Generator().manual_seed(seed)), labels


def test_random_constant_and_oracle_features():
    generator = torch.Generator().manual_seed(0)
    train, test = torch.arange(600) % 6, torch.arange(600) % 6
    random = linear_probe(
        torch.randn(600, 8, generator=generator), train, torch.randn(600, 8, generator=generator), test
    )
    assert abs(random.value - 1 / 6) < 0.06  # one deviation is .015
    assert linear_probe(torch.ones(600, 3), train, torch.ones(600, 3), test).value == pytest.approx(1 / 6)
    oracle = linear_probe(F.one_hot(train).float(), train, F.one_hot(test).float(), test)
    assert oracle.value == 1
    assert oracle.protocol["chance"] == pytest.approx(1 / 6) and "L-BFGS" in str(oracle.protocol["probe"])


def test_minimum_is_that_of_scikit_learn():
    from sklearn.linear_model import LogisticRegression

    features, labels = blobs(300, spread=3.0)
    ours = fit_logistic(features.double(), labels, 6, strength=0.1)
    theirs = LogisticRegression(C=0.1, tol=1e-8, max_iter=1000).fit(features.double().numpy(), labels.numpy())
    assert torch.allclose(ours[:, :-1], torch.from_numpy(theirs.coef_), atol=1e-3)  # both stop at a small gradient


def test_classifier_works_on_features_as_they_are():
    features, labels = blobs(240)
    stretched = features * torch.logspace(-3, 3, 12) + 50  # standardising takes units and offsets away
    plain, moved = (
        fit_linear(features, labels, 6, strength=1.0),
        fit_linear(stretched.double(), labels, 6, strength=1.0),
    )
    assert torch.equal(plain(features).argmax(dim=1), moved(stretched.double()).argmax(dim=1))


def test_a_dimension_that_never_varies_does_no_harm():
    features, labels = blobs(240)
    with_constant = torch.cat([features, torch.full((240, 1), 3.0)], dim=1)
    assert (
        linear_probe(with_constant, labels, with_constant, labels).value
        == linear_probe(features, labels, features, labels).value
    )


def test_strength_is_chosen_without_test_images():
    (features, labels), (other, answers) = blobs(240, spread=3), blobs(120, spread=3, seed=1)
    chosen = linear_probe(features, labels, other, answers).protocol["chosen"]
    shuffled = linear_probe(features, labels, other, answers.flip(0)).protocol["chosen"]
    assert chosen == shuffled and chosen["C"] in STRENGTHS


def test_more_labels_help_and_the_curve_ends_at_the_probe():
    (features, labels), (other, answers) = blobs(600, spread=3), blobs(600, spread=3, seed=1)
    curve = label_curve(features, labels, other, answers, shares=(0.02, 0.2, 1.0))
    assert curve[0.02].value < curve[0.2].value < curve[1.0].value
    assert curve[1.0].value == linear_probe(features, labels, other, answers).value
    assert curve[0.02].protocol["train_images"] == 12 and curve[0.2].protocol["label_share"] == 0.2
    with pytest.raises(ValueError, match="1.5"):
        label_curve(features, labels, other, answers, shares=(1.5,))


def test_few_shots_rise_and_use_that_many_labels():
    (features, labels), (other, answers) = blobs(300, spread=2.5), blobs(300, spread=2.5, seed=1)
    scores = few_shot(features, labels, other, answers)
    values = [scores[shots].value for shots in (1, 2, 4, 8)]
    assert values == sorted(values) and values[0] > 1.5 / 6
    assert scores[4].protocol["train_images"] == 24 and scores[4].protocol["draws"] == 5


def test_draws_of_a_share_differ_between_seeds_and_not_within_one():
    labels = blobs(300)[1]
    draws = [stratified_share(labels, 0.2, seed) for seed in (0, 1, 2)]
    for first in range(3):
        assert torch.equal(stratified_share(labels, 0.2, first), draws[first])
        assert torch.equal(labels[draws[first]].bincount(), torch.full((6,), 10))  # ceil(.2 x 50)
        for second in range(first):
            assert 0 < torch.isin(draws[first], draws[second]).sum() < 60  # a fifth in common is expected
    (features, labels), (other, answers) = blobs(300, spread=3), blobs(300, spread=3, seed=1)
    values = [label_curve(features, labels, other, answers, (0.04,), seed)[0.04].value for seed in (0, 1, 2, 0)]
    assert len(set(values)) > 1 and values[0] == values[3]


def test_a_lecture_sized_probe_takes_under_two_cpu_seconds():
    (features, labels), (other, answers) = blobs(3000, 24, 128, 6.0), blobs(960, 24, 128, 6.0, seed=1)
    linear_probe(features[:100], labels[:100], other, answers)  # the first optimiser of a process imports for seconds
    started = time.process_time()
    linear_probe(features, labels, other, answers)
    assert time.process_time() - started < 2
