"""The open set: reproducible, its shares exact, its groups told apart by the object alone, its truth out of reach."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from fgssl_edu.data import birds, open_set, open_set_things
from fgssl_edu.data.birds import World
from fgssl_edu.data.image_set import Images
from fgssl_edu.data.open_set import GROUPS, KNOWN, PAINTERS, UNKNOWN, load_open_set, unknown_world
from fgssl_edu.paths import data_dir

EDGE = 3  # px of the border that is nearly all background


def factors(count: int, **knobs: float) -> birds.Factors:
    index = torch.arange(count)
    return birds.sample(World.make(), index % 24, index, 0, birds.Knobs(**knobs))


def shares(drawn: open_set.OpenSet) -> dict[str, float]:
    return {name: float(drawn.mask(name).float().mean()) for name in drawn.groups}


# ---------- drawing


@pytest.mark.parametrize("family", PAINTERS)
@pytest.mark.parametrize("size", [40, 64])
def test_a_thing_is_bit_identical_in_a_batch_of_any_size_and_order(family: str, size: int) -> None:
    drawn = factors(24)
    whole = open_set_things.render_things(drawn, family, size)
    order = torch.randperm(24, generator=torch.Generator().manual_seed(0))
    assert torch.equal(open_set_things.render_things(drawn.subset(order), family, size), whole[order])
    assert torch.equal(open_set_things.render_things(drawn.subset(torch.tensor([17])), family, size), whole[17:18])


def test_another_size_shows_the_same_picture() -> None:
    drawn = factors(16)
    for family in PAINTERS:
        small, large = (open_set_things.render_things(drawn, family, size).float() / 255 for size in (64, 128))
        shrunk = torch.nn.functional.avg_pool2d(large, 2)
        assert float((shrunk - small).abs().mean()) < 0.02, family  # the rest is aliasing at edges, and noise


def test_every_family_looks_like_itself_alone() -> None:
    drawn = factors(32, background=0.0, clutter=0.0, light=0.0)  # nothing but the objects differs
    pictures = {family: open_set_things.render_things(drawn, family).float() for family in PAINTERS}
    plain = pictures.pop("scenes")
    inside = {family: ((picture - plain).abs().amax(1) > 8).float() for family, picture in pictures.items()}
    for family, mask in inside.items():
        assert 0.04 < float(mask.mean()) < 0.4, family  # as large as birds are: a fifth of the picture
        for other, its in inside.items():
            if other != family:
                overlap = float((mask * its).sum() / torch.maximum(mask, its).sum())
                assert overlap < 0.9, (family, other)


def test_things_vary_within_a_family() -> None:
    still = {"pose": 0.0, "scale": 0.0, "light": 0.0, "background": 0.0, "clutter": 0.0}
    drawn = factors(32, **still)
    for family in PAINTERS:
        spread = open_set_things.render_things(drawn, family).float().std(0).amax()
        assert (float(spread) > 20) == (family != "scenes"), family  # in grey levels, where it varies most


# ---------- the set


def test_the_same_arguments_give_the_same_set_drawn_once() -> None:
    one, two = open_set.open_set(60, 32, 5), open_set.open_set(60, 32, 5)
    assert one.images.images is two.images.images
    open_set._draw.cache_clear()
    again = open_set.open_set(60, 32, 5)
    assert torch.equal(again.images.images, one.images.images) and torch.equal(again.group, one.group)
    assert not torch.equal(open_set.open_set(60, 32, 6).images.images, one.images.images)


def test_a_set_is_the_beginning_of_a_longer_set() -> None:
    short, long = open_set.open_set(70, 32, 2), open_set.open_set(230, 32, 2)
    assert torch.equal(short.images.images, long.images.images[:70])
    assert torch.equal(short.group, long.group[:70]) and torch.equal(short.relevant, long.relevant[:70])


@pytest.mark.parametrize("known, unknown", [(0.12, 0.12), (0.3, 0.05), (0.0, 0.5), (1.0, 0.0), (0.25, 0.75)])
def test_every_hundred_pictures_have_their_shares(known: float, unknown: float) -> None:
    group = open_set.groups_of(700, 0, known, unknown)
    rest = (1 - known - unknown) / len(PAINTERS)
    for run in group.split(100):
        counts = torch.bincount(run, minlength=len(GROUPS)).tolist()
        for count, share in zip(counts, [known, unknown, *[rest] * len(PAINTERS)], strict=True):
            assert abs(count - 100 * share) <= 1
    assert not torch.equal(group[:100], group[100:200]) or known == 1


def test_the_groups_come_in_no_order() -> None:
    group = open_set.groups_of(2000, 0, 0.12, 0.12).double()
    assert abs(float(torch.corrcoef(torch.stack([group[1:], group[:-1]]))[0, 1])) < 0.1  # 0.022 is one sd by chance


@pytest.mark.parametrize("size", [32, 45, 100])
def test_pictures_have_the_size_asked_for(size: int) -> None:
    drawn = open_set.open_set(40, size)
    assert drawn.images.images.shape == (40, 3, size, size) and drawn.images.images.dtype == torch.uint8


def test_the_largest_size_is_drawn_in_blocks() -> None:
    assert open_set.open_set(3, 448).images.size == 448


def test_relevant_are_the_known_birds_unless_told_otherwise() -> None:
    drawn = open_set.open_set(200, 32)
    assert len(drawn) == 200 and len(drawn.groups) == 2 + len(PAINTERS) >= 9
    assert torch.equal(drawn.relevant, drawn.mask(KNOWN)) and int(drawn.relevant.sum()) == 24
    both = open_set.open_set(200, 32, relevant=(KNOWN, UNKNOWN))
    assert torch.equal(both.relevant, drawn.mask(KNOWN) | drawn.mask(UNKNOWN)) and int(both.relevant.sum()) == 48
    assert both.images.images is drawn.images.images  # relevance is no reason to draw again


def test_nothing_about_the_groups_reaches_whoever_trains() -> None:
    drawn = open_set.open_set(40, 32)
    assert bool((drawn.images.labels == -1).all()) and drawn.images.classes == ()
    assert drawn.images.coarse is drawn.images.factors is drawn.images.parts is None and not drawn.images.paths
    seen = drawn.images.views()
    assert isinstance(seen, Images) and set(vars(seen)) == {"images", "device", "shape"}


def test_unknown_species_differ_from_every_known_one() -> None:
    known = World.make()
    other = unknown_world(known)
    assert len(other) >= 40
    for code, genus in zip(other.codes, other.genus, strict=True):
        same_coat = (known.coat[known.genus] == other.coat[genus]).all(-1).all(-1)
        assert bool(((known.codes != code).sum(1)[same_coat] >= 3).all())
    shared = (other.coat[other.genus][:, None] == known.coat[None]).all(-1).all(-1).any(1)
    assert 0.3 < float(shared.float().mean()) < 0.7  # half wear a known coat: only the parts can tell


def test_known_birds_are_no_birds_of_the_target_set() -> None:
    drawn = open_set.open_set(100, 32, 0, share_known=1.0, share_unknown=0.0)
    target = birds.bird_set(100, 32, 0)
    gaps = (drawn.images.images[:, None, :, ::4, ::4].float() - target.images[None, :, :, ::4, ::4].float()).abs()
    assert float(gaps.mean((2, 3, 4)).min()) > 5  # grey levels; the same bird would be 0


def test_a_smaller_world_gives_other_known_birds_on_the_same_backgrounds() -> None:
    six, standard = (load_open_set("birds_open", 32, open_images=100, species=species) for species in (6, 24))
    differ = (six.images.images != standard.images.images).flatten(1).any(1)
    assert torch.equal(six.group, standard.group)
    assert not bool((differ & ~six.mask(KNOWN, UNKNOWN)).any()) and bool(differ[six.mask(KNOWN)].any())


# ---------- no shortcut


def border(images: Tensor) -> Tensor:
    """Mean and spread of each colour along the border, (N, 6)."""
    top, bottom = images[:, :, :EDGE].flatten(2), images[:, :, -EDGE:].flatten(2)
    sides = images[:, :, EDGE:-EDGE, [*range(EDGE), *range(-EDGE, 0)]].flatten(2)
    pixels = torch.cat([top, bottom, sides], 2).float()
    return torch.cat([pixels.mean(2), pixels.std(2)], 1)


@pytest.mark.parametrize("background", [1.0, 0.3])
def test_backgrounds_do_not_tell_the_groups_apart(background: float) -> None:
    drawn = open_set.open_set(1500, 32, 1, background=background)
    statistics = border(drawn.images.images)
    means = torch.stack([statistics[drawn.group == g].mean(0) for g in range(len(GROUPS))])
    within = torch.stack([statistics[drawn.group == g].std(0) for g in range(len(GROUPS))]).mean(0)
    assert bool(((means - means.mean(0)).abs() < 0.5 * within).all())  # 80 pictures a group: chance is 0.11
    nearest = torch.cdist(statistics[750:] / within, statistics[:750] / within).argmin(1)
    hit = (drawn.group[:750][nearest] == drawn.group[750:]).float().mean()
    assert float(hit) < 0.15  # two groups of 12 % and thirteen of 6 % agree by chance in 7 %


def test_all_groups_have_the_light_and_noise_of_the_birds() -> None:
    drawn = factors(48)
    plain = open_set_things.render_things(drawn, "scenes", 32).float()
    bird = birds.render(drawn, 32)
    clear = (bird.foreground == 0)[:, None].expand_as(plain)
    assert torch.equal(bird.images.float()[clear], plain[clear])


# ---------- rate


def test_a_core_draws_several_hundred_pictures_a_second() -> None:
    open_set.open_set(64, 64, 9)
    start = time.process_time()
    open_set.open_set(256, 64, 10)
    assert 256 / (time.process_time() - start) > 400  # 1,400 on an idle core


# ---------- mistakes


@pytest.mark.parametrize(
    "wrong, named",
    [
        ({"count": 0}, "count=0"),
        ({"count": True}, "count=True"),
        ({"size": 31}, "size=31"),
        ({"size": 449}, "size=449"),
        ({"share_known": 1.2}, "share_known=1.2"),
        ({"share_unknown": -0.1}, "share_unknown=-0.1"),
        ({"share_unknown": True}, "share_unknown=True"),
        ({"share_known": float("nan")}, "share_known=nan"),
        ({"share_known": 0.7, "share_unknown": 0.4}, "together"),
        ({"relevant": ("known bird",)}, "known birds, unknown birds"),
        ({"backgroud": 0.3}, "backgroud"),
        ({"correlation": 0.5}, "correlation"),
        ({"background": 2.0}, "background=2.0"),
    ],
)
def test_mistakes_are_refused_by_name(wrong: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        open_set.open_set(**{"count": 20, "size": 32, **wrong})


def test_a_target_that_has_every_unknown_species_is_refused() -> None:
    with pytest.raises(ValueError, match="another seed"):
        open_set.open_set(20, 32, known=World.make(**open_set.OTHERS))


@pytest.mark.parametrize(
    "arguments, named",
    [
        ({"dataset": "birds"}, "birds_open, folder:PATH"),
        ({"dataset": "folder:"}, "folder:PATH"),
        ({"open_images": 0}, "open_images=0"),
        ({"dataset": "folder:/nowhere", "background": 0.3}, "background"),
        ({"dataset": "folder:/nowhere"}, "manifest.csv"),
    ],
)
def test_loading_refuses_mistakes_by_name(arguments: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        load_open_set(**arguments)


# ---------- photographs


def photo_folder(folder: Path, rows: Sequence[tuple[str, str]], columns: str = "path,label,split,group") -> Path:
    (folder / "images").mkdir(parents=True)
    lines = [columns]
    for i, (split, group) in enumerate(rows):
        Image.new("RGB", (20, 16), (10 * i, 0, 0)).save(folder / "images" / f"{i}.png")
        lines.append(f"images/{i}.png,secret,{split},{group}")
    (folder / "manifest.csv").write_text("\n".join(lines))
    return folder


ROWS = [("unlabelled", "bird"), ("unlabelled", "car"), ("test", "bird"), ("train", "fish"), ("unlabelled", "bird")]


def test_a_folder_gives_relevance_from_its_hidden_groups(tmp_path: Path) -> None:
    folder = photo_folder(tmp_path / "open", ROWS)
    found = load_open_set(f"folder:{folder}", 8)
    assert found.groups == ("bird", "car", "fish") and found.group.tolist() == [0, 1, 2, 0]  # no test picture
    assert found.relevant.tolist() == [True, False, False, True]
    assert found.images.images[:, 0, 0, 0].tolist() == [0, 10, 30, 40]
    assert found.images.labels.tolist() == [-1] * 4 and found.images.classes == ()
    others = load_open_set(f"folder:{folder}", 8, relevant=("car", "fish"))
    assert others.relevant.tolist() == [False, True, True, False]


def test_fewer_photographs_are_part_of_more(tmp_path: Path) -> None:
    folder = photo_folder(tmp_path / "open", [("unlabelled", "bird")] * 20)
    few, more = (load_open_set(f"folder:{folder}", 8, open_images=count, seed=3).images.paths for count in (5, 12))
    assert len(few) == 5 and len(more) == 12 and set(few) < set(more)


def test_a_folder_without_groups_is_refused(tmp_path: Path) -> None:
    bare = photo_folder(tmp_path / "bare", ROWS, "path,label,split,kind")
    with pytest.raises(ValueError, match="no column group"):
        load_open_set(f"folder:{bare}", 8)
    gaps = photo_folder(tmp_path / "gaps", [*ROWS, ("unlabelled", "")])
    with pytest.raises(ValueError, match="1 rows without a group.*images/5.png"):
        load_open_set(f"folder:{gaps}", 8)
    with pytest.raises(ValueError, match="'birds'.*bird, car, fish"):
        load_open_set(f"folder:{photo_folder(tmp_path / 'open', ROWS)}", 8, relevant=("birds",))


@pytest.mark.slow
def test_the_real_open_set_loads(photographs: Path) -> None:
    found = load_open_set(f"folder:{photographs / 'openset'}", 32)
    assert len(found) == 4323 and int(found.relevant.sum()) == 962
    assert found.groups == ("animal", "bird", "other", "plant", "texture", "vehicle")


def test_a_fetched_data_set_is_one_group_unless_its_manifest_says_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FGSSL_HOME", str(tmp_path))
    folder = photo_folder(data_dir() / "imagenet1k", [("train", "")] * 5, "path,label,split,group")
    lines = [f"images/{i}.png,{'cat' if i % 2 else 'dog'},{'test' if i == 4 else 'train'}" for i in range(5)]
    (folder / "manifest.csv").write_text("\n".join(["path,label,split", *lines]))
    found = load_open_set("imagenet1k", 32)
    assert len(found) == 4 and found.groups == ("open",) and not found.relevant.any()
    assert (found.images.labels == -1).all() and found.images.classes == ()
    assert len(load_open_set("imagenet1k", 32, open_images=2)) == 2
    grouped = [f"{line},{'bird' if i == 1 else 'dog'}" for i, line in enumerate(lines)]
    (folder / "manifest.csv").write_text("\n".join(["path,label,split,group", *grouped]))
    known = load_open_set("imagenet1k", 32)
    assert known.groups == ("bird", "dog") and known.relevant.sum() == 1
    with pytest.raises(ValueError, match="none in .*cifar10"):
        load_open_set("cifar10", 32)
