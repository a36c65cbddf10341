"""A small open set in shards, an encoder and centroids, and what one process chooses from them all at once."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from fgssl_edu import coreset
from fgssl_edu.data.open_set import open_set
from fgssl_edu.data.shard_writing import Sample, write_shards
from fgssl_edu.data.shards import Index, read_shard
from fgssl_edu.evaluate.features import extract
from fgssl_edu.nets.encoders import Encoder, build_encoder
from fgssl_edu.runs import embed

COUNT, PER_SHARD, SIDE, EVAL, BUDGET = 130, 12, 32, 24, 40
SHARDS = -(-COUNT // PER_SHARD)


def written(folder: Path) -> Index:
    """Rendered pictures in eleven shards, every ninth picture the one before it again."""
    images = open_set(COUNT, SIDE, background=0.0).images.images
    return write_shards([Sample(images[i - (i % 9 == 8)]) for i in range(COUNT)], folder, PER_SHARD, size=SIDE)


def network() -> tuple[Encoder, Tensor]:
    """An untrained encoder, and five centroids in the space of its features."""
    encoder = build_encoder("resnet10", seed=0)
    return encoder, coreset.centroids(extract(encoder, open_set(60, SIDE, seed=5).images.images, EVAL), 5)


def lists(index: Index, said: list[str] | None = None, **how: object) -> embed.ShardLists:
    """The lists of these shards, made by this process or a client's workers; `said` receives the progress."""
    encoder, centroids = network()
    report = (lambda line: None) if said is None else said.append
    return embed.ShardLists(index, encoder, centroids, SIDE, EVAL, report=report, **how)


def chosen(made: embed.ShardLists) -> coreset.Coreset:
    """The choice from lists that are too short at first."""
    sizes = [shard.images for shard in made.index.shards]
    return coreset.select_from_shards(sizes, made, 5, budget=BUDGET, list_length=4)


def damaged(index: Index, number: int) -> None:
    """Turn one bit of a shard around."""
    path = index.folder / index.shards[number].name
    content = bytearray(path.read_bytes())
    content[2000] ^= 1
    path.write_bytes(content)


def at_once(index: Index, encoder: Encoder, centroids: Tensor, leave: tuple[str, ...] = ()) -> coreset.Coreset:
    """The choice from the features of all shards but some; block by block, as ties need the same bits."""
    read = [read_shard(index, shard.name, SIDE) for shard in index.shards if shard.name not in leave]
    features = [extract(encoder, images, EVAL) for images, _, _ in read]
    found = coreset.select_coreset(features, centroids, BUDGET, block_rows=PER_SHARD)
    positions = torch.cat([positions for _, positions, _ in read])
    return coreset.Coreset(positions[found.indices], found.rounds, found.values, found.stopped, found.similarity)


def same(one: coreset.Coreset, two: coreset.Coreset) -> bool:
    """Whether two choices are the same to the bit."""
    names = ("indices", "rounds", "values", "similarity")
    return one.stopped is two.stopped and all(torch.equal(getattr(one, n), getattr(two, n)) for n in names)
