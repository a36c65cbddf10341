"""DINO: who teaches whom, what stands still when, and which part keeps it from which collapse."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from fgssl_edu import draws
from fgssl_edu.data.image_set import Batch, Images
from fgssl_edu.losses.distillation import centred_softmax, dino_loss
from fgssl_edu.methods import build
from fgssl_edu.methods.base import set_rates
from fgssl_edu.methods.distillation.dino import DINO, summary, target_shape
from fgssl_edu.nets import build_encoder, cosine_momentum
from fgssl_edu.nets.heads_dino import DINOHead
from fgssl_edu.recipe import Recipe
from fgssl_edu.train import pretrain
from fgssl_edu.views.presets import VIEWS, scaled

SIDE = 24
FLAT = 0.97  # share of log K above which targets are as good as uniform
SURE = 0.1  # share of log K below which each target names one prototype


def pictures(count: int = 8) -> torch.Tensor:
    """Smooth random colours, so that crops of one picture look alike."""
    coarse = draws.uniform(1, 0, torch.arange(count), "pictures", 3 * 4).view(-1, 3, 2, 2)
    return (F.interpolate(coarse, size=SIDE, mode="bilinear") * 255).byte()


def batch(count: int = 8) -> Batch:
    return Batch(pictures(count), torch.arange(count))


def dino(encoder: str = "resnet10", norm: str = "batch", **fields) -> DINO:
    views = scaled(VIEWS["mild"], 0.25)
    small = {"size": 16, "views": views, "prototypes": 32, "ema": 0.9, "local_views": 2}
    return DINO(build_encoder(encoder, norm=norm, seed=0), **{**small, **fields})


def train(method: DINO, steps: int, count: int = 8, **changes):
    recipe = Recipe(**{"steps": steps, "batch": 8, "warmup": 5, "accelerator": "cpu", **changes})
    return pretrain(method, pictures(count), recipe, progress=False)


def test_it_learns_eight_images_by_heart_without_collapse():
    history = train(dino(local_views=0), steps=100)
    first, last = history.rows[0], history.rows[-1]
    assert history.chance == math.log(32) and last["loss"] < 0.2 * history.chance < first["loss"]
    assert last["embedding_std"] > 0.3 and last["usage"] > 3 / 32  # some prototypes share the eight


def test_the_loss_is_that_of_teacher_and_student_on_the_crops():
    method = dino(norm="group")  # with which crops of two sizes, or one crop alone, are computed alike
    views = method.views(batch(), 3)
    assert [tuple(view.shape[1:]) for view in views] == [(3, 16, 16)] * 2 + [(3, 10, 10)] * 2
    encoder, head = method.teacher
    raw = [head(encoder(view)) for view in views[:2]]
    targets = [centred_softmax(each, torch.zeros(32), 0.04) for each in raw]
    student = [method.head(method.encoder(view)) for view in views]
    outputs = method(batch(), views)
    torch.testing.assert_close(outputs["loss"], dino_loss(student, targets), atol=1e-5, rtol=0)
    swapped = method(batch(), (views[1], views[0], *views[:1:-1]))["loss"]
    torch.testing.assert_close(swapped, outputs["loss"], atol=1e-5, rtol=0)  # no crop of a size is special
    assert not outputs["embeddings"].requires_grad and outputs["embeddings"].shape == (16, 64)


@pytest.mark.parametrize(
    ("encoder", "size", "small"), [("resnet10", 24, 15), ("vit_mini", 24, 12), ("vit_mini", 32, 20)]
)
def test_small_crops_are_five_eighths_of_large_ones_in_whole_patches(encoder: str, size: int, small: int):
    views = dino(encoder, size=size).views(batch(), 0)
    assert [view.shape[-1] for view in views] == [size, size, small, small]


def test_gradients_reach_the_student_alone():
    for name in ("resnet10", "vit_mini"):
        method = dino(name)
        method(batch(), method.views(batch(), 0))["loss"].backward()
        assert all(parameter.grad is None for parameter in method.teacher.parameters())
        student = [*method.encoder.parameters(), *method.head.parameters()]
        assert all((parameter.grad is not None) == parameter.requires_grad for parameter in student)
        assert not any(parameter.requires_grad for parameter in method.teacher.parameters())


def test_the_head_reads_the_cls_token_of_a_transformer():
    images = torch.rand(2, 3, 16, 16)
    transformer, convolutions = build_encoder("vit_mini", seed=0), build_encoder("resnet10", seed=0).eval()
    assert torch.equal(summary(transformer, images), transformer.tokens(images)[:, 0])
    assert torch.equal(summary(convolutions, images), convolutions.features(images))


def test_the_centre_moves_after_the_loss_by_the_mean_of_raw_logits():
    method = dino()
    views = method.views(batch(), 0)
    raw = method.judge(torch.cat(views[:2]))
    before = method(batch(), views)["loss"]
    assert not method.centre.any()
    method.after_step(0.5)
    torch.testing.assert_close(method.centre, 0.1 * raw.mean(dim=(0, 1)))
    assert method(batch(), views)["loss"] != before
    off = dino(balance="none")
    off(batch(), views)
    off.after_step(0.5)
    assert not off.centre.any()


def test_with_accumulation_the_centre_moves_once_by_all_pieces():
    method, raws = dino(), []
    for step in (0, 1):
        views = method.views(batch(), step)
        method(batch(), views)
        raws.append(method.judge(torch.cat(views[:2])).mean(dim=(0, 1)))
    method.after_step(0.5)
    torch.testing.assert_close(method.centre, 0.1 * torch.stack(raws).mean(dim=0))
    assert method.raw == []


def test_the_teacher_follows_with_a_momentum_that_rises_to_one():
    method = dino(ema=0.9)
    old = method.teacher[0].entry[0].weight.clone()
    with torch.no_grad():
        method.encoder.entry[0].weight.add_(1.0)
    method(batch(), method.views(batch(), 0))
    method.after_step(0.5)
    torch.testing.assert_close(method.teacher[0].entry[0].weight, old + 1 - cosine_momentum(0.9, 0.5))
    moved = method.teacher[0].entry[0].weight.clone()
    method(batch(), method.views(batch(), 0))
    method.after_step(1.0)
    assert torch.equal(method.teacher[0].entry[0].weight, moved)
    assert method.evaluated() is method.teacher[0]


def test_the_teachers_temperature_warms_up():
    method = dino(teacher_temperature=(0.04, 0.07), warm_share=0.5)
    raw = method.judge(torch.cat(method.views(batch(), 0)[:2]))
    for progress, temperature in ((0.0, 0.04), (0.25, 0.055), (0.5, 0.07), (1.0, 0.07)):
        method.progress.fill_(progress)
        torch.testing.assert_close(method.targets(raw), centred_softmax(raw, torch.zeros(32), temperature))


def test_prototypes_stand_still_in_the_first_epoch_and_decay_rises():
    method, kept = dino(), []
    after = method.after_step
    method.after_step = lambda progress: (kept.append(method.head.prototypes.detach().clone()), after(progress))
    start = method.head.prototypes.detach().clone()
    train(method, steps=5, count=16)  # two steps an epoch
    assert torch.equal(kept[0], start) and torch.equal(kept[1], start) and not torch.equal(kept[2], start)

    method.start(Images(pictures(), torch.device("cpu")), resumed=False)
    recipe = Recipe(steps=10, batch=8, warmup=0, weight_decay=0.04)
    made = method.optimizers(recipe)
    for group in made[0].param_groups:
        group.update(peak=group["lr"], start_weight_decay=group["weight_decay"])
    decays = []
    for step in (0, 5, 9):
        set_rates(made, recipe, step)
        decays.append([group["weight_decay"] for group in made[0].param_groups])
    weights, vectors = zip(*decays, strict=True)
    assert weights == pytest.approx([0.04, 0.22, 0.391], abs=1e-3) and vectors == (0.0, 0.0, 0.0)


def test_each_balance_makes_rows_that_sum_to_one_and_those_that_look_at_the_batch_use_more_prototypes():
    usage = {}
    for balance in ("centre", "sinkhorn", "softmax", "none"):
        method = dino(balance=balance)
        targets = method.targets(method.judge(torch.cat(method.views(batch(), 0)[:2])))
        torch.testing.assert_close(targets.sum(dim=2), torch.ones(2, 8))
        usage[balance] = float(target_shape(targets)["usage"])
    assert usage["sinkhorn"] > usage["softmax"] > usage["none"] == usage["centre"]  # the first centre is zero


def test_usage_and_entropy_at_their_landmarks():
    one = F.one_hot(torch.zeros(2, 4, dtype=torch.long), 4).float()
    each = F.one_hot(torch.arange(4).expand(2, 4), 4).float()
    flat = torch.full((2, 4, 4), 0.25)
    for targets, usage, entropy in ((one, 0.25, 0.0), (each, 1.0, 0.0), (flat, 1.0, 1.0)):
        shape = target_shape(targets)
        assert shape["usage"].item() == pytest.approx(usage) and shape["target_entropy"].item() == pytest.approx(
            entropy
        )


def test_without_centring_one_prototype_wins_and_without_sharpening_all_do():
    """Both lose nothing or ln K without having learned anything: the loss alone does not tell. (BatchNorm, which the
    encoder has not here, keeps embeddings apart for longer.)
    """
    last = {}
    for name, fields in {
        "none": {"balance": "none", "teacher_temperature": (0.02, 0.02)},
        "flat": {"teacher_temperature": (1.0, 1.0)},
        "whole": {},
    }.items():
        last[name] = train(dino(norm="group", local_views=0, **fields), steps=60, lr=5e-4).rows[-1]
    assert last["none"]["usage"] < 1.5 / 32 and last["none"]["loss"] < SURE * math.log(32)
    assert last["flat"]["target_entropy"] > FLAT and last["flat"]["loss"] > FLAT * math.log(32)
    assert last["whole"]["usage"] > 3 / 32 and last["whole"]["target_entropy"] < 0.5
    spreads = [last[name]["embedding_std"] for name in ("none", "flat", "whole")]
    assert max(spreads[:2]) < 0.1 < 0.3 < spreads[2]


def test_the_heads_logits_are_cosines_until_lengths_are_learned():
    torch.manual_seed(0)
    head = DINOHead(12, 16, 8, 20)
    rows = torch.randn(5, 12)
    torch.testing.assert_close(head.embed(rows).norm(dim=1), torch.ones(5))
    assert head(rows).abs().max() <= 1 + 1e-6 and not head.length.requires_grad
    assert DINOHead(12, 16, 8, 20, norm_last_layer=False).length.requires_grad
    with torch.no_grad():
        before = head(rows)
        head.prototypes.mul_(3)  # only their direction counts
        torch.testing.assert_close(head(rows), before)
        head.length.mul_(2)
        torch.testing.assert_close(head(rows), 2 * before)


def test_the_papers_values_build_their_network_but_not_here():
    fields = {name: value for name, (value, _) in DINO.presets["vit_small"].items()}
    assert (fields["size"], fields["local_size"], fields["ema"]) == (224, 96, 0.996)
    method = build(
        "dino", build_encoder("resnet10"), preset="vit_small", prototypes=16, hidden=16, size=32, local_size=16
    )
    assert [preset.name for preset in (*method.crops.large, method.crops.small)] == list(fields["views"])
    assert method.crops.count == 8 and method.head.length.requires_grad


@pytest.mark.parametrize(
    "wrong",
    [
        {"balance": "center"},
        {"ema": 1.5},
        {"teacher_temperature": (0.04, 0.0)},
        {"student_temperature": 0.0},
        {"warm_share": 0.0},
        {"local_views": -1},
        {"prototypes": 1},
        {"hidden": 0},
        {"bottleneck": 0},
        {"freeze_epochs": -1},
        {"views": ("mild", "mild")},
        {"local_size": 4},
        {"local_area": (0.4, 0.2)},
    ],
)
def test_mistakes_are_named(wrong: dict[str, object]):
    name = next(iter(wrong)).replace("local_size", "size")
    with pytest.raises(ValueError, match=name):
        dino(**wrong)
