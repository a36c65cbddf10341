"""The attention panel: maps that are the encoder's own, a query that is where it is framed, sets without masks."""

from __future__ import annotations

import time

import pytest
import torch

from fgssl_edu.data.image_set import Splits
from fgssl_edu.explain.attention import heaviest, looked_at, self_attention
from fgssl_edu.nets.encoders import Encoder, build_encoder
from fgssl_edu.panels.attention_heads import GALLERY, SIDE, AttentionHeads, heads_tile, kept_tile


@pytest.fixture(scope="module")
def transformers() -> dict[str, Encoder]:
    return {"one": build_encoder("vit_mini", seed=0), "two": build_encoder("vit_mini", seed=1)}


@pytest.fixture(scope="module")
def panel(transformers: dict[str, Encoder], splits: Splits) -> AttentionHeads:
    return AttentionHeads(transformers, splits)


def test_heads_are_the_encoder_s_own_and_the_mean_is_over_them(panel: AttentionHeads, transformers, splits: Splits):
    true = looked_at(self_attention(transformers["one"], splits.test.images[[3]], 48), (12, 12))[0]
    mean, second = panel.look("one", 3, 0, 0.6, None), panel.look("one", 3, 2, 0.6, None)
    assert torch.equal(mean.heads, true) and torch.equal(mean.shown, true.mean(dim=0))
    assert torch.equal(second.shown, true[1]) and torch.equal(second.kept, heaviest(true[1], 0.6))


def test_the_row_and_column_of_the_controls_are_the_patch_that_looks(panel: AttentionHeads, transformers, splits):
    asked = []
    look = panel.look
    panel.look = lambda *state: asked.append(state[-1]) or look(*state)
    panel.set(row=2, column=5)
    assert asked == [12 + 4] * 2
    panel.set(row=0)
    assert asked[2:] == [None] * 2
    panel.look = look


def test_colours_of_a_picture_do_not_depend_on_which_was_shown_before(panel: AttentionHeads):
    first = panel.look("one", 1, 0, 0.6, None).colours
    panel.look("one", 2, 0, 0.6, None)
    assert torch.equal(panel.look("one", 1, 0, 0.6, None).colours, first)
    assert panel.gallery("one").shape == (GALLERY, 96, 12, 12)
    look = panel.look("two", 1, 0, 0.6, None)
    assert not look.colours.permute(1, 2, 0)[~look.taken].any()


def test_looking_leaves_encoders_as_they_were(panel: AttentionHeads, transformers: dict[str, Encoder]):
    encoder = transformers["one"].train()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    panel.look("one", 4, 1, 0.5, 7)
    assert encoder.training and all(p.grad is None for p in encoder.parameters())
    assert all(torch.equal(before[name], value) for name, value in encoder.state_dict().items())


def test_every_control_changes_the_picture(panel: AttentionHeads):
    moves = [{"picture": 4}, {"a": "two", "b": "one"}, {"head": 2}, {"mass": 0.3}, {"row": 3}, {"column": 7}]
    seen = [panel.picture()]
    for move in moves:
        panel.set(**move)
        seen.append(panel.picture())
    assert len(set(seen)) == len(moves) + 1


def test_what_is_not_kept_is_darkened_where_it_lies():
    pixels, kept = torch.full((3, 16, 16), 200, dtype=torch.uint8), torch.zeros(4, 4, dtype=torch.bool)
    kept[0, 3] = True  # first row, last column
    light = torch.tensor(list(kept_tile(pixels, kept).convert("L").tobytes())).view(SIDE, SIDE)
    assert (light > 150).float().mean() == pytest.approx(1 / 16, abs=0.01)
    assert (light[: SIDE // 4 - 1, 3 * SIDE // 4 + 1 :] > 150).all()


@pytest.mark.parametrize("heads", [1, 3, 6])
def test_all_heads_fit_into_one_tile(heads: int):
    assert heads_tile(torch.zeros(3, 16, 16), torch.rand(heads, 4, 4)).size == (SIDE, SIDE)


def test_photographs_have_no_scores(transformers: dict[str, Encoder], bare_splits: Splits):
    panel = AttentionHeads(transformers, bare_splits, 40)
    before = panel.picture()
    panel.set(picture=2, row=1)
    assert panel.picture() != before


def test_what_cannot_be_compared_is_refused(transformers: dict[str, Encoder], splits: Splits):
    with pytest.raises(ValueError, match="two transformers"):
        AttentionHeads({"one": transformers["one"]}, splits)
    with pytest.raises(ValueError, match="no transformer: cnn"):
        AttentionHeads({**transformers, "cnn": build_encoder("resnet10", seed=0)}, splits)
    with pytest.raises(ValueError, match="patches: \\[4, 16\\]"):
        AttentionHeads({**transformers, "large": build_encoder("vit_tiny", seed=0)}, splits)


def test_maps_follow_the_controls_in_time(panel: AttentionHeads):
    seconds = []
    for i in range(22):
        start = time.process_time()
        panel.set(picture=i + 5, mass=0.55)
        seconds.append(time.process_time() - start)
    assert sorted(seconds[2:])[18] < 0.15  # as promised where a network runs; 55 ms were seen
