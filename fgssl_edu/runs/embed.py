"""Embedding an open set that lies in shards: of each shard only the nearest pictures of every centroid are kept.

The shards are embedded one after the other by this process, or by Dask's workers (`cluster`), each of which holds one
shard at a time and returns a list (`coreset.shards`), never features. Workers compute what one process does: the same
batches through the same network, in fp32 on a CPU (to the bit, where both have the same number of threads) and in bf16
on a GPU. A finished shard's list is kept on disk by whoever asked for it, so that neither a killed worker nor a killed
driver costs more than the shards that were being read.
"""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from fgssl_edu import paths
from fgssl_edu.coreset import ShardList, shard_list
from fgssl_edu.data.shards import Index, read_index, read_shard
from fgssl_edu.evaluate.features import extract
from fgssl_edu.nets.encoders import Encoder, build_encoder
from fgssl_edu.runs import cache
from fgssl_edu.runs.cluster import share_of_gpu
from fgssl_edu.runs.notebook import RunFailed

if TYPE_CHECKING:
    from distributed import Client

MOST_LINES = 20  # of progress


class Job(NamedTuple):
    """What is the same for all shards of a set; small, for it goes to a worker with every shard."""

    folder: Path  # of the set
    digest: str  # of the set's index
    network: Path  # of the encoder and the centroids
    code: str  # hash of the package that asks
    size: int  # px, side of the stored pictures
    eval_size: int  # px, side at which the encoder sees them
    device: str
    on_bad: str


class ShardLists:
    """Asked for the lists of some shards, gives those on disk and has the others made; see `select_from_shards`."""

    def __init__(
        self,
        index: Index,
        encoder: Encoder,
        centroids: Tensor,
        size: int,
        eval_size: int,
        device: str = "cpu",
        on_bad: str = "raise",
        client: Client | None = None,
        report: Callable[[str], None] = print,
    ) -> None:
        """Prepare; nothing is read yet.

        Args:
            index: of the open set.
            encoder: one that `build_encoder` knows by its name.
            centroids: of the target, (K, D).
            size, eval_size: see `Job`.
            device: "cpu", "cuda" or "mps", of this process or of the workers.
            on_bad: "raise", or "skip" what is missing or damaged.
            client: of Dask workers; None to embed in this process.
            report: receives lines of progress.
        """
        self.index, self.client, self.report = index, client, report
        parts = [index.digest, size, eval_size, device, on_bad, cache.of_module(encoder), cache.of_tensor(centroids)]
        key = json.dumps([paths.code_hash(), torch.__version__, *parts])
        self.place = paths.cache_dir() / "shard_lists" / hashlib.sha256(key.encode()).hexdigest()[:16]
        network = self.place / "network.pt"
        if not network.is_file():
            state = {name: value.detach().cpu() for name, value in encoder.state_dict().items()}
            buffer = io.BytesIO()
            torch.save({"name": encoder.name, "state": state, "centroids": centroids.cpu()}, buffer)
            paths.atomic_write(network, buffer.getvalue())
        place, code = index.folder.resolve(), paths.code_hash()
        self.job = Job(place, index.digest, network.resolve(), code, size, eval_size, device, on_bad)

    def __call__(self, wanted: Mapping[int, int]) -> Iterator[tuple[int, ShardList]]:
        """The lists of shards, {number: length}, as they come; each at least as long as asked for, or whole."""
        missing: dict[int, int] = {}
        for number, length in wanted.items():
            known = self._known(number, length)
            if known is None:
                missing[number] = length
            else:
                yield number, known
        if not missing:
            return
        pictures = sum(self.index.shards[number].images for number in missing)
        told = f"; {len(wanted) - len(missing)} are on disk" if len(missing) < len(wanted) else ""
        self.report(f"embedding {len(missing)} shards, {pictures:,} pictures, on {self.job.device}{told}")
        begun = time.monotonic()
        made = self._here(missing) if self.client is None else self._elsewhere(self.client, missing)
        for done, (number, found) in enumerate(made, 1):
            cache.keep(self._file(number), found._asdict(), time.monotonic() - begun)
            if done * MOST_LINES // len(missing) > (done - 1) * MOST_LINES // len(missing):
                left = (time.monotonic() - begun) / done * (len(missing) - done)
                self.report(f"{done} of {len(missing)} shards, {left:.0f} s left")
            yield number, found

    def _here(self, missing: Mapping[int, int]) -> Iterator[tuple[int, ShardList]]:
        for number, length in missing.items():
            yield number, listed(self.job, self.index.shards[number].name, length)

    def _elsewhere(self, client: Client, missing: Mapping[int, int]) -> Iterator[tuple[int, ShardList]]:
        """By Dask's workers; a task whose worker dies is given to another one, a few times."""
        from distributed import KilledWorker, as_completed

        share, names = share_of_gpu(client), {number: self.index.shards[number].name for number in missing}
        numbers = {
            client.submit(listed, self.job, names[number], length, resources=share, pure=False): number
            for number, length in missing.items()
        }
        try:
            for future in as_completed(list(numbers)):
                number = numbers.pop(future)  # nobody holds it any longer: the worker forgets the list
                yield number, future.result()
        except KilledWorker as error:
            raise RunFailed(f"{self.index.folder / names[number]}: every worker that read it died ({error})") from error
        except ImportError as error:
            raise RunFailed(f"a worker cannot import what it needs ({error}): install fgssl-edu there") from error
        finally:
            client.cancel(list(numbers))

    def _file(self, number: int) -> Path:
        return self.place / f"{self.index.shards[number].name}.pt"

    def _known(self, number: int, length: int) -> ShardList | None:
        entry = cache.kept(self._file(number))
        found = None if entry is None else ShardList(**entry["value"])
        return found if found is not None and found.keys.shape[1] >= min(length, found.images) else None


def listed(job: Job, name: str, length: int) -> ShardList:
    """The list of one shard, by whichever process: pictures are read, embedded, ranked and forgotten."""
    if paths.code_hash() != job.code:
        raise ValueError("a worker runs other code of fgssl_edu than the one who asks it: start the workers again")
    index = _index(job.folder, job.digest)
    encoder, centroids = _network(job.network, job.device)
    images, positions, _ = read_shard(index, name, job.size, job.on_bad)
    if not len(images):
        return ShardList(torch.empty(len(centroids), 0, dtype=torch.int64), 0)
    return shard_list(embedded(encoder, images, job.eval_size, job.device), positions, centroids, length)


def embedded(encoder: Encoder, images: Tensor, size: int, device: str) -> Tensor:
    """Features of pictures (N, 3, H, W) uint8 as a selection compares them, (N, D) float32 on the CPU."""
    with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
        return extract(encoder.to(device), images, size)


@lru_cache(maxsize=1)
def _index(folder: Path, digest: str) -> Index:
    """The set's index, read once in a process."""
    index = read_index(folder)
    if index.digest != digest:
        raise ValueError(f"{folder} has changed, or is another set here than where it was asked for")
    return index


@lru_cache(maxsize=1)
def _network(path: Path, device: str) -> tuple[Encoder, Tensor]:
    """The encoder on its device, and the centroids; read once in a process."""
    if not path.is_file():
        raise ValueError(f"{path} is not here: FGSSL_HOME has to be on a file system that all workers share")
    found = torch.load(path, map_location="cpu", weights_only=True)
    encoder = build_encoder(found["name"])
    encoder.load_state_dict(found["state"])
    return encoder.to(device), found["centroids"]
