"""One step of synthesised pairs: the parts of its loss, by hand where possible, and where their gradients go."""

from __future__ import annotations

import math

import pytest
import torch
from pairs_setup import BASES, BATCH, BIRDS, batch, make, recipe, same, step

from fgssl_edu.losses import nt_xent
from fgssl_edu.methods.finegrained.synthesized_pairs import SynthesizedPairs


def test_the_loss_is_the_weighted_sum_of_its_parts():
    method = make(alpha=0.3, nu=0.7)
    found = method(batch(), method.views(batch(), 0))
    parts = found["contrast"] + 0.3 * found["reconstruction"] + 0.7 * found["pair"]
    assert found["loss"].item() == pytest.approx(parts.item(), abs=1e-5)
    plain = BASES["moco"]()
    assert torch.equal(found["contrast"], plain(batch(), plain.views(batch(), 0))["loss"].detach())
    assert not any(value.requires_grad for name, value in found.items() if name != "loss")


def gradient_of(method: SynthesizedPairs, part: str) -> dict[str, bool]:
    """Which networks one part of the loss trains; the decoder is made to draw first."""
    torch.nn.init.normal_(method.decoder.body[-2].weight, std=0.1)
    kept = {"reconstruction": (1.0, 0.0), "pair": (0.0, 1.0)}[part]
    method.alpha, method.nu = kept
    found = method(batch(), method.views(batch(), 0))
    for each in method.parameters():
        each.grad = None
    (found["loss"] - method.base(batch(), method.views(batch(), 0)[:2])["loss"]).backward()
    nets = {"encoder": method.encoder, "head": method.base.head, "decoder": method.decoder}
    return {name: any(each.grad is not None and bool(each.grad.any()) for each in net.parameters())
            for name, net in nets.items()}  # fmt: skip


@pytest.mark.parametrize("through", [False, True])
def test_where_gradients_go(through: bool):
    found = gradient_of(make(grad_through_decoder=through), "pair")
    assert found["encoder"] and found["head"] and found["decoder"] == through
    found = gradient_of(make(grad_through_decoder=through), "reconstruction")
    assert found["encoder"] and found["decoder"]  # eq. 2 trains both


def test_bank_scores_and_spread_carry_no_gradient():
    method = make()
    found = method(batch(), method.views(batch(), 0))
    features, index = method.new_rows[0]
    assert not features.requires_grad and torch.equal(index, batch().index)
    assert not method.scores(features).requires_grad and not method.bank.values.requires_grad
    assert all(value.grad is None for value in method.parameters())  # the Grad-CAM has trained nothing on its way
    assert found["loss"].requires_grad


def test_the_scores_are_those_of_each_picture_alone():
    method = make()
    method(batch(), method.views(batch(), 0))
    features = method.encoder(BIRDS.images[:BATCH].float() / 255).detach()
    together = method.scores(features)
    changed = features.clone()
    changed[3] += 1.0
    other = method.scores(changed)
    assert torch.allclose(together[:3], other[:3], atol=1e-6) and not torch.allclose(together[3], other[3])
    assert (together >= 0).all() and together.shape == (BATCH, 128)


def test_the_loss_of_pairs_contrasts_each_picture_with_all_others_of_the_batch():
    """2B items, a row has 2B - 2 negatives; two orthogonal images at temperature 1: log(1 + 2/e)."""
    method = make(temperature=1.0).base
    method.encoder.forward = lambda images: images.flatten(1)  # type: ignore[method-assign]
    method.head = torch.nn.Identity()
    first = torch.eye(2).view(2, 2, 1, 1)
    assert method.pair_loss(first, first.clone()).item() == pytest.approx(math.log(1 + 2 / math.e), abs=1e-6)
    assert method.pair_loss(first, first).item() == pytest.approx(0.5514, abs=1e-4)
    equal = torch.ones(5, 3, 1, 1)
    assert method.pair_loss(equal, equal.clone()).item() == pytest.approx(math.log(2 * 5 - 1), abs=1e-6)


def test_mocos_loss_of_pictures_is_against_its_latest_keys_and_the_queue():
    method = BASES["moco"]()
    with pytest.raises(AssertionError, match="forward before it"):
        method.image_loss(torch.zeros(BATCH, 128))
    views = method.views(batch(), 0)
    expected = method(batch(), views)["loss"]
    losses = method.image_loss(method.encoder(views[0]))
    assert losses.shape == (BATCH,) and losses.mean().item() == pytest.approx(expected.item(), abs=1e-5)


def test_the_pair_loss_is_of_the_online_network_for_both_pictures():
    method = make(criteria="gradcam", decoder="identity")
    found = method(batch(), method.views(batch(), 0))
    picture = BIRDS.images[:BATCH].float() / 255
    once = method.base.head(method.encoder(picture))
    assert found["pair"].item() == pytest.approx(nt_xent(once, once, 0.2).item(), abs=1e-4)


def test_sigmas_of_zero_give_the_same_picture_twice():
    method, seen = make(sigma_cam=0.0, sigma_var=0.0), []
    torch.nn.init.normal_(method.decoder.body[-2].weight, std=0.1)
    pair_loss = method.base.pair_loss
    method.base.pair_loss = lambda first, second: (seen.append((first, second)), pair_loss(first, second))[1]
    method(batch(), method.views(batch(), 0))
    assert torch.equal(*seen[0]) and not seen[0][0].requires_grad


def test_threshold_zero_trains_as_gradcam_alone():
    made = [make(threshold=0.0), make(criteria="gradcam")]
    for method in made:
        optimizers = method.optimizers(recipe())
        for number in range(3):
            step(method, optimizers, number)
    assert same(made[0].base.state_dict(), made[1].base.state_dict())
    assert same(made[0].decoder.state_dict(), made[1].decoder.state_dict())


def test_variance_noise_waits_for_a_second_batch():
    method = make(threshold=0.5)
    optimizers = method.optimizers(recipe())
    shares = [step(method, optimizers, number)["masked"].item() for number in range(3)]
    assert shares[0] == 0 and shares[1] > 0.9 and shares[2] > 0.9
