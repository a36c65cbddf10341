"""What a notebook's set-up cell calls: checked settings, one folder, results computed once, one record.

The cell is the same in every lesson but for the slug: `run = lesson.start(globals(), "contrast")`, then `run`.
"""

from __future__ import annotations

import dataclasses
import html
import json
import os
import random
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from fgssl_edu import config, paths, records
from fgssl_edu.data.image_set import Images, ImageSet, Splits
from fgssl_edu.evaluate.monitor import CollapseMonitor
from fgssl_edu.panels.live import LiveCurves
from fgssl_edu.progress import History, seconds
from fgssl_edu.recipe import Recipe
from fgssl_edu.runs import arms, cache, likeness, locks, notebook, parameters, tables

if TYPE_CHECKING:
    from fgssl_edu.evaluate.statistics import Score
    from fgssl_edu.methods.base import Method
    from fgssl_edu.nets.encoders import Encoder
    from fgssl_edu.train import Monitor

EXPECTED = {
    "ci": "at most 60 s on two cores",
    "lecture": "at most 5 min on a laptop, seconds where results are cached",
    "full": "hours on a GPU; not meant for a CPU",
}
# Settings in which a run may differ from a record and yet be compared with it.
BESIDE_THE_POINT = ("scale", "seed", "method", "checkpoint_every", "accelerator", "precision", "devices", "nodes")
MORE_SCORES = ("finetune_epochs", "probe")  # settings that add scores and leave the others as they are
LOOKS = 8  # of the monitors, in one training
Value = TypeVar("Value")


def start(namespace: Mapping[str, object], slug: str) -> Run:
    """Begin a lesson: check its parameters, settle its settings, set threads and seeds.

    Args:
        namespace: the notebook's `globals()`, whose parameters cell was run.
        slug: the lesson.

    Returns:
        The run; show it for a table of what it will do.

    Raises:
        ValueError: an unknown parameter, a wrong type, a value out of range, a data set that is not there.
    """
    resolved, notes = parameters.settle(slug, *parameters.from_namespace(namespace))
    settings = resolved.settings
    notebook.set_threads(settings.scale)
    random.seed(settings.seed)
    np.random.seed(settings.seed)
    torch.manual_seed(settings.seed)
    supervised = os.environ.get(notebook.SUPERVISED)
    by_hand = notebook.opened_by_hand(namespace, slug)
    folder = Path(supervised) if supervised else notebook.folder_of(slug, settings, by_hand)
    return Run(slug, resolved, folder, notes, supervised=bool(supervised))


class Run:
    """One run of a lesson."""

    def __init__(
        self, slug: str, resolved: config.Resolved, folder: Path, notes: Sequence[str] = (), supervised: bool = False
    ) -> None:
        self.slug, self.folder, self.notes, self.supervised = slug, folder, tuple(notes), supervised
        self.settings, self.sources = resolved.settings, resolved.sources
        self._started = time.monotonic()
        self._splits: Splits | None = None

    @property
    def device(self) -> str:
        """Where training and scoring run: "cuda", "mps" or "cpu"."""
        return arms.device_of(self.settings)

    def settings_of(self, arm: arms.Arm) -> config.Settings:
        """This run's settings for another arm of the lesson: at full each trains as its own paper does."""
        if self.settings.scale != "full":
            return self.settings
        given = [name for name, source in self.sources.items() if source in ("given", "notebook")]
        return arms.arm_settings(arm, self.settings, self.settings.seed, given)

    def load(self) -> Splits:
        """The images of this run, read or rendered once."""
        self._splits = self._splits or arms.load(self.settings)
        return self._splits

    def once(self, name: str, compute: Callable[[], Value]) -> Value:
        """The result of `compute()`, or the kept one where settings, code and threads are the same.

        Args:
            name: of the result, unique in the lesson.
            compute: a function of nothing; returns tensors, numbers, text, scores, None, and tuples, lists or dicts of
                these. What it uses from the notebook (numbers, tensors, networks, functions) counts as a setting.

        Returns:
            The result, its tensors detached and on the CPU.
        """
        parts = [self.slug, name, cache.fingerprint(compute)]
        digest = cache.key(dataclasses.asdict(self.settings), self.device, parts)
        path = cache.file_for(self.slug, name, digest)
        entry = cache.kept(path)
        if entry is not None:
            print(f"{name}: loaded (computed in {seconds(entry['seconds'])} on {entry['day']})")
            return cache.restored(entry["value"])  # type: ignore[no-any-return]
        begun = time.monotonic()
        value = cache.storable(compute(), name)
        taken = time.monotonic() - begun
        cache.keep(path, value, taken)
        print(f"{name}: computed in {seconds(taken)}")
        return cache.restored(value)  # type: ignore[no-any-return]

    def pretrain(
        self,
        name: str,
        method: Method,
        images: ImageSet | Images | Tensor,
        monitors: Sequence[Monitor] = (),
        settings: config.Settings | None = None,
    ) -> History:
        """Train `method` in place by this run's recipe, or load what the same training gave before.

        Keyed by the method's weights and fields, the pictures, the recipe, the code and the threads, so that lessons
        share a training. An interrupted one goes on where it stopped.

        Args:
            name: of the training, for the reader.
            method: not yet trained; afterwards in the trained state either way.
            images: what it trains on; see `arms.trained_on`.
            monitors: see `fgssl_edu.train.pretrain`; a training that is loaded is not watched again.
            settings: whose recipe; `settings_of` another arm than the run's.

        Returns:
            What was logged on the way, by the monitors of the run that trained.
        """
        from fgssl_edu.train import pixels

        seen = pixels(arms.trained_on(method, images, self.load()), torch.device(self.device))
        recipe = Recipe.of(self.settings if settings is None else settings, seen.count)
        parts = [cache.of_module(method), seen.digest or cache.of_tensor(seen.images)]  # monitors change nothing
        path = cache.file_for("pretrain", name, cache.key(dataclasses.asdict(recipe), self.device, parts))
        entry = cache.kept(path)
        if entry is None:
            with locks.held(path.with_suffix(".lock"), wait=True):  # another run may be at the same training
                entry = cache.kept(path)
                if entry is None:
                    return _train(name, method, seen, recipe, monitors, path)
        method.to(self.device).train()
        method.start(seen, resumed=True)  # gives buffers their shape
        method.load_state_dict(entry["value"]["state"])
        history = History(**entry["value"]["history"])
        method.chance = history.chance
        print(f"{name}: loaded (trained in {seconds(entry['seconds'])} on {entry['day']})")
        return history

    def monitors(self) -> list[Monitor]:
        """What watches a training of this run: looks at spread, rank and kNN, and in a notebook their live curves."""
        splits, every = self.load(), max(1, self.settings.steps // LOOKS)
        neighbours = min(self.settings.neighbours, len(splits.train))
        collapse = CollapseMonitor(splits.train, splits.test, every, self.settings.eval_size, neighbours)
        return [collapse, LiveCurves(every)]

    def reference(self) -> dict[str, Any]:
        """The shipped record in which this run's method was trained, on the scoreboard that of the method's lesson."""
        return records.load_reference(arms.at_home(self.slug, self.settings.method)[0])

    def record_of_these_settings(self) -> dict[str, Any] | None:
        """The shipped record if its runs were made with this run's settings, so that the numbers may share a table."""
        try:
            shipped = self.reference()
        except ValueError:
            return None
        arm = arms.at_home(self.slug, self.settings.method)[1]
        theirs = {**vars(arms.arm_settings(arm, config.Settings(**shipped["settings"]), 0)), **parameters.fixed(arm)}
        own = vars(self.settings).items()
        same = all(theirs[name] == value for name, value in own if name not in (*BESIDE_THE_POINT, *MORE_SCORES))
        return shipped if same else None

    def band(self, arm: str) -> dict[str, list[float]] | None:
        """Where the loss of one more run of an arm should fall, 95 % prediction interval a step; see `tables.band`.

        Returns:
            {"step", "low", "high"}, or None where no runs with this run's settings are shipped.
        """
        shipped = self.record_of_these_settings()
        return None if shipped is None else tables.band(shipped, arm)

    def in_band(self, arm: str, history: History) -> float | None:
        """Share of the logged steps at which the loss of this run lies in the band; None where there is no band."""
        band = self.band(arm) or {"step": [], "low": [], "high": []}
        losses: dict[float, float] = dict(zip(*history.column("loss"), strict=True))
        bounds = zip(band["step"], band["low"], band["high"], strict=True)
        inside = [low <= losses[step] <= high for step, low, high in bounds if step in losses]
        return sum(inside) / len(inside) if inside else None

    def score(self, name: str, encoder: Encoder) -> dict[str, Score]:
        """Every score of a frozen encoder on this run's images, computed once; see `evaluate.suite`.

        Args:
            name: of the encoder, for the reader.
            encoder: what `method.evaluated()` gives.
        """
        from fgssl_edu.evaluate.suite import evaluate

        splits, settings = self.load(), self.settings
        encoder = encoder.to(self.device)  # one that was never trained is on the CPU
        digest = cache.key(dataclasses.asdict(settings), self.device, [cache.of_module(encoder)])
        folder = cache.file_for(self.slug, f"tuned {name}", digest).with_suffix("")
        scores = self.once(f"scores of {name}", lambda: evaluate(encoder, splits, settings, folder=folder))
        shutil.rmtree(folder, ignore_errors=True)  # the checkpoints of a fine-tuning, if there was one
        return scores

    def baselines(self) -> dict[str, dict[str, Score]]:
        """The untrained encoder, scored; where no record holds for these settings, also a supervised one."""
        found = {arms.RANDOM.title: self.score(arms.RANDOM.title, arms.untrained(self.settings))}
        train = self.load().train.labelled()
        if self.record_of_these_settings() is None and len(train) and int(train.labels.max()) > 0:
            settings = self.settings_of(arms.SUPERVISED)
            method = arms.build_arm(arms.SUPERVISED, settings, train)
            self.pretrain(arms.SUPERVISED.title, method, train, settings=settings)
            found[arms.SUPERVISED.title] = self.score(arms.SUPERVISED.title, method.evaluated())
        return found

    def record(self, metrics: Mapping[str, Score | float]) -> None:
        """Write what this run measured. The last cell of a lesson: a run without a record did not finish.

        Under `fgssl run` the record is completed when the executed notebook was found free of errors; by hand, here.
        """
        written = records.write_metrics(self.folder, metrics)
        record = {
            "lesson": self.slug,
            "settings": dataclasses.asdict(self.settings),
            "sources": self.sources,
            "notes": list(self.notes),
            "unlike_paper": likeness.unlike(self.slug, self.settings),
            "metrics": json.loads(written.read_text(encoding="utf-8")),
            "seconds": time.monotonic() - self._started,
            "environment": {**records.environment(), "device": self._device_name()},
        }
        if self.supervised:
            paths.atomic_write(self.folder / notebook.PENDING, json.dumps(record))
            print(f"{len(metrics)} metrics written; `fgssl run` adds the notebook and completes the record")
        else:
            done = records.write_record(self.folder, record)
            print(f"record written by this notebook, without its executed copy: {done}")

    def _device_name(self) -> str:
        return torch.cuda.get_device_name() if self.device == "cuda" else self.device

    def rows(self) -> list[tuple[str, str]]:
        """The table of a run: what, and its value with where it came from."""
        settings = self.settings
        size = f"{settings.train_images:,} + {settings.test_images:,} images, {settings.image_size} px"
        return [
            ("lesson", self.slug),
            ("scale", f"{settings.scale} ({self.sources['scale']})"),
            ("data", f"{settings.dataset}, {size}" if settings.dataset == "birds" else settings.dataset),
            ("device", f"{self._device_name()}, {torch.get_num_threads()} thread(s)"),
            ("training", f"{settings.steps:,} steps x {settings.batch} images, {settings.crop_size} px crops"),
            ("seed", str(settings.seed)),
            ("expected time", EXPECTED[settings.scale]),
            ("output folder", str(self.folder)),
            *(("note", note) for note in self.notes),
        ]

    def __repr__(self) -> str:
        return "\n".join(f"{name:14} {value}" for name, value in self.rows())

    def _repr_html_(self) -> str:
        style = 'style="text-align:left;padding:.15em .8em;font-size:14px"'
        rows = [f"<tr><th {style}>{name}</th><td {style}>{html.escape(value)}</td></tr>" for name, value in self.rows()]
        return f'<table class="fgssl-run">{"".join(rows)}</table>'


def _train(name: str, method: Method, images: Any, recipe: Recipe, monitors: Sequence[Monitor], path: Path) -> History:
    """Train, or go on from the checkpoints beside `path`; the result is kept there and they are deleted."""
    from fgssl_edu.runs.launch import pretrain

    checkpoints = path.with_suffix(".checkpoints")
    history = pretrain(method, images, recipe, monitors, folder=checkpoints)
    cache.keep(path, {"state": method.state_dict(), "history": vars(history)}, history.seconds)
    shutil.rmtree(checkpoints, ignore_errors=True)
    began = "" if history.resumed_from is None else f", the last time from step {history.resumed_from} on"
    print(f"{name}: trained in {seconds(history.seconds)}{began}")
    return history
