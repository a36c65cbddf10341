"""Linear probes on frozen, cached features: how much of the label can a linear reader see?

Multinomial logistic regression by L-BFGS with its strength chosen on a part of the training set (in under a second),
and the same with few labels; the papers' SGD is in sgd_probe.py. No choice is ever made on test images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from fgssl_edu.data.image_set import class_ranks, stratified_share
from fgssl_edu.evaluate.statistics import Score

STRENGTHS = tuple(
    10.0**power for power in range(-4, 2)
)  # C: weight of the summed loss against half the squared weights
FEW_STRENGTH = 1.0  # C where there are too few labels to choose on: scikit-learn's default
HELD_OUT = 0.2  # share of each class's training images that C is chosen on
ITERATIONS = 200  # of L-BFGS; 10 to 60 are used
SHOTS = (1, 2, 4, 8)  # labels a class
FEW_DRAWS = 5  # draws of the labelled images, averaged
SHARES = (0.04, 0.1, 0.2, 0.5, 1.0)  # of the labels, for the curve of accuracy against labels


@dataclass(frozen=True)
class LinearClassifier:
    """logits = features @ weight.T + bias, on features as the encoder gives them."""

    weight: Tensor  # (K, D) float32
    bias: Tensor  # (K,) float32
    strength: float  # the C it was fitted with

    def __call__(self, features: Tensor) -> Tensor:
        return F.linear(features, self.weight.to(features), self.bias.to(features))


def fit_logistic(
    features: Tensor, labels: Tensor, classes: int, strength: float, start: Tensor | None = None
) -> Tensor:
    """Minimise sum of cross-entropies · C + |weights|² / 2 (the bias goes free) by L-BFGS.

    Args:
        features: (N, D) float64, standardised.
        labels: (N,) int64.
        classes: K.
        strength: C.
        start: (K, D + 1) to begin from; zeros by default.

    Returns:
        (K, D + 1) weights, the bias in the last column.
    """
    augmented = torch.cat([features, features.new_ones(len(features), 1)], dim=1)
    answer = F.one_hot(labels, classes).to(features)
    weights = torch.zeros(classes, augmented.shape[1]).to(features) if start is None else start.clone()
    solver = torch.optim.LBFGS(
        [weights],
        max_iter=ITERATIONS,
        history_size=10,
        tolerance_grad=1e-5,
        tolerance_change=1e-9,
        line_search_fn="strong_wolfe",
    )

    def loss_and_gradient() -> Tensor:  # by hand: half the time of autograd
        logs = torch.log_softmax(augmented @ weights.T, dim=1)  # (N, K)
        plain = torch.cat([weights[:, :-1], torch.zeros_like(weights[:, -1:])], dim=1) / (strength * len(labels))
        weights.grad = (logs.exp() - answer).T @ augmented / len(labels) + plain
        return -(logs * answer).sum() / len(labels) + (weights * plain).sum() / 2

    with torch.no_grad():
        solver.step(loss_and_gradient)
    return weights


def standardiser(features: Tensor) -> tuple[Tensor, Tensor]:
    """(D,) mean and standard deviation in float64; 1 for a dimension that does not vary."""
    deep = features.double()
    deviation = deep.std(dim=0, correction=0)
    return deep.mean(dim=0), torch.where(deviation > 1e-6 * deep.abs().amax().clamp(min=1e-30), deviation, 1.0)


def fit_linear(
    features: Tensor,
    labels: Tensor,
    classes: int,
    seed: int = 0,
    strength: float | None = None,
    scale: tuple[Tensor, Tensor] | None = None,
) -> LinearClassifier:
    """Logistic regression on standardised features, given back for features as they are.

    Args:
        features: (N, D).
        labels: (N,) int64.
        classes: K.
        seed: of the split that C is chosen on.
        strength: C, or None to choose it on a fifth of each class (the smallest of equally good ones), then fit on all.
        scale: mean and deviation to standardise with; by default those of `features`.
    """
    mean, deviation = standardiser(features) if scale is None else scale
    ready = (features.double() - mean) / deviation
    if strength is None:
        strength = _choose_strength(ready, labels, classes, seed)
    weights = fit_logistic(ready, labels, classes, strength)
    weight = weights[:, :-1] / deviation
    return LinearClassifier(weight.float(), (weights[:, -1] - weight @ mean).float(), strength)


def _choose_strength(features: Tensor, labels: Tensor, classes: int, seed: int) -> float:
    place, size = class_ranks(labels, seed, "probe/held out")
    held_out = place < torch.floor(HELD_OUT * size)
    if not held_out.any():
        return FEW_STRENGTH
    hits, weights = [], None
    for strength in STRENGTHS:  # from strong to weak: each solution is a good start for the next
        weights = fit_logistic(features[~held_out], labels[~held_out], classes, strength, weights)
        logits = features[held_out] @ weights[:, :-1].T + weights[:, -1]
        hits.append((logits.argmax(dim=1) == labels[held_out]).sum())
    return STRENGTHS[int(torch.stack(hits).argmax())]


def class_count(train_labels: Tensor, test_labels: Tensor) -> int:
    """K: one more than the largest label of either set."""
    return int(torch.cat([train_labels, test_labels]).max()) + 1


def probe_protocol(train_labels: Tensor, test_labels: Tensor, **more: object) -> dict[str, object]:
    """What every probe's score says about how it was taken, and more."""
    counts = {"train_images": len(train_labels), "test_images": len(test_labels)}
    return {
        **counts,
        "chance": 1 / class_count(train_labels, test_labels),
        "features": "frozen, cached, no augmentation",
        **more,
    }


def linear_probe(
    train_features: Tensor, train_labels: Tensor, test_features: Tensor, test_labels: Tensor, seed: int = 0
) -> Score:
    """Test accuracy (top-1) of `fit_linear`; 1/classes for features that say nothing, 1 at best."""
    model = fit_linear(train_features, train_labels, class_count(train_labels, test_labels), seed)
    protocol = probe_protocol(
        train_labels,
        test_labels,
        metric="linear probe accuracy",
        probe="logistic regression, L-BFGS, standardised, C chosen on 20 % of train",
        seed=seed,
        chosen={"C": model.strength},
    )
    return Score.of(model(test_features).argmax(dim=1) == test_labels, protocol)


def label_curve(
    train_features: Tensor,
    train_labels: Tensor,
    test_features: Tensor,
    test_labels: Tensor,
    shares: Sequence[float] = SHARES,
    seed: int = 0,
) -> dict[float, Score]:
    """`linear_probe` with a share of the labels: ceil(share · n_c) of every class, smaller sets inside larger ones."""
    scores = {}
    for share in shares:
        some = stratified_share(train_labels, share, seed)
        score = linear_probe(train_features[some], train_labels[some], test_features, test_labels, seed)
        scores[share] = score.under(label_share=share)
    return scores


def few_shot(
    train_features: Tensor,
    train_labels: Tensor,
    test_features: Tensor,
    test_labels: Tensor,
    shots: Sequence[int] = SHOTS,
    count: int = FEW_DRAWS,
    seed: int = 0,
) -> dict[int, Score]:
    """Test accuracy of a logistic regression on k labelled images a class, C = 1, mean over draws of these images.

    Features are standardised with all training images: that needs no labels, and a handful of images gives no
        deviation. A class with fewer than k images gives all it has. The interval is over test images, not over draws.
    """
    scale, classes = standardiser(train_features), class_count(train_labels, test_labels)
    scores = {}
    for shot in shots:
        hits = []
        for draw in range(count):
            some = class_ranks(train_labels, seed + draw, "probe/shots")[0] < shot
            model = fit_linear(train_features[some], train_labels[some], classes, strength=FEW_STRENGTH, scale=scale)
            hits.append(model(test_features).argmax(dim=1) == test_labels)
        about = {"metric": f"{shot}-shot accuracy", "draws": count, "seed": seed}
        protocol = probe_protocol(train_labels[some], test_labels, **about)
        scores[shot] = Score.of(
            torch.stack(hits).double().mean(dim=0), {**protocol, "probe": "logistic regression, C = 1"}
        )
    return scores
