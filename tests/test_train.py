"""The loop computes what a plain one does; it reports, stops, resumes and refuses as it says."""

from __future__ import annotations

import inspect
import math
from pathlib import Path

import pytest
import torch
from torch import nn

from fgssl_edu import checkpoints, draws
from fgssl_edu.data.image_set import Batch, Images
from fgssl_edu.data.loader import Loader
from fgssl_edu.methods import build
from fgssl_edu.methods.base import optimizer, spread
from fgssl_edu.nets import build_encoder
from fgssl_edu.recipe import Recipe
from fgssl_edu.train import TrainingDiverged, pretrain
from fgssl_edu.views.background import BackgroundSwap

COUNT, SIDE = 24, 16
LABELS = torch.arange(COUNT) % 3


def pictures(seed: int = 3) -> torch.Tensor:
    return (draws.uniform(seed, 0, torch.arange(COUNT), "p", 3 * SIDE * SIDE) * 256).byte().view(-1, 3, SIDE, SIDE)


def supervised(norm: str = "batch"):
    return build("supervised", build_encoder("resnet10", norm, seed=0), labels=LABELS, classes=3, size=SIDE)


def simclr(**fields):
    return build("simclr", build_encoder("resnet10", seed=0), size=SIDE, **fields)


def recipe(**changes) -> Recipe:
    return Recipe(**{"steps": 6, "batch": 8, "lr": 1e-3, "warmup": 2, "accelerator": "cpu", **changes})


def train(method, recipe: Recipe, monitors=(), folder=None, progress=False):
    return pretrain(method, pictures(), recipe, monitors, folder, progress)


def flat(module: nn.Module) -> torch.Tensor:
    return torch.cat([value.detach().reshape(-1) for value in module.parameters()])


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_it_computes_bit_by_bit_what_a_plain_loop_does():
    ours, plain = supervised(), supervised()
    history = train(ours, recipe())
    adamw, loader, losses = plain.optimizers(recipe())[0], Loader(pictures(), 8, seed=0), []
    for step in range(6):
        for group in adamw.param_groups:
            group["lr"] = 1e-3 * recipe().rate(step)
        batch = next(loader)
        loss = plain(batch, plain.views(batch, step))["loss"]
        adamw.zero_grad()
        loss.backward()
        adamw.step()
        losses.append(loss.item())
    assert same(ours, plain)
    assert history.column("loss") == ([1, 2, 3, 4, 5, 6], losses)


def test_the_loop_is_one_function_of_at_most_sixty_lines():
    assert len(inspect.getsource(pretrain).splitlines()) <= 60


def test_rates_warm_up_and_then_follow_half_a_cosine():
    rates = [recipe(steps=102, warmup=2).rate(step) for step in range(102)]
    assert rates[:3] == [0.5, 1.0, 1.0]
    assert rates[52] == pytest.approx(0.5)  # half-way through the cosine
    assert 0 < rates[-1] < 1e-3 and rates[2:] == sorted(rates[2:], reverse=True)
    assert train(supervised(), recipe()).column("lr")[1] == [1e-3 * recipe().rate(step) for step in range(6)]


def test_weight_decay_leaves_out_biases_and_norms_in_both_optimizers():
    for name in ("adamw", "sgd"):
        made = optimizer(supervised(), recipe(optimizer=name, weight_decay=0.3))
        for group in made.param_groups:
            assert {parameter.ndim > 1 for parameter in group["params"]} == {group["weight_decay"] == 0.3}
        count = sum(len(group["params"]) for group in made.param_groups)
        assert count == len(list(supervised().parameters()))
    assert isinstance(made, torch.optim.SGD) and made.param_groups[0]["momentum"] == 0.9


def test_accumulated_pieces_give_the_gradient_of_the_whole_batch():
    weights = []
    for pieces in (1, 4):
        method = supervised("group")
        train(method, recipe(steps=3, accumulate=pieces, optimizer="sgd", lr=0.1))
        weights.append(flat(method))
    assert torch.allclose(*weights, atol=1e-5)  # other order of summation in float32


def test_clipping_bounds_the_step():
    moved = []
    for clip in (None, 1e-3):
        method = supervised("group")
        start = flat(method)
        train(method, recipe(steps=1, warmup=0, optimizer="sgd", lr=1.0, weight_decay=0.0, clip=clip))
        moved.append((flat(method) - start).norm())
    assert moved[1] == pytest.approx(1e-3, rel=0.01) and moved[0] > 10 * moved[1]


class Meddler:
    """A monitor with bad manners: draws, trains BatchNorm's statistics, switches modes, leaves gradients."""

    every = 2

    def __init__(self) -> None:
        self.steps: list[int] = []

    def __call__(self, method, row: dict[str, float], step: int) -> dict[str, float]:
        assert row["step"] == step and "loss" in row
        self.steps.append(step)
        torch.rand(7)
        method.encoder(torch.rand(4, 3, SIDE, SIDE)).sum().backward()
        method.eval()
        return {"knn": step / 10}


def test_monitors_do_not_change_a_single_bit():
    watched, alone = supervised(), supervised()
    for method in (watched, alone):
        method.encoder.blocks.append(nn.Dropout2d(0.2))
    meddler = Meddler()
    torch.manual_seed(0)
    history = train(watched, recipe(steps=7), [meddler])
    torch.manual_seed(0)
    train(alone, recipe(steps=7))
    assert same(watched, alone) and watched.training
    assert meddler.steps == [2, 4, 6, 7]
    assert history.column("knn") == ([2, 4, 6, 7], [0.2, 0.4, 0.6, 0.7])


def test_a_long_history_has_at_most_so_many_rows_and_its_first_and_last_step():
    method = Tiny()
    history = train(method, recipe(steps=1001))
    steps = history.column("loss")[0]
    assert steps[0] == 1 and steps[-1] == 1001 and steps[1:-1] == list(range(3, 1001, 3))
    assert set(history.rows[5]) == {"step", "loss", "lr", "img_s", "depth"}
    assert history.images == 1001 * 8 and history.images_per_second == pytest.approx(8008 / history.seconds)


class Tiny(type(supervised())):
    """One number that is trained; its loss can be made to fail at a step."""

    def __init__(self, bad_step: int = -1, bad_weight: int = -1) -> None:
        nn.Module.__init__(self)
        self.encoder = nn.Identity()
        self.weight = nn.Parameter(torch.zeros(2, 1))
        self.bad_step, self.bad_weight = bad_step, bad_weight

    def extra_repr(self) -> str:
        return ""

    def start(self, images: Images, resumed: bool) -> None:
        pass

    def views(self, batch: Batch, step: int) -> tuple[torch.Tensor, ...]:
        return (torch.full((len(batch.index),), float("nan" if step + 1 == self.bad_step else 1)),)

    def forward(self, batch: Batch, views: tuple[torch.Tensor, ...]) -> dict[str, torch.Tensor]:
        return {"loss": ((self.weight.sum() - views[0]) ** 2).mean(), "depth": torch.tensor(3.0)}

    def after_step(self, progress: float) -> None:
        if self.bad_weight > 0 and progress >= self.bad_weight / 100:
            self.weight.data.fill_(torch.inf)


def test_a_nan_stops_the_run_with_step_checkpoint_and_advice(tmp_path: Path):
    with pytest.raises(TrainingDiverged, match=r"step 27 is nan.*step_00000020.pt.*lower lr .*warmup.*clip"):
        train(Tiny(bad_step=27), recipe(steps=100, checkpoint_every=10), folder=tmp_path)
    assert checkpoints.step_of(checkpoints.latest(tmp_path)) == 20
    with pytest.raises(TrainingDiverged, match="No checkpoint has been written"):
        train(Tiny(bad_step=27), recipe(steps=100))


def test_infinite_weights_are_never_saved_though_the_loss_was_finite(tmp_path: Path):
    with pytest.raises(TrainingDiverged, match="step 30 some weights are not finite.*step_00000020.pt"):
        train(Tiny(bad_weight=30), recipe(steps=100, checkpoint_every=10), folder=tmp_path)
    assert checkpoints.finite(checkpoints.load(checkpoints.latest(tmp_path))["method"])


def test_a_monitor_never_meets_infinite_weights(tmp_path: Path):
    class Look(Meddler):
        every = 3  # not a step at which losses are read anyhow

        def __call__(self, method, row: dict[str, float], step: int) -> dict[str, float]:
            self.steps.append(step)
            assert method.weight.isfinite().all()
            return {}

    look = Look()
    with pytest.raises(TrainingDiverged, match="after step 33 some weights are not finite.*step_00000030.pt"):
        train(Tiny(bad_weight=33), recipe(steps=100, checkpoint_every=10), [look], tmp_path)
    assert look.steps == list(range(3, 33, 3))


def test_a_finished_run_is_returned_at_once(tmp_path: Path):
    first, again = supervised(), supervised()
    history = train(first, recipe(), folder=tmp_path)
    again.views = None  # would fail if a step were made
    known = train(again, recipe(), folder=tmp_path)
    assert known.resumed_from == 6 and known.rows == history.rows and known.chance == pytest.approx(math.log(3))
    assert same(first, again) and history.resumed_from is None


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"recipe": {"lr": 0.5}}, "lr was 0.001, is 0.5"),
        ({"recipe": {"steps": 9}}, "steps was 6, is 9"),
        ({"temperature": 0.7}, "the method was .*temperature=0.2.*temperature=0.7"),
        ({"pictures": 4}, "the images' pixels differ"),
    ],
)
def test_another_runs_folder_is_refused_by_what_differs(change: dict, complaint: str, tmp_path: Path):
    train(simclr(), recipe(), folder=tmp_path)
    method = simclr(temperature=change.get("temperature", 0.2))
    with pytest.raises(ValueError, match=f"belongs to another run: {complaint}"):
        pretrain(method, pictures(change.get("pictures", 3)), recipe(**change.get("recipe", {})), folder=tmp_path)


@pytest.mark.parametrize("other", ["encoder", "hidden buffer", "trained"])
def test_a_run_that_began_with_other_weights_or_buffers_is_refused(other: str, tmp_path: Path):
    def made(seed: int = 0, shade: int = 0):
        skies = torch.full((2, 3, SIDE, SIDE), shade, dtype=torch.uint8)
        swap = BackgroundSwap(torch.full((COUNT, SIDE, SIDE), 255, dtype=torch.uint8), skies)
        return build("simclr", build_encoder("resnet10", seed=seed), size=SIDE, swap=swap)

    first = made()
    train(first, recipe(), folder=tmp_path)
    method = {"encoder": made(seed=1), "hidden buffer": made(shade=1), "trained": first}[other]
    before = flat(method).clone()
    with pytest.raises(ValueError, match="another run: the method has other initial weights or buffers: build it anew"):
        train(method, recipe(), folder=tmp_path)
    assert torch.equal(flat(method), before)
    assert train(made(), recipe(), folder=tmp_path).resumed_from == 6


def test_checkpoints_may_come_more_often_in_a_resumed_run(tmp_path: Path):
    train(supervised(), recipe(), folder=tmp_path)
    assert train(supervised(), recipe(checkpoint_every=2), folder=tmp_path).resumed_from == 6


def test_another_thread_count_is_told(tmp_path: Path):
    train(supervised(), recipe(), folder=tmp_path)
    torch.set_num_threads(2)
    try:
        with pytest.warns(UserWarning, match="computed with 1 threads, now there are 2.*last bits may differ"):
            train(supervised(), recipe(), folder=tmp_path)
    finally:
        torch.set_num_threads(1)


def test_a_damaged_checkpoint_stops_the_resume_and_names_the_one_before(tmp_path: Path):
    train(supervised(), recipe(checkpoint_every=3), folder=tmp_path)
    path = checkpoints.path_of(tmp_path, 6)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match="step_00000006.pt is truncated.*step_00000003.pt"):
        train(supervised(), recipe(checkpoint_every=3), folder=tmp_path)
    path.unlink()
    assert train(supervised(), recipe(checkpoint_every=3), folder=tmp_path).resumed_from == 3


def test_mistakes_are_refused_before_training():
    with pytest.raises(ValueError, match="batch=25: the set has 24 images"):
        train(supervised(), recipe(batch=25))
    with pytest.raises(ValueError, match=r"torch.float32; training takes \(N, 3, H, W\) uint8"):
        pretrain(supervised(), pictures().float(), recipe())
    with pytest.raises(ValueError, match="2 processes needed, 1 started.*torchrun"):
        train(supervised(), recipe(devices=2))
    with pytest.raises(ValueError, match="progress='loud'"):
        train(supervised(), recipe(), progress="loud")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="there are 0 GPUs here; use fewer devices or accelerator='cpu'"):
            train(supervised(), recipe(accelerator="cuda"))


def test_spread_is_one_for_directions_everywhere_and_zero_for_one():
    everywhere = draws.normal(0, 0, torch.arange(4000), "spread", 64)
    assert spread(everywhere) == pytest.approx(1, abs=0.02)  # 4000 rows: about 1 % of sampling noise
    assert spread(torch.ones(5, 64) * torch.arange(1, 6)[:, None]) == pytest.approx(0, abs=1e-6)
