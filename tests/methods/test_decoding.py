"""Fitting a decoder: it overfits a few pictures, leaves the encoder alone, and knows the mean picture's loss."""

from __future__ import annotations

import torch

from fgssl_edu.data.image_set import Images
from fgssl_edu.methods.finegrained.decoding import PIXEL_VARIANCE, fit_decoder, frozen_features, reconstruction_loss
from fgssl_edu.nets.decoders import Decoder
from fgssl_edu.nets.encoders import build_encoder


def pictures(count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randint(0, 256, (count, 3, 4, 4), generator=generator, dtype=torch.uint8)
    return coarse.repeat_interleave(8, dim=2).repeat_interleave(8, dim=3)


def test_loss_of_a_constant_error_is_its_square_in_variances() -> None:
    zeros = torch.zeros(2, 3, 8, 8)
    assert torch.isclose(reconstruction_loss(zeros, zeros + 0.225), torch.tensor(0.225**2 / PIXEL_VARIANCE))


def test_it_overfits_eight_pictures() -> None:
    encoder, decoder = build_encoder("resnet10", seed=0), Decoder(128, 32, seed=0)
    losses = fit_decoder(decoder, encoder, Images(pictures(8)), steps=150, batch=16)
    assert losses[-1] < losses[0] / 10, losses[::30]


def test_the_encoder_keeps_every_bit_and_its_mode() -> None:
    encoder = build_encoder("resnet10", seed=0).train()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    fit_decoder(Decoder(128, 32, seed=0), encoder, Images(pictures(4)), steps=2, batch=4)
    assert encoder.training and all(torch.equal(before[name], value) for name, value in encoder.state_dict().items())


def test_the_same_seed_gives_the_same_decoder() -> None:
    encoder = build_encoder("resnet10", seed=0)
    runs = [fit_decoder(Decoder(128, 32, seed=0), encoder, Images(pictures(6)), 3, 4, seed=s) for s in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


def test_features_of_a_picture_do_not_depend_on_the_others() -> None:
    encoder, images = build_encoder("resnet10", seed=0), pictures(5)
    alone = frozen_features(encoder, Images(images[2:3]), 32)
    assert torch.allclose(frozen_features(encoder, Images(images), 32)[2:3], alone, atol=1e-5)  # sums in another order


def test_each_of_several_processes_has_the_features_of_all_pictures(monkeypatch) -> None:
    encoder, images = build_encoder("resnet10", seed=0), Images(pictures(5))
    alone = frozen_features(encoder, images, 32)
    monkeypatch.setattr("fgssl_edu.data.image_set.world_size", lambda: 2)
    assert len(next(images.batches(5)).index) == 3  # a process's share
    assert torch.equal(frozen_features(encoder, images, 32), alone)
