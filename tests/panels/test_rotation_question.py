"""The rotation panel: its picture is the method's own, its answers are the network's, and sets without masks do."""

from __future__ import annotations

import dataclasses
import time

import pytest
import torch

from fgssl_edu.data.image_set import Splits
from fgssl_edu.methods.pretext.rotation import Rotation
from fgssl_edu.nets.encoders import build_encoder
from fgssl_edu.nets.modes import frozen
from fgssl_edu.panels.rotation import (
    BIRD,
    EXACT,
    LIGHT,
    LIT,
    MISSED,
    OFFSET,
    SCENE,
    WHOLE,
    RotationQuestion,
    State,
    ask,
)
from fgssl_edu.views import lit_from_above, resized

SIZE = 40
START = State(picture=3, angle=0, shown=WHOLE, how=EXACT, a="one", b="eight")


def made(seed: int, **fields: object) -> Rotation:
    return Rotation(build_encoder("resnet10", seed=seed), seed=seed, **fields)


@pytest.fixture(scope="module")
def methods() -> dict[str, Rotation]:
    return {"one": made(0, head="conv"), "eight": made(1, angles=tuple(range(0, 360, 45)))}


@pytest.fixture(scope="module")
def panel(methods: dict[str, Rotation], splits: Splits) -> RotationQuestion:
    return RotationQuestion(methods, splits, SIZE)


def at(**changes: object) -> State:
    return dataclasses.replace(START, **changes)


def test_turns_are_the_methods_own(panel: RotationQuestion, splits: Splits):
    middle = resized(splits.test.images[[3]], panel.field)
    start = (panel.field - SIZE) // 2
    plain = middle[:, :, start : start + SIZE, start : start + SIZE]
    for number, angle in enumerate((0, 90, 180, 270)):
        assert torch.equal(panel.seen(at(angle=angle)), made(0, size=SIZE).turns(plain)[0, number])
    missed = made(0, size=SIZE, offset=OFFSET).turns(plain)[0, 1]
    assert torch.equal(panel.seen(at(angle=90, how=MISSED)), missed) and missed[:, 0].max() < 1e-4  # the black line


def test_the_light_has_the_slope_that_a_whole_view_has(panel: RotationQuestion):
    ramp = (panel.seen(at(how=LIT)) - panel.seen(START))[:, :, 20].mean(dim=0)
    whole = lit_from_above(torch.full((1, 3, SIZE, 1), 0.5), LIGHT)[0, 0, :, 0] - 0.5
    assert ramp[5] - ramp[-5] == pytest.approx(float(whole[5] - whole[-5]), abs=0.03)  # clamped where it is white


def test_answers_are_the_networks(panel: RotationQuestion, methods: dict[str, Rotation]):
    picture = panel.seen(at(angle=90))
    for method in methods.values():
        answer = ask(method, picture)
        with frozen(method), torch.no_grad():
            logits = method.head(method.encoder.feature_map(picture[None]))
        assert torch.allclose(answer.shares, logits.softmax(dim=1)[0], atol=1e-6)
        assert answer.heat.shape == (5, 5) and float(answer.heat.max()) in (0.0, 1.0)
        assert answer.shares.sum().item() == pytest.approx(1, abs=1e-5)


def test_asking_leaves_a_method_as_it_was(panel: RotationQuestion, methods: dict[str, Rotation]):
    method = methods["one"].train()
    before = {name: value.clone() for name, value in method.state_dict().items()}
    ask(method, panel.seen(START))
    assert method.training and all(p.grad is None for p in method.parameters())
    assert all(torch.equal(before[name], value) for name, value in method.state_dict().items())


def test_bird_and_scene_share_the_picture_between_them(panel: RotationQuestion, splits: Splits):
    cover = splits.test.foreground[3]
    images = {name: panel.pixels(3, name)[0].float() for name in (WHOLE, BIRD, SCENE)}
    assert torch.equal(images[SCENE][:, cover == 0], images[WHOLE][:, cover == 0])
    assert torch.equal(images[BIRD][:, cover == 255], images[WHOLE][:, cover == 255])
    assert (images[BIRD][:, cover == 0] - 127.5).abs().max() <= 0.5
    assert (images[SCENE] - images[WHOLE])[:, cover == 255].abs().mean() > 5  # the bird is gone


def test_every_control_changes_the_picture(panel: RotationQuestion):
    moves = [
        {"picture": 4},
        {"angle": 90},
        {"angle": 45},
        {"shown": BIRD},
        {"shown": SCENE},
        {"how": MISSED},
        {"how": LIT},
        {"a": "eight", "b": "one"},
    ]
    seen = [panel.picture()]
    for move in moves:
        panel.set(**move)
        seen.append(panel.picture())
    assert len(set(seen)) == len(moves) + 1


def test_photographs_are_asked_about_whole(methods: dict[str, Rotation], bare_splits: Splits):
    panel = RotationQuestion(methods, bare_splits, SIZE)
    for shown in (BIRD, SCENE):
        with pytest.raises(ValueError, match="choose one of"):
            panel.set(shown=shown)
    before = panel.picture()
    panel.set(picture=2, angle=180)
    assert panel.picture() != before


def test_one_method_is_too_few(methods: dict[str, Rotation], splits: Splits):
    with pytest.raises(ValueError, match="at least two"):
        RotationQuestion({"one": methods["one"]}, splits)


def test_answers_follow_the_controls_in_time(panel: RotationQuestion):
    seconds = []
    for i in range(22):
        start = time.process_time()
        panel.set(picture=i + 5)
        seconds.append(time.process_time() - start)
    assert sorted(seconds[2:])[18] < 0.15  # as promised where a network runs
