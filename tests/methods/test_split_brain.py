"""Split-brain: two questions, two halves, and nothing between them."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from fgssl_edu import draws
from fgssl_edu.data.image_set import Batch, Images
from fgssl_edu.losses import soft_cross_entropy
from fgssl_edu.methods.pretext.palette import cell_colors
from fgssl_edu.methods.pretext.split_brain import SplitBrain
from fgssl_edu.nets import build_encoder
from fgssl_edu.recipe import Recipe

SIDE = 24


def pictures(count: int = 8) -> torch.Tensor:
    """Smooth random colours."""
    coarse = draws.uniform(1, 0, torch.arange(count), "pictures", 3 * 4).view(-1, 3, 2, 2)
    return (F.interpolate(coarse, size=SIDE, mode="bilinear") * 255).byte()


def batch() -> Batch:
    return Batch(pictures(), torch.arange(8))


def made(**fields) -> SplitBrain:
    method = SplitBrain(build_encoder("resnet10", seed=0), **{"size": 16, **fields})
    method.start(Images(pictures()), resumed=False)
    return method


def questions(method: SplitBrain, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The two cross-entropies."""
    lab = cell_colors(images, method.side)
    first, second = method.encoder.half_maps(images)
    colours, levels = method.to_colour(first, method.side), method.to_lightness(second, method.side)
    return soft_cross_entropy(colours, method.palette.soft_code(lab[:, 1:])), F.cross_entropy(levels, method.level(lab))


def test_the_loss_is_the_sum_of_both_questions():
    method = made().eval()
    (images,) = method.views(batch(), 2)
    outputs = method(batch(), (images,))
    assert torch.allclose(outputs["loss"], sum(questions(method, images)))
    assert outputs["accuracy"] == (outputs["accuracy_colour"] + outputs["accuracy_lightness"]) / 2
    assert torch.allclose(outputs["embeddings"], method.evaluated()(images), atol=1e-6)


@pytest.mark.parametrize("which", [0, 1])
def test_no_gradient_of_one_question_reaches_the_others_half(which: int):
    method = made()
    (images,) = method.views(batch(), 0)
    questions(method, images)[which].backward()
    own, other = method.encoder.halves[which], method.encoder.halves[1 - which]
    assert all(parameter.grad is not None for parameter in own.parameters())
    assert all(parameter.grad is None for parameter in other.parameters())


def test_every_trained_weight_gets_a_gradient_from_the_sum():
    method = made()
    method(batch(), method.views(batch(), 0))["loss"].backward()
    assert [name for name, value in method.named_parameters() if value.grad is None] == []


def test_levels_of_lightness():
    lab = torch.tensor([0.0, 4.9, 5.0, 99.9, 100.0]).view(1, 1, 1, 5).expand(1, 3, 1, 5)
    assert made().level(lab).flatten().tolist() == [0, 0, 1, 19, 19]


def test_chance_is_the_loss_of_both_best_answers_without_looking():
    method = made()
    method.optimizers(Recipe(steps=1, batch=8, warmup=0))
    lab = cell_colors(pictures().float() / 255, 4)
    counts = method.level(lab).flatten().bincount(minlength=20).double()
    assert torch.allclose(method.level_shares.double(), counts / counts.sum(), atol=1e-6)
    entropy = torch.distributions.Categorical(probs=counts).entropy().item()
    assert method.chance == pytest.approx(float(method.palette.blind[0]) + entropy, abs=1e-4)
    assert 0 < method.chance < math.log(77) + math.log(20)


def test_halves_have_half_the_channels_and_together_as_many_dimensions():
    method = made()
    assert method.encoder.dim == 128 and [half.dim for half in method.encoder.halves] == [64, 64]
    plain = sum(parameter.numel() for parameter in build_encoder("resnet10").parameters())
    assert sum(parameter.numel() for parameter in method.encoder.parameters()) < 0.52 * plain


@pytest.mark.parametrize(
    ("fields", "complaint"), [({"levels": 1}, "levels=1"), ({"size": 18}, "size=18"), ({"soft_bins": 0}, "soft_bins=0")]
)
def test_mistakes_are_refused_at_construction(fields: dict, complaint: str):
    with pytest.raises(ValueError, match=complaint):
        SplitBrain(build_encoder("resnet10", seed=0), **{"size": 16, **fields})
