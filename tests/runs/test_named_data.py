"""The data that a run names: found, kept with their whole path, or refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from fgssl_edu import paths
from fgssl_edu.runs import named_data, parameters


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
    assert named_data.place_of("birds") is None
    assert named_data.place_of("cub200") == paths.data_dir() / "cub200"
    assert named_data.place_of("folder:/pictures") == named_data.place_of("shards:/pictures") == Path("/pictures")
