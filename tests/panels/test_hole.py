"""The panel of holes: the hole is where the controls say, fills are the method's own, and the rest stays as it was."""

from __future__ import annotations

import dataclasses
import time

import pytest
import torch

from fgssl_edu.data.image_set import Images, Splits
from fgssl_edu.methods.pretext.inpainting import Inpainting
from fgssl_edu.nets.encoders import build_encoder
from fgssl_edu.nets.modes import frozen
from fgssl_edu.panels.hole import BLOCKS, REGION, SQUARE, FilledHole, State, fill_in

START = State(picture=3, share=0.25, shape=SQUARE, across=0.5, down=0.5, a="one", b="two")


def made(seed: int, splits: Splits, **fields: object) -> Inpainting:
    method = Inpainting(build_encoder("resnet10", seed=seed), seed=seed, **fields)
    method.start(Images(splits.train.images), resumed=False)
    return method


@pytest.fixture(scope="module")
def methods(splits: Splits) -> dict[str, Inpainting]:
    return {"one": made(0, splits), "two": made(1, splits, place="random"), "critic": made(2, splits, adversarial=0.01)}


@pytest.fixture(scope="module")
def panel(methods: dict[str, Inpainting], splits: Splits) -> FilledHole:
    return FilledHole(methods, splits)


def at(**changes: object) -> State:
    return dataclasses.replace(START, **changes)


def box(hole: torch.Tensor) -> list[int]:
    """Top, bottom, left, right of a square hole, the last row and column included."""
    rows, columns = (hole.any(dim=axis).nonzero()[:, 0] for axis in (1, 0))
    return [int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])]


def test_the_square_is_where_the_controls_put_it(panel: FilledHole):
    assert box(panel.hole(START)) == [8, 23, 8, 23]
    assert box(panel.hole(at(across=0.0, down=1.0))) == [16, 31, 0, 15]
    assert int(panel.hole(at(share=0.06)).sum()) == 64
    assert int(panel.hole(at(shape=REGION, share=0.4)).sum()) == round(0.4 * 1024)
    assert 0 < int(panel.hole(at(shape=BLOCKS)).sum()) < 8 * 36 + 1


def test_the_fill_is_the_methods_and_the_rest_is_the_picture(panel: FilledHole, methods: dict[str, Inpainting]):
    pixels, hole = panel.pixels(3), panel.hole(START)
    for method in methods.values():
        found = fill_in(method, pixels, hole)
        with frozen(method), torch.no_grad():
            seen = method.cut(pixels[None], method.hidden(hole[None]))
            drawn = method.decoder(method.encoder.feature_map(seen))[0]
        assert torch.equal(found.picture[:, ~hole], pixels[:, ~hole])
        assert torch.allclose(found.picture[:, hole], drawn[:, hole], atol=1e-6)
        assert found.error == pytest.approx(float((drawn - pixels).square()[:, hole].mean()), rel=1e-4)
        assert not found.wrong[~hole].any() and found.wrong.square()[hole].mean() == pytest.approx(
            found.error, rel=1e-4
        )


def test_looking_leaves_methods_as_they_were(panel: FilledHole, methods: dict[str, Inpainting]):
    method = methods["critic"].train()
    before = {name: value.clone() for name, value in method.state_dict().items()}
    fill_in(method, panel.pixels(0), panel.hole(START))
    assert method.training and all(torch.equal(before[name], value) for name, value in method.state_dict().items())


def test_every_control_changes_the_picture(panel: FilledHole):
    moves = [
        {"picture": 4},
        {"share": 0.06},
        {"across": 0.2},
        {"down": 0.9},
        {"shape": REGION},
        {"shape": BLOCKS},
        {"a": "critic"},
        {"b": "one"},
    ]
    seen = [panel.picture()]
    for move in moves:
        panel.set(**move)
        seen.append(panel.picture())
    assert len(set(seen)) == len(moves) + 1


def test_photographs_have_holes_too(methods: dict[str, Inpainting], bare_splits: Splits):
    panel = FilledHole(methods, bare_splits)
    before = panel.picture()
    panel.set(picture=2, shape=REGION)
    assert panel.picture() != before


def test_one_method_is_too_few_and_two_sizes_are_too_many(methods: dict[str, Inpainting], splits: Splits):
    with pytest.raises(ValueError, match="at least two"):
        FilledHole({"one": methods["one"]}, splits)
    with pytest.raises(ValueError, match="of \\[16, 32\\] px"):
        FilledHole({"one": methods["one"], "small": made(0, splits, size=16)}, splits)


def test_fills_follow_the_controls_in_time(panel: FilledHole):
    seconds = []
    for i in range(22):
        start = time.process_time()
        panel.set(picture=i + 5)
        seconds.append(time.process_time() - start)
    assert sorted(seconds[2:])[18] < 0.15  # as promised where a network runs
