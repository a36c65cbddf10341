"""A training that a calling process starts on two others: same curve as one process, and what happens when one dies."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "contract"))  # also in the processes that are started
from contract_methods import Plain, context, digest, make, pictures
from launching import Forked, alive

from fgssl_edu import checkpoints
from fgssl_edu.data.mapped import write_map
from fgssl_edu.data.shard_writing import Sample, write_shards
from fgssl_edu.data.stream import StreamedImages
from fgssl_edu.recipe import Recipe
from fgssl_edu.runs import launch, rank
from fgssl_edu.runs.crew import ProcessFailed
from fgssl_edu.train import History, TrainingDiverged

STEPS = 9
CLOSE = 1e-4
MAIN, FURTHER = ("simclr", "moco", "dino"), ("swav", "byol", "vicreg", "mae", "rotation")
SOON_S = 20  # for a process to be gone, on a busy machine


def train(method, processes: int, folder: Path | None = None, monitors=(), **other) -> History:
    values = {"steps": STEPS, "batch": 8, "lr": 1e-3, "warmup": 2, "checkpoint_every": 2, "accelerator": "cpu"}
    recipe = Recipe(**{**values, "devices": processes, **other})
    return launch.pretrain(method, pictures(), recipe, monitors, folder, progress=False)


@pytest.fixture(autouse=True)
def started(monkeypatch: pytest.MonkeyPatch) -> list[Forked]:
    """The processes of the test, in the order of their start."""
    processes: list[Forked] = []

    def start(folder: Path, number: int) -> Forked:
        processes.append(Forked(folder, number))
        return processes[-1]

    monkeypatch.setattr(rank, "start", start)
    return processes


class OfRows:
    """Called in this process with every row."""

    of_rows, every = True, 1

    def __init__(self, act=lambda step: None) -> None:
        self.act, self.losses = act, []

    def __call__(self, method, row, step: int) -> dict[str, float]:
        self.losses.append(row["loss"])
        self.act(step)
        return {}


class Elsewhere:
    """Called in process 0, which is not this one."""

    every = 3

    def __call__(self, method, row, step: int) -> dict[str, float]:
        return {"rank": float(dist.get_rank()), "process": float(os.getpid())}


class Fails(Plain):
    """Breaks in one process, while the other waits for it."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def forward(self, batch, views):
        noise = (views[1] - views[0]).mean()
        return {"loss": self.encoder(views[1]).square().mean() * (float("nan") if self.how == "nan" else 1) + noise}

    def after_step(self, progress: float) -> None:
        if dist.get_rank() == 1 and self.how == "raise":
            raise ArithmeticError("the third digit is wrong")
        if dist.get_rank() == 1 and self.how == "exit":
            print("so long", flush=True)
            os._exit(3)


class Mapped(Plain):
    """Looks where its pixels come from."""

    def start(self, images, resumed: bool) -> None:
        assert not dist.is_initialized() or rank.PIXELS in Path("/proc/self/maps").read_text()

    def forward(self, batch, views):
        return {"loss": self.encoder(views[1]).square().mean()}


@pytest.mark.parametrize("name", [*MAIN, *(pytest.param(each, marks=pytest.mark.slow) for each in FURTHER)])
def test_two_processes_that_were_started_lose_what_one_does(name: str, tmp_path: Path):
    alone, together = make(name), make(name)
    one = train(alone, 1)
    both = train(together, 2, tmp_path)
    assert both.column("loss")[0] == list(range(1, STEPS + 1))
    assert both.column("loss")[1] == pytest.approx(one.column("loss")[1], abs=CLOSE, rel=CLOSE)  # of VICReg 22
    assert both.chance == one.chance == together.chance and both.images == one.images
    kept = checkpoints.load(checkpoints.path_of(tmp_path, STEPS))["method"]
    assert digest(together.state_dict()) == digest(kept) and together.training
    assert kept.keys() == alone.state_dict().keys()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mapped", "shards"])
def test_a_set_that_lies_in_files_is_opened_by_each_process(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    labels = torch.zeros(len(pictures()), dtype=torch.int64)
    if kind == "mapped":
        images = write_map([(pictures(), labels)], tmp_path / "set", size=pictures().shape[-1])
    else:
        pytest.importorskip("webdataset")
        write_shards([Sample(each) for each in pictures()], tmp_path / "set", per_shard=5, size=pictures().shape[-1])
        images = StreamedImages(tmp_path / "set", pictures().shape[-1])
    recipe = {"steps": STEPS, "batch": 8, "lr": 1e-3, "warmup": 2, "accelerator": "cpu"}
    one = launch.pretrain(make("simclr"), images, Recipe(**recipe), progress=False)
    monkeypatch.setattr(rank, "PIXELS", "no folder/pixels.u8")  # were they written there, it would fail
    both = launch.pretrain(make("simclr"), images, Recipe(**recipe, devices=2), progress=False)
    assert both.column("loss")[1] == pytest.approx(one.column("loss")[1], abs=CLOSE)


def test_pixels_are_mapped_and_not_read_by_each_process():
    train(Mapped(), 2, steps=1, warmup=0)


def test_monitors_of_rows_are_called_here_and_the_others_in_process_0(tmp_path: Path):
    here = OfRows()
    history = train(make("simclr"), 2, tmp_path, [Elsewhere(), here])
    assert here.losses == history.column("loss")[1]
    steps, ranks = history.column("rank")
    assert steps == [3, 6, 9] and set(ranks) == {0.0} and os.getpid() not in history.column("process")[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step_00000008.pt", "step_00000009.pt"]


def test_a_killed_process_stops_all_and_the_run_goes_on_with_the_same_bits(tmp_path: Path, started: list[Forked]):
    whole = make("moco")
    curve = train(whole, 2).column("loss")[1]
    begun: list[float] = []

    def kill(step: int) -> None:
        if step == 5:
            begun.append(time.monotonic())
            os.kill(started[-1].pid, signal.SIGKILL)

    with pytest.raises(ProcessFailed, match="process 1 of 2 was killed by SIGKILL.*goes on after step 4"):
        train(make("moco"), 2, tmp_path, [OfRows(kill)])
    assert time.monotonic() - begun[0] < SOON_S
    assert alive([each.pid for each in started], within_s=1) == []
    again = make("moco")
    history = train(again, 2, tmp_path)
    assert history.resumed_from == 4 and history.column("loss")[1] == curve
    assert digest(again.state_dict()) == digest(whole.state_dict())


def test_a_stopped_run_goes_on_with_another_number_of_processes(tmp_path: Path, started: list[Forked]):
    curve = train(make("simclr"), 1).column("loss")[1]

    def stop(step: int) -> None:
        if step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):  # as Ctrl-C, and a notebook's stop button
        train(make("simclr"), 2, tmp_path, [OfRows(stop)])
    assert alive([each.pid for each in started], within_s=1) == []
    history = train(make("simclr"), 1, tmp_path)
    assert history.resumed_from == 4 and history.column("loss")[1] == pytest.approx(curve, abs=CLOSE)


def test_more_processes_than_had_stopped_draw_random_numbers_of_their_own(monkeypatch: pytest.MonkeyPatch):
    before = torch.get_rng_state()
    drawn = []
    for number in range(3):
        monkeypatch.setattr(checkpoints, "rank", lambda number=number: number)
        torch.manual_seed(5)
        saved = {"cpu": torch.stack([torch.get_rng_state(), torch.Generator().manual_seed(6).get_state()])}
        for _ in range(2):  # the same each time
            torch.manual_seed(99)
            checkpoints.set_random_state(saved, torch.device("cpu"))
            drawn.append(float(torch.rand(())))
    torch.set_rng_state(before)
    assert drawn[::2] == drawn[1::2] and len(set(drawn)) == 3


def test_the_error_of_one_process_is_told_with_its_traceback(started: list[Forked]):
    with pytest.raises(ProcessFailed, match=r"process 1 of 2 failed with ArithmeticError") as failed:
        train(Fails("raise"), 2)
    assert "in after_step" in str(failed.value) and "the third digit is wrong" in str(failed.value)
    with pytest.raises(ProcessFailed, match=r"(?s)process 1 of 2 ended early with status 3.*so long"):
        train(Fails("exit"), 2)
    assert alive([each.pid for each in started], within_s=1) == []


def test_mistakes_and_divergence_are_what_they_are_in_one_process(tmp_path: Path, started: list[Forked]):
    with pytest.raises(TrainingDiverged, match=r"the loss of step 1 is nan.*Try a lower lr") as failed:
        train(Fails("nan"), 2)
    assert any("Traceback" in note for note in failed.value.__notes__)
    train(make("simclr"), 1, tmp_path, steps=2)
    with pytest.raises(ValueError, match=r"belongs to another run: steps was 2, is 9"):
        train(make("simclr"), 2, tmp_path)
    assert alive([each.pid for each in started], within_s=1) == []


def test_what_no_other_process_could_read_is_refused_before_any_is_started(started: list[Forked]):
    local = make("simclr")
    local.encoder.loss = lambda: None
    with pytest.raises(ValueError, match="cannot be handed to other processes; train with devices=1"):
        train(local, 2)
    defined_here = type("Mine", (Plain,), {"__module__": "__main__"})()
    with pytest.raises(ValueError, match="Mine is defined here, where no other process finds it"):
        train(defined_here, 2)
    from fgssl_edu.nets import build_encoder

    norms = Plain()
    norms.encoder = build_encoder("resnet10", seed=0)
    with pytest.raises(ValueError, match="norm='group'"):
        train(norms, 2)
    with pytest.raises(ValueError, match="accelerator='mps', devices=2"):
        train(Plain(), 2, accelerator="mps")
    assert started == []


def test_two_trainings_at_a_time_do_not_meet():
    found: dict[int, list[float]] = {}
    methods = [make("simclr"), make("simclr")]  # weights are drawn here, from the one generator of this process

    def one(seed: int) -> None:
        found[seed] = train(methods[seed], 2, seed=seed, steps=3).column("loss")[1]

    threads = [threading.Thread(target=one, args=(seed,)) for seed in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alone = train(make("simclr"), 1, seed=1, steps=3).column("loss")[1]
    assert found[0] != found[1] and found[1] == pytest.approx(alone, abs=CLOSE)


def test_a_lesson_trains_on_two_processes_and_one_loads_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], started: list[Forked]
):
    from fgssl_edu import config, lesson
    from fgssl_edu.runs import arms

    tiny = {"scale": "ci", "steps": 4, "train_images": 40, "test_images": 24, "species": 8, "neighbours": 3}
    tiny |= {"image_size": 32, "batch": 16, "norm": "group", "accelerator": "cpu", "checkpoint_every": 3}
    curves, scores = [], []
    for devices in (2, 1):
        run = lesson.Run("contrast", config.resolve("contrast", {**tiny, "devices": devices}, {}), tmp_path)
        method = arms.build_arm(arms.SIMCLR, run.settings, run.load().train)
        curves.append(run.pretrain("SimCLR", method, run.load().train, run.monitors()).rows)
        scores.append({name: each.value for name, each in run.score("SimCLR", method.evaluated()).items()})
    said = capsys.readouterr().out
    assert "step 4/4: loss" in said and "SimCLR: trained in" in said and "SimCLR: loaded (trained in" in said
    assert len(started) == 2 and curves[0] == curves[1] and scores[0] == scores[1]
    assert {"knn", "effective_rank", "loss"} <= curves[0][-1].keys()


def start_and_wait(line, place: Path) -> None:
    """In a process that will be killed: two processes, fresh interpreters, and a word when they train."""
    torch.set_num_threads(1)
    pids, start = [], rank.start

    def told(folder: Path, number: int):
        process = start(folder, number)
        pids.append(process.pid)
        return process

    rank.start = told
    train(make("simclr"), 2, place, [OfRows(lambda step: line.send(pids))], steps=10**6)


@pytest.mark.slow
def test_no_process_outlives_the_one_that_started_it(tmp_path: Path):
    made = context()
    near, far = made.Pipe(duplex=False)
    parent = made.Process(target=start_and_wait, args=(far, tmp_path))
    parent.start()
    far.close()
    try:
        assert near.poll(120), "nothing is trained"
        pids = near.recv()
    finally:
        parent.kill()
        parent.join()
        near.close()
    assert len(pids) == 2 and alive(pids, within_s=SOON_S) == []
