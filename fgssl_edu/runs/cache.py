"""Results that took long, kept under the key of everything they depend on.

The key holds what went in (settings, code, weights, pictures), not a name alone: who edits a loss or a cell gets the
new result, who changes nothing gets the old one at once.
"""

from __future__ import annotations

import hashlib
import io
import json
import time
import types
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fgssl_edu import paths
from fgssl_edu.evaluate.statistics import Score

# Settings that change how a result is reached, and not the result.
WITHOUT_EFFECT = ("scale", "checkpoint_every", "accelerator", "devices", "nodes")
SCORE = "fgssl_edu.Score"  # tags a kept Score
DEPTH = 6  # levels of objects inside objects that a fingerprint follows


def key(settings: Mapping[str, object], device: str, parts: Iterable[str]) -> str:
    """16 hex digits over all that a result depends on: settings, code, torch, device, threads, and `parts`."""
    values = {name: value for name, value in settings.items() if name not in WITHOUT_EFFECT}
    platform = [paths.code_hash(), torch.__version__, device, torch.get_num_threads()]
    text = json.dumps([values, platform, list(parts)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_for(shelf: str, name: str, digest: str) -> Path:
    """Where a result is kept: a file of its shelf, which is a lesson or `pretrain`."""
    safe = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name)
    return paths.cache_dir() / "once" / shelf / f"{safe}-{digest}.pt"


def keep(path: Path, value: object, seconds: float) -> None:
    """Save a result atomically, with how long it took and when it was made."""
    buffer = io.BytesIO()
    torch.save({"value": value, "seconds": seconds, "day": time.strftime("%Y-%m-%d")}, buffer)
    paths.atomic_write(path, buffer.getvalue())


def kept(path: Path) -> dict[str, Any] | None:
    """A kept result as {"value", "seconds", "day"}, or None where there is none; a damaged file is named, not used."""
    if not path.is_file():
        return None
    try:
        entry = torch.load(path, map_location="cpu", weights_only=True)
        if set(entry) == {"value", "seconds", "day"}:
            return dict(entry)
        reason = "not one of this package's files"
    except Exception as error:  # a torn or foreign file fails in any of a dozen ways, and each means the same here
        reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0][:100]}"
    print(f"the cached {path.name} cannot be read ({reason}); computing it again")
    return None


def storable(value: Any, where: str = "the result") -> Any:
    """The same tree in what a safe loader knows: tensors detached and on the CPU, a Score as a tagged dict.

    Raises:
        ValueError: something in it is none of the kinds that can be kept.
    """
    if isinstance(value, Tensor):
        return value.detach().cpu().clone()
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) is dict:
        return {storable(name, where): storable(inner, f"{where}[{name!r}]") for name, inner in value.items()}
    if type(value) in (list, tuple):
        return type(value)(storable(inner, f"{where}[{i}]") for i, inner in enumerate(value))
    if type(value) is Score:
        return {SCORE: {field.name: storable(getattr(value, field.name), where) for field in fields(Score)}}
    raise ValueError(
        f"{where} is of type {type(value).__name__}, which cannot be kept; return tensors, numbers, text, scores, "
        "and tuples, lists or dicts of these"
    )


def restored(value: Any) -> Any:
    """What `storable` was given."""
    if type(value) is dict and set(value) == {SCORE}:
        return Score(**value[SCORE])
    if type(value) is dict:
        return {name: restored(inner) for name, inner in value.items()}
    return type(value)(map(restored, value)) if type(value) in (list, tuple) else value


def of_tensor(tensor: Tensor) -> str:
    """Hash of a tensor's shape, type and content."""
    flat = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)  # the same bytes
    return hashlib.sha256(repr((tensor.shape, tensor.dtype)).encode() + flat.numpy().tobytes()).hexdigest()[:16]


def of_module(module: nn.Module) -> str:
    """Hash of a module: weights, buffers (also those that no checkpoint keeps), and plain attributes at every level."""
    tensors = [*module.named_parameters(), *module.named_buffers()]
    found = [f"{name}={of_tensor(value)}" for name, value in tensors]
    for name, inner in module.named_modules():
        own = {key: value for key, value in vars(inner).items() if not key.startswith("_") and key != "training"}
        found.append(f"{name}:{type(inner).__qualname__}{fingerprint(own, 1)}")
    return _hash(found)


def fingerprint(value: Any, depth: int = 0) -> str:
    """Text that is equal for values that would give equal results, and holds no memory address."""
    if isinstance(value, Tensor):
        return of_tensor(value)
    if value is None or isinstance(value, bool | int | float | str | torch.device | torch.dtype):
        return repr(value)
    if isinstance(value, nn.Module):  # inside another module it was walked already
        return of_module(value) if depth == 0 else type(value).__qualname__
    if depth > DEPTH:
        return type(value).__qualname__
    if isinstance(value, Mapping):
        return str({fingerprint(name, depth + 1): fingerprint(inner, depth + 1) for name, inner in value.items()})
    if isinstance(value, list | tuple):
        return str([fingerprint(inner, depth + 1) for inner in value])
    if isinstance(value, types.FunctionType):
        return of_function(value, depth + 1)
    return type(value).__qualname__ + fingerprint(getattr(value, "__dict__", {}), depth + 1)


def of_function(function: types.FunctionType, depth: int = 0) -> str:
    """Hash of a function's code and of the data, networks and notebook functions that it uses from around it."""
    if depth > DEPTH:
        return function.__qualname__
    code = function.__code__
    around = {name: function.__globals__[name] for name in _names(code) if name in function.__globals__}
    around |= dict(zip(code.co_freevars, (_content(cell) for cell in function.__closure__ or ()), strict=True))
    around |= {"defaults": function.__defaults__, "keywords": function.__kwdefaults__}
    used = [f"{name}={_used(value, depth)}" for name, value in sorted(around.items()) if _counts(value)]
    return _hash([_shape(code), *used])


def _used(value: object, depth: int) -> str:
    return of_module(value) if isinstance(value, nn.Module) else fingerprint(value, depth + 1)


def _hash(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _content(cell: types.CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # not yet set
        return None


def _names(code: types.CodeType) -> set[str]:
    inner = [_names(constant) for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return set(code.co_names).union(*inner)


def _shape(code: types.CodeType) -> str:
    constants = [_constant(value) for value in code.co_consts]
    return f"{code.co_code.hex()} {constants} {code.co_names} {code.co_varnames}"


def _constant(value: object) -> str:
    if isinstance(value, frozenset):  # its order differs from process to process
        return str(sorted(map(repr, value)))
    return _shape(value) if isinstance(value, types.CodeType) else repr(value)


def _counts(value: object) -> bool:
    """Whether a function's result may depend on it by value; the package's functions are in the hash of its code."""
    if isinstance(value, types.FunctionType):
        return value.__module__ == "__main__"
    if isinstance(value, list | tuple):
        return all(_counts(inner) for inner in value)
    if isinstance(value, dict):
        return all(_counts(inner) for inner in value.values())
    if isinstance(value, bool | int | float | str | Tensor | nn.Module) or value is None:
        return True
    return is_dataclass(value) and not isinstance(value, type)
