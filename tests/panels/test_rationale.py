"""The rationale panel: maps equal to the method's own, targets that are what they are called, sets without parts."""

from __future__ import annotations

import dataclasses
import time

import pytest
import torch

from fgssl_edu.data.image_set import Splits
from fgssl_edu.evaluate.attention import part_energy
from fgssl_edu.gradcam import normalize_map
from fgssl_edu.losses import info_nce
from fgssl_edu.methods.finegrained.common_rationale import CommonRationale
from fgssl_edu.methods.finegrained.rationale_branch import target_entropy
from fgssl_edu.nets.encoders import build_encoder
from fgssl_edu.nets.modes import frozen
from fgssl_edu.panels.rationale import RationaleMaps, State, kernel_maps, loss_map
from fgssl_edu.views import resized

SIZE, KERNELS = 40, 6
START = State(picture=3, a="one", b="two", target="gradcam", sign="helps", kernel=0)


def made(seed: int, **fields: object) -> CommonRationale:
    encoder = build_encoder("resnet10", seed=seed)
    return CommonRationale(encoder, size=32, queue=48, seed=seed, **{"kernels": KERNELS, **fields})


@pytest.fixture(scope="module")
def methods() -> dict[str, CommonRationale]:
    return {"one": made(0), "two": made(1, kernels=KERNELS + 2), "released": made(2, paper_code=True)}


@pytest.fixture(scope="module")
def panel(methods: dict[str, CommonRationale], splits: Splits) -> RationaleMaps:
    return RationaleMaps(methods, splits, SIZE)


def at(**changes: object) -> State:
    return dataclasses.replace(START, **changes)


def test_the_branch_s_map_is_the_one_that_weighs_the_pooling(panel: RationaleMaps, splits: Splits):
    pixels = resized(splits.test.images[[3]], SIZE)
    for method in panel.methods.values():
        assert torch.allclose(panel.look(method, START).branch, normalize_map(method.branch_map(pixels))[0], atol=1e-5)


def test_kernels_make_up_the_map(methods: dict[str, CommonRationale], splits: Splits):
    method = methods["one"]
    with frozen(method), torch.no_grad():
        features = method.encoder.feature_map(resized(splits.test.images[:4], SIZE))
        answers, joined = kernel_maps(method, features), method.branch(features)
    assert answers.shape == (4, KERNELS, 5, 5) and torch.allclose(answers.amax(dim=1), joined, atol=1e-5)


def test_one_kernel_is_shown_alone_and_all_share_the_places(panel: RationaleMaps, methods: dict[str, CommonRationale]):
    maps = [panel.look(methods["one"], at(kernel=k)).branch for k in range(KERNELS + 1)]
    assert len({tuple(m.flatten().tolist()) for m in maps}) > KERNELS // 2
    loudest = panel.look(methods["one"], START).loudest
    assert len(loudest) == KERNELS and 0 < float(loudest.sum()) <= 1 + 1e-6


def test_what_lowers_the_loss_is_not_what_raises_it(panel: RationaleMaps, methods: dict[str, CommonRationale]):
    lowers, raises = (panel.look(methods["one"], at(sign=sign)).target for sign in ("helps", "hurts"))
    assert float(lowers.max()) == float(raises.max()) == 1
    assert not ((lowers > 0) & (raises > 0)).any()


def test_the_loss_is_the_method_s_own(methods: dict[str, CommonRationale], splits: Splits):
    method = methods["one"]
    with frozen(method):
        features = method.encoder.feature_map(resized(splits.test.images[:3], SIZE)).detach()
        key = method.keys(resized(splits.test.images[:3].flip(3), SIZE))
        together = loss_map(method, features, key, "helps")
        alone = loss_map(method, features[1:2], key[1:2], "helps")
        leaf = features.clone().requires_grad_()
        loss = info_nce(method.head(leaf.mean(dim=(2, 3))), key, method.queue.read(), method.temperature)
        (gradient,) = torch.autograd.grad(3 * loss, leaf)
    assert torch.allclose(together, (-features * gradient).sum(dim=1).relu(), atol=1e-6)
    assert torch.allclose(together[1:2], alone, atol=1e-6)
    classic = (-gradient.mean(dim=(2, 3), keepdim=True) * features).sum(dim=1).relu()
    assert torch.allclose(together, classic, atol=1e-6)  # below average pooling the two forms are one
    assert not together.requires_grad and features.grad is None


def test_the_released_target_says_nothing_and_the_corrected_does(
    panel: RationaleMaps, methods: dict[str, CommonRationale]
):
    released, corrected = (panel.look(methods["one"], at(target=target)) for target in ("released", "gradcam"))
    assert released.entropy > 0.9999 > corrected.entropy
    assert torch.allclose(released.target, torch.full((5, 5), 0.5), atol=0.01)
    assert corrected.entropy == pytest.approx(float(target_entropy(corrected.target[None], methods["one"].softness)))


def test_true_targets_lie_on_the_truth(panel: RationaleMaps, methods: dict[str, CommonRationale], splits: Splits):
    parts, wanted = splits.test.parts[[3]], splits.test.discriminative[[3]]
    lifts = {}
    for target in ("gradcam", "foreground", "discriminative"):
        energy = part_energy(panel.look(methods["one"], at(target=target)).target[None], parts, wanted)
        lifts[target] = energy.value / energy.protocol["chance"]
    assert lifts["discriminative"] > lifts["foreground"] > 1.5
    assert lifts["discriminative"] > 1.5 * lifts["gradcam"]


def test_a_branch_that_equals_its_target_has_no_misfit(methods: dict[str, CommonRationale], splits: Splits):
    panel = RationaleMaps({"one": methods["one"], "two": methods["two"]}, splits, SIZE)
    panel._target = lambda state, raw: methods["one"].branch_map(resized(splits.test.images[[3]], SIZE))
    look = panel.look(methods["one"], START)
    assert look.misfit < 1e-5 < look.flat
    panel._target = lambda state, raw: torch.ones_like(raw)
    assert panel.look(methods["one"], START).flat == pytest.approx(0, abs=1e-5)


def test_looking_leaves_methods_as_they_were(panel: RationaleMaps, methods: dict[str, CommonRationale]):
    method = methods["one"]
    before = {name: value.clone() for name, value in method.state_dict().items()}
    method.train()
    panel.look(method, at(kernel=2))
    assert method.training and all(p.grad is None for p in method.parameters())
    assert all(torch.equal(before[name], value) for name, value in method.state_dict().items())


def test_every_control_changes_the_picture(panel: RationaleMaps):
    moves = [
        {"picture": 4},
        {"a": "two", "b": "one"},
        {"target": "released"},
        {"target": "foreground"},
        {"target": "discriminative"},
        {"target": "gradcam", "sign": "hurts"},
        {"kernel": 2},
    ]
    seen = [panel.picture()]
    for move in moves:
        panel.set(**move)
        seen.append(panel.picture())
    assert len(set(seen)) == len(moves) + 1


def test_kernels_are_offered_that_every_method_has(panel: RationaleMaps):
    with pytest.raises(ValueError, match="0 to 6"):
        panel.set(kernel=KERNELS + 1)


def test_photographs_have_no_true_targets_and_no_scores(methods: dict[str, CommonRationale], bare_splits: Splits):
    panel = RationaleMaps(methods, bare_splits, SIZE)
    with pytest.raises(ValueError, match="choose one of"):
        panel.set(target="foreground")
    before = panel.picture()
    panel.set(picture=2, target="released")
    assert panel.picture() != before


def test_one_method_is_too_few(methods: dict[str, CommonRationale], splits: Splits):
    with pytest.raises(ValueError, match="at least two"):
        RationaleMaps({"one": methods["one"]}, splits)


def test_maps_follow_the_controls_in_time(panel: RationaleMaps):
    seconds = []
    for i in range(22):
        start = time.process_time()
        panel.set(picture=i + 5)
        seconds.append(time.process_time() - start)
    assert sorted(seconds[2:])[18] < 0.15  # as promised where a network runs; 40 ms were seen
