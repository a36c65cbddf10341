"""The collapse panel: what its pictures are made of, what its trainings show, and how its controls depend."""

from __future__ import annotations

import time

import pytest
import torch

from fgssl_edu.data.image_set import Splits
from fgssl_edu.panels.collapse import WithoutPart, as_the_loss_sees, look
from fgssl_edu.panels.collapse_runs import NAMES, OUT, PARTS, SHOWN, WHOLE, small_run, small_runs, tiny_encoder

STEPS = 16


@pytest.fixture(scope="module")
def runs(splits: Splits) -> dict:
    return small_runs(splits.train.images, STEPS)


@pytest.fixture(scope="module")
def panel(runs: dict) -> WithoutPart:
    return WithoutPart(runs)


def cloud(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("method", NAMES)
def test_the_aim_is_the_identity_in_every_methods_own_scale(method: str):
    even = cloud(4000, 8)
    pairs = torch.stack([even, even])[None]
    found = look(method, {"pairs": pairs, "rows": [{}]}, 0)
    torch.testing.assert_close(found.matrix, torch.eye(8), rtol=0, atol=0.08)
    torch.testing.assert_close(found.eigenvalues, torch.ones(8), rtol=0, atol=0.12)


@pytest.mark.parametrize("method", NAMES)
def test_a_point_has_no_variance_and_a_line_one_direction(method: str):
    point, line = torch.ones(64, 8), cloud(64, 1) * torch.ones(1, 8)
    for z, directions in ((point, 0), (line, 1)):
        found = look(method, {"pairs": torch.stack([z, z])[None], "rows": [{}]}, 0)
        assert int((found.eigenvalues > 0.05).sum()) == directions
        assert (found.matrix.abs() < 1e-3).all() == (directions == 0)


def test_only_vicreg_sees_how_long_embeddings_are():
    short = 0.1 * cloud(200, 8)
    variances = {m: float(as_the_loss_sees(m, short).square().mean()) for m in NAMES}
    assert variances["vicreg"] < 0.02 and all(value > 0.9 for m, value in variances.items() if m != "vicreg")


def test_every_part_has_a_training_and_takes_something_away(runs: dict):
    assert {m: list(parts) for m, parts in runs.items()} == {m: list(parts) for m, parts in PARTS.items()}
    for method, parts in runs.items():
        ends = [each["pairs"][-1] for each in parts.values()]
        assert all(not torch.equal(ends[0], other) for other in ends[1:]), method
        for each in parts.values():
            assert each["at"][0] == 0 and each["at"][-1] == STEPS and len(each["rows"]) == len(each["at"])
            assert each["pairs"].shape == (len(each["at"]), 2, min(SHOWN, 96), OUT)


def test_parts_that_matter_show_within_a_few_steps(runs: dict):
    ends = {method: {part: each["rows"][-1] for part, each in parts.items()} for method, parts in runs.items()}
    for part in ("predictor", "slow copy and stop-gradient"):
        assert ends["byol"][part]["embedding_std"] < 0.8 * ends["byol"][WHOLE]["embedding_std"]
    assert ends["vicreg"]["variance term"]["deviation"] < 0.6 * ends["vicreg"][WHOLE]["deviation"]
    assert ends["barlow"]["redundancy term"]["embedding_rank"] < ends["barlow"][WHOLE]["embedding_rank"]


def test_the_first_look_is_the_untrained_network_and_the_same_for_a_methods_parts(runs: dict):
    for method in ("barlow", "vicreg"):
        first = [each["pairs"][0] for each in runs[method].values()]
        assert all(torch.equal(first[0], other) for other in first[1:])


def test_a_training_is_the_same_twice_and_looking_changes_nothing(splits: Splits):
    pictures = splits.train.images[:64]
    one, other = (small_run("simsiam", {}, pictures, steps) for steps in (8, 8))
    assert torch.equal(one["pairs"], other["pairs"])
    assert not torch.equal(one["pairs"], small_run("simsiam", {}, pictures, 8, seed=1)["pairs"])
    assert tiny_encoder(0).features(torch.rand(2, 3, 16, 16)).shape == (2, 32)


def test_every_control_changes_the_picture(panel: WithoutPart):
    seen = [panel.picture()]
    moves = [
        {"look": 1},
        {"part": "slow copy"},
        {"method": "vicreg", "part": "variance term"},
        {"part": "covariance term"},
    ]
    for move in [*moves, {"method": "simsiam"}, {"method": "barlow", "look": 3}]:
        panel.set(**move)
        seen.append(panel.picture())
    assert len(set(seen)) == len(seen)


def test_parts_are_those_of_the_method(panel: WithoutPart):
    panel.set(method="vicreg", part="covariance term")
    with pytest.raises(ValueError, match="choose one of variance term"):
        panel.set(part="predictor")
    panel.set(method="byol")
    assert panel.values["part"] == "predictor" and "covariance term" not in panel.controls["part"].options


def test_missing_trainings_are_refused(runs: dict):
    with pytest.raises(ValueError, match="vicreg without variance term are missing"):
        WithoutPart({**runs, "vicreg": {p: r for p, r in runs["vicreg"].items() if p != "variance term"}})


def test_photographs_without_anything_known_will_do(bare_splits: Splits):
    made = small_run("barlow", {}, bare_splits.test.images, 2)
    assert made["pairs"].isfinite().all()


def test_pictures_follow_the_controls_in_time(panel: WithoutPart):
    seconds, last = [], panel.last
    for i in range(24):
        start = time.process_time()
        panel.set(method="byol" if i % 2 else "vicreg", look=i // 2 % (last + 1))
        seconds.append(time.process_time() - start)
    assert sorted(seconds[2:])[20] < 0.1  # as promised where only pictures change
