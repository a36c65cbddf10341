"""The checks of the lesson `rotation` accept right answers and name what a wrong one breaks."""

from __future__ import annotations

import torch

from fgssl_edu.data.image_set import Batch
from fgssl_edu.exercises.rotation import check_turns, check_upright
from fgssl_edu.methods.pretext.rotation import Rotation
from fgssl_edu.nets import build_encoder


def turns(images):
    turned = torch.stack([images.rot90(r, dims=(2, 3)) for r in range(4)], dim=1).flatten(0, 1)
    return turned, torch.arange(4).repeat(len(images))


def library_turns(images):
    method = Rotation(build_encoder("resnet10", seed=0), size=8)
    method.size = images.shape[3]
    target = method.views(Batch(torch.zeros(len(images), 3, 8, 8, dtype=torch.uint8), torch.arange(len(images))), 0)[1]
    return method.turns(images).flatten(0, 1), target


def by_transposes(images):
    rows = []
    for image in images:
        quarter = image.transpose(1, 2).flip(1)
        rows += [image, quarter, image.flip(1, 2), quarter.flip(1, 2)]
    return torch.stack(rows), torch.tensor([0, 1, 2, 3] * len(images))


def upright(logits):
    shares = logits.log_softmax(dim=2)
    votes = [sum(shares[:, r, (o + r) % 4] for r in range(4)) for o in range(4)]
    return torch.stack(votes, dim=1).argmax(dim=1)


def upright_by_rolling(logits):
    rolled = torch.stack([logits[:, r].log_softmax(dim=1).roll(-r, dims=1) for r in range(4)])
    return rolled.mean(dim=0).argmax(dim=1)


RIGHT = [
    (check_turns, turns),
    (check_turns, library_turns),
    (check_turns, by_transposes),
    (check_upright, upright),
    (check_upright, upright_by_rolling),
]
WRONG = [
    (check_turns, lambda x: (x, torch.zeros(len(x), dtype=torch.long)), "12 turned ones"),
    (check_turns, lambda x: (turns(x)[0], turns(x)[1].float()), "whole numbers"),
    (check_turns, lambda x: turns(x)[0], "two tensors"),
    (check_turns, lambda x: (turns(x)[0], (turns(x)[1] + 1) % 4), "label 0"),
    (check_turns, lambda x: (turns(x)[0], (4 - turns(x)[1]) % 4), "went clockwise"),
    (
        check_turns,
        lambda x: (torch.stack([x, x.rot90(1, (2, 3)), x.flip(2), x.rot90(3, (2, 3))], 1).flatten(0, 1), turns(x)[1]),
        "a mirror is no turn",
    ),
    (
        check_turns,
        lambda x: (torch.cat([x.rot90(r, (2, 3)) for r in range(4)]), torch.arange(4).repeat_interleave(len(x))),
        "stand together",
    ),
    (
        check_turns,
        lambda x: (torch.cat([x.rot90(r, (2, 3)) for r in range(4)]), torch.arange(4).repeat(len(x))),
        "row 4i + r",
    ),
    (check_upright, lambda x: x[:, 0].softmax(dim=1), "one whole number"),
    (check_upright, lambda x: x.sum(dim=1).argmax(dim=1), "right every time"),
    (check_upright, lambda x: x[:, 0].argmax(dim=1), "outvote one"),
    (check_upright, lambda x: torch.stack([x[:, r].roll(-r, 1) for r in range(4)]).amax(0).argmax(1), "outvote one"),
    (
        check_upright,
        lambda x: torch.stack([x[:, r].roll(-r, 1).softmax(1) for r in range(4)]).sum(0).argmax(1),
        "not probabilities",
    ),
    (
        check_upright,
        lambda x: torch.stack([x[:, r].roll(-r, 1) * x[:, r].amax(1, True) for r in range(4)]).sum(0).argmax(1),
        "a constant added",
    ),
    (check_upright, lambda x: (_ for _ in ()).throw(NotImplementedError), "not written yet"),
]
