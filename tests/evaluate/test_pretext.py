"""Pretext accuracy: the share of right answers over all images, whatever the batches; the network stays as it was."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fgssl_edu.data.image_set import Batch
from fgssl_edu.evaluate import pretext
from fgssl_edu.methods.base import Method
from fgssl_edu.methods.contrastive.simclr import SimCLR
from fgssl_edu.nets import build_encoder

IMAGES = torch.zeros(10, 3, 16, 16, dtype=torch.uint8)


class EveryThird(Method):
    """Right on the images 0, 3, 6, 9; counts the images that it was asked about."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = build_encoder("resnet10", seed=0)
        self.asked: list[int] = []

    def views(self, batch: Batch, step: int) -> tuple[Tensor, ...]:
        return (batch.index,)

    def forward(self, batch: Batch, views: tuple[Tensor, ...]) -> dict[str, Tensor]:
        assert not self.training
        self.asked += views[0].tolist()
        return {"loss": torch.zeros(()), "accuracy": (views[0] % 3 == 0).float().mean()}


@pytest.mark.parametrize("batch", [3, 4, 96])
def test_it_is_the_share_of_right_answers_whatever_the_batches(batch: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pretext, "BATCH", batch)
    method = EveryThird().train()
    score = pretext.pretext_accuracy(method, IMAGES)
    assert score.value == pytest.approx(0.4) and score.protocol["images"] == 10
    assert method.asked == list(range(10)) and method.training


def test_a_method_that_asks_nothing_is_refused():
    with pytest.raises(ValueError, match="SimCLR has no accuracy"):
        pretext.pretext_accuracy(SimCLR(build_encoder("resnet10", seed=0), size=16), IMAGES)
