"""The masked panel: masks and guesses are the method's own, and what was not guessed is told."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import pytest
import torch

from fgssl_edu.data.image_set import Splits
from fgssl_edu.losses import mae_loss
from fgssl_edu.methods.masked.mae import MAE, standardised
from fgssl_edu.methods.masked.simmim import SimMIM
from fgssl_edu.nets.encoders import build_encoder
from fgssl_edu.panels.masked import HIDDEN, SIDE, MaskedGuess, State, covered
from fgssl_edu.views import resized
from fgssl_edu.views.masks import hidden_count, mean_distance

START = State(picture=3, model="mae", kind="random", ratio=0.75, draw=0, shown="pasted")


def awake(method: MAE | SimMIM) -> MAE | SimMIM:
    """With a last layer that is not zero, so that its guesses are not grey."""
    last = method.decoder.leave if isinstance(method, MAE) else method.head
    torch.nn.init.normal_(last.weight, std=0.1, generator=torch.Generator().manual_seed(0))
    return method


@pytest.fixture(scope="module")
def models() -> dict[str, MAE | SimMIM]:
    made = {"mae": MAE, "raw": MAE, "simmim": SimMIM}
    fields: dict[str, dict] = {"raw": {"normalize": False}}
    return {name: awake(kind(build_encoder("vit_mini", seed=0), **fields.get(name, {}))) for name, kind in made.items()}


@pytest.fixture(scope="module")
def panel(models, splits: Splits) -> MaskedGuess:
    return MaskedGuess(models, splits.test)


def at(**changes: object) -> State:
    return dataclasses.replace(START, **changes)


def test_the_guess_is_the_method_s_own(panel: MaskedGuess, models, splits: Splits):
    view = resized(splits.test.images[[3]], 32)
    for name, method in models.items():
        look = panel.look(at(model=name))
        mask = look.mask[None]
        with torch.no_grad():
            guess = method.guess(view, mask)
        assert torch.equal(look.view, view[0])
        assert torch.allclose(look.guess, method.picture(view, guess)[0].clamp(0, 1), atol=1e-6)
        assert look.losses[1] == pytest.approx(float(method.loss(view, guess, mask)), abs=1e-5)


def test_no_guess_is_the_loss_of_chance_and_each_patch_in_its_own_mean(panel: MaskedGuess, models):
    look = panel.look(START)
    assert look.losses[0] == pytest.approx(models["mae"].chance, abs=0.01)
    cells = look.nothing.view(3, 8, 4, 8, 4)
    assert cells.std(dim=(2, 4)).max() < 1e-5
    assert torch.allclose(cells.mean(dim=(2, 4)), look.view.view(3, 8, 4, 8, 4).mean(dim=(2, 4)).mean(0), atol=0.5)
    grey = panel.look(at(model="raw")).nothing
    assert torch.allclose(grey, models["raw"].encoder.mean.expand_as(grey), atol=1e-6)


def test_hidden_pixels_alone_have_an_error(panel: MaskedGuess):
    look = panel.look(START)
    hidden = look.pixels()
    assert hidden.shape == (32, 32) and int(hidden.sum()) == 48 * 16
    for wrong in look.errors():
        assert wrong[~hidden].abs().sum() == 0 and (wrong[hidden] > 0).float().mean() > 0.9
    exact = dataclasses.replace(look, guess=look.view)
    assert exact.errors()[1].sum() == 0


def test_masks_have_the_share_that_is_asked_for_and_differ_by_draw(panel: MaskedGuess):
    for ratio in (0.1, 0.5, 0.9):
        assert int(panel.look(at(ratio=ratio)).mask.sum()) == hidden_count(64, ratio)
    first, second = (panel.look(at(draw=draw)).mask for draw in (0, 1))
    assert not torch.equal(first, second) and torch.equal(first, panel.look(START).mask)
    far = {kind: panel.look(at(kind=kind, draw=1)).distance for kind in ("grid", "random", "blocks")}
    assert far["grid"] < far["random"] < far["blocks"]
    assert far["grid"] == pytest.approx(float(mean_distance(panel.look(at(kind="grid")).mask[None], 8)))


def test_what_is_hidden_is_covered_and_nothing_else(panel: MaskedGuess):
    look = panel.look(START)
    picture = torch.from_numpy(np.array(covered(look.view, look.pixels())))
    large = look.mask.view(8, 8).repeat_interleave(SIDE // 8, dim=0).repeat_interleave(SIDE // 8, dim=1)
    grey = (picture == torch.tensor(HIDDEN, dtype=torch.uint8)).all(dim=2)
    assert grey[large].all() and grey[~large].float().mean() < 0.05


def test_the_loss_shown_is_that_of_training(panel: MaskedGuess, models, splits: Splits):
    look, method = panel.look(START), models["mae"]
    view = standardised(method.encoder, resized(splits.test.images[[3]], 32))
    with torch.no_grad():
        guess = method.guess(resized(splits.test.images[[3]], 32), look.mask[None])
    assert look.losses[1] == pytest.approx(float(mae_loss(view, guess, look.mask[None], 4)), abs=1e-5)


def test_every_control_changes_the_picture(panel: MaskedGuess):
    moves: list[dict] = [
        {"picture": 4},
        {"model": "raw"},
        {"model": "simmim"},
        {"kind": "blocks"},
        {"ratio": 0.4},
        {"draw": 3},
        {"shown": "guessed"},
    ]
    seen = [panel.picture()]
    for move in moves:
        panel.set(**move)
        seen.append(panel.picture())
    assert len(set(seen)) == len(moves) + 1
    panel.set(picture=3, model="mae", kind="random", ratio=0.75, draw=0, shown="pasted")


def test_looking_leaves_the_method_as_it_was(panel: MaskedGuess, models):
    method = models["mae"]
    before = {name: value.clone() for name, value in method.state_dict().items()}
    method.train()
    panel.look(START)
    assert method.training and all(value.grad is None for value in method.parameters())
    assert all(torch.equal(before[name], value) for name, value in method.state_dict().items())


def test_photographs_will_do(models, bare_splits: Splits):
    panel = MaskedGuess({"simmim": models["simmim"]}, bare_splits.test)
    assert panel.controls["kind"].value == "squares" and panel.controls["ratio"].value == 0.6
    before = panel.picture()
    panel.set(picture=2)
    assert panel.picture() != before


def test_no_model_is_too_few(splits: Splits):
    with pytest.raises(ValueError, match="one of each at least"):
        MaskedGuess({}, splits.test)


def test_guesses_follow_the_controls_in_time(panel: MaskedGuess):
    seconds = []
    for i in range(22):
        start = time.process_time()
        panel.set(picture=i + 5)
        seconds.append(time.process_time() - start)
    assert sorted(seconds[2:])[18] < 0.15  # as promised where a network runs
