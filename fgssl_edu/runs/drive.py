"""A sweep from its first run to its summary: skip what is complete, make the rest, go on after failures."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fgssl_edu import paths, records
from fgssl_edu.progress import seconds
from fgssl_edu.runs import notebook, worker
from fgssl_edu.runs.cluster import DEATHS
from fgssl_edu.runs.engine import Engine
from fgssl_edu.runs.places import Place, opened
from fgssl_edu.runs.sweep import Run, Sweep

SUMMARY = "sweep.json"
LOOK_S = 1.0  # between two looks at what the runs are doing
MAIN = ("species/knn", "species/linear", "edit/score")  # of a record, in the summary
MOST_METRICS = 3


@dataclass
class Entry:
    """A run and how it stands.

    Attributes:
        state: complete, failed, stopped, running, or waiting for its turn.
        seconds: that it took, 0 where it is not known.
        before: it was complete when the sweep started.
        since: on the monotonic clock, when it was seen to run; None before.
        log_bytes: of its log before it ran.
        deaths: how often its worker was ended under it.
    """

    run: Run
    state: str = "waiting"
    error: str = ""
    seconds: float = 0.0
    before: bool = False
    metrics: dict[str, float | None] = field(default_factory=dict)
    since: float | None = None
    log_bytes: int = 0
    deaths: int = 0

    def complete(self, record: Mapping[str, Any], before: bool) -> None:
        """Take over what a complete run's record says."""
        self.state, self.error, self.before, self.seconds = "complete", "", before, record.get("run_seconds", 0.0)
        self.metrics = {name: metric["value"] for name, metric in record["metrics"].items()}

    def end(self, outcome: worker.Outcome) -> None:
        """Take over what came of a run in this sweep."""
        self.state, self.error, self.seconds = outcome["state"], outcome["error"], outcome["seconds"]
        if self.state == "complete":
            try:
                self.complete(records.read_record(self.run.folder), before=False)
            except ValueError as error:  # a worker that writes to another disk
                self.state, self.error = "failed", f"its worker says it is complete, but {error}"


class Drive:
    """The runs of a sweep on their way; `show` is told of every event and asked for nothing."""

    def __init__(self, sweep: Sweep, place: Place, show: Any) -> None:
        self.sweep, self.place, self.show, self.begun = sweep, place, show, time.monotonic()
        self.entries = [Entry(run, log_bytes=worker.log_bytes(run.folder)) for run in sweep.runs]
        for entry in self.entries:
            if (record := notebook.complete(entry.run.plan)) is not None:
                entry.complete(record, before=True)

    def of(self, *states: str) -> list[Entry]:
        """The entries in one of some states."""
        return [entry for entry in self.entries if entry.state in states]

    @property
    def left_s(self) -> float | None:
        """Expected seconds to the end, from the runs that this sweep completed; None before the first."""
        took = [entry.seconds for entry in self.of("complete") if not entry.before]
        if not took:
            return None
        each, now = sum(took) / len(took), time.monotonic()
        work = sum(max(0.0, each - (now - (entry.since or now))) for entry in self.of("waiting", "running"))
        return work / max(1, len(self.of("running")))

    def go(self) -> None:
        """Make every run that is not complete; KeyboardInterrupt when all that ran has been stopped."""
        if not self.of("waiting"):
            return
        with opened(self.place, len(self.of("waiting"))) as engine:
            pending = {self.submit(engine, entry, wait=False): entry for entry in self.of("waiting")}
            try:
                while pending:
                    done, _ = wait(pending, timeout=LOOK_S, return_when=FIRST_COMPLETED)
                    for future in done:
                        pending |= self.finish(engine, future, pending.pop(future))
                    self.look()
            except KeyboardInterrupt:
                self.stop(engine, pending)
                raise

    def submit(self, engine: Engine, entry: Entry, wait: bool) -> Future[worker.Outcome]:
        """Hand a run in; `wait` if another process is at it."""
        plan = entry.run.plan
        job = worker.Job(slug=plan.slug, given=plan.given, folder=str(plan.folder.absolute()), wait=wait)
        return engine.executor.submit(engine.task, job, self.place.environment(plan.resolved.settings.scale))

    def finish(
        self, engine: Engine, future: Future[worker.Outcome], entry: Entry
    ) -> dict[Future[worker.Outcome], Entry]:
        """Take over what came of a run; where another process is at it, its turn comes again after the others."""
        outcome = outcome_of(future)
        if outcome["state"] == "busy":
            self.show.event(self, entry, outcome["error"])
            return {self.submit(engine, entry, wait=True): entry}
        if outcome["state"] == "stopped":  # and nobody pressed Ctrl-C here: its worker was ended
            entry.deaths += 1
            if entry.deaths <= DEATHS and not self.place.serial:
                return {self.submit(engine, entry, wait=True): entry}
            outcome = worker.Outcome(state="failed", error="it was stopped from outside", seconds=outcome["seconds"])
        entry.end(outcome)
        self.show.event(self, entry, "")
        self.write()
        return {}

    def look(self) -> None:
        """Notice which runs have begun, by their logs."""
        for entry in self.of("waiting"):
            if worker.log_bytes(entry.run.folder) > entry.log_bytes:
                entry.state, entry.since = "running", time.monotonic()
                self.show.event(self, entry, "")
        self.show.refresh(self)

    def stop(self, engine: Engine, pending: Mapping[Future[worker.Outcome], Entry]) -> None:
        """Stop what runs, and wait until it has ended."""
        self.show.stopping(self)
        for future, entry in pending.items():
            if entry.state == "waiting":
                future.cancel()
        engine.stop()
        wait([future for future, entry in pending.items() if entry.state == "running"], timeout=worker.STOP_S)
        for entry in self.of("running"):
            entry.state = "stopped"
        self.write()

    def write(self) -> Path:
        """Write how the sweep stands, for other programs and for the morning after."""
        return paths.atomic_write(self.sweep.folder / SUMMARY, json.dumps(self.as_dict(), indent=1) + "\n")

    def as_dict(self) -> dict[str, Any]:
        """The sweep, and every run with its state, error, seconds, metrics and where it lies."""
        return {
            "title": self.sweep.title,
            "source": self.sweep.source,
            "seconds": time.monotonic() - self.begun,
            "runs": [
                {
                    "name": entry.run.name,
                    "lesson": entry.run.plan.slug,
                    "seed": entry.run.seed,
                    "parameters": entry.run.plan.given,
                    "state": entry.state,
                    "error": entry.error,
                    "seconds": entry.seconds,
                    "metrics": entry.metrics,
                    "folder": str(entry.run.folder),
                    "page": str(entry.run.folder / notebook.PAGE),
                }
                for entry in self.entries
            ],
        }


def outcome_of(future: Future[worker.Outcome]) -> worker.Outcome:
    """What came of a run, also where its worker could not say."""
    error = future.exception()
    if error is None:
        return future.result()
    told = f"{type(error).__name__}: {error}"
    if type(error).__name__ == "KilledWorker":  # of distributed, which may not be installed
        told = f"{DEATHS + 1} workers died at it, one after the other (out of memory?)"
    return worker.Outcome(state="failed", error=told, seconds=0.0)


def summary(drive: Drive) -> Iterator[str]:
    """The table at the end, line by line: every run, then what failed and why."""
    entries = drive.entries
    columns = shown_metrics(entries)
    rows = [("run", "state", "time", *columns)]
    for entry in entries:
        state = f"{entry.state}, before" if entry.before else "left" if entry.state == "waiting" else entry.state
        values = [entry.metrics.get(name) for name in columns]
        numbers = ["" if value is None else f"{value:.3f}" for value in values]
        rows.append((entry.run.name, state, seconds(entry.seconds) if entry.seconds else "", *numbers))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(f"{text:{width}}" for text, width in zip(row, widths, strict=True)).rstrip()
    yield ""
    yield counts(drive)
    for entry in drive.of("failed"):
        yield f"failed: {entry.run.name}\n  {entry.error}"


def shown_metrics(entries: Sequence[Entry]) -> list[str]:
    """The columns of the summary: the main metrics that some run has, or the first of those that there are."""
    known = list(dict.fromkeys(name for entry in entries for name in entry.metrics))
    return [name for name in MAIN if name in known] or known[:MOST_METRICS]


def counts(drive: Drive) -> str:
    """One line: how many are complete, failed and left, and how long it took."""
    complete, before = drive.of("complete"), [entry for entry in drive.entries if entry.before]
    words = [f"{len(complete)} of {len(drive.entries)} complete" + (f" ({len(before)} before)" if before else "")]
    failed, left = drive.of("failed"), drive.of("waiting", "running", "stopped")
    words += [f"{len(failed)} failed"] if failed else []
    words += [f"{len(left)} left"] if left else []
    return ", ".join([*words, seconds(time.monotonic() - drive.begun)])
