"""What a run is made to be before it starts: arms, names, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from fgssl_edu.runs import arms, parameters

TRAINED = [(slug, name) for slug, each in arms.ARMS.items() for name, arm in each.items() if arm.method is not None]


@pytest.fixture(autouse=True)
def at_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FGSSL_SCALE", "ci")


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
def test_an_arm_that_needs_birds_is_refused_on_photographs(name: str, tmp_path: Path):
    with pytest.raises(ValueError, match=f"method='{name}' needs dataset='birds'") as caught:
        parameters.settle("coarse-bias", {"method": name, "dataset": f"folder:{tmp_path}"})
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
