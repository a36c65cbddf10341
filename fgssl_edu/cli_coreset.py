"""The command `fgssl coreset`; heavy imports come late, as in `cli`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def coreset(
    target: Annotated[str, typer.Argument(help="Your own pictures: a data set's name, or folder:PATH.")],
    shards: Annotated[Path, typer.Argument(help="The open set: a folder that `fgssl data shards` made.")],
    out: Annotated[Path, typer.Argument(help="The list to write (csv).")],
    p: Annotated[list[str], typer.Option("-p", metavar="NAME=VALUE", help="A parameter of the lesson simcore.")] = [],  # noqa: B006
    jobs: Annotated[int | None, typer.Option(min=1, help="Dask workers on this machine; none if left out.")] = None,
    scheduler: Annotated[str | None, typer.Option(metavar="ADDRESS", help="A running Dask scheduler.")] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out what is missing or damaged.")] = False,
) -> None:
    """Choose from an open set in shards what is like your pictures."""
    from fgssl_edu.config import pairs
    from fgssl_edu.runs import coreset_list, parameters

    given = {name: parameters.parse(name, text) for name, text in pairs(p).items()}
    print(coreset_list.write_list(target, shards, out, given, jobs, scheduler, "skip" if skip_bad else "raise"))
