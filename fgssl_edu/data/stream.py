"""Sets larger than memory: pictures read from tar shards (see `shards`) and decoded ahead of the step.

The order of an epoch is a pure function of the seed and the epoch, as a set in memory has it, but less random: the
shards are shuffled, every `GROUP` of them in turn form a group, and a group's pictures are shuffled together. So two
pictures of one shard are always shown within one group's share of the epoch; of `GROUP` shards or fewer the order is as
random as any. Shards written by this package are random samples themselves.

Held at once are the files, as they are in the shards, of the group that is being decoded and of the next, and a few
decoded batches: nothing that grows with the set but 16 bytes a picture of its table, on disk. Each process reads all
shards, and decodes its own rows alone.
"""

from __future__ import annotations

import hashlib
import logging
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor

from fgssl_edu.data.decode import THREADS
from fgssl_edu.data.image_set import Batch, Images
from fgssl_edu.data.loader import Walk, permutation
from fgssl_edu.data.shards import Index, check_on_bad, decode_square, outside, read_files, read_index
from fgssl_edu.distributed import rank, world_size

LOGGER = logging.getLogger(__name__)
GROUP = 8  # shards whose pictures are shuffled together
AHEAD = THREADS + 1  # batches in the making

Files = dict[int, "Future[list[Tensor]]"]  # number of a shard -> its pictures' files, read or being read


class StreamedImages(Images):
    """The pixels of a set of shards; positions run through the shards that are there."""

    def __init__(
        self,
        folder: Path,
        size: int,
        device: str | torch.device = "cpu",
        on_bad: str = "raise",
        group: int = GROUP,
    ) -> None:
        """Open a set; no picture is read yet.

        Args:
            folder: with `shards.json`.
            size: side of the square pictures wanted, px.
            device: of the batches.
            on_bad: "raise": shards are looked at now and compared with their checksums when they are read. "skip":
                they are all compared now, which reads the whole set once; shards that are missing or damaged do not
                belong to the set, and a single picture that cannot be decoded is shown as the next one of its shard.
            group: shards whose pictures are shuffled together; they and as many more are held in memory as files.

        Raises:
            ValueError: no such set, or shards that are missing or damaged, by name.
        """
        check_on_bad(on_bad)
        if group < 1:
            raise ValueError(f"group={group}: at least one shard is read at a time")
        self.index, self.on_bad, self.group = read_index(folder), on_bad, group
        problems = found_bad(self.index, thorough=on_bad == "skip")
        told = "; ".join(f"{name}: {problem}" for name, problem in problems.items())
        if problems and (on_bad == "raise" or len(problems) == len(self.index.shards)):
            hint = "Copy them again, or leave them out with on_bad='skip'"
            raise ValueError(f"{folder}: {len(problems)} of {len(self.index.shards)} shards are bad: {told}. {hint}")
        if problems:
            LOGGER.warning("%s: skipped %d shards: %s", folder, len(problems), told)
        self.shards = [shard for shard in self.index.shards if shard.name not in problems]
        self.counts = [shard.images for shard in self.shards]
        self.starts = [0, *torch.tensor(self.counts).cumsum(0).tolist()]
        self.device, self.shape = torch.device(device), (self.starts[-1], 3, size, size)
        self.digest = hashlib.sha256(f"{self.index.digest} {sorted(problems)}".encode()).hexdigest()[:16]
        self.skipped = tuple(problems)

    def batches(self, size: int) -> Iterator[Batch]:
        """As `Images.batches`: this process's share in index order; shards are read one after the other."""

        def plan() -> Iterator[Chunk]:
            for index in torch.arange(rank(), self.count, world_size()).split(size):
                last = self.shard_of(int(index[-1]))
                yield index, range(self.shard_of(int(index[0])), min(last + 2, len(self.shards)))

        ahead = Ahead(self, plan())
        try:
            yield from ahead
        finally:
            ahead.close()

    def take(self, index: Tensor) -> Tensor:
        raise ValueError(
            f"{self.index.folder}: a streamed set gives its pictures in its own order, and this method picks them one "
            "by one. Map the set instead (`fgssl data map`), or choose another method"
        )

    def first(self, count: int) -> Tensor:
        parts: list[Tensor] = []
        for number in range(self.shard_of(min(count, self.count) - 1) + 1):
            files = read_files(self.index, self.shards[number])[: count - self.starts[number]]
            parts += [self.decode(files, place, number) for place in range(len(files))]
        return torch.stack(parts).to(self.device)

    def loader(self, batch: int, seed: int, rank: int = 0, world: int = 1) -> Walk:
        return StreamLoader(self, batch, seed, rank, world)

    def identity(self) -> list[int | str]:
        return [*self.shape, str(self.digest)]

    def shard_of(self, position: int) -> int:
        """Number of the shard, among those that are there, that holds a position."""
        return bisect_right(self.starts, position) - 1

    def decode(self, files: Sequence[Tensor], place: int, number: int) -> Tensor:
        """One picture of a shard, (3, size, size) uint8; where it is bad and bad ones are skipped, the next good one.

        Raises:
            ValueError: the picture is bad, by name, or all of the shard are.
        """
        bad: list[str] = []
        for other in chain(range(place, len(files)), range(place)):
            try:
                return decode_square(files[other], self.shape[2], self.index.size)
            except ValueError as error:
                bad.append(f"{self.index.folder / self.shards[number].name}, picture {other}: {error}")
                if self.on_bad == "raise":
                    break
                LOGGER.warning("shown as the next one: %s", bad[-1])
        raise ValueError(bad[0] if self.on_bad == "raise" else f"{bad[0]}; and so are all of this shard")


def found_bad(index: Index, thorough: bool) -> dict[str, str]:
    """Shards that are missing or damaged, with what is wrong; `thorough` reads all, else damage inside is not seen."""
    found: dict[str, str] = {}
    for shard in index.shards:
        problem = outside(index, shard)
        if problem is None and thorough:
            with (index.folder / shard.name).open("rb") as file:
                same = hashlib.file_digest(file, "sha256").hexdigest() == shard.sha256
            problem = None if same else "damaged"
        if problem is not None:
            found[shard.name] = problem
    return found


class Order:
    """The order of one epoch, worked out a group at a time."""

    def __init__(self, starts: Sequence[int], group: int, seed: int, epoch: int) -> None:
        """Shuffle the shards; `starts` (S + 1,) is where each begins, and last the number of pictures."""
        self.starts, self.seed, self.epoch = starts, seed, epoch
        self.groups = [chosen.tolist() for chosen in permutation(len(starts) - 1, seed, epoch, "shards").split(group)]
        sizes = torch.tensor([sum(starts[i + 1] - starts[i] for i in chosen) for chosen in self.groups])
        self.begins = [0, *sizes.cumsum(0).tolist()]
        self.kept: dict[int, Tensor] = {}

    def rows(self, start: int, stop: int) -> tuple[Tensor, int, int]:
        """Positions in the set at places start..stop-1 of the epoch, (n,) int64; their first and their last group."""
        first, last = bisect_right(self.begins, start) - 1, bisect_right(self.begins, stop - 1) - 1
        self.kept = {i: self.kept[i] if i in self.kept else self._shuffled(i) for i in range(first, last + 1)}
        joined = torch.cat(list(self.kept.values()))
        return joined[start - self.begins[first] : stop - self.begins[first]], first, last

    def _shuffled(self, group: int) -> Tensor:
        members = torch.cat([torch.arange(self.starts[i], self.starts[i + 1]) for i in self.groups[group]])
        return members[permutation(len(members), self.seed, self.epoch, f"group {group}")]


Chunk = tuple[Tensor, Sequence[int]]  # positions to decode, (n,), and the shards to hold or to read meanwhile


class Ahead:
    """Iterator over `Batch` whose pictures are read and decoded by threads, a few batches before they are asked for.

    One thread reads shards in the order in which they will be needed; each batch is decoded by one of several. What
    goes wrong there is raised where the batch is asked for.
    """

    def __init__(self, images: StreamedImages, plan: Iterator[Chunk]) -> None:
        self.images, self.plan = images, plan
        self.reader = ThreadPoolExecutor(1, "shards")
        self.decoders = ThreadPoolExecutor(THREADS, "pictures")
        self.files: Files = {}
        self.waiting: deque[Future[Batch]] = deque()
        self._fill()

    def _fill(self) -> None:
        while len(self.waiting) < AHEAD and (chunk := next(self.plan, None)) is not None:
            index, held = chunk
            images = self.images
            for number in self.files.keys() - set(held):
                self.files.pop(number)  # those who still decode from it hold it themselves
            for number in held:
                if number not in self.files:
                    self.files[number] = self.reader.submit(read_files, images.index, images.shards[number])
            self.waiting.append(self.decoders.submit(self._batch, index, dict(self.files)))

    def _batch(self, index: Tensor, files: Files) -> Batch:
        images, size = self.images, self.images.shape[2]
        numbers = [images.shard_of(position) for position in index.tolist()]
        where = [(n, position - images.starts[n]) for n, position in zip(numbers, index.tolist(), strict=True)]
        content = {number: files[number].result() for number in set(numbers)}
        decoded = None
        if images.device.type == "cuda" and images.index.size == size:
            decoded = on_gpu([content[number][place] for number, place in where], images.device)
        if decoded is None:
            pictures = [images.decode(content[number], place, number) for number, place in where]
            decoded = torch.stack(pictures).to(images.device)
        return Batch(decoded, index.to(images.device))

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        if not self.waiting:
            raise StopIteration
        batch = self.waiting.popleft().result()
        self._fill()
        return batch

    def close(self) -> None:
        """End the threads; what they were making is dropped."""
        self.waiting.clear()
        for pool in (self.reader, self.decoders):
            pool.shutdown(wait=True, cancel_futures=True)
        self.files.clear()


def on_gpu(files: Sequence[Tensor], device: torch.device) -> Tensor | None:
    """JPEGs of one size decoded together by the GPU, (n, 3, S, S) uint8; None where it cannot decode one of them.

    Its pixels may differ by a grey level from the CPU's.
    """
    from torchvision.io import ImageReadMode, decode_jpeg

    try:
        return torch.stack(decode_jpeg(list(files), mode=ImageReadMode.RGB, device=device))
    except RuntimeError:  # a picture is bad: one by one, the CPU finds out which
        return None


class StreamLoader(Walk):
    """`Loader` for a streamed set: the same batches and state, in the order of `Order`."""

    def __init__(self, images: StreamedImages, batch: int, seed: int, rank: int = 0, world: int = 1) -> None:
        """Prepare the first epoch; threads start with the first batch. See `Walk`."""
        self.images, self.group = images, images.group
        self.ahead: Ahead | None = None
        super().__init__(images.count, batch, seed, rank, world)

    def _plan(self) -> Iterator[Chunk]:
        """Rows of this process from the next batch on, without end; held are their groups and the one after."""
        epoch, start, share = self.epoch, self.position, self.batch // self.world
        order = Order(self.images.starts, self.group, self.seed, epoch)
        while True:
            after = Order(self.images.starts, self.group, self.seed, epoch + 1)
            for position in range(start, self.last + 1, self.batch):
                rows, first, last = order.rows(position, position + self.batch)
                held = [*order.groups[first : last + 2], *after.groups[:1]][: last - first + 2]
                yield rows[self.rank * share :][:share], [number for group in held for number in group]
            epoch, start, order = epoch + 1, 0, after

    def __next__(self) -> Batch:
        if self.ahead is None:
            self.ahead = Ahead(self.images, self._plan())
        batch = next(self.ahead)
        self.advance()
        return batch

    def state_dict(self) -> dict[str, int]:
        return {**super().state_dict(), "group": self.group}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.close()
        super().load_state_dict(state)

    def close(self) -> None:
        """End the threads."""
        if self.ahead is not None:
            self.ahead.close()
            self.ahead = None
