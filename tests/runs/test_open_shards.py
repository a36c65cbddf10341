"""A list chosen from shards, by the command and by an arm's run, and training on it."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest
import torch
from shards_setup import COUNT, SHARDS, SIDE, damaged, written

from fgssl_edu import config, coreset, paths
from fgssl_edu.data.open_set import load_open_set
from fgssl_edu.data.shards import Index, read_index, read_pictures
from fgssl_edu.runs import arms, coreset_list, coresets, embed, experiment, open_shards, parameters

pytest.importorskip("webdataset")
TINY = {"scale": "ci", "steps": 2, "batch": 16, "target_images": 48, "test_images": 48, "image_size": SIDE}
TINY |= {"crop_size": 24, "eval_size": 24, "centroids": 4, "budget": 0.1}


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return written(tmp_path / "set")


def settings(index: Index, **given: object) -> config.Settings:
    return config.resolve("simcore", {**TINY, "open_set": f"shards:{index.folder}", **given}).settings


def write(index: Index, out: Path, target: str = "birds", **how: object) -> Path:
    given = {**TINY, **how.pop("given", {})}
    return coreset_list.write_list(target, index.folder, out, given, **{"report": lambda line: None, **how})


@pytest.mark.parametrize("choice", ["simcore", "raw", "stop", "random", "all"])
def test_x_comes_first_and_the_chosen_pictures_are_the_listed_ones(index: Index, choice: str):
    images, splits, metrics = coresets.training_images(choice, settings(index))
    (file,) = (paths.cache_dir() / "coresets").glob("*.csv")
    chosen, provenance = coreset.load(file, COUNT)
    assert torch.equal(images[:48], splits.train.images)
    assert torch.equal(images[48:], read_pictures(index, chosen.indices, SIDE))
    assert metrics == {"coreset/size": len(chosen)} and provenance["choice"] == choice
    if choice != "stop":
        assert len(chosen) == (COUNT if choice == "all" else 13)


def test_the_choice_is_that_from_the_same_pictures_in_memory(index: Index, monkeypatch: pytest.MonkeyPatch):
    found = coresets.training_images("simcore", settings(index))[0][48:]
    images = read_pictures(index, torch.arange(COUNT), SIDE)
    given = settings(index)
    target = coresets.target_of(given).train
    encoder = coresets.encoder_on_x(given, target)
    looks = [embed.embedded(encoder, pixels, 24, "cpu") for pixels in (target.images, images)]
    chosen = coresets.select("simcore", *looks, given, torch.zeros(COUNT, dtype=torch.bool))
    assert torch.equal(images[chosen.indices], found)


def test_the_command_writes_a_list_that_an_arm_trains_on(index: Index, tmp_path: Path):
    said: list[str] = []
    out = write(index, tmp_path / "lists" / "chosen.csv", report=said.append)
    assert said[-1].startswith("13 of 130 pictures chosen, in ")
    chosen, provenance = coreset.load(out)
    assert provenance["shards"] == str(index.folder) and provenance["dataset"] == "birds"
    with out.open() as file:
        file.readline()
        rows = list(csv.DictReader(file))
    for row in rows:
        name, _, place = row["picture"].partition("/")
        assert index.starts[name] + int(place) == int(row["index"])
    listed = settings(index, open_set=f"coreset:{out}")
    images, _, metrics = coresets.training_images("simcore", listed)
    assert torch.equal(images, coresets.training_images("simcore", settings(index))[0])
    row = experiment.run_arm(arms.ARMS["simcore"]["simcore"], listed, seed=0)
    assert row["metrics"]["coreset/size"] == 13 and "coreset/precision" not in row["metrics"]
    assert len(coresets.training_images("none", listed)[0]) == 48


def test_the_method_says_what_is_chosen(index: Index, tmp_path: Path):
    assert coreset.load(write(index, tmp_path / "a.csv", given={"method": "x_random"}))[1]["choice"] == "random"
    assert coreset.load(write(index, tmp_path / "b.csv", given={"method": "simcore_stop"}))[0].stopped
    assert (
        coreset.load(write(index, tmp_path / "c.csv", given={"method": "simcore_k1", "centroids": None}))[1][
            "centroids"
        ]
        == 1
    )


def test_a_list_is_refused_where_it_does_not_belong(index: Index, tmp_path: Path):
    out = write(index, tmp_path / "a.csv", given={"method": "x_random"})
    with pytest.raises(ValueError, match="a.csv holds the choice 'random', and the arm trains on 'simcore'"):
        coresets.training_images("simcore", settings(index, open_set=f"coreset:{out}"))
    shutil.rmtree(index.folder)
    with pytest.raises(ValueError, match="no set of shards"):
        coresets.training_images("random", settings(index, open_set=f"coreset:{out}"))
    shutil.copytree(written(tmp_path / "other" / "set").folder, index.folder)
    assert coresets.training_images("random", settings(index, open_set=f"coreset:{out}"))
    text = (index.folder / "shards.json").read_text()
    (index.folder / "shards.json").write_text(text + " ")
    with pytest.raises(ValueError, match="chosen from other shards than those that are in .* now"):
        coresets.training_images("random", settings(index, open_set=f"coreset:{out}"))
    elsewhere = coreset.save(tmp_path / "b.csv", coreset.random_selection(9, 3), 9, {"open_set": "birds_open"})
    with pytest.raises(ValueError, match="was not chosen from shards"):
        coresets.training_images("random", settings(index, open_set=f"coreset:{elsewhere}"))


def test_damage_is_named_or_left_out_as_asked(index: Index, tmp_path: Path):
    damaged(index, 2)
    with pytest.raises(ValueError, match="000002.tar: damaged"):
        write(index, tmp_path / "a.csv")
    assert not (tmp_path / "a.csv").exists()
    chosen, _ = coreset.load(write(index, tmp_path / "a.csv", on_bad="skip"))
    assert not ((chosen.indices >= 24) & (chosen.indices < 36)).any() and len(chosen) == 13


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"target": "brids"}, "dataset='brids' \\(did you mean 'birds'\\?\\)"),
        ({"given": {"centroids": 0}}, "centroids=0 is out of range"),
        ({"given": {"method": "oracle"}}, "extra='oracle': from shards one of raw, simcore, stop, random, all"),
        ({"given": {"method": "x"}}, "extra='none': from shards"),
        ({"given": {"method": "random"}}, "extra='none': from shards one of"),
        ({"on_bad": "skipp"}, "on_bad='skipp'"),
        ({"jobs": 2, "scheduler": "tcp://127.0.0.1:1"}, "has the workers that it has; leave out --jobs 2"),
        ({"out": "."}, "cannot be written: name a file"),
    ],
)
def test_mistakes_are_told_before_anything_is_trained(
    index: Index, tmp_path: Path, how: dict, message: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(coresets, "pretrain", lambda *_, **__: pytest.fail("trained"))
    out = tmp_path / how.pop("out", "a.csv")
    with pytest.raises(ValueError, match=message):
        write(index, out, **how)


def test_a_folder_without_shards_is_told_where_they_are(index: Index, tmp_path: Path):
    with pytest.raises(ValueError, match=f"name one of the sets in it: {index.folder}"):
        coreset_list.write_list("birds", tmp_path, tmp_path / "a.csv", TINY)


def test_of_a_data_set_in_shards_its_training_part_is_meant(index: Index, tmp_path: Path):
    (tmp_path / "heap").mkdir()
    index.folder.rename(tmp_path / "heap" / "train")
    assert open_shards.place(f"shards:{tmp_path / 'heap'}") == tmp_path / "heap" / "train"
    assert open_shards.place(f"shards:{tmp_path / 'heap' / 'train'}") == tmp_path / "heap" / "train"
    assert open_shards.place(f"shards:{tmp_path / 'nothing'}") == tmp_path / "nothing"


def test_a_lesson_looks_at_the_first_pictures_of_the_shards(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(open_shards, "SAMPLE", 30)
    out = write(index, tmp_path / "a.csv", given={"method": "x_random"})
    for open_set in (f"shards:{index.folder}", f"coreset:{out}"):
        _, pool = coresets.target_and_pool(settings(index, open_set=open_set))
        assert torch.equal(pool.images.images, read_pictures(index, torch.arange(30), SIDE))
        assert pool.groups == ("open",) and not pool.relevant.any()
        assert len(coresets.target_and_pool(settings(index, open_set=open_set), most=7)[1]) == 7
        with pytest.raises(ValueError, match="lies in shards"):
            load_open_set(open_set)


def test_paths_in_the_name_of_an_open_set_are_taken_from_where_the_user_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    for kind in ("folder:", "shards:", "coreset:"):
        found, _ = parameters.settle("simcore", {**TINY, "open_set": f"{kind}heap"})
        assert found.settings.open_set == f"{kind}{tmp_path / 'heap'}"
    with pytest.raises(ValueError, match="open_set='shards:' names no folder"):
        parameters.settle("simcore", {**TINY, "open_set": "shards:"})
    with pytest.raises(ValueError, match="open_set='coreset:' names no file"):
        parameters.settle("simcore", {**TINY, "open_set": "coreset:"})
    with pytest.raises(ValueError, match="dataset='coreset:/chosen.csv'.*should be one of"):
        parameters.settle("simcore", {**TINY, "dataset": "coreset:/chosen.csv"})
    with pytest.raises(ValueError, match="open_set='birdsopen': an open set is birds_open"):
        parameters.settle("simcore", {**TINY, "open_set": "birdsopen"})


def test_the_shards_alone_are_learned_from_without_x(index: Index):
    images, splits, metrics = coresets.training_images("only", settings(index))
    assert torch.equal(
        images.flatten(1).sum(1).sort().values,
        read_pictures(index, torch.arange(COUNT), SIDE).flatten(1).sum(1).sort().values,
    )
    assert len(splits.train) == 48 and metrics == {"coreset/size": float(COUNT)}


def test_the_cache_of_runs_tells_sets_of_shards_apart(index: Index, tmp_path: Path):
    first = open_shards.identity(f"shards:{index.folder}")
    assert first == index.digest and open_shards.identity("birds_open") == ""
    out = write(index, tmp_path / "a.csv", given={"method": "x_random"})
    assert open_shards.identity(f"coreset:{out}") == out.read_text()
    with pytest.raises(ValueError, match="b.csv does not exist"):
        open_shards.identity(f"coreset:{tmp_path / 'b.csv'}")
    (index.folder / "shards.json").write_text((index.folder / "shards.json").read_text() + " ")
    assert open_shards.identity(f"shards:{index.folder}") != first
    assert read_index(index.folder).total == COUNT and len(index.shards) == SHARDS


def test_an_encoder_of_x_that_was_stopped_goes_on_and_leaves_no_checkpoints(
    index: Index, monkeypatch: pytest.MonkeyPatch
):
    given = settings(index, steps=6, checkpoint_every=2)
    target = coresets.target_of(given).train
    whole = coresets.encoder_on_x(given, target).state_dict()
    folder = paths.cache_dir() / "once" / "pretrain"
    assert [path.suffix for path in folder.iterdir()] == [".pt"]
    shutil.rmtree(folder)
    real = coresets.pretrain

    def stopped(*args: object, **how: object) -> None:
        real(args[0], args[1], args[2], (Stop(),), **how)

    with pytest.raises(KeyboardInterrupt), monkeypatch.context() as patch:
        patch.setattr(coresets, "pretrain", stopped)
        coresets.encoder_on_x(given, target)
    assert [path.suffix for path in folder.iterdir()] == [".run"]
    resumed: list[int | None] = []
    monkeypatch.setattr(coresets, "pretrain", lambda *a, **k: (h := real(*a, **k), resumed.append(h.resumed_from))[0])
    again = coresets.encoder_on_x(given, target).state_dict()
    assert resumed == [4] and all(torch.equal(value, again[name]) for name, value in whole.items())
    assert [path.suffix for path in folder.iterdir()] == [".pt"]


class Stop:
    """Ctrl-C at the fourth step's end."""

    every = 1

    def __call__(self, method, row, step: int) -> dict[str, float]:
        if step == 5:
            raise KeyboardInterrupt
        return {}
