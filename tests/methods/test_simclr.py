"""SimCLR: what is contrasted with what, where gradients go, and that it can learn eight images by heart."""

from __future__ import annotations

import math

import pytest
import torch

from fgssl_edu import draws
from fgssl_edu.data.image_set import Batch
from fgssl_edu.losses import nt_xent
from fgssl_edu.methods import build
from fgssl_edu.methods.base import spread
from fgssl_edu.nets import build_encoder
from fgssl_edu.recipe import Recipe
from fgssl_edu.train import pretrain
from fgssl_edu.views.background import BackgroundSwap
from fgssl_edu.views.presets import VIEWS, scaled

SIDE = 24


def pictures(count: int = 8) -> torch.Tensor:
    """Smooth random colours, so that crops of one picture look alike."""
    coarse = draws.uniform(1, 0, torch.arange(count), "pictures", 3 * 4).view(-1, 3, 2, 2)
    return (torch.nn.functional.interpolate(coarse, size=SIDE, mode="bilinear") * 255).byte()


def batch(count: int = 8) -> Batch:
    return Batch(pictures(count), torch.arange(count))


def simclr(**fields):
    return build("simclr", build_encoder("resnet10", seed=0), **{"size": 16, **fields})


def test_it_learns_eight_images_by_heart_without_collapse():
    method = simclr(views=scaled(VIEWS["mild"], 0.25))
    history = pretrain(method, pictures(), Recipe(steps=60, batch=8, warmup=5, accelerator="cpu"), progress=False)
    assert history.chance == pytest.approx(math.log(15))
    assert history.rows[-1]["loss"] < 0.25 * history.chance  # five seeds ended at .02 to .16 of it
    assert history.rows[-1]["embedding_std"] > 0.3


def test_the_loss_is_nt_xent_of_the_two_views():
    method = simclr(temperature=0.3).eval()
    first, second = views = method.views(batch(), 5)
    expected = nt_xent(method.head(method.encoder(first)), method.head(method.encoder(second)), 0.3)
    assert torch.equal(method(batch(), views)["loss"], expected)


def test_gradient_reaches_every_weight_through_either_view():
    for blocked in (0, 1):
        method = simclr(head="simclr")
        views = list(method.views(batch(), 0))
        views[blocked] = torch.zeros_like(views[blocked])
        method(batch(), tuple(views))["loss"].backward()
        missing = [name for name, value in method.named_parameters() if value.requires_grad and value.grad is None]
        assert missing == []


def test_embeddings_and_scalars_are_detached():
    method = simclr()
    outputs = method(batch(), method.views(batch(), 0))
    assert outputs["loss"].requires_grad and not outputs["embeddings"].requires_grad
    assert 0 < spread(outputs["embeddings"]) < 2


def test_views_depend_on_step_purpose_and_image_alone():
    method, whole = simclr(), batch()
    first, second = method.views(whole, 3)
    assert not torch.equal(first, second) and not torch.equal(first, method.views(whole, 4)[0])
    part = Batch(whole.images[5:7], whole.index[5:7])
    for mine, all_of_them in zip(method.views(part, 3), (first, second), strict=True):
        assert torch.allclose(mine, all_of_them[5:7], atol=1e-6)  # a batch of another size may sum in another order


def test_chance_counts_what_one_piece_of_the_batch_contrasts():
    method = simclr()
    method.optimizers(Recipe(steps=1, warmup=0, batch=32, accumulate=4))
    assert method.chance == pytest.approx(math.log(2 * 8 - 1))
    with pytest.raises(ValueError, match="batch=4, accumulate=4: a contrast needs 2 images a piece"):
        method.optimizers(Recipe(steps=1, warmup=0, batch=4, accumulate=4))


def test_the_oracle_swaps_the_background_of_each_view_and_leaves_the_bird():
    images, mask = pictures(), torch.zeros(8, SIDE, SIDE, dtype=torch.uint8)
    mask[:, 8:16, 8:16] = 255
    skies = (torch.arange(16).view(-1, 1, 1, 1) * 15).expand(-1, 3, SIDE, SIDE).byte().contiguous()
    seen: list[torch.Tensor] = []
    method = simclr(swap=BackgroundSwap(mask, skies))
    method.augment = lambda images, *_: seen.append(images) or images
    method.views(batch(), 0)
    first, second = seen
    assert torch.equal(first[:, :, 8:16, 8:16], images[:, :, 8:16, 8:16])
    assert not torch.equal(first[:, 0, 0, 0], images[:, 0, 0, 0])
    assert not torch.equal(first, second)  # the two views have other skies
    assert not any("swap" in name for name in method.state_dict())


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"temperature": 0.0}, "temperature=0.0: .* must be above 0"),
        ({"out": 1}, "out=1: embeddings need at least 2"),
        ({"views": "milk"}, "views='milk' is unknown: use one of mild"),
        ({"head": "mpl"}, "head='mpl' is unknown"),
        ({"size": 3}, "size=3: "),
    ],
)
def test_mistakes_are_refused_at_construction(fields: dict, complaint: str):
    with pytest.raises(ValueError, match=complaint):
        simclr(**fields)
