"""Every registered method learns eight images by heart: that it can is the first sign of a sound gradient."""

from __future__ import annotations

import inspect

import pytest
import torch

from fgssl_edu import draws
from fgssl_edu.methods import METHODS, build
from fgssl_edu.nets import build_encoder
from fgssl_edu.recipe import Recipe
from fgssl_edu.train import pretrain
from fgssl_edu.views.presets import VIEWS, scaled

COUNT, SIDE = 8, 24
# Of what a constructor takes: weak views, and a queue no longer than the set (own old keys are then among the
# negatives, which costs at most log 2).
SMALL = {"size": 16, "views": scaled(VIEWS["mild"], 0.25), "queue": COUNT, "ema": 0.9}
SMALL |= {"decoder_size": 16, "memory": 16}  # what synthesised pairs draw and remember
# Of colours: a soft code has an entropy of its own, and the views jitter lightness, which no colour tells
SMALL |= {"soft_bins": 1, "spacing": 40.0, "levels": 5}
SMALL |= {"prototypes": COUNT}  # as many clusters as images
SMALL |= {"permutations": 4}  # orders of nine tiles; 64 take more than 100 steps of eight images
SMALL |= {"labels": torch.tensor([2, 0, 1, 1, 0, 2, 0, 1]), "classes": 3}
ENCODERS = {"mae": "vit_mini", "simmim": "vit_mini"}  # of methods that need one of their own, not a resnet10
SIAMESE = ("simsiam",)  # their loss is minus a cosine: 0 says nothing, -1 is agreement
NARROW = {"barlow": {"out": 6}, "vicreg": {"out": 6}}  # eight images cannot have more uncorrelated dimensions
NARROW |= {"dino": {"prototypes": 32, "local_views": 0}}  # of 8, a centre hardly finds room for 8 images
NARROW |= {"mae": {"mask_ratio": 0.5}, "simmim": {"mask_ratio": 0.5, "cell": 1}}  # of 16 patches
LEARNED = 0.5  # share of chance that is left; five seeds ended at .002 to .41, untrained ones at .67 to 1
OWN_BAR = {"barlow": 0.02}  # weak views agree before training: three seeds ended at .002 to .012, untrained .05 to .5
OWN_BAR |= {"mae": 0.65, "simmim": 0.85}  # other patches are hidden at each step; of four seeds the worst: .51, .75


def pictures() -> torch.Tensor:
    """Smooth random colours, so that crops of one picture look alike."""
    coarse = draws.uniform(1, 0, torch.arange(COUNT), "pictures", 3 * 4).view(-1, 3, 2, 2)
    return (torch.nn.functional.interpolate(coarse, size=SIDE, mode="bilinear") * 255).byte()


def run(name: str, lr: float = 2e-3, seed: int = 0):
    taken = inspect.signature(METHODS[name]).parameters
    fields = {field: value for field, value in (SMALL | NARROW.get(name, {})).items() if field in taken}
    method = build(name, build_encoder(ENCODERS.get(name, "resnet10"), seed=seed), seed=seed, **fields)
    recipe = Recipe(steps=100, batch=COUNT, warmup=5, lr=lr, accelerator="cpu")
    return pretrain(method, pictures(), recipe, progress=False)


def share_left(name: str, history) -> float:
    """Share of the loss of knowing nothing that the last step still had."""
    last = history.rows[-1]["loss"]
    if name in SIAMESE:
        return 1 + last
    return last / (history.rows[0]["loss"] if history.chance is None else history.chance)


@pytest.mark.parametrize("name", METHODS)
def test_it_learns_eight_images_by_heart_without_collapse(name: str):
    assert share_left(name, history := run(name)) < OWN_BAR.get(name, LEARNED)
    assert history.rows[-1].get("embedding_std", 1.0) > 0.3


@pytest.mark.parametrize("name", METHODS)
def test_an_encoder_that_stands_still_does_not_pass(name: str):
    """The control: without learning the loss stays where it was."""
    assert share_left(name, run(name, lr=1e-9)) > OWN_BAR.get(name, LEARNED)
