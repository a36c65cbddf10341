"""What a scale names and this machine has not: data, weights; what a run does without them, and what it says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from fgssl_edu import config
from fgssl_edu.cli import app
from fgssl_edu.nets import encoders
from fgssl_edu.runs import named_data, parameters
from fgssl_edu.runs.absent import absent

FULL = {"scale": "full"}


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_home: Path) -> Path:
    """torch's folder of weights, empty, and no data set but the rendered birds."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return tmp_path / "hub"


def put_weights(name: str) -> None:
    file = encoders.imagenet_file(name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()


def test_without_data_and_weights_a_run_goes_on_with_birds_from_scratch_and_says_so_in_one_line():
    resolved, notes = parameters.settle("common-rationale", {**FULL, "method": "moco"})
    settings = resolved.settings
    assert (settings.dataset, settings.init, settings.encoder) == ("birds", "random", "resnet50")
    assert (settings.train_images, settings.test_images, settings.species, settings.image_size) == (
        5994,
        5794,
        200,
        256,
    )
    assert resolved.sources["dataset"] == "cub200 not on disk"
    assert resolved.sources["init"] == "ImageNet weights of resnet50 not on disk"
    assert notes == [
        "cub200 not on disk (get it by `fgssl data get cub200`): rendered birds at 256 px instead. "
        "ImageNet weights of resnet50 not on disk (get it by `fgssl weights resnet50`): random weights instead. "
        "moco_like: not the setting of arXiv 2407.14676, nor its numbers: "
        "birds for cub200; random weights for ImageNet weights"
    ]


def test_weights_alone_are_used_on_birds():
    put_weights("resnet50")
    resolved, notes = parameters.settle("common-rationale", {**FULL, "method": "moco"})
    assert (resolved.settings.init, resolved.settings.dataset) == ("imagenet", "birds")
    assert notes[0].endswith("nor its numbers: birds for cub200") and len(notes) == 1


def test_with_data_and_weights_the_papers_own_run_has_no_note(monkeypatch: pytest.MonkeyPatch):
    put_weights("resnet50")
    monkeypatch.setattr(named_data, "on_disk", lambda dataset: True)
    resolved, notes = parameters.settle("common-rationale", {**FULL, "method": "moco"})
    assert (resolved.settings.init, resolved.settings.dataset, notes) == ("imagenet", "cub200", [])
    assert parameters.settle("no-negatives", FULL)[1][0].startswith("byol_like: not the setting of arXiv 2006.07733")


def test_what_was_asked_for_by_name_is_never_replaced():
    resolved = config.resolve("common-rationale", {**FULL, "init": "imagenet", "dataset": "cub200"}, {})
    assert absent(resolved, data_here=False) == []
    with pytest.raises(ValueError, match="dataset='cub200' is not on disk; fetch it with `fgssl data get cub200`"):
        parameters.settle("common-rationale", {**FULL, "dataset": "cub200"})
    given, notes = parameters.settle("contrast", {**FULL, "init": "imagenet", "dataset": "birds"})
    assert given.settings.init == "imagenet" and "weights of" not in notes[0]


def test_missing_weights_are_refused_with_their_place_and_the_command_that_fetches_them(
    hub: Path, monkeypatch: pytest.MonkeyPatch
):
    def offline(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    for build in (
        lambda: encoders.build_encoder("resnet18", init="imagenet"),
        lambda: encoders.imagenet_weights("resnet18"),
    ):
        with pytest.raises(ValueError, match="could not be fetched .no network.") as caught:
            build()
        assert f"Put resnet18-f37072fd.pth into {hub / 'checkpoints'}" in str(caught.value)
        assert "`fgssl weights resnet18`" in str(caught.value)


def test_weights_are_fetched_by_name(monkeypatch: pytest.MonkeyPatch):
    fetched = []
    monkeypatch.setattr(encoders, "imagenet_weights", fetched.append)
    result = CliRunner().invoke(app, ["weights", "resnet18"])
    assert result.exit_code == 0 and fetched == ["resnet18"]
    assert result.output.strip() == str(encoders.imagenet_file("resnet18"))


def test_other_scales_want_nothing_that_is_not_here():
    for slug in config.LESSONS:
        assert parameters.settle(slug, {"scale": "lecture"})[1] == []
