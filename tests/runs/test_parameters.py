"""What a run is made to be before it starts: arms, names, data, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from fgssl_edu import paths
from fgssl_edu.runs import arms, parameters

TRAINED = [(slug, name) for slug, each in arms.ARMS.items() for name, arm in each.items() if arm.method is not None]


@pytest.fixture(autouse=True)
def at_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FGSSL_SCALE", "ci")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Four photographs of two classes."""
    folder = tmp_path / "pictures"
    for name in ("crow/1", "crow/2", "jay/1", "jay/2"):
        path = folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 20), (9, 99, 199)).save(path)
    return folder


@pytest.mark.parametrize(("slug", "name"), TRAINED)
def test_every_arm_is_settled_as_itself(slug: str, name: str):
    resolved, _ = parameters.settle(slug, {"method": name})
    arm = arms.ARMS[slug][name]
    for field, value in {**arm.settings, **parameters.fixed(arm)}.items():
        assert getattr(resolved.settings, field) == value
        assert resolved.sources[field] == f"arm {name}"


def test_the_method_of_an_arm_is_built_from_its_own_settings():
    settings = parameters.settle("contrast", {"method": "tau_1"})[0].settings
    arm = arms.arm_named("contrast", "tau_1")
    assert arms.build_arm(arm, settings, arms.load(settings).train).temperature == 1.0


def test_what_is_given_wins_over_an_arm_and_is_said_to_be_given():
    resolved, _ = parameters.settle("contrast", {"method": "tau_1", "temperature": 0.5})
    assert (resolved.settings.temperature, resolved.sources["temperature"]) == (0.5, "given")


def test_what_an_arm_hands_to_its_method_cannot_be_given_another_value():
    assert parameters.settle("contrast", {"method": "moco_v1", "temperature": 0.07})[0].settings.temperature == 0.07
    with pytest.raises(ValueError, match=r"temperature=0.5: method='moco_v1' stands for temperature=0.07"):
        parameters.settle("contrast", {"method": "moco_v1", "temperature": 0.5})


def test_an_untrained_arm_is_refused_with_those_that_can_be_trained():
    with pytest.raises(ValueError, match="method='random' is not trained; the arms that can be trained are moco, simc"):
        parameters.settle("coarse-bias", {"method": "random"})


@pytest.mark.parametrize("name", ["swap", "genus", "simclr_shortcut"])
def test_an_arm_that_needs_birds_is_refused_on_photographs(name: str, pictures: Path):
    with pytest.raises(ValueError, match=f"method='{name}' needs dataset='birds'") as caught:
        parameters.settle("coarse-bias", {"method": name, "dataset": f"folder:{pictures}"})
    assert str(caught.value).endswith("are moco, simclr, supervised")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"method": "folder:x"}, "method='folder:x' should be one of random, simclr"),
        ({"views": "folder:x"}, "views='folder:x' should be one of"),
        ({"encoder": "resnet15"}, r"encoder='resnet15' \(did you mean 'resnet\d+'\?\) should be one of resnet10,"),
        ({"init": "imagenet"}, "there are no such weights for encoder='resnet10', only for resnet18, resnet50"),
        ({"image_size": 449}, "image_size=449 is out of range; rendered birds are 32 to 448 px"),
        ({"image_size": 31}, "image_size=31 is out of range; rendered birds are 32 to 448 px"),
        ({"dataset": "folder:"}, "dataset='folder:' names no folder"),
        ({"dataset": "shards:"}, "dataset='shards:' names no folder; write shards:PATH"),
        ({"dataset": "shards:nowhere"}, "nowhere holds no shards.json"),
        ({"dataset": "mapped:nowhere"}, "nowhere holds no map.json"),
        ({"dataset": "folder:nowhere"}, "there is no folder .*nowhere"),
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        parameters.settle("contrast", given)


def test_weights_of_imagenet_are_for_the_encoders_that_have_them():
    resolved, _ = parameters.settle("contrast", {"init": "imagenet", "encoder": "resnet18"})
    assert resolved.settings.init == "imagenet"


def test_a_folder_without_photographs_is_refused(tmp_path: Path, pictures: Path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ValueError, match="no class folders"):
        parameters.settle("start", {"dataset": f"folder:{empty}"})
    (empty / "crow").mkdir()
    with pytest.raises(ValueError, match="crow/: a class without images"):
        parameters.settle("start", {"dataset": f"folder:{empty}"})
    (empty / "manifest.csv").write_text("path,label,split\n")
    with pytest.raises(ValueError, match="no images in it"):
        parameters.settle("start", {"dataset": f"folder:{empty}"})


@pytest.mark.parametrize("knob", [{"background": 0.5}, {"correlation": 0.5}, {"species": 8}])
def test_a_knob_of_the_birds_is_refused_for_photographs_where_it_was_given(knob: dict[str, float], pictures: Path):
    dataset = {"dataset": f"folder:{pictures}", "train_images": 40, "batch": 8}
    assert parameters.settle("contrast", {**dataset, "image_size": 500})[0].settings.image_size == 500
    with pytest.raises(ValueError, match=f"{next(iter(knob))}: of rendered birds alone"):
        parameters.settle("contrast", {**dataset, **knob})
    assert parameters.settle("contrast", {"dataset": "birds", **knob})[1] == []


def test_a_folder_is_found_from_where_the_user_stands_and_kept_with_its_whole_path(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(pictures.parent)
    whole = parameters.settle("start", {"dataset": f"folder:{pictures}"})[0].settings
    for written in ("folder:pictures", "folder:./pictures/", "folder:../" + pictures.parent.name + "/pictures"):
        settings = parameters.settle("start", {"dataset": written})[0].settings
        assert settings.dataset == f"folder:{pictures}" and settings.key() == whole.key()


def test_a_data_set_is_read_from_its_folder(own_home: Path):
    assert parameters.place_of("birds") is None
    assert parameters.place_of("cub200") == paths.data_dir() / "cub200"
    assert parameters.place_of("folder:/pictures") == parameters.place_of("shards:/pictures") == Path("/pictures")
