"""The checks of the lesson `dino` accept the library's functions and name what a wrong answer breaks."""

from __future__ import annotations

import torch

from fgssl_edu.exercises.dino import check_teacher_targets, check_token_colours
from fgssl_edu.explain.attention import components, patch_colours
from fgssl_edu.losses.distillation import batch_softmax, centred_softmax


def targets(logits, centre, temperature):
    return centred_softmax(logits, centre, temperature).detach()


def library_colours(tokens):
    return patch_colours(tokens.T[None, :, :, None])[0, :, :, 0].T


def spanned(along):
    return (along - along.amin(dim=0)) / (along.amax(dim=0) - along.amin(dim=0))


def by_svd(tokens):
    centred = tokens - tokens.mean(dim=0)
    return spanned(-torch.linalg.svd(centred, full_matrices=False).U[:, :3])  # the other sign is as good


RIGHT = [
    (check_teacher_targets, targets),
    (check_teacher_targets, lambda g, c, t: torch.softmax((g.detach() - c) / t, dim=1)),
    (check_token_colours, library_colours),
    (check_token_colours, by_svd),
]
WRONG = [
    (check_teacher_targets, lambda g, c, t: targets(g, c, t).mean(dim=0), "one distribution an image"),
    (check_teacher_targets, lambda g, c, t: torch.softmax((g.detach() - c) / t, dim=0), "each row summing to 1"),
    (check_teacher_targets, lambda g, c, t: targets(g, c, 1.0), "divide by the temperature"),
    (check_teacher_targets, lambda g, c, t: targets(g, 0 * c, t), "loses this lead"),
    (check_teacher_targets, lambda g, c, t: targets(g / t, c, 1.0), "subtract the centre, then sharpen"),
    (check_teacher_targets, lambda g, c, t: targets(g, c.abs(), t), "change nothing"),
    (
        check_teacher_targets,
        lambda g, c, t: targets(g, c, t) if len(g) == 1 else (targets(g, c, t) + targets(g.flip(0), c, t)) / 2,
        "beside it",
    ),
    (check_teacher_targets, lambda g, c, t: centred_softmax(g, c, t), "no gradient"),
    (check_token_colours, lambda tokens: library_colours(tokens)[:, :2], "three numbers"),
    (check_token_colours, lambda tokens: components(tokens), "from exactly 0 to exactly 1"),
    (check_token_colours, lambda tokens: spanned(torch.linalg.svd(tokens).U[:, :3]), "subtract their mean"),
    (check_token_colours, lambda tokens: spanned(components(tokens, 5)[:, -3:]), "vary most"),
    (check_token_colours, lambda tokens: spanned(components(tokens)[:, [0, 2, 1]]), "next most"),
    (check_token_colours, lambda tokens: spanned((tokens - tokens.mean(dim=0))[:, :3]), "vary"),
]


def test_batch_softmax_is_no_answer():
    """Rows sum to 1, but by a look at the batch."""
    assert not check_teacher_targets(lambda g, c, t: batch_softmax(g - c, t).detach()).passed
