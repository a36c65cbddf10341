"""Six methods and all registered ones train, are stopped within an epoch, go on, and end with the same bits."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from contract_methods import (
    NAMES,
    Clusters,
    MaskedTokens,
    Teacher,
    TwoOptimizers,
    digest,
    fields_of,
    make,
    pictures,
    train,
)

from fgssl_edu.data.image_set import Batch, Images, ImageSet
from fgssl_edu.methods import METHODS, build
from fgssl_edu.recipe import Recipe
from fgssl_edu.train import pretrain


class Stop:
    """Breaks a run off after a step."""

    def __init__(self, every: int) -> None:
        self.every = every

    def __call__(self, method, row, step: int) -> dict[str, float]:
        raise InterruptedError(f"stopped after step {step}")


def rows_without_speed(history) -> list[dict[str, float]]:
    return [{name: value for name, value in row.items() if name != "img_s"} for row in history.rows]


@pytest.mark.parametrize("name", NAMES)
def test_a_run_that_was_stopped_ends_with_the_same_bits(name: str, tmp_path: Path):
    torch.manual_seed(5)  # of dropout
    whole = make(name, dropout=0.1)
    before = {key: value.clone() for key, value in whole.named_parameters() if value.requires_grad}
    expected = train(whole)
    still = [key for key, value in whole.named_parameters() if value.requires_grad and torch.equal(value, before[key])]
    assert still == []

    torch.manual_seed(5)
    with pytest.raises(InterruptedError):
        train(make(name, dropout=0.1), tmp_path, monitors=(Stop(every=5),))  # the checkpoint of step 4 is the last
    torch.manual_seed(99)
    resumed = make(name, dropout=0.1)
    history = train(resumed, tmp_path)
    assert history.resumed_from == 4
    assert digest(resumed.state_dict()) == digest(whole.state_dict())
    assert rows_without_speed(history) == rows_without_speed(expected)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_that_is_given_no_labels_trains_without_them(name: str):
    """Other labels beside the same pictures change no bit; a method that takes `labels=` was given them in sight."""
    labels, states = fields_of("supervised")["labels"], []
    for beside in (labels, labels.flip(0), torch.full_like(labels, -1)):
        method, seen = make(name), []
        for hook in ("start", "before_epoch", "views"):
            record(method, hook, seen)
        images = ImageSet(pictures(), beside, ("a", "b", "c"), "noise", "made here", "none")
        pretrain(method, images, Recipe(steps=4, batch=8, warmup=1, accelerator="cpu"), progress=False)
        assert {type(first) for first in seen} == {Images, Batch}
        assert not any("label" in field for first in seen for field in vars(first))
        states.append(digest(dict(method.named_parameters())))
    assert len(set(states)) == 1


def record(method, hook: str, seen: list) -> None:
    """Note the first argument of every call of a method's hook."""
    call = getattr(method, hook)
    setattr(method, hook, lambda first, *rest, **named: (seen.append(first), call(first, *rest, **named))[1])


def test_labels_given_in_sight_do_change_the_weights():
    """The control of the test above."""
    states = set()
    for labels in (torch.arange(24) % 3, (torch.arange(24) % 3).flip(0)):
        method = build("supervised", make("supervised").encoder, labels=labels, classes=3, size=16)
        train(method)
        states.add(digest(dict(method.named_parameters())))
    assert len(states) == 2


def test_dropout_is_what_the_saved_random_state_is_for(tmp_path: Path):
    finals = set()
    for seed in (1, 2):
        torch.manual_seed(seed)
        method = MaskedTokens(dropout=0.1)
        train(method)
        finals.add(digest(method.state_dict()))
    assert len(finals) == 2


def test_a_run_resumed_within_an_epoch_does_not_cluster_again(tmp_path: Path):
    with pytest.raises(InterruptedError):
        train(Clusters(), tmp_path, monitors=(Stop(every=5),))
    resumed = Clusters()
    calls = []
    cluster = resumed.before_epoch
    resumed.before_epoch = lambda images, epoch: (calls.append(epoch), cluster(images, epoch))
    train(resumed, tmp_path)
    assert calls == [2]  # step 4 lies within epoch 1
    assert int(resumed.epochs_seen) == 3  # the two before the stop are in the state


def test_each_optimizer_follows_its_own_schedule():
    method, seen = TwoOptimizers(), []
    optimizers = method.optimizers
    method.optimizers = lambda recipe: [seen.append(each) or each for each in optimizers(recipe)]
    train(method)
    of_encoder, of_decoder = seen
    assert of_decoder.param_groups[0]["lr"] == 1e-2
    assert of_encoder.param_groups[0]["lr"] < 0.2 * 1e-3  # the last of 7 steps, near the end of the cosine
    assert 0.3 < of_encoder.param_groups[0]["weight_decay"] < 0.4  # on its way from 0.05 to 0.4


def test_the_critic_gets_no_gradient_from_the_picture_that_fools_it():
    method = make("Adversarial")
    batch = next(iter(_batches()))
    method(batch, method.views(batch, 0))["loss"].backward()
    got = [parameter.grad.clone() for parameter in method.critic.parameters()]
    method.zero_grad()
    clean, noisy = method.views(batch, 0)
    fake = torch.sigmoid(method.decoder(method.encoder(noisy))).view_as(clean).detach()
    softplus = torch.nn.functional.softplus
    (softplus(-method.critic(clean)).mean() + softplus(method.critic(fake)).mean()).backward()
    for mine, parameter in zip(got, method.critic.parameters(), strict=True):
        assert torch.allclose(mine, parameter.grad, atol=1e-7)  # two orders of summation in float32
    assert method.encoder.entry[0].weight.grad is None


def test_what_is_scored_may_differ_from_what_is_trained():
    method = Teacher()
    train(method)
    assert method.evaluated() is method.teacher
    trained, scored = (digest(net.state_dict()) for net in (method.encoder, method.evaluated()))
    assert trained != scored


def test_before_step_can_hold_a_layer_still():
    method = Teacher()
    start = method.head.weight.clone()
    at = {}
    method.after_step = lambda progress: at.update({progress: method.head.weight.clone()})
    train(method, steps=6)
    decay = 1 - 1e-3 * 0.05  # a zero gradient leaves AdamW's weight decay, at most this a step
    assert all((at[k / 6] / start).min() > decay**k - 1e-6 for k in (1, 2, 3))
    assert (at[1.0] - start).abs().max() > 1e-4


def _batches():
    return Images(pictures()).batches(8)
