"""Training from disk: shards that are decoded ahead of the step and a mapped set, against the same pictures in memory.

- memory, mapped, stream: batches of the same JPEGs, decoded once, mapped, or read from shards;
- decode: those JPEGs decoded one after the other, the ceiling of every stream;
- the same with the step of MoCo v2.

Loading is told in images a second of CPU time, of all threads together; with the step, of the clock on the wall.

Growth streams one epoch of 1e3 to 1e6 pictures in a process of its own and tells the most memory that it held above
what it held before it opened the set (on Linux the peak starts anew there). Beyond 10,000 pictures, which are rendered,
shards are copies of the first ten under new names: what is read and decoded is as much as of rendered ones.
"""

from __future__ import annotations

import multiprocessing
import shutil
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, wait
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch

from fgssl_edu.bench import train
from fgssl_edu.bench.coreset import peak_bytes
from fgssl_edu.bench.rounds import Contestant, interleave, medians, ratio
from fgssl_edu.data import birds
from fgssl_edu.data.image_set import Images
from fgssl_edu.data.mapped import write_map
from fgssl_edu.data.shard_writing import PER_SHARD, Sample, index_shards, write_shards
from fgssl_edu.data.shards import decode_square, read_files, read_shard
from fgssl_edu.data.stream import StreamedImages, StreamLoader

BATCH = 128
RENDERED = 10_000  # pictures of which further shards are copies
GROWTH_SIDE = 32  # px
PEAK = Path("/proc/self/clear_refs")  # on Linux, "5" written there starts the peak of memory anew
MAPPED_BAR, DECODE_BAR, FLAT_BAR = 0.9, 0.7, 1.15  # at least of memory's and of decoding's rate; at most, of the peak
COMPARED = {"mapped_to_memory": ("mapped", "memory"), "stream_to_decode": ("stream", "decode")}
COMPARED_STEP = {"mapped_step_to_memory": ("mapped", "memory"), "stream_step_to_memory": ("stream", "memory")}


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What one table is measured with."""

    name: str
    side: int  # px, of the pictures
    images: int
    batches: int  # a round, loading alone
    rounds: int
    steps: int = 0  # a round, with the step; 0 leaves it out
    crop: int = 32  # px, of a view
    batch: int = BATCH


SETTINGS = {
    "ci": [Setting(name="32 px", side=32, images=40, batches=2, rounds=1, steps=1, crop=16, batch=8)],
    "lecture": [
        Setting(name="64 px", side=64, images=4000, batches=30, rounds=9, steps=6),
        Setting(name="224 px", side=224, images=1000, batches=7, rounds=9),
    ],
}
COUNTS = {"ci": (60, 120), "lecture": (1000, 10_000, 100_000, 1_000_000)}


def run(scale: str) -> dict[str, object]:
    """Every setting in turns, then growth; `ratios` are those of the first setting and of the two largest sizes."""
    with tempfile.TemporaryDirectory(prefix="fgssl-bench-") as folder:
        tables = {setting.name: table(setting, Path(folder) / str(setting.side)) for setting in SETTINGS[scale]}
        ratios = dict(next(iter(tables.values()))["ratios"])  # type: ignore[call-overload]
        tables["growth"] = growth(COUNTS[scale], Path(folder) / "growth", own_process=scale != "ci")
    return {"ratios": {**ratios, **tables["growth"]["ratios"]}, "tables": tables}  # type: ignore[dict-item]


def table(setting: Setting, folder: Path) -> dict[str, object]:
    """One size of pictures: rates and their ratios."""
    sets = stored(setting, folder)
    loading = interleave(loaders(setting, sets), setting.rounds, clock=time.process_time)
    found: dict[str, object] = {
        "images_per_cpu_second": medians(loading),
        "ratios": {name: ratio(loading, *pair) for name, pair in COMPARED.items()},
        "bars": {"mapped_to_memory": MAPPED_BAR, "stream_to_decode": DECODE_BAR},
        "rounds": loading,
    }
    if setting.steps:
        trained = interleave(steps(setting, sets), setting.rounds)
        found["images_per_second"] = {f"{name}, step": rate for name, rate in medians(trained).items()}
        found["ratios"] |= {name: ratio(trained, *pair) for name, pair in COMPARED_STEP.items()}  # type: ignore[operator]
    return found


def stored(setting: Setting, folder: Path) -> dict[str, Images]:
    """The same pictures as shards, mapped, and in memory."""
    rendered = birds.bird_set(setting.images, size=setting.side, seed=0).images
    index = write_shards((Sample(image) for image in rendered), folder / "shards", size=setting.side)
    parts = [read_shard(index, shard.name, setting.side) for shard in index.shards]
    mapped = write_map(((images, labels) for images, _, labels in parts), folder / "mapped", size=setting.side)
    memory = Images(torch.cat([images for images, _, _ in parts]))
    return {"memory": memory, "mapped": mapped, "stream": StreamedImages(folder / "shards", setting.side)}


def loaders(setting: Setting, sets: dict[str, Images]) -> dict[str, Contestant]:
    """Batches alone; and the files of a shard, decoded."""

    def loading(images: Images) -> Contestant:
        loader = images.loader(setting.batch, seed=0)

        def fetched(turn: int) -> int:
            for _ in range(setting.batches):
                next(loader)
            if isinstance(loader, StreamLoader) and loader.ahead is not None:
                wait(loader.ahead.waiting)  # else it would go on in the others' turns
            if turn == setting.rounds:
                loader.close()
            return setting.batches * setting.batch

        return fetched

    streamed = sets["stream"]
    assert isinstance(streamed, StreamedImages)
    files = read_files(streamed.index, streamed.shards[0])

    def decode(_turn: int) -> int:
        for file in files:
            decode_square(file, setting.side, setting.side)
        return len(files)

    return {name: loading(images) for name, images in sets.items()} | {"decode": decode}


def steps(setting: Setting, sets: dict[str, Images]) -> dict[str, Contestant]:
    """Loader, views and step of MoCo v2; a loader goes on through all rounds."""
    asked = train.Setting(name=setting.name, crop=setting.crop, stored=setting.side, batch=setting.batch)

    def training(images: Images) -> Contestant:
        method = train.our_moco(asked, images.first(1))
        learner, loader = train.Learner(method, asked), images.loader(setting.batch, seed=0)

        def trained(turn: int) -> int:
            for step in range(turn * setting.steps, (turn + 1) * setting.steps):
                batch = next(loader)
                learner.update(batch, method.views(batch, step))
            if turn == setting.rounds:
                loader.close()
            return setting.steps * setting.batch

        return trained

    return {name: training(images) for name, images in sets.items()}


def growth(counts: tuple[int, ...], folder: Path, own_process: bool) -> dict[str, object]:
    """One epoch of sets of growing size: the most memory held, time to the first batch, rate, and bytes on disk."""
    per_shard = min(PER_SHARD, counts[0])
    rendered = birds.bird_set(min(RENDERED, counts[-1]), size=GROWTH_SIDE, seed=0).images
    originals = write_shards((Sample(image) for image in rendered), folder / "rendered", per_shard, size=GROWTH_SIDE)
    rows: dict[str, dict[str, float]] = {}
    for count in counts:
        place = folder / str(count)
        place.mkdir()
        for number in range(count // per_shard):
            one = originals.shards[number % len(originals.shards)]
            shutil.copyfile(originals.folder / one.name, place / f"{number:06d}.tar")
        disk = sum(shard.bytes for shard in index_shards(place, size=GROWTH_SIDE).shards) / 1e6
        rows[f"{count:.0e}".replace("e+0", "e")] = measured(place, min(BATCH, count), own_process) | {"disk": disk}
        shutil.rmtree(place)
    peak = {name: row["megabytes"] for name, row in rows.items()}
    ratios = {f"peak, {b} to {a}": peak[b] / peak[a] for a, b in pairwise(peak)}
    return {
        "images_per_cpu_second": {name: row["rate"] for name, row in rows.items()},
        "milliseconds": {f"{name}, first batch": row["first"] for name, row in rows.items()},
        "megabytes": {
            **{f"{name}, held": value for name, value in peak.items()},
            **{f"{name}, on disk": row["disk"] for name, row in rows.items()},
            **{f"{name}, as pixels": float(name) * 3 * GROWTH_SIDE**2 / 1e6 for name in rows},
        },
        "ratios": ratios,
        "bars": {list(ratios)[-1]: FLAT_BAR},
    }


def measured(folder: Path, batch: int, own_process: bool) -> dict[str, float]:
    """One epoch: "megabytes" held at most above what was held before, ms to the "first" batch, "rate" of CPU time."""
    if not own_process:
        return epoch(folder, batch)
    context = multiprocessing.get_context("forkserver")  # imports torch once for all children
    context.set_forkserver_preload([__name__])
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(epoch, folder, batch).result()


def epoch(folder: Path, batch: int) -> dict[str, float]:
    """In this process, on one thread beside those that decode."""
    torch.set_num_threads(1)
    if PEAK.is_file():
        PEAK.write_text("5")
    before, begun, cpu = peak_bytes(), time.perf_counter(), time.process_time()
    loader = StreamedImages(folder, GROWTH_SIDE).loader(batch, seed=0)
    first = 0.0
    for _ in range(loader.steps_per_epoch):
        next(loader)
        first = first or 1000 * (time.perf_counter() - begun)
    loader.close()
    seconds = time.process_time() - cpu
    shown = loader.steps_per_epoch * batch
    return {"megabytes": max(1, peak_bytes() - before) / 1e6, "first": first, "rate": shown / seconds}
