"""Grad-CAM aimed: the class's own evidence, and the two halves of a self-supervised loss."""

from __future__ import annotations

import pytest
import torch

from fgssl_edu.evaluate.probe import LinearClassifier
from fgssl_edu.explain.saliency import class_map, ssl_map
from fgssl_edu.nets.encoders import build_encoder

GENERATOR = torch.Generator().manual_seed(0)
FIRST, SECOND = torch.rand(6, 3, 32, 32, generator=GENERATOR), torch.rand(6, 3, 32, 32, generator=GENERATOR)
IMAGES = torch.randint(0, 256, (4, 3, 48, 48), dtype=torch.uint8, generator=GENERATOR)


@pytest.mark.parametrize("target", ["loss", "similarity"])
def test_helps_and_hurts_are_equal_halves_of_a_map_that_sums_to_nothing(target: str):
    encoder = build_encoder("resnet10", seed=0)
    whole = ssl_map(encoder, FIRST, SECOND, target=target, rectify=False)
    assert (whole.sum(dim=(1, 2)).abs() < 1e-4 * whole.abs().sum(dim=(1, 2))).all()  # float32 sums
    helps, hurts = (ssl_map(encoder, FIRST, SECOND, target=target, sign=sign) for sign in ("helps", "hurts"))
    assert torch.allclose(helps - hurts, whole, atol=1e-7) and helps.min() >= 0
    assert not (helps > 0).logical_and(hurts > 0).any()


def test_encoder_and_head_stay_as_they_were():
    encoder, head = (
        build_encoder("resnet10", seed=0),
        torch.nn.Sequential(torch.nn.Linear(128, 32), torch.nn.BatchNorm1d(32)),
    )
    before = {name: value.clone() for name, value in [*encoder.state_dict().items(), *head.state_dict().items()]}
    with torch.no_grad():  # as a notebook cell may be
        maps = ssl_map(encoder, FIRST, SECOND, head=head)
    assert maps.shape[0] == 6 and maps.max() > 0
    assert all(
        torch.equal(before[name], value) for name, value in [*encoder.state_dict().items(), *head.state_dict().items()]
    )
    assert encoder.training and head.training and all(parameter.grad is None for parameter in encoder.parameters())


def test_similarity_of_an_image_does_not_depend_on_its_neighbours():
    encoder = build_encoder("resnet10", seed=0)
    together = ssl_map(encoder, FIRST, SECOND, target="similarity")
    alone = ssl_map(encoder, FIRST[:1], SECOND[:1], target="similarity")
    assert torch.allclose(together[:1], alone, rtol=1e-3, atol=1e-8)


def test_one_class_for_all_images_is_that_class_for_each():
    encoder = build_encoder("resnet10", seed=0)
    classifier = LinearClassifier(torch.randn(3, 128, generator=torch.Generator().manual_seed(1)), torch.zeros(3), 1.0)
    one = class_map(encoder, classifier, IMAGES, 2, size=40)
    assert torch.equal(one, class_map(encoder, classifier, IMAGES, torch.full((4,), 2), size=40))
    assert not torch.equal(one, class_map(encoder, classifier, IMAGES, 1, size=40))


def test_an_unknown_target_is_refused():
    with pytest.raises(ValueError, match="target='logit'"):
        ssl_map(build_encoder("resnet10", seed=0), FIRST, SECOND, target="logit")
