"""The command line: `fgssl run | sweep | join | report | lab | warm | data | doctor | bench | reference | coreset`.

Exit status: 0 done, 1 a lesson or a check failed, 2 the user's mistake, 130 stopped by Ctrl-C. Heavy imports come late,
so that help is there at once.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fgssl_edu import cli_shards
from fgssl_edu.cli_coreset import coreset
from fgssl_edu.cli_sweep import sweep
from fgssl_edu.config import pairs
from fgssl_edu.runs.notebook import RunFailed

if TYPE_CHECKING:
    from fgssl_edu.runs.notebook import Plan

FAILED, MISTAKE, STOPPED = 1, 2, 130

app = typer.Typer(
    help="Self-supervised visual learning, taught and studied in notebooks.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
data = typer.Typer(help="Data sets: what there is, fetch one, check one.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(data, name="data")
data.command("shards")(cli_shards.shards)
data.command("map")(cli_shards.mapped)
app.command()(coreset)
app.command()(sweep)

Slug = Annotated[str, typer.Argument(help="The lesson: start, contrast, coarse-bias ...")]
DataSet = Annotated[str, typer.Argument(metavar="NAME", help="A data set of `fgssl data list`.")]
Parameters = Annotated[
    list[str], typer.Option("-p", metavar="NAME=VALUE", help="A parameter of the lesson; may be repeated.")
]


def main() -> None:
    """The entry point: a user's mistake is one message, not a traceback."""
    try:
        app()
    except ValueError as error:
        print(f"fgssl: {error}", file=sys.stderr)
        sys.exit(MISTAKE)
    except (RunFailed, OSError) as error:  # OSError: no network, a full disk, a folder that may not be written
        print(f"fgssl: failed: {error}", file=sys.stderr)
        sys.exit(FAILED)
    except SystemExit as ended:
        if ended.code == STOPPED:  # what typer makes of Ctrl-C
            print("\nfgssl: stopped; what did not end was not recorded", file=sys.stderr)
        raise


@app.command()
def run(
    slug: Slug,
    p: Parameters = [],  # noqa: B006  # typer reads the default, and nobody writes to it
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print every setting with its source, and stop.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Run even if this run is complete already.")] = False,
    devices: Annotated[int | None, typer.Option(help="GPUs a node (as -p devices=2).")] = None,
    nodes: Annotated[int | None, typer.Option(help="Nodes; it says how the others join.")] = None,
) -> None:
    """Run a lesson; keep its notebook, HTML and record."""
    from fgssl_edu.runs import notebook

    shape = [f"{name}={value}" for name, value in (("devices", devices), ("nodes", nodes)) if value is not None]
    planned = notebook.plan(slug, pairs([*p, *shape]))
    if dry_run:
        print_settings(planned)
        return
    tell(planned)
    record = None if force else notebook.complete(planned)
    if record is not None:
        print(f"{slug} is complete already for these settings, this notebook, code and data; --force runs it again")
    else:
        record = notebook.execute(planned)
    print_metrics(record)
    print(f"\nnotebook  {planned.folder / record['notebook']}\nHTML      {planned.folder / record['page']}")


@app.command()
def join(file: Annotated[Path, typer.Argument(help="As the first node of the run prints it.")]) -> None:
    """Be another node of a run, until it ends."""
    from fgssl_edu.runs import nodes

    nodes.join(file)


@app.command()
def warm(slugs: Annotated[list[str], typer.Argument(help="Lessons, or `all`.")]) -> None:
    """Fill the caches of lessons, the evening before."""
    from fgssl_edu import paths
    from fgssl_edu.runs import notebook

    wanted = [slug for _, slug, _ in paths.course()] if slugs == ["all"] else slugs
    plans = [notebook.plan(slug, {"scale": "lecture"}) for slug in wanted]
    for planned in plans:
        tell(planned)
        record = notebook.execute(planned)
        print(f"{planned.slug}: warm, in {record['run_seconds']:.0f} s\n")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def lab(
    context: typer.Context,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Print the address, open nothing.")] = False,
) -> None:
    """Open JupyterLab on the course, for this machine alone. Further options go to JupyterLab."""
    from fgssl_edu.runs.lab import open_lab

    open_lab(not no_browser, context.args)


@app.command()
def doctor() -> None:
    """Say what is here, what is missing, and what will be slow."""
    from fgssl_edu.runs.doctor import findings

    print_pairs(findings())


@app.command()
def bench(
    name: Annotated[str, typer.Argument(help="train, birds, panels, coreset, methods, stream or embed.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure how fast something is here."""
    from fgssl_edu import bench as benches

    benches.main(name, as_json)


@app.command()
def report(
    places: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Folders with runs, at any depth.")],
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("report"),
    metric: Annotated[list[str], typer.Option(help="A column, as records name it; may be repeated.")] = [],  # noqa: B006
    base: Annotated[str | None, typer.Option(help="Words of the line to compare with; the first if left out.")] = None,
) -> None:
    """One table of many runs, and its plots."""
    from fgssl_edu.runs import report as runs_report
    from fgssl_edu.runs import report_page

    found = runs_report.collect(places, metric)
    page = report_page.write(found, out, base)
    for warning in found.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print_pairs([(line.name, f"seeds {', '.join(str(run.seed) for run in line.runs)}") for line in found.lines])
    print(page)


@app.command()
def reference(
    slug: Slug,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each arm.")] = 3,
    jobs: Annotated[int, typer.Option(min=1, help="Runs at a time, one thread each.")] = 1,
    arms: Annotated[str, typer.Option(help="Names of arms, with commas; all if empty.")] = "",
    out: Annotated[Path | None, typer.Option(help="File to write; needed with -p and --arms.")] = None,
    p: Parameters = [],  # noqa: B006  # as above
) -> None:
    """Run all arms of a lesson (an hour of CPU); write its record."""
    from fgssl_edu import config
    from fgssl_edu.runs import parameters

    given = {name: parameters.parse(name, text) for name, text in pairs(p).items()}
    config.resolve(slug, given)  # a mistake is told before torch is imported
    if (given or arms) and out is None:
        raise ValueError(f"{p[0] if p else arms}: not the shipped record's settings and arms; name a file with --out")
    from fgssl_edu.runs import experiment

    print(
        experiment.reference(
            slug, seeds=seeds, only=[*filter(None, arms.split(","))], jobs=jobs, given=given, target=out
        )
    )


@app.command()
def weights(
    name: Annotated[
        str, typer.Argument(help="encoder, with its decoder, or transformer; resnet50 or resnet18 of ImageNet.")
    ] = "encoder",
    out: Annotated[Path | None, typer.Option(help="Folder to write to; the package's own if none.")] = None,
) -> None:
    """Make a shipped network again, or fetch ImageNet's."""
    from fgssl_edu.nets.encoders import TORCHVISION, imagenet_file, imagenet_weights
    from fgssl_edu.runs import shipped, shipped_transformer

    if name in TORCHVISION:
        imagenet_weights(name)
        print(imagenet_file(name))
        return
    if name not in ("encoder", "transformer"):
        raise ValueError(f"{name!r}: choose encoder or transformer, or fetch {' or '.join(TORCHVISION)}")
    print(shipped.make(out) if name == "encoder" else shipped_transformer.make(out))


@data.command("list")
def data_list() -> None:
    """What data sets there are, and which are on disk."""
    from fgssl_edu.runs import data_sets

    print(data_sets.overview())


@data.command("info")
def data_info(name: DataSet) -> None:
    """Archives, sizes, terms and citation of a data set."""
    from fgssl_edu.runs import data_sets

    print(data_sets.about(name))


@data.command("get")
def data_get(
    name: DataSet,
    given: Annotated[Path | None, typer.Option("--from", help="Folder with archives that you have already.")] = None,
) -> None:
    """Fetch a data set: download, check, unpack, list."""
    from fgssl_edu.runs import data_sets

    print(f"{name}: {data_sets.script(name).main(given=given)}")


@data.command("verify")
def data_verify(name: DataSet) -> None:
    """Check a data set on disk against its manifest."""
    from fgssl_edu import paths
    from fgssl_edu.data import manifest, sources
    from fgssl_edu.runs import data_sets

    remark = sources.find(name).remark
    if not data_sets.here(name):
        raise ValueError(f"{name} is not in {paths.data_dir()}: fetch it with `fgssl data get {name}`")
    found = manifest.verify(paths.data_dir() / name)
    print(f"{name}: {found}" + (f"\n  known: {remark}" if remark else ""))
    sys.exit(FAILED if found.problems else 0)


def tell(planned: Plan) -> None:
    """One line on what will run, and what the user has to know about it."""
    settings = planned.resolved.settings
    training = f"{settings.steps:,} steps x {settings.batch}, seed {settings.seed}"
    print(f"{planned.slug} at scale {settings.scale}, {settings.dataset}, {training}")
    for note in planned.notes:
        print(f"NOTE: {note}")


def print_settings(planned: Plan) -> None:
    """Every resolved setting with its source, then where the run would go."""
    sources = planned.resolved.sources
    for name, value in dataclasses.asdict(planned.resolved.settings).items():
        print(f"{name:16} {value!s:14} {sources[name]}")
    for note in planned.notes:
        print(f"NOTE: {note}")
    print(f"folder           {planned.folder}")


def print_metrics(record: dict[str, Any]) -> None:
    """The metrics of a record as a table; intervals are bootstrapped over test images."""
    width = max(map(len, record["metrics"]), default=0)
    print(f"\n{'metric':{width}}  value   95 % interval over test images")
    for name, metric in record["metrics"].items():
        known = metric.get("low") is not None and metric.get("high") is not None
        interval = f"   {number(metric['low'])} to {number(metric['high'])}" if known else ""
        print(f"{name:{width}}  {number(metric['value'])}{interval}")


def number(value: float | None) -> str:
    """Three figures behind the point where that says something; "-" for a number that was not finite."""
    return "-" if value is None else f"{value:.3f}" if abs(value) < 1000 else f"{value:.4g}"


def print_pairs(rows: Sequence[tuple[str, str]]) -> None:
    """Names and what is said of them, in two columns."""
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        print(f"{name:{width}}  {text}")
