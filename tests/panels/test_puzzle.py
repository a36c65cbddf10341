"""The puzzle panel: it shows what the network is asked, tricks are what they are called, guesses are its own."""

from __future__ import annotations

import time

import pytest
import torch

from fgssl_edu.data.image_set import Splits
from fgssl_edu.draws import uniform
from fgssl_edu.methods.pretext.jigsaw import Jigsaw, arranged
from fgssl_edu.nets.encoders import build_encoder
from fgssl_edu.panels.puzzle import LENS, MOVED, PUZZLES, WHOLE, JigsawPuzzle, Tricks

START = Tricks(gap=2, jitter=True, per_tile_norm=True, colors="all")


def made(seed: int, **fields: object) -> Jigsaw:
    return Jigsaw(build_encoder("resnet10", seed=seed), seed=seed, **{"permutations": 12, **fields})


@pytest.fixture(scope="module")
def methods() -> dict[str, Jigsaw]:
    return {"shut": made(0), "open": made(1, gap=0, jitter=False, per_tile_norm=False, permutations=8)}


@pytest.fixture(scope="module")
def panel(methods: dict[str, Jigsaw], splits: Splits) -> JigsawPuzzle:
    return JigsawPuzzle(methods, splits)


def test_controls_begin_as_the_first_network_was_trained(panel: JigsawPuzzle):
    assert panel.values["gap"] == 2 and panel.values["jitter"] and panel.values["per_tile_norm"]
    with pytest.raises(ValueError, match="0 to 7"):  # orders that every network knows
        panel.set(order=8)


def test_a_puzzle_is_the_one_that_the_network_is_asked(panel: JigsawPuzzle, methods: dict[str, Jigsaw], splits: Splits):
    method = methods["shut"].eval()
    found = panel.puzzle("shut", START, 3, 5)
    logits, _ = method.logits(arranged(found.tiles[None], method.permutations[[5]]))
    probability = logits.softmax(dim=1)[0].detach()
    assert torch.equal(found.order, method.permutations[5])
    assert torch.equal(found.guess, method.permutations[int(probability.argmax())])
    assert found.sure == pytest.approx(float(probability.max()), abs=1e-5)
    assert found.of_true == pytest.approx(float(probability[5]), abs=1e-5)
    assert found.view.shape == (3, 48, 48) and found.corners.shape == (9, 2) and found.tiles.shape == (9, 3, 14, 14)


def test_the_outlines_lie_where_the_tiles_were_cut(panel: JigsawPuzzle):
    raw = Tricks(gap=4, jitter=True, per_tile_norm=False, colors="all")
    found = panel.puzzle("shut", raw, 2, 0)
    for (top, left), tile in zip(found.corners.tolist(), found.tiles, strict=True):
        assert torch.equal(found.view[:, top : top + 14, left : left + 14], tile)


def test_tricks_are_put_on_the_tiling(methods: dict[str, Jigsaw]):
    tiling = Tricks(gap=4, jitter=True, per_tile_norm=False, colors="one").on(methods["shut"].tiling)
    assert (tiling.gap, tiling.jitter, tiling.per_tile_norm, tiling.color_drop, tiling.gray) == (4, 2, False, 1.0, 0.0)
    lens = Tricks(gap=4, jitter=True, per_tile_norm=False, colors="moved", lens=True).on(tiling)
    assert (lens.lens, lens.channel_jitter, lens.color_drop) == (LENS, MOVED, 0.0) and tiling.lens == 0
    assert tiling.preset == WHOLE and tiling.tile == 14
    assert Tricks(0, True, True, "grey").on(tiling).jitter == 0 and Tricks(0, True, True, "grey").on(tiling).gray == 1


def test_every_bar_changes_one_trick():
    for start in (START, Tricks(0, False, False, "grey")):
        for words, other in start.others().items():
            changed = [name for name in vars(start) if getattr(start, name) != getattr(other, name)]
            assert len(changed) == 1, words
    assert "without a gap" in START.others() and "tiles normalised" in Tricks(0, False, False, "grey").others()


def test_accuracy_counts_orders_that_were_guessed(splits: Splits):
    answer = (uniform(0, 0, torch.arange(PUZZLES), "panel/order", 1)[:, 0] * 12).long()

    class Knows(Jigsaw):
        """Says what is in `answer`."""

        def logits(self, tiles):
            guess, features = super().logits(tiles)
            return torch.nn.functional.one_hot(answer[: len(tiles)], guess.shape[1]).float(), features

    panel = JigsawPuzzle({"knows": Knows(build_encoder("resnet10", seed=0), permutations=12)}, splits)
    panel._accuracies.clear()
    assert panel.accuracy("knows", START) == 1.0
    answer = (answer + (torch.arange(PUZZLES) % 4 == 0)) % 12
    assert panel.accuracy("knows", START) == 1.0  # kept
    panel._accuracies.clear()
    assert panel.accuracy("knows", START) == pytest.approx(0.75)


def test_looking_leaves_methods_as_they_were(panel: JigsawPuzzle, methods: dict[str, Jigsaw], splits: Splits):
    method = methods["open"]
    before = {name: value.clone() for name, value in method.state_dict().items()}
    method.train()
    JigsawPuzzle({"open": method}, splits).puzzle("open", START, 0, 0)
    assert method.training and all(torch.equal(before[name], value) for name, value in method.state_dict().items())


def test_every_control_changes_the_picture(panel: JigsawPuzzle):
    moves = [{"picture": 4}, {"order": 3}, {"gap": 5}, {"jitter": False}, {"per_tile_norm": False}]
    moves += [{"colors": "grey"}, {"colors": "one"}, {"colors": "moved"}, {"lens": True}, {"method": "open"}]
    seen = [panel.picture()]
    for move in moves:
        panel.set(**move)
        seen.append(panel.picture())
    assert len(set(seen)) == len(moves) + 1
    panel.set(method="shut", gap=2, jitter=True, per_tile_norm=True, colors="all", lens=False)


def test_photographs_are_puzzles_too(methods: dict[str, Jigsaw], bare_splits: Splits):
    panel = JigsawPuzzle(methods, bare_splits)
    before = panel.picture()
    panel.set(picture=2)
    assert panel.picture() != before


def test_nothing_to_show_is_refused(methods: dict[str, Jigsaw], splits: Splits):
    with pytest.raises(ValueError, match="needs one of each"):
        JigsawPuzzle({}, splits)
    with pytest.raises(ValueError, match="0 pictures"):
        JigsawPuzzle(methods, Splits(splits.train, splits.test.subset(torch.arange(0))))


def test_puzzles_follow_the_controls_in_time(panel: JigsawPuzzle):
    seconds = []
    for i in range(22):
        start = time.process_time()
        panel.set(picture=i + 5)
        seconds.append(time.process_time() - start)
    for gap in (0, 1, 3, 4, 5, 6, 7, 8):
        start = time.process_time()
        panel.set(gap=gap)  # every accuracy is new
        seconds.append(time.process_time() - start)
    assert sorted(seconds[2:])[26] < 0.15  # as promised where a network runs
