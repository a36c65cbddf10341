"""Training from disk: the bits of a training in memory, also after a kill; what a method cannot have is told first."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent / "contract"))  # also in the process that is started
from contract_methods import BATCH, COUNT, SIDE, context, digest, fields_of, pictures

from fgssl_edu import checkpoints
from fgssl_edu.data.image_set import Images
from fgssl_edu.data.loader import Loader
from fgssl_edu.data.mapped import MappedImages, write_map
from fgssl_edu.data.shard_writing import Sample, write_shards
from fgssl_edu.data.stream import Order, StreamedImages
from fgssl_edu.methods import build
from fgssl_edu.nets import build_encoder
from fgssl_edu.recipe import Recipe
from fgssl_edu.train import pretrain

STEPS = 6
RECIPE = Recipe(steps=STEPS, batch=BATCH, lr=1e-3, warmup=2, checkpoint_every=2, accelerator="cpu")
WAIT_S = 90  # at most for a sign of life, on a busy machine


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("webdataset")
    folder = tmp_path_factory.mktemp("stored") / "set"
    write_shards([Sample(image) for image in pictures()], folder, 5, size=SIDE)
    return folder


def moco():
    return build("moco", build_encoder("resnet10", seed=0), size=SIDE, queue=20, ema=0.9)


def trained(images, folder: Path | None = None, monitors: tuple = ()) -> tuple[list[float], str]:
    method = moco()
    history = pretrain(method, images, RECIPE, monitors, folder, progress=False)
    return history.column("loss")[1], digest(method.state_dict())


class SameOrder(Images):
    """In memory, in the order of a stream."""

    def loader(self, batch: int, seed: int, rank: int = 0, world: int = 1) -> Loader:
        class Ordered(Loader):
            def begin(self, epoch: int, position: int) -> None:
                super().begin(epoch, position)
                self._order = Order([0, 5, 10, 15, 20, 24], 2, self.seed, epoch).rows(0, COUNT)[0]

        return Ordered(self.images, batch, seed, rank, world, self.device)


def test_a_streamed_training_is_that_of_memory_in_the_same_order(folder: Path):
    streamed = StreamedImages(folder, SIDE, group=2)
    assert trained(streamed) == trained(SameOrder(streamed.first(COUNT)))


def test_a_mapped_training_is_that_of_memory_to_the_bit(tmp_path: Path):
    whole = pictures()
    images = write_map([(whole, torch.zeros(COUNT, dtype=torch.int64))], tmp_path / "map", size=SIDE)
    assert trained(images) == trained(whole)


class Kill:
    """Kills its own process after a step, without a word."""

    every = 1

    def __init__(self, at: int) -> None:
        self.at = at

    def __call__(self, method, row, step: int) -> dict[str, float]:
        if step == self.at:
            import os
            import signal

            os.kill(os.getpid(), signal.SIGKILL)
        return {}


def child(folder: Path, checkpoints_in: Path) -> None:
    torch.set_num_threads(1)
    trained(StreamedImages(folder, SIDE, group=2), checkpoints_in, (Kill(5),))


@pytest.mark.slow
def test_a_killed_streamed_training_ends_with_the_same_bits(folder: Path, tmp_path: Path):
    process = context().Process(target=child, args=(folder, tmp_path))
    process.start()
    process.join(timeout=WAIT_S)
    assert process.exitcode == -9
    assert checkpoints.latest(tmp_path) == checkpoints.path_of(tmp_path, 4)
    images = StreamedImages(folder, SIDE, group=2)
    again = trained(images, tmp_path)
    assert again == trained(images)


def test_another_set_is_told_from_the_one_that_a_run_began_with(folder: Path, tmp_path: Path):
    trained(StreamedImages(folder, SIDE, group=2), tmp_path / "run")
    write_shards([Sample(image) for image in pictures().flip(0)], tmp_path / "other", 5, size=SIDE)
    with pytest.raises(ValueError, match="belongs to another run: the images' pixels differ"):
        trained(StreamedImages(tmp_path / "other", SIDE, group=2), tmp_path / "run")


@pytest.mark.parametrize("name", ["sela", "deepcluster", "colorization", "split_brain", "inpainting"])
def test_methods_that_look_at_the_whole_set_do_so_in_a_stream(name: str, folder: Path):
    images = StreamedImages(folder, SIDE, group=2)
    ends = []
    for seen in (images, SameOrder(images.first(COUNT))):
        method = build(name, build_encoder("resnet10", seed=0), **fields_of(name))
        history = pretrain(method, seen, RECIPE, progress=False)
        ends.append((history.column("loss"), digest(method.state_dict())))
    assert ends[0] == ends[1]


def test_a_method_that_picks_pictures_is_refused_before_training(folder: Path, tmp_path: Path):
    method = build("pairs", build_encoder("resnet10", seed=0), **fields_of("pairs"))
    with pytest.raises(ValueError, match="a streamed set gives its pictures in its own order.*fgssl data map"):
        pretrain(method, StreamedImages(folder, SIDE), RECIPE, folder=tmp_path, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_a_mapped_set_serves_every_method(tmp_path: Path):
    images = write_map([(pictures(), torch.zeros(COUNT, dtype=torch.int64))], tmp_path / "map", size=SIDE)
    method = build("pairs", build_encoder("resnet10", seed=0), **fields_of("pairs"))
    assert pretrain(method, MappedImages(tmp_path / "map"), RECIPE, progress=False).rows
    assert torch.equal(images.take(torch.tensor([3, 0])), pictures()[[3, 0]])
