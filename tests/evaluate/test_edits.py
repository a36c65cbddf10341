"""The edit score: of encoders that see only the sky, only the bird's code, or nothing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from fgssl_edu.data.birds import ATTRIBUTES, World
from fgssl_edu.evaluate import edits as module
from fgssl_edu.evaluate.edits import edit_score, movement, rendered_edits

WORLD = World.make(species=8, genera=2)
BIRDS, SIZE = 24, 48


class Pixels(nn.Module):
    """Features straight from the pixels; not an Encoder, but all that the score asks of one."""

    def __init__(self, read: str) -> None:
        super().__init__()
        self.read = read

    def features(self, images: Tensor) -> Tensor:
        if self.read == "constant":
            return torch.ones(len(images), 4)
        if self.read == "corner":  # rarely any bird there
            return images[:, :, :4, :4].flatten(1)
        return images.flatten(1)


def score(read: str) -> module.EditScore:
    return edit_score(Pixels(read), WORLD, SIZE, birds=BIRDS)  # type: ignore[arg-type]


def test_movement_by_hand():
    x = torch.tensor([[1.0, 0.0], [3.0, 0.0], [1.0, 1.0]])
    y = torch.tensor([[0.0, 2.0], [-1.0, 0.0], [1.0, 0.0]])
    assert movement(x, y).tolist() == pytest.approx([1, 2, 1 - 2**-0.5])
    assert movement(x, 5 * x).abs().max() < 1e-15


def test_constant_encoder_scores_nothing_and_one_that_sees_the_sky_next_to_nothing():
    assert score("constant").value == 0
    sky, everything = score("corner").value, score("everything").value
    assert 0 <= sky < 0.02 < everything < 1


def test_an_encoder_blind_to_the_background_scores_high():
    edits = rendered_edits(WORLD, SIZE, BIRDS)
    lookup = {picture.numpy().tobytes(): index for index, picture in enumerate(edits.original)}
    lookup |= {sky.numpy().tobytes(): index for skies in edits.backgrounds for index, sky in enumerate(skies)}

    class Oracle(nn.Module):
        def features(self, images: Tensor) -> Tensor:
            """The bird's number where it is unedited, else a direction of its own."""
            bytes_ = [(image * 255).round().to(torch.uint8).numpy().tobytes() for image in images]
            index = torch.tensor([lookup.get(key, BIRDS) for key in bytes_])
            return nn.functional.one_hot(index, BIRDS + 1).float()

    assert edit_score(Oracle(), WORLD, SIZE, birds=BIRDS).value > 1e9  # type: ignore[arg-type]


def test_only_discriminative_attributes_are_edited_and_to_a_siblings_value():
    edits = rendered_edits(WORLD, SIZE, BIRDS)
    labels = torch.arange(BIRDS) % len(WORLD)
    for column, name in enumerate(ATTRIBUTES):
        expected = WORLD.discriminative_attributes[labels, column].nonzero()[:, 0]
        assert torch.equal(edits.birds.get(name, torch.empty(0, dtype=torch.int64)), expected)
    for name, pictures in edits.edited.items():
        changed = (pictures != edits.original[edits.birds[name]]).flatten(1).float().mean(dim=1)
        assert changed.max() < 0.35  # the rest of the picture is the same to the bit
    assert (edits.backgrounds != edits.original).flatten(2).float().mean() > 0.5


def test_score_is_a_ratio_of_means_over_birds_with_an_interval_and_parts():
    result = score("everything")
    assert result.per_item is not None and result.denominator is not None and len(result.per_item) == BIRDS
    assert result.value == pytest.approx(float(result.per_item.mean() / result.denominator.mean()))
    low, high = result.interval()
    assert low < result.value < high
    assert set(result.per_attribute) == set(rendered_edits(WORLD, SIZE, BIRDS).edited)
    assert result.protocol["background"] == 1.0


def test_pictures_are_rendered_once_for_all_encoders(monkeypatch: pytest.MonkeyPatch):
    first = rendered_edits(WORLD, SIZE, BIRDS)
    monkeypatch.setattr(module, "_render_edits", lambda *_: pytest.fail("rendered again"))
    assert rendered_edits(World.make(species=8, genera=2), SIZE, BIRDS) is first
