"""The command `fgssl sweep`; heavy imports come late, as in `cli`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fgssl_edu.runs.drive import Drive
    from fgssl_edu.runs.sweep import Sweep

FAILED, STOPPED = 1, 130


def sweep(
    place: Annotated[str, typer.Argument(metavar="[FILE|NAME]", help="A sweep file, or a provided sweep.")] = "",
    p: Annotated[list[str], typer.Option("-p", metavar="NAME=VALUE", help="Wins over the file, in every run.")] = [],  # noqa: B006
    only: Annotated[str, typer.Option(metavar="TEXT", help="Runs with this in their name.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and list the runs, and stop.")] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Runs at a time.")] = 1,
    scheduler: Annotated[str, typer.Option(metavar="ADDRESS", help="A running Dask scheduler.")] = "",
    slurm: Annotated[bool, typer.Option("--slurm", help="Runs in Slurm jobs, --jobs at a time.")] = False,
) -> None:
    """Make many runs from one file, or list the provided ones."""
    from fgssl_edu.config import pairs
    from fgssl_edu.runs import sweep as sweeps
    from fgssl_edu.runs.places import Place

    if not place:
        list_provided()
        return
    if scheduler and (slurm or jobs > 1):
        raise ValueError("--scheduler has the workers that it has; leave out --jobs and --slurm")
    loaded = sweeps.load(place, pairs(p), only)
    if dry_run:
        list_runs(loaded)
        return
    options = loaded.cluster if slurm else None
    make(loaded, Place(jobs, scheduler, options, loaded.folder))


def list_provided() -> None:
    """Names and titles of the provided sweeps."""
    import tomllib

    from fgssl_edu.runs.sweep import provided

    titles = {
        name: tomllib.loads(path.read_text(encoding="utf-8")).get("title", "") for name, path in provided().items()
    }
    width = max(map(len, titles), default=0)
    for name, title in titles.items():
        print(f"{name:{width}}  {title}")


def list_runs(loaded: Sweep) -> None:
    """Every run with its state, parameters and folder; then what the reader has to know."""
    width = max(len(run.name) for run in loaded.runs)
    for run in loaded.runs:
        given = " ".join(f"{name}={value}" for name, value in run.plan.given.items() if name != "seed")
        print(f"{run.state:8}  {run.name:{width}}  {run.plan.slug}  {given}\n{'':8}  {run.folder}")
    tell(loaded)


def tell(loaded: Sweep) -> None:
    """What the runs' plans have to say, once each."""
    notes = dict.fromkeys(note for run in loaded.runs for note in run.plan.notes)
    for note in notes:
        print(f"NOTE: {note}")


def make(loaded: Sweep, place: object) -> None:
    """Make the runs, print the summary, write the report; exit status 1 if a run failed, 130 after Ctrl-C."""
    from fgssl_edu.runs import drive, show

    print(f"{loaded.title}: {len(loaded.runs)} runs{f' ({loaded.source})' if loaded.source else ''}")
    tell(loaded)
    stopped = False
    with show.here() as shown:
        driven = drive.Drive(loaded, place, shown)  # type: ignore[arg-type]
        try:
            driven.go()
        except KeyboardInterrupt:
            stopped = True
    print()
    for line in drive.summary(driven):
        print(line)
    print(f"\nsummary  {driven.write()}")
    report(driven)
    if stopped:
        print("stopped; the same command goes on from the last checkpoints", file=sys.stderr)
        raise typer.Exit(STOPPED)
    if driven.of("failed"):
        print("the same command tries the failed ones again", file=sys.stderr)
        raise typer.Exit(FAILED)


def report(driven: Drive) -> None:
    """The report of exactly these runs, as far as they are complete."""
    folders = [entry.run.folder for entry in driven.of("complete")]
    if not folders:
        return
    from fgssl_edu.runs import report as runs_report
    from fgssl_edu.runs import report_page

    found = runs_report.collect(folders)
    for warning in found.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(f"report   {report_page.write(found, driven.sweep.folder / 'report')}")
