"""SeLa: balanced labels for the whole set, found from what the network says and learned as if true."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from fgssl_edu import draws
from fgssl_edu.data.image_set import Batch, Images
from fgssl_edu.losses import sinkhorn_knopp
from fgssl_edu.methods.clustering.sela import SeLa
from fgssl_edu.nets import build_encoder
from fgssl_edu.nets.modes import frozen
from fgssl_edu.recipe import Recipe
from fgssl_edu.train import pretrain
from fgssl_edu.views import resized

COUNT, SIDE, K = 24, 24, 4


def pictures(count: int = COUNT) -> torch.Tensor:
    """Smooth random colours, so that crops of one picture look alike."""
    coarse = draws.uniform(1, 0, torch.arange(count), "pictures", 3 * 4).view(-1, 3, 2, 2)
    return (F.interpolate(coarse, size=SIDE, mode="bilinear") * 255).byte()


def sela(**fields) -> SeLa:
    return SeLa(build_encoder("resnet10", seed=0), **{"size": 16, "prototypes": K, **fields})


def started(**fields) -> SeLa:
    method = sela(**fields)
    method.start(Images(pictures()), resumed=False)
    method.before_epoch(Images(pictures()), 0)
    return method


def test_labels_are_the_largest_entries_of_the_balanced_plan():
    method = started(heads=2)
    with frozen(method), torch.no_grad():
        features = method.encoder(resized(pictures(), 16))
        logits = method.classifier(features).view(COUNT, 2, K)
    for head in range(2):
        plan = sinkhorn_knopp(logits[:, head].log_softmax(dim=1), method.epsilon, method.iterations)
        assert torch.equal(method.assigned[head], plan.argmax(dim=1))


def test_labels_are_used_equally_often_where_the_likeliest_are_not():
    logits = 0.3 * draws.normal(0, 0, torch.arange(200), "logits", K) + torch.tensor([2.0, 0.0, 0.0, 0.0])
    assert logits.argmax(dim=1).bincount(minlength=K)[0] > 180
    found = sela(iterations=200).labels(logits).bincount(minlength=K)
    assert (found - 50).abs().max() <= 5  # the plan is balanced, its largest entries nearly


def test_labels_do_not_depend_on_how_sure_an_image_is_of_everything():
    """A constant added to all logits of an image is no knowledge: the softmax takes it away."""
    logits = draws.normal(0, 0, torch.arange(40), "logits", K)
    shift = 5 * draws.normal(1, 0, torch.arange(40), "shift", 1)
    assert torch.equal(sela().labels(logits), sela().labels(logits + shift))


def test_the_loss_is_the_mean_of_the_heads_each_with_its_own_labels():
    method = started(heads=3).eval()
    index = torch.tensor([5, 1, 17, 8])
    batch = Batch(pictures()[index], index)
    views = method.views(batch, 2)
    logits = method.classifier(method.encoder(views[0])).view(4, 3, K)
    terms = [F.cross_entropy(logits[:, head], method.assigned[head, index]) for head in range(3)]
    outputs = method(batch, views)
    assert outputs["loss"].item() == pytest.approx(torch.stack(terms).mean().item(), abs=1e-5)
    assert outputs["target_entropy"].item() == 0
    assert len({tuple(row.tolist()) for row in method.assigned}) == 3


def test_learning_the_labels_lowers_what_finding_them_lowered():
    """One objective: cross-entropy falls when the network learns, and again when labels are found anew."""
    method, images = started(heads=1, epsilon=0.01, iterations=500).eval(), pictures()
    seen = resized(images, 16)
    features = method.encoder(seen).detach()

    def cross_entropy() -> float:
        return F.cross_entropy(method.logits(features)[:, 0], method.assigned[0]).item()

    found = [cross_entropy()]
    optimizer = torch.optim.SGD(method.classifier.parameters(), lr=0.1)
    for _ in range(50):
        optimizer.zero_grad()
        F.cross_entropy(method.logits(features)[:, 0], method.assigned[0]).backward()
        optimizer.step()
    found.append(cross_entropy())
    worse = method.assigned.roll(1, dims=1)  # as balanced, and not found
    method.assigned.copy_(worse)
    found.append(cross_entropy())
    method.before_epoch(Images(images), 1)
    found.append(cross_entropy())
    assert found[0] > found[1] >= found[3] - 0.02 and found[2] > found[3] + 0.05


def test_labelling_leaves_the_network_as_it_was():
    method = sela()
    method.start(Images(pictures()), resumed=False)
    before = {name: value.clone() for name, value in method.state_dict().items() if name != "assigned"}
    method.before_epoch(Images(pictures()), 0)
    assert method.training and all(torch.equal(method.state_dict()[name], value) for name, value in before.items())


def trained(method: SeLa, folder: Path | None = None, stop: int | None = None) -> tuple[list[torch.Tensor], int | None]:
    """The labels after each of 12 steps, three an epoch, and the step of the checkpoint that the run went on from."""
    labels, after = [], method.after_step

    def watched(progress: float) -> None:
        after(progress)
        labels.append(method.assigned.clone())
        if len(labels) == stop:
            raise InterruptedError

    method.after_step = watched
    recipe = Recipe(steps=12, batch=8, warmup=0, lr=0.01, checkpoint_every=2, accelerator="cpu")
    return labels, pretrain(method, pictures(), recipe, folder=folder, progress=False).resumed_from


def test_labels_stay_for_so_many_epochs_and_change_then():
    labels, _ = trained(sela(relabel=2))
    assert all(torch.equal(each, labels[0]) for each in labels[:6])
    assert all(torch.equal(each, labels[6]) for each in labels[6:]) and not torch.equal(labels[0], labels[6])
    every, _ = trained(sela())
    assert torch.equal(every[0], labels[0]) and not torch.equal(every[3], labels[3])


def test_a_run_resumed_between_two_labellings_ends_with_the_same_bits(tmp_path: Path):
    whole, resumed = sela(relabel=2), sela(relabel=2)
    expected, _ = trained(whole)
    with pytest.raises(InterruptedError):
        trained(sela(relabel=2), tmp_path, stop=5)
    labels, first = trained(resumed, tmp_path)
    assert first == 4 and all(torch.equal(*pair) for pair in zip(labels, expected[4:], strict=True))
    state = resumed.state_dict()
    assert all(torch.equal(state[name], value) for name, value in whole.state_dict().items())


def test_every_weight_learns_and_chance_is_log_k():
    method = started()
    batch = Batch(pictures(), torch.arange(COUNT))
    method(batch, method.views(batch, 0))["loss"].backward()
    assert [name for name, value in method.named_parameters() if value.grad is None] == []
    assert method.chance == pytest.approx(math.log(K))


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"prototypes": 1}, "prototypes=1"),
        ({"heads": 0}, "heads=0"),
        ({"epsilon": -1.0}, "epsilon=-1.0"),
        ({"relabel": 0}, "relabel=0.*from 1"),
    ],
)
def test_mistakes_are_refused_at_construction(fields: dict, complaint: str):
    with pytest.raises(ValueError, match=complaint):
        sela(**fields)


def test_of_more_labels_than_images_some_stay_unused():
    found = started(prototypes=2 * COUNT).assigned[0]
    assert COUNT / 2 < len(found.unique()) <= COUNT
