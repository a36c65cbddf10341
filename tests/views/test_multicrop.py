"""Multi-crop: sizes, draws that do not depend on the number of views, and the plain pair as its special case."""

from __future__ import annotations

import torch

from fgssl_edu.views import VIEWS, Augment, MultiCrop

IMAGES = torch.randint(0, 256, (3, 3, 24, 24), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
INDEX = torch.tensor([4, 0, 9])


def crops(count: int) -> tuple[torch.Tensor, ...]:
    made = MultiCrop([VIEWS["mild"]] * 2, 16, VIEWS["dino_local"], 8, count)
    return made(IMAGES, 1, 5, INDEX)


def test_large_views_come_first_then_small_ones():
    assert [tuple(view.shape) for view in crops(3)] == [(3, 3, 16, 16)] * 2 + [(3, 3, 8, 8)] * 3
    assert all(view.min() >= 0 and view.max() <= 1 for view in crops(3))


def test_a_view_does_not_depend_on_how_many_there_are():
    for few, many in zip(crops(1), crops(4), strict=False):
        assert torch.equal(few, many)
    assert len({view.sum().item() for view in crops(4)}) == 6


def test_without_small_views_it_is_the_usual_pair():
    augment = Augment(VIEWS["mild"], 16)
    pair = [augment(IMAGES, 1, 5, INDEX, f"view{i}") for i in (0, 1)]
    assert all(torch.equal(a, b) for a, b in zip(crops(0), pair, strict=True))
