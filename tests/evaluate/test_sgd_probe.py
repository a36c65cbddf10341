"""The papers' probes: what each is, that it learns, and what its learning rate may be chosen on."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from fgssl_edu.evaluate import sgd_probe as module
from fgssl_edu.evaluate.sgd_probe import PROBES, RATES, choose_rate, fit_sgd, paper_probes, sgd_probe


def blobs(count: int, scale: float = 1.0, spread: float = 0.5, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    centres = torch.randn(6, 12, generator=torch.Generator().manual_seed(99)) * 2
    labels = torch.arange(count) % 6
    noise = torch.randn(count, 12, generator=torch.Generator().manual_seed(seed))
    return scale * (centres[labels] + spread * noise), labels


@pytest.mark.parametrize("settings", PROBES)
@pytest.mark.parametrize("lr", [None, "choose"])
def test_separable_features_are_read_by_every_papers_probe(settings: str, lr: str | None):
    score = sgd_probe(*blobs(240), *blobs(240, seed=1), settings=settings, lr=lr)
    assert score.value > 0.99
    assert score.protocol["settings"] == settings and "arXiv" in str(score.protocol["source"])


def test_settings_are_the_published_ones():
    found = {name: (probe.lr, probe.batch, probe.nesterov, probe.unit_norm) for name, probe in PROBES.items()}
    assert found == {
        "eccv24": (30.0, 128, False, False),
        "lcr": (30.0, 256, False, True),
        "simcore": (10.0, 256, True, False),
    }


def test_the_rule_is_sgd_with_momentum_and_two_decays(monkeypatch: pytest.MonkeyPatch):
    features, labels = blobs(10)
    monkeypatch.setattr(module, "EPOCHS", 4)
    monkeypatch.setattr(module, "DECAYS", (2, 3))
    for settings in PROBES.values():
        weight, _ = fit_sgd(features, labels, 6, settings, lr=0.1)  # one batch: its order does not matter
        w, b, speed = torch.zeros(6, 12), torch.zeros(6), [torch.zeros(6, 12), torch.zeros(6)]
        for lr in (0.1, 0.1, 0.01, 0.001):
            error = (torch.softmax(F.linear(features, w, b), dim=1) - F.one_hot(labels, 6)) / 10
            for i, (value, gradient) in enumerate([(w, error.T @ features), (b, error.sum(dim=0))]):
                speed[i] = 0.9 * speed[i] + gradient
                value -= lr * (gradient + 0.9 * speed[i] if settings.nesterov else speed[i])
        assert torch.allclose(weight, w, atol=1e-5)


def test_lcr_does_not_see_the_length_of_features():
    (features, labels), test = blobs(240, spread=2), blobs(240, spread=2, seed=1)
    longer = features * torch.linspace(0.5, 20, 240)[:, None]
    values = [sgd_probe(f, labels, *test, settings="lcr").value for f in (features, longer)]
    assert values[0] == pytest.approx(values[1], abs=0.01)  # normalising rounds


def test_a_rate_is_chosen_that_suits_the_features_norm():
    (features, labels), test = blobs(300, scale=100, spread=2), blobs(300, scale=100, spread=2, seed=1)
    chosen = sgd_probe(features, labels, *test, lr="choose")
    assert chosen.protocol["chosen"]["lr"] in RATES
    assert choose_rate(features / 1e4, labels, 6, PROBES["eccv24"]) > choose_rate(features, labels, 6, PROBES["eccv24"])


def test_nothing_of_the_test_set_is_used_for_choosing_or_fitting():
    (features, labels), (other, answers) = blobs(240, spread=3), blobs(120, spread=3, seed=1)
    first = sgd_probe(features, labels, other, answers, lr="choose")
    assert first.per_item is not None
    guessed = {}
    for name, shift in (("right", 0), ("wrong", 1)):  # each guess is scored against every shift of the answers
        score = sgd_probe(features, labels, other, (answers + shift) % 6, lr="choose")
        assert score.protocol["chosen"] == first.protocol["chosen"]
        guessed[name] = score.per_item
    assert not (guessed["right"] * guessed["wrong"]).any()  # no image has both answers: the guesses are the same
    assert torch.equal(guessed["right"], first.per_item)
    elsewhere = sgd_probe(features, labels, other.flip(0) * 3, answers, lr="choose")
    assert elsewhere.protocol["chosen"] == first.protocol["chosen"]


def test_the_held_out_tenth_is_not_trained_on(monkeypatch: pytest.MonkeyPatch):
    (features, labels), rows = blobs(240), []
    fit = module.fit_sgd
    monkeypatch.setattr(module, "fit_sgd", lambda *a: (rows.append(a[0]), fit(*a))[1])
    choose_rate(features, labels, 6, PROBES["lcr"])
    assert [len(used) for used in rows] == [240 - 6 * 4] * len(RATES)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"settings": "lcx"}, r"settings='lcx' \(did you mean 'lcr'\?\): use one of eccv24"),
        ({"lr": "search"}, "lr='search' should be a number"),
        ({"lr": 1e30}, r"lr=1e\+30: the probe diverges"),
    ],
)
def test_mistakes_and_a_divergence_are_named(fields: dict, complaint: str):
    with pytest.raises(ValueError, match=complaint):
        sgd_probe(*blobs(60, scale=1e10), *blobs(60, seed=1), **fields)


def test_a_rate_cannot_be_chosen_on_one_image_a_class():
    with pytest.raises(ValueError, match="no class has two training images"):
        choose_rate(torch.eye(3), torch.arange(3), 3, PROBES["lcr"])


def test_a_paper_s_probes_have_its_three_shares_of_the_labels():
    scores = paper_probes(*blobs(240), *blobs(240, seed=1), settings="lcr")
    found = {name: (score.protocol["train_images"], score.protocol["lr"]) for name, score in scores.items()}
    assert found == {"sgd": (240, 30.0), "sgd_50": (120, 30.0), "sgd_20": (48, 30.0)}
    assert all(score.value > 0.99 for score in scores.values())


def test_a_rate_is_chosen_where_the_paper_searches_and_where_its_own_diverges(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(PROBES, "eccv24", replace(PROBES["eccv24"], lr=1e38))
    searched = paper_probes(*blobs(240), *blobs(240, seed=1), settings="simcore")
    diverging = paper_probes(*blobs(240), *blobs(240, seed=1), settings="eccv24")
    for scores in (searched, diverging):
        assert {score.protocol["lr"] for score in scores.values()} == {"chosen on 10 % of train"}


def test_a_share_without_two_images_a_class_takes_the_printed_rate():
    scores = paper_probes(*blobs(12), *blobs(60, seed=1), settings="simcore")
    assert [score.protocol["lr"] for score in scores.values()] == ["chosen on 10 % of train", 10.0, 10.0]
