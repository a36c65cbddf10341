"""The commands `fgssl data shards` and `fgssl data map`; heavy imports come late, as in `cli`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Out = Annotated[Path, typer.Argument(help="Folder to make; it gets train, and test where there are test pictures.")]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Leave out pictures that cannot be read.")]


def shards(
    source: Annotated[str, typer.Argument(help="A data set of `fgssl data list`, or folder:PATH.")],
    out: Out,
    size: Annotated[int | None, typer.Option(help="Side of square pictures, px; their own size if left out.")] = None,
    per_shard: Annotated[int, typer.Option(min=1, help="Pictures a shard.")] = 1000,
    skip_bad: SkipBad = False,
) -> None:
    """Rewrite a data set as tar shards, to be streamed."""
    from fgssl_edu.data.convert import to_shards

    for split, index in to_shards(source, out, size, per_shard, "skip" if skip_bad else "raise").items():
        held = sum(shard.bytes for shard in index.shards) / 1e6
        files = "1 shard" if len(index.shards) == 1 else f"{len(index.shards):,} shards"
        print(f"{out / split}: {index.total:,} pictures in {files}, {held:,.1f} MB")


def mapped(
    source: Annotated[str, typer.Argument(help="A data set of `fgssl data list`, folder:PATH or shards:PATH.")],
    out: Out,
    size: Annotated[int, typer.Option(help="Side of the square pictures, px.")],
    skip_bad: SkipBad = False,
) -> None:
    """Rewrite a data set as one array, to be mapped into memory."""
    from fgssl_edu.data.convert import to_map

    for split, images in to_map(source, out, size, "skip" if skip_bad else "raise").items():
        print(f"{out / split}: {images.count:,} pictures of {size} px, {images.images.nbytes / 1e6:,.1f} MB")
