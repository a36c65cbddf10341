"""A checkpoint is whole or is not there; what cannot be trusted is refused by name."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

from fgssl_edu import checkpoints
from fgssl_edu.checkpoints import found, latest, load, path_of, save

STATE = {"step": 3, "method": {"weight": torch.arange(4000.0)}, "rows": [{"step": 1, "loss": 0.5}]}


def saved(folder: Path, *steps: int) -> list[Path]:
    return [save(path_of(folder, step), {**STATE, "step": step}) for step in steps]


def test_what_was_saved_is_loaded(tmp_path: Path):
    state = load(save(path_of(tmp_path / "new" / "folder", 3), STATE))
    assert torch.equal(state["method"]["weight"], STATE["method"]["weight"])
    assert state["step"] == 3 and state["rows"] == STATE["rows"]


def test_the_last_two_are_kept_by_number_not_by_name(tmp_path: Path):
    saved(tmp_path, 99_999_998, 99_999_999, 100_000_000)
    assert [checkpoints.step_of(path) for path in found(tmp_path)] == [99_999_999, 100_000_000]
    assert latest(tmp_path) == path_of(tmp_path, 100_000_000)


def test_a_folder_without_checkpoints_has_no_latest(tmp_path: Path):
    assert latest(tmp_path) is None and latest(tmp_path / "nowhere") is None


def test_a_write_that_fails_leaves_the_old_files_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    saved(tmp_path, 1, 2)

    def full(state: object, file) -> None:
        file.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space"):
        saved(tmp_path, 3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step_00000001.pt", "step_00000002.pt"]


def test_the_next_write_clears_what_a_killed_one_left(tmp_path: Path):
    (tmp_path / "step_00000001.partial").write_bytes(b"half")
    saved(tmp_path, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["step_00000002.pt"]


@pytest.mark.parametrize("length", [0, 1, 100, 9000])
def test_a_truncated_file_is_refused_and_the_one_before_it_is_offered(tmp_path: Path, length: int):
    _, path = saved(tmp_path, 100, 200)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ValueError, match=r"step_00000200.pt is truncated.* step_00000100.pt.* goes on from step 100"):
        load(path)


def test_one_flipped_bit_in_a_weight_is_refused(tmp_path: Path):
    path = saved(tmp_path, 100)[0]
    data = bytearray(path.read_bytes())
    place = data.find(STATE["method"]["weight"].numpy().tobytes())
    data[place + 40] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="truncated or damaged .*There is none before it"):
        load(path)


def test_another_programs_file_is_refused(tmp_path: Path):
    path = path_of(tmp_path, 7)
    torch.save({"state_dict": {}}, path)
    with pytest.raises(ValueError, match="not written by this package"):
        load(path)


def test_code_in_a_file_is_not_run(tmp_path: Path):
    class Bomb:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    path = path_of(tmp_path, 7)
    torch.save({"format": checkpoints.FORMAT, "bomb": Bomb()}, path, pickle_module=pickle)
    with pytest.raises(ValueError, match="truncated or damaged"):
        load(path)
    assert not (tmp_path / "ran").exists()


def test_a_missing_file_is_refused_by_name(tmp_path: Path):
    with pytest.raises(ValueError, match="step_00000005.pt: there is no such checkpoint"):
        load(path_of(tmp_path, 5))


def test_the_random_state_comes_back():
    states = checkpoints.random_state(torch.device("cpu"))
    first = torch.rand(3)
    checkpoints.set_random_state(states, torch.device("cpu"))
    assert torch.equal(torch.rand(3), first)


def test_a_digest_sees_every_bit_every_name_and_buffers_that_are_not_saved():
    def made(value: float = 1.0, shape: tuple[int, ...] = (2, 3), name: str = "bank", dtype=torch.float32):
        module = torch.nn.Module()
        module.weight = torch.nn.Parameter(torch.ones(3, dtype=torch.bfloat16))
        module.register_buffer(name, torch.full(shape, value, dtype=dtype), persistent=False)
        module.register_buffer("count", torch.zeros((), dtype=torch.long))
        return module

    others = [made(1 + 2**-23), made(shape=(3, 2)), made(name="bench"), made(dtype=torch.int32), made(shape=(0,))]
    assert checkpoints.digest(made()) == checkpoints.digest(made())
    assert len({checkpoints.digest(module) for module in [made(), *others]}) == 6


def test_infinite_weights_are_noticed_and_integers_are_no_matter():
    good = {"a": torch.zeros(3), "b": torch.zeros(2, dtype=torch.long)}
    assert checkpoints.finite(good) and checkpoints.finite({})
    assert not checkpoints.finite({**good, "c": torch.tensor([1.0, torch.inf])})
    assert not checkpoints.finite({**good, "c": torch.tensor([torch.nan])})
