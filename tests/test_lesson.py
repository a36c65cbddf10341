"""What a set-up cell does: parameters, threads, results computed once, the record."""

from __future__ import annotations

import dataclasses
import json
import math
import random
import threading
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
import torch
from torch import nn

from fgssl_edu import config, lesson, paths, records
from fgssl_edu.evaluate import suite
from fgssl_edu.evaluate.statistics import Score
from fgssl_edu.nets.encoders import build_encoder
from fgssl_edu.runs import cache, locks, notebook

DECLARED = "scale: str = None  # ci, lecture or full\nseed: int = 0\nsteps: int = None  # updates\nlr: float = None"
SETUP = "from fgssl_edu import lesson\nrun = lesson.start(globals(), 'start')"


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A lesson sets threads and seeds of the process; other tests get theirs back."""
    monkeypatch.delenv(notebook.SUPERVISED, raising=False)
    monkeypatch.delenv("FGSSL_THREADS", raising=False)
    monkeypatch.setenv("FGSSL_SCALE", "ci")
    state, numbers, threads = random.getstate(), np.random.get_state(), torch.get_num_threads()
    with torch.random.fork_rng():
        yield
    random.setstate(state)
    np.random.set_state(numbers)
    torch.set_num_threads(threads)


def kernel(*cells: str) -> dict[str, object]:
    """The namespace after a kernel ran these cells, which must not fail."""
    namespace: dict[str, object] = {"In": [""]}
    for cell in cells:
        namespace["In"].append(cell)  # type: ignore[attr-defined]
        exec(compile(cell, "<cell>", "exec"), namespace)
    return namespace


def injected(**parameters: object) -> str:
    """The cell that papermill inserts for these parameters."""
    from papermill.parameterize import parameterize_notebook

    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(DECLARED)])
    book.cells[0].metadata["tags"] = ["parameters"]
    book.metadata.update(kernelspec={"name": "python3", "language": "python"}, papermill={})
    filled = parameterize_notebook(book, parameters)
    return next(cell.source for cell in filled.cells if "injected-parameters" in cell.metadata.get("tags", []))


def start(slug: str = "start", **given: object) -> lesson.Run:
    return lesson.start(given, slug)


def test_a_right_name_is_taken_and_the_rest_is_the_scales():
    run = kernel(DECLARED, injected(steps=5, scale="ci"), SETUP)["run"]
    assert (run.settings.steps, run.settings.scale, run.settings.batch) == (5, "ci", config.SCALES["ci"]["batch"])
    sources = [run.sources[name] for name in ("steps", "seed", "batch", "optimizer")]
    assert sources == ["given", "notebook", "scale ci", "default"]


def test_a_mistyped_name_is_refused_with_the_name_that_was_meant():
    with pytest.raises(
        ValueError, match=r"no parameter 'stepz' \(did you mean 'steps'\?\); its parameters are scale, seed"
    ):
        kernel(DECLARED, injected(stepz=5), SETUP)


def test_a_setting_that_this_lesson_does_not_declare_is_refused_too():
    with pytest.raises(ValueError, match="no parameter 'batch'"):
        kernel(DECLARED, injected(batch=8), SETUP)


def test_a_wrong_type_is_refused_with_its_value():
    with pytest.raises(ValueError, match="steps='five' is of type str; it should be a whole number"):
        kernel(DECLARED, injected(steps="five"), SETUP)


def test_the_setup_cell_runs_again_after_the_reader_made_variables():
    work = "my_own = 3\nstepz = 'a list of things'\ndef scale_up(x):\n    return 2 * x"
    run = kernel(DECLARED, injected(steps=5), SETUP, work, SETUP)["run"]
    assert run.settings.steps == 5


def test_of_a_parameters_cell_that_ran_again_the_last_counts():
    changed = DECLARED.replace("steps: int = None", "steps: int = 6") + "\nbatch: int = 16"
    run = kernel(DECLARED, injected(steps=5), SETUP, changed, SETUP)["run"]
    assert (run.settings.steps, run.settings.batch) == (6, 16)
    assert run.sources["steps"] == run.sources["batch"] == "notebook"  # nothing is injected any more
    again = kernel(DECLARED, SETUP, changed, injected(steps=5, scale="ci"), SETUP)["run"]
    assert (again.settings.steps, again.settings.batch, again.sources["scale"]) == (5, 16, "given")


def test_a_mistake_in_a_parameters_cell_that_ran_again_is_refused():
    with pytest.raises(ValueError, match=r"no setting 'stepz' \(did you mean 'steps'"):
        kernel(DECLARED, SETUP, DECLARED + "\nstepz: int = 6", SETUP)


def test_a_cell_that_only_sets_the_scale_leaves_the_other_parameters():
    run = kernel(DECLARED, injected(steps=5), SETUP, "scale = 'lecture'", SETUP)["run"]
    assert (run.settings.scale, run.settings.steps) == ("lecture", 5)


def test_a_parameter_changed_by_hand_counts_when_the_setup_cell_runs_again():
    assert kernel(DECLARED, SETUP, "steps = 6", SETUP)["run"].settings.steps == 6


def test_plain_python_gives_the_names_that_are_settings_and_nothing_else():
    run = lesson.start({"steps": 4, "lr": 0.1, "path": "x", "views": nn.Identity(), "seed": None}, "start")
    assert (run.settings.steps, run.settings.lr, run.settings.views) == (4, 0.1, config.Settings.views)


def test_an_unknown_method_or_data_set_is_refused_before_anything_runs():
    with pytest.raises(ValueError, match=r"method='simclear' \(did you mean 'simclr'\?\)"):
        start(method="simclear")
    with pytest.raises(ValueError, match="there is no folder"):
        start(dataset="folder:nowhere")
    with pytest.raises(ValueError, match="fgssl data get cub200"):
        start(dataset="cub200")


def test_full_without_its_data_set_falls_back_to_high_resolution_birds_and_says_so():
    run = start("contrast", scale="full")
    assert (run.settings.dataset, run.settings.image_size, run.settings.encoder) == ("birds", 256, "resnet50")
    assert run.sources["dataset"] == "cub200 not on disk"
    assert "rendered birds at 256 px instead" in run._repr_html_() and "fgssl data get cub200" in run._repr_html_()


def test_starting_seeds_every_generator_and_sets_threads(monkeypatch: pytest.MonkeyPatch):
    def draws() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    start(seed=3)
    first = draws()
    start(seed=3)
    assert draws() == first
    monkeypatch.setenv("FGSSL_THREADS", "2")
    start()
    assert torch.get_num_threads() == 2
    monkeypatch.delenv("FGSSL_THREADS")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    start(scale="lecture")
    assert torch.get_num_threads() == 3  # one core is left for the browser
    monkeypatch.setenv("FGSSL_THREADS", "many")
    with pytest.raises(ValueError, match="FGSSL_THREADS='many'"):
        start()


def test_the_table_says_what_will_run_and_where(own_home: Path):
    run = start(steps=9)
    page = run._repr_html_()
    for part in ("ci (FGSSL_SCALE)", "9 steps x 32 images", "birds, 240 + 96 images, 48 px", "cpu", str(run.folder)):
        assert part in page, part
    assert run.folder == own_home / "runs" / "start" / run.settings.key()
    assert "steps x 32" in repr(run)


def test_where_a_run_goes_depends_on_who_started_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FGSSL_HOME", "")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    monkeypatch.chdir(tmp_path)
    assert lesson.start({"In": [""]}, "start").folder.parents[1] == tmp_path / "runs"  # papermill
    (tmp_path / "01_start.ipynb").touch()
    assert lesson.start({"In": [""]}, "start").folder.parents[2] == paths.data_dir().parent  # nbmake, lab
    assert lesson.start({}, "start").folder.parents[1] == tmp_path / "runs"  # a script


# --- once


def compute(run: lesson.Run, factor: int = 2) -> dict[str, object]:
    return run.once("sum", lambda: {"tensor": torch.arange(3) * factor, "pair": (1, [2.5, "text", None])})


def test_a_result_is_computed_once_and_then_loaded_equal(capsys: pytest.CaptureFixture[str]):
    first = compute(start())
    second = compute(start())
    assert torch.equal(first["tensor"], second["tensor"]) and first["pair"] == second["pair"] == (
        1,
        [2.5, "text", None],
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("sum: computed in") and lines[1].startswith("sum: loaded (computed in")


@pytest.mark.parametrize("change", ["settings", "closure", "code", "threads", "package"])
def test_whatever_a_result_depends_on_computes_it_again(
    change: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    compute(start())
    run, factor = start(), 2
    if change == "settings":
        run = start(steps=7)
    elif change == "closure":
        factor = 3
    elif change == "code":
        run.once("sum", lambda: 5)
    elif change == "threads":
        torch.set_num_threads(2)
    else:
        monkeypatch.setattr(paths, "code_hash", lambda: "edited")
    if change != "code":
        compute(run, factor)
    assert "loaded" not in capsys.readouterr().out


def test_settings_without_effect_do_not_compute_again(capsys: pytest.CaptureFixture[str]):
    compute(start())
    compute(start(checkpoint_every=3))
    assert "loaded" in capsys.readouterr().out


def test_a_network_that_a_result_is_made_from_is_part_of_its_key(capsys: pytest.CaptureFixture[str]):
    run, net = start(), nn.Linear(2, 1)
    before = run.once("weight", lambda: net.weight)
    nn.init.zeros_(net.weight)
    after = run.once("weight", lambda: net.weight)
    assert before.abs().sum() > 0 and after.abs().sum() == 0 and not after.requires_grad
    assert "loaded" not in capsys.readouterr().out


def test_an_interrupted_fine_tuning_goes_on_and_its_checkpoints_go_when_it_is_scored(monkeypatch: pytest.MonkeyPatch):
    from fgssl_edu.evaluate import finetune

    run = start(finetune_epochs=1, image_size=32, train_images=48, test_images=24, batch=16, crop_size=16, eval_size=16)
    encoder, train, rates = build_encoder("resnet10", seed=0), finetune.pretrain, []

    def stopped(*arguments: Any, **fields: Any) -> object:
        rates.append(arguments[2].lr)
        if len(rates) == 2:
            raise KeyboardInterrupt
        return train(*arguments, **fields)

    monkeypatch.setattr(
        suite, "edit_score", lambda *_, **__: types.SimpleNamespace(overall=Score(1.0), per_attribute={})
    )
    monkeypatch.setattr(finetune, "pretrain", stopped)
    with pytest.raises(KeyboardInterrupt):
        run.score("tuned", encoder)
    shelf = paths.cache_dir() / "once" / "start"
    (left,) = [path for path in shelf.iterdir() if path.is_dir()]
    assert [path.name for path in left.iterdir()] == ["search_0.1"]
    scores = run.score("tuned", encoder)
    assert rates[2:] == [0.1, 0.03, 0.01, scores["species/finetune"].protocol["chosen"]["lr"]]
    assert not left.exists() and scores["species/finetune"].protocol["epochs"] == 1


def test_scores_come_back_as_scores():
    score = Score.of(torch.tensor([1.0, 0.0]), {"k": 20}, denominator=torch.tensor([1.0, 2.0]))
    for _ in range(2):
        found = start().once("scores", lambda: {"species/knn": score})["species/knn"]
        assert found.value == score.value and found.protocol == {"k": 20} and found.interval() == score.interval()


@pytest.mark.parametrize("damage", [b"", b"not a checkpoint", None])
def test_a_damaged_cache_file_is_named_and_computed_again(
    damage: bytes | None, own_home: Path, capsys: pytest.CaptureFixture[str]
):
    first = compute(start())
    (file,) = (own_home / "cache" / "once" / "start").glob("sum-*.pt")
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    second = compute(start())
    assert torch.equal(first["tensor"], second["tensor"])
    assert f"the cached {file.name} cannot be read" in capsys.readouterr().out
    assert file.read_bytes() != damage and cache.kept(file) is not None


def test_what_cannot_be_kept_safely_is_refused_by_its_place():
    with pytest.raises(ValueError, match=r"sum\['a'\]\[1\] is of type set"):
        start().once("sum", lambda: {"a": [1, {2}]})


def test_fingerprints_hold_no_addresses():
    views = types.SimpleNamespace(strength=0.5, inner=types.SimpleNamespace(size=(3, 4)))
    same = types.SimpleNamespace(strength=0.5, inner=types.SimpleNamespace(size=(3, 4)))
    other = types.SimpleNamespace(strength=0.5, inner=types.SimpleNamespace(size=(3, 5)))
    assert cache.fingerprint(views) == cache.fingerprint(same) != cache.fingerprint(other)
    assert " at 0x" not in cache.fingerprint(views) and "0x7" not in cache.fingerprint(views)


def test_a_module_is_hashed_with_buffers_that_no_checkpoint_keeps():
    def build(value: float) -> nn.Module:
        module = nn.Module()
        module.register_buffer("hidden", torch.full((2,), value), persistent=False)
        return module

    assert cache.of_module(build(1.0)) == cache.of_module(build(1.0)) != cache.of_module(build(2.0))


# --- pretrain


def small_method(run: lesson.Run) -> tuple[nn.Module, torch.Tensor]:
    from fgssl_edu.methods import METHODS
    from fgssl_edu.nets.encoders import build_encoder
    from fgssl_edu.views.presets import VIEWS

    encoder = build_encoder("resnet10", seed=run.settings.seed)
    method = METHODS["simclr"](encoder, views=VIEWS["mild"], size=16, seed=run.settings.seed)
    images = torch.randint(0, 256, (24, 3, 24, 24), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return method, images


def small_training(run: lesson.Run, name: str = "simclr", monitors: tuple = ()) -> tuple[nn.Module, object]:
    method, images = small_method(run)
    return method, run.pretrain(name, method, images, monitors)


def test_a_training_is_loaded_with_its_weights_and_its_history(own_home: Path, capsys: pytest.CaptureFixture[str]):
    run = start(steps=2, batch=8)
    method, history = small_training(run)
    loaded, again = small_training(start(steps=2, batch=8))
    assert "simclr: loaded (trained in" in capsys.readouterr().out
    assert all(
        torch.equal(a, b) for a, b in zip(method.state_dict().values(), loaded.state_dict().values(), strict=True)
    )
    assert again.rows == history.rows and again.chance == history.chance and again.seconds == history.seconds
    assert loaded.chance == method.chance == math.log(2 * 8 - 1)  # SimCLR learns its batch only when it trains
    assert loaded.training == method.training
    assert not list((own_home / "cache" / "once" / "pretrain").glob("*.checkpoints"))


def test_of_two_runs_with_one_training_the_second_waits_for_the_first(
    own_home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    train, waiting, trained = lesson._train, threading.Event(), []

    def slowly(*given):
        assert waiting.wait(30), "the second run does not wait"
        trained.append(given[0])
        return train(*given)

    monkeypatch.setattr(lesson, "_train", slowly)
    monkeypatch.setattr(locks, "owner", lambda path: waiting.set() or "the first")
    runs = [start(steps=2, batch=8) for _ in range(2)]
    given = [(run, *small_method(run)) for run in runs]
    threads = [threading.Thread(target=run.pretrain, args=("simclr", *what)) for run, *what in given]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    said = capsys.readouterr().out
    assert trained == ["simclr"] and "waiting for the first" in said and "simclr: loaded (trained in" in said
    assert not list((own_home / "cache" / "once" / "pretrain").glob("*.lock"))


def test_another_seed_or_other_steps_train_again_and_k_does_not(capsys: pytest.CaptureFixture[str]):
    small_training(start(steps=1, batch=8))
    small_training(start(steps=1, batch=8, seed=1))
    small_training(start(steps=2, batch=8))
    assert "loaded" not in capsys.readouterr().out
    small_training(start(steps=2, batch=8, neighbours=3))
    assert "loaded" in capsys.readouterr().out


class Look:
    """A monitor that counts how often it is asked."""

    every = 1

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self, method: nn.Module, row: dict[str, float], step: int) -> dict[str, float]:
        self.looks += 1
        return {"seen": float(step)}


def test_a_watched_training_is_the_one_that_is_not_watched(capsys: pytest.CaptureFixture[str]):
    look = Look()
    plain, _ = small_training(start(steps=2, batch=8))
    watched, history = small_training(start(steps=2, batch=8), monitors=(look,))
    assert "loaded" in capsys.readouterr().out and look.looks == 0 and history.column("seen") == ([], [])
    small_training(start(steps=2, batch=8), name="another", monitors=(look,))
    assert look.looks == 2
    pairs = zip(plain.state_dict().values(), watched.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_the_baselines_do_not_train_again_what_the_lesson_has_trained(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    from fgssl_edu.runs import arms

    run = start("coarse-bias", steps=1, batch=16, train_images=48, test_images=24)
    train = run.load().train
    run.pretrain("supervised", arms.build_arm(arms.SUPERVISED, run.settings, train), train, run.monitors())
    monkeypatch.setattr(lesson.Run, "score", lambda self, name, encoder: {})
    capsys.readouterr()
    assert run.baselines().keys() == {"untrained", "supervised"}
    said = capsys.readouterr().out
    assert "supervised: loaded" in said and "supervised: trained" not in said


def test_an_interrupted_training_goes_on_where_it_stopped(monkeypatch: pytest.MonkeyPatch):
    from fgssl_edu.methods.contrastive.simclr import SimCLR

    run = start(steps=4, batch=8, checkpoint_every=2)
    whole, _ = small_training(start(steps=4, batch=8, seed=0), name="whole")
    views = SimCLR.views

    def interrupted(self: SimCLR, batch: object, step: int) -> object:
        if step == 3:
            raise KeyboardInterrupt
        return views(self, batch, step)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(SimCLR, "views", interrupted)
        small_training(run, name="cut")
    method, history = small_training(run, name="cut")
    assert history.resumed_from == 2
    pairs = zip(method.state_dict().values(), whole.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


# --- band and record


def shipped(settings: config.Settings, losses: list[list[float]]) -> dict[str, object]:
    runs = [{"arm": "simclr", "seed": i, "curve": {"step": [1, 2], "loss": curve}} for i, curve in enumerate(losses)]
    return {"settings": dataclasses.asdict(settings), "runs": runs}


def test_the_band_is_the_prediction_band_of_runs_with_the_same_settings(monkeypatch: pytest.MonkeyPatch):
    run = start(seed=1)
    other_seed = dataclasses.replace(run.settings, seed=0, checkpoint_every=7)
    curves = [[3.0, 2.0], [3.2, 2.1], [3.1, 1.9]]
    monkeypatch.setattr(records, "load_reference", lambda slug: shipped(other_seed, curves))
    band = run.band("simclr")
    assert band["step"] == [1, 2]
    assert math.isclose(band["high"][0], records.prediction_band([3.0, 3.2, 3.1])[2])
    assert run.band("moco") is None
    monkeypatch.setattr(
        records, "load_reference", lambda slug: shipped(dataclasses.replace(other_seed, lr=1.0), curves)
    )
    assert run.band("simclr") is None


def test_an_arm_with_settings_of_its_own_is_laid_into_its_own_band(monkeypatch: pytest.MonkeyPatch):
    plain = start("contrast").settings  # of the record: each arm's own settings come on top
    record = shipped(plain, [[3.0, 2.0], [3.2, 2.1]])
    record["runs"] = [{**run, "arm": "tau_1"} for run in record["runs"]]  # type: ignore[attr-defined]
    monkeypatch.setattr(records, "load_reference", lambda slug: record)
    assert start("contrast", method="tau_1").band("tau_1") is not None
    assert start("contrast", method="tau_1", temperature=0.5).band("tau_1") is None
    assert start("contrast", method="simclr", temperature=1.0).band("tau_1") is None


def test_the_share_of_steps_in_the_band_is_counted_where_both_have_a_value(monkeypatch: pytest.MonkeyPatch):
    from fgssl_edu.train import History

    run = start()
    curves = [[3.0, 2.0], [3.2, 2.1], [3.1, 1.9]]  # bands of about 2.6 to 3.6 and 1.5 to 2.5
    monkeypatch.setattr(records, "load_reference", lambda slug: shipped(run.settings, curves))

    def share(*losses: tuple[int, float]) -> float | None:
        return run.in_band("simclr", History([{"step": float(step), "loss": loss} for step, loss in losses]))

    assert share((1, 3.1), (2, 2.0)) == 1.0
    assert share((1, 3.1), (2, 9.0), (3, 2.0)) == 0.5  # the third step is not in the record
    assert share((1, 0.0), (2, math.nan)) == 0.0
    assert share((3, 2.0)) is None
    assert run.in_band("moco", History([{"step": 1.0, "loss": 3.0}])) is None


def test_by_hand_the_last_cell_writes_the_record_and_says_so(capsys: pytest.CaptureFixture[str]):
    run = start(steps=9)
    run.record({"species/knn": Score.of(torch.tensor([1.0, 0.0]), {"k": 5}), "loss": 2.5})
    record = records.read_record(run.folder)
    assert record["metrics"]["loss"]["value"] == 2.5 and record["metrics"]["species/knn"]["protocol"] == {"k": 5}
    assert record["settings"]["steps"] == 9 and record["sources"]["steps"] == "given"
    assert record["environment"]["code"] == paths.code_hash()
    assert "record written by this notebook" in capsys.readouterr().out
    planned = dataclasses.replace(notebook.plan("start", {"steps": 9}), folder=run.folder)
    assert notebook.complete(planned) is None  # it lacks the executed notebook, so `fgssl run` does not skip it


def test_under_fgssl_run_the_last_cell_leaves_the_record_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(notebook.SUPERVISED, str(tmp_path))
    run = start()
    assert run.folder == tmp_path
    run.record({"loss": 1.0})
    assert not (tmp_path / records.RECORD).exists()
    assert json.loads((tmp_path / notebook.PENDING).read_text())["metrics"] == {"loss": {"value": 1.0}}
