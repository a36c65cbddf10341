"""Encoders that see lightness, colour, or each with a half: blind to the rest, and encoders all the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fgssl_edu import checkpoints
from fgssl_edu.evaluate.features import extract
from fgssl_edu.gradcam import gradcam
from fgssl_edu.nets import Encoder, build_encoder, ema_copy, ema_update, inputs
from fgssl_edu.nets.inputs import LabEncoder, seeing
from fgssl_edu.views.lab import lab_to_rgb, rgb_to_lab

PARTS = ("lightness", "colour", "split")


def pictures(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def made(sees: str, name: str = "resnet10", **options) -> Encoder:
    return seeing(build_encoder(name, seed=0, **options), sees)


@pytest.fixture
def lab_speaking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are Lab already: a channel can then be changed without a rounding in the others."""
    monkeypatch.setattr(inputs, "rgb_to_lab", lambda images: images)


@pytest.mark.parametrize("sees", PARTS)
@pytest.mark.parametrize("name", ["resnet10", "resnet18"])
def test_it_is_an_encoder(sees: str, name: str):
    plain, encoder, images = build_encoder(name, seed=0), made(sees, name).eval(), pictures(2, 3, 40, 40)
    stages, feature_map = encoder.stages(images), encoder.feature_map(images)
    assert isinstance(encoder, Encoder) and encoder.dim == plain.dim and encoder.stem == plain.stem
    assert encoder.name.startswith(name) and encoder.name != name
    assert [m.shape for m in stages] == [m.shape for m in plain.stages(images)]
    assert torch.equal(stages[-1], feature_map)
    assert torch.equal(encoder.pool(feature_map), encoder.features(images))
    assert torch.equal(encoder(images), encoder.features(images)) and encoder(images).shape == (2, encoder.dim)
    for layer in encoder.modules():
        if isinstance(layer, torch.nn.Conv2d):
            assert layer.weight.is_contiguous(memory_format=torch.channels_last)
            assert layer.weight.shape[:2] == (layer.out_channels, layer.in_channels)


def test_what_is_not_seen_changes_nothing(lab_speaking: None):
    images = 100 * pictures(2, 3, 32, 32)
    other_colour, other_lightness = images.clone(), images.clone()
    other_colour[:, 1:], other_lightness[:, :1] = 20, 50
    lightness, colour = made("lightness").eval(), made("colour").eval()
    assert torch.equal(lightness(images), lightness(other_colour))
    assert torch.equal(colour(images), colour(other_lightness))
    assert (lightness(images) - lightness(other_lightness)).abs().max() > 0.01  # what is seen does
    assert (colour(images) - colour(other_colour)).abs().max() > 0.01


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_no_information_crosses_between_the_halves(lab_speaking: None, norm: str):
    encoder, images = made("split", norm=norm), 100 * pictures(2, 3, 32, 32)
    other_colour, other_lightness = images.clone(), images.clone()
    other_colour[:, 1:], other_lightness[:, :1] = 20, 50
    for mode in (True, False):
        encoder.train(mode)
        for stage, recoloured, relit in zip(
            encoder.stages(images), encoder.stages(other_colour), encoder.stages(other_lightness), strict=True
        ):
            middle = stage.shape[1] // 2
            assert torch.equal(stage[:, :middle], recoloured[:, :middle])
            assert torch.equal(stage[:, middle:], relit[:, middle:])
            assert not torch.equal(stage[:, middle:], recoloured[:, middle:])
            assert not torch.equal(stage[:, :middle], relit[:, :middle])


def test_the_same_through_rgb_within_rounding():
    lab = rgb_to_lab(pictures(2, 3, 32, 32) * 0.4 + 0.3)
    lab[:, 1:] *= 0.3
    recoloured = lab.clone()
    recoloured[:, 1:] *= -1
    encoder = made("split").eval()
    first, second = (encoder(lab_to_rgb(each)) for each in (lab, recoloured))
    assert torch.allclose(first[:, :64], second[:, :64], atol=1e-4)
    assert (first[:, 64:] - second[:, 64:]).abs().max() > 0.003


def test_halves_are_the_two_diagonal_blocks_of_a_network_with_two_groups():
    plain = build_encoder("resnet10", seed=0)
    whole = plain.blocks[2][0].second.weight
    for which, half in enumerate(made("split").halves):
        expected = whole.chunk(2, dim=0)[which].chunk(2, dim=1)[which]
        assert torch.equal(half.encoder.blocks[2][0].second.weight, expected)
        assert half.dim == 64


@pytest.mark.parametrize(("sees", "change"), [("lightness", (2.0, 0.0, 0.0)), ("colour", (0.0, 2.0, -1.0))])
@torch.no_grad()
def test_the_first_layer_answers_a_small_change_as_the_given_one_does_in_rgb(sees: str, change: tuple):
    """So the filters of a trained start keep their meaning."""
    plain = build_encoder("resnet10", init="birds")
    grey = torch.tensor([50.0, 0.0, 0.0]).view(1, 3, 1, 1).expand(1, 3, 5, 5)
    pair = lab_to_rgb(torch.cat([grey, grey + torch.tensor(change).view(1, 3, 1, 1)]))
    answers = []
    for encoder, pixels in ((plain, pair), (seeing(plain, sees).encoder, rgb_to_lab(pair)[:, inputs.CHANNELS[sees]])):
        answers.append(encoder.entry[0](encoder._normalize(pixels))[:, :, 1, 1].diff(dim=0)[0])  # away from the edge
    assert torch.allclose(*answers, atol=0.03 * float(answers[0].abs().max()))  # the two spaces are not quite in line
    assert answers[0].abs().max() > 0.01


@pytest.mark.parametrize("sees", PARTS)
def test_the_given_encoder_is_left_as_it_was(sees: str):
    plain = build_encoder("resnet10", seed=0)
    before = {key: value.clone() for key, value in plain.state_dict().items()}
    changed = seeing(plain, sees).train()
    changed(pictures(4, 3, 32, 32)).sum().backward()
    assert all(torch.equal(before[key], value) for key, value in plain.state_dict().items())
    assert all(parameter.grad is None for parameter in plain.parameters())
    assert all(parameter.grad is not None for parameter in changed.parameters())


def test_rgb_is_the_encoder_itself():
    plain = build_encoder("resnet10", seed=0)
    assert seeing(plain, "rgb") is plain


@pytest.mark.parametrize("sees", PARTS)
def test_moving_averages_checkpoints_grad_cam_and_extraction_take_it(sees: str, tmp_path: Path):
    encoder, images = made(sees), pictures(4, 3, 32, 32)
    target = ema_copy(encoder)
    encoder(images).sum().backward()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter -= 0.01 * parameter.grad
    ema_update(target, encoder, 0.0)
    assert torch.equal(target.eval()(images), encoder.eval()(images))
    path = checkpoints.save(checkpoints.path_of(tmp_path, 1), {"step": 1, "encoder": encoder.state_dict()})
    again = made(sees).eval()
    again.load_state_dict(checkpoints.load(path)["encoder"])
    assert torch.equal(again(images), encoder(images))
    feature_map = encoder.feature_map(images)
    heat = gradcam(encoder.pool(feature_map)[:, 0], feature_map, sign="score")
    assert heat.shape == (4, 4, 4) and heat.isfinite().all()
    assert extract(encoder, (255 * images).byte(), 40).shape == (4, 128)


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda: seeing(build_encoder("resnet10"), "grey"), "sees='grey' is unknown"),
        (lambda: seeing(made("lightness"), "split"), "changed already"),
        (lambda: LabEncoder(made("split"), "colour"), "changed already"),
        (lambda: made("lightness")(torch.zeros(1, 3, 32, 32, dtype=torch.uint8)), "uint8"),
    ],
)
def test_mistakes_are_named(call, complaint: str):
    with pytest.raises(ValueError, match=complaint):
        call()
