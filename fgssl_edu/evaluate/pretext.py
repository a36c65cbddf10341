"""How well a pretext task is solved on images that it was not trained on: the number that a probe is set against."""

from __future__ import annotations

import torch
from torch import Tensor

from fgssl_edu.data.image_set import Batch
from fgssl_edu.evaluate.statistics import Score
from fgssl_edu.methods.base import Method
from fgssl_edu.nets.modes import frozen

BATCH = 96  # images; a pretext task may make many inputs of one


@torch.no_grad()
def pretext_accuracy(method: Method, images: Tensor) -> Score:
    """Share of right answers of a pretext method, in evaluation mode, to questions about new images.

    Args:
        method: its forward returns "accuracy", the mean over a batch's images.
        images: (N, 3, H, W) uint8.

    Raises:
        ValueError: the method asks no question that has a right answer.
    """
    right = torch.zeros(())
    with frozen(method) as device:
        for index in torch.arange(len(images)).split(BATCH):
            batch = Batch(images[index].to(device), index.to(device))
            outputs = method(batch, method.views(batch, 0))
            if "accuracy" not in outputs:
                raise ValueError(f"{type(method).__name__} has no accuracy: it is no classification")
            right += len(index) * outputs["accuracy"].cpu().float()
    return Score(float(right) / len(images), None, {"images": len(images), "step": 0})
