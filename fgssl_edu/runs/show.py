"""What a sweep shows while it runs: a line an event, and on a terminal beneath them a table that is drawn anew."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fgssl_edu.progress import seconds
from fgssl_edu.runs import worker

if TYPE_CHECKING:
    from fgssl_edu.runs.drive import Drive, Entry
    from fgssl_edu.runs.sweep import Run

STEP = re.compile(r"step (\d+/\d+)")


class Lines:
    """Plain lines, for a log."""

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def say(self, text: str) -> None:
        print(text, flush=True)

    def event(self, drive: Drive, entry: Entry, told: str) -> None:
        """A run began, ended, or (`told`) has to wait."""
        ended = len(drive.of("complete", "failed"))
        head = f"[{ended}/{len(drive.entries)}]"
        if told:
            self.say(f"{head} later     {entry.run.name}: {told}")
        elif entry.state == "running":
            self.say(f"{head} started   {entry.run.name}")
        else:
            first = entry.error.partition("\n")[0]
            what = first or seconds(entry.seconds)
            self.say(f"{head} {entry.state:9} {entry.run.name}: {what}")

    def stopping(self, drive: Drive) -> None:
        """Ctrl-C was pressed."""
        self.say(f"stopping {len(drive.of('running'))} run(s) ...")

    def refresh(self, drive: Drive) -> None:
        """Nothing: what was printed stays."""


class Screen(Lines):
    """Lines, and beneath them what runs now, how far it is, and what is left."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self.live = Live(console=Console(highlight=False, markup=False), auto_refresh=False, transient=True)

    def __enter__(self) -> Screen:
        self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.live.stop()

    def say(self, text: str) -> None:
        self.live.console.print(text, soft_wrap=True)

    def refresh(self, drive: Drive) -> None:
        """Draw the table again."""
        from rich.text import Text

        width = self.live.console.width - 1
        self.live.update(Text("\n".join(line[:width] for line in table(drive))), refresh=True)


def table(drive: Drive) -> list[str]:
    """What runs now, a line each, under a line of totals."""
    complete, running, failed = (len(drive.of(state)) for state in ("complete", "running", "failed"))
    rest = drive.left_s
    totals = [f"{complete} complete", f"{running} running", f"{failed} failed", f"{len(drive.of('waiting'))} waiting"]
    totals += [f"{seconds(time.monotonic() - drive.begun)} so far"]
    totals += [f"about {seconds(rest)} left"] if rest is not None else []
    now = time.monotonic()
    lines = [
        f"  {entry.run.name}: {' '.join(doing(entry.run))}, {seconds(now - (entry.since or now))}"
        for entry in drive.of("running")
    ]
    return [", ".join(totals), *lines]


def doing(run: Run) -> Sequence[str]:
    """Where a run is, from its log: the heading of its notebook, and the last step that it told."""
    lines = worker.last_try(run.folder)[1:]
    headings = [line for line in lines if line and not line.startswith(" ")]
    after = lines[lines.index(headings[-1]) :] if headings else lines
    steps = [match[1] for line in after if (match := STEP.search(line))]
    return [*(headings[-1:] or ["starting"]), *([f"(step {steps[-1]})"] if steps else [])]


def here() -> Any:
    """What fits standard output."""
    return Screen() if sys.stdout.isatty() else Lines()
