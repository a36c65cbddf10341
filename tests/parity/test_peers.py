"""Our pure functions against the peers' classes; skipped where the dependency group `parity` is not installed."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from fgssl_edu.gradcam import gradcam, normalize_map
from fgssl_edu.losses import info_nce, negative_cosine, nt_xent

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]  # the peers' own warnings are theirs

CLOSE = {"rtol": 0, "atol": 1e-5}


def rows(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("temperature", [0.07, 0.2, 1.0])
def test_nt_xent_is_lightlys(temperature: float) -> None:
    peer = pytest.importorskip("lightly.loss").NTXentLoss(temperature=temperature)
    first, second = rows(16, 32).requires_grad_(), rows(16, 32, seed=1).requires_grad_()
    ours, theirs = nt_xent(first, second, temperature), peer(first, second)
    torch.testing.assert_close(ours, theirs, **CLOSE)
    for a, b in zip(
        torch.autograd.grad(ours, (first, second)), torch.autograd.grad(theirs, (first, second)), strict=True
    ):
        torch.testing.assert_close(a, b, **CLOSE)


@pytest.mark.parametrize("temperature", [0.07, 0.2, 1.0])
def test_info_nce_is_lightlys_with_a_memory_bank(temperature: float) -> None:
    peer = pytest.importorskip("lightly.loss").NTXentLoss(temperature=temperature, memory_bank_size=(64, 32))
    query, key = rows(16, 32).requires_grad_(), rows(16, 32, seed=1)
    queue = nn.functional.normalize(rows(64, 32, seed=2), dim=1)
    peer.memory_bank.bank = queue.clone()
    peer.memory_bank.bank_ptr = torch.zeros(1, dtype=torch.long)
    ours, theirs = info_nce(query, key, queue, temperature), peer(query, key)
    torch.testing.assert_close(ours, theirs, **CLOSE)
    torch.testing.assert_close(*(torch.autograd.grad(loss, query)[0] for loss in (ours, theirs)), **CLOSE)


def test_negative_cosine_is_lightlys() -> None:
    peer = pytest.importorskip("lightly.loss").NegativeCosineSimilarity()
    first, second = rows(16, 32), rows(16, 32, seed=1)
    torch.testing.assert_close(negative_cosine(first, second), peer(first, second), **CLOSE)


class Net(nn.Module):
    """Its map is as large as the picture, to which the peer resizes, and what follows the map is not linear."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 6, 3, padding=1), nn.ReLU()
        )
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(6 * 12 * 12, 16), nn.Tanh(), nn.Linear(16, 4))

    def forward(self, images: Tensor) -> Tensor:
        return 1000 * self.classifier(self.features(images))  # large, so that the 1e-7 the peer adds to a span is small


def test_gradcam_is_pytorch_grad_cams() -> None:
    peer = pytest.importorskip("pytorch_grad_cam")
    targets = pytest.importorskip("pytorch_grad_cam.utils.model_targets")
    torch.manual_seed(0)
    net, images = Net().eval(), rows(3, 3, 12, 12)
    feature_map = net.features(images)
    logits = 1000 * net.classifier(feature_map)
    for label in range(4):
        ours = normalize_map(gradcam(logits[:, label], feature_map, "score"))
        with peer.GradCAM(model=net, target_layers=[net.features[-1]]) as cam:
            theirs = torch.from_numpy(cam(images, targets=[targets.ClassifierOutputTarget(label)] * 3))
        torch.testing.assert_close(ours, theirs, **CLOSE)
