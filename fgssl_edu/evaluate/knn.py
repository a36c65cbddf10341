"""Weighted nearest neighbours on frozen features (Wu et al. 2018, arXiv 1805.01978): nothing is trained."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fgssl_edu.evaluate.statistics import Score

BLOCK = 1024  # test images compared with the whole training set at a time


def knn_predict(bank: Tensor, labels: Tensor, queries: Tensor, k: int = 20, temperature: float = 0.07) -> Tensor:
    """The class with the largest vote among the k most similar training images.

    A neighbour of cosine similarity s votes exp(s / temperature) for its class. Ties go to the earlier image, and
    between classes to the lower number.

    Args:
        bank: training features, (N, D), of any length.
        labels: of the bank, (N,) int64, none negative.
        queries: (M, D).
        k: neighbours; all N where N is smaller.
        temperature: of the votes; large values make it a majority.

    Returns:
        (M,) int64 predicted class.
    """
    bank, k = F.normalize(bank.float(), dim=1), min(k, len(bank))
    predictions = []
    for block in F.normalize(queries.float(), dim=1).split(BLOCK):
        similarity, order = (block @ bank.T).sort(dim=1, descending=True, stable=True)
        near = similarity[:, :k]  # (b, k); minus the nearest: the same winner without overflow
        votes = torch.exp((near - near[:, :1]) / temperature)
        ballot = votes.new_zeros(len(block), int(labels.max()) + 1).scatter_add_(1, labels[order[:, :k]], votes)
        predictions.append(ballot.argmax(dim=1))
    return torch.cat(predictions)


def knn(
    train_features: Tensor,
    train_labels: Tensor,
    test_features: Tensor,
    test_labels: Tensor,
    k: int = 20,
    temperature: float = 0.07,
) -> Score:
    """Share of test images that `knn_predict` gets right; 1/classes for features that say nothing, 1 at best."""
    hits = knn_predict(train_features, train_labels, test_features, k, temperature) == test_labels
    return Score.of(
        hits,
        {
            "metric": "weighted kNN accuracy",
            "k": min(k, len(train_labels)),
            "temperature": temperature,
            "similarity": "cosine",
            "train_images": len(train_labels),
            "test_images": len(test_labels),
            "chance": 1 / (int(train_labels.max()) + 1),
        },
    )
