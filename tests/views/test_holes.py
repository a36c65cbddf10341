"""Holes: where they are, how large, and that no image's depends on its batch."""

from __future__ import annotations

import pytest
import torch

from fgssl_edu.views.holes import PLACES, holes, shrunk, square_holes, square_side


def made(place: str, share: float = 0.25, size: int = 32, count: int = 64, step: int = 0) -> torch.Tensor:
    return holes(place, share, size, 0, step, torch.arange(count))


def test_a_hole_in_the_centre_is_the_middle_half_of_each_side():
    expected = torch.zeros(32, 32, dtype=torch.bool)
    expected[8:24, 8:24] = True
    assert (made("centre") == expected).all()
    assert [square_side(32, share) for share in (0.25, 0.14, 1e-6)] == [16, 12, 1]


def test_a_square_anywhere_is_as_large_and_reaches_every_pixel():
    found = made("random", count=600)
    assert (found.sum(dim=(1, 2)) == 256).all()
    assert found.any(dim=0).all() and not found.all(dim=0).any()
    for one in found[:20]:  # a square: as many full rows as columns
        assert one.any(dim=0).sum() == one.any(dim=1).sum() == 16


def test_blocks_overlap_and_so_hide_at_most_the_share():
    areas = made("blocks").float().mean(dim=(1, 2))
    assert 0.12 < areas.min() < areas.max() <= 8 * 36 / 1024  # eight squares of 6 px
    assert areas.max() - areas.min() > 0.02


def test_a_region_has_exactly_its_share_and_any_shape():
    found = made("region", share=0.3)
    assert (found.sum(dim=(1, 2)) == round(0.3 * 1024)).all()
    edges = (found[:, 1:] != found[:, :-1]).sum(dim=(1, 2)).float().mean()
    noise = (torch.rand(64, 32, 32, generator=torch.Generator().manual_seed(0)) < 0.3).int()
    assert edges < 0.5 * noise.diff(dim=1).abs().sum(dim=(1, 2)).float().mean()  # connected, not scattered


@pytest.mark.parametrize("place", PLACES)
def test_a_hole_depends_on_its_image_and_step_alone(place: str):
    whole = made(place)
    alone = holes(place, 0.25, 32, 0, 0, torch.tensor([7]))
    assert torch.equal(alone[0], whole[7])
    moved = not torch.equal(made(place, step=1), whole)
    assert moved == (place != "centre")


def test_squares_are_where_their_corners_are():
    found = square_holes(torch.tensor([[[0, 1], [2, 2]]]), size=4, side=2)
    assert found[0].int().tolist() == [[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 1, 1], [0, 0, 1, 1]]


def test_a_shrunk_hole_lacks_its_edge_but_not_the_pictures():
    hole = torch.zeros(1, 6, 6, dtype=torch.bool)
    hole[:, 1:5, 2:] = True  # touches the right border
    expected = torch.zeros(6, 6, dtype=torch.bool)
    expected[2:4, 3:] = True
    assert torch.equal(shrunk(hole, 1)[0], expected) and torch.equal(shrunk(hole, 0), hole)


@pytest.mark.parametrize(
    ("place", "share", "complaint"), [("middle", 0.2, "place='middle'"), ("centre", 1.0, "hole=1.0")]
)
def test_mistakes_are_refused(place: str, share: float, complaint: str):
    with pytest.raises(ValueError, match=complaint):
        made(place, share)
