"""Random draws as a pure function of (seed, step, image, purpose): a counter-based hash instead of a stream.

One shared stream of random numbers makes every draw depend on all earlier ones: an extra draw shifts the rest, two
processes see other views than one, and a batch of another size changes everything. Here each draw is hashed from what
it is for (splitmix64, Steele, Lea and Flood 2014, doi 10.1145/2660193.2660195), so the same image at the same step
gets the same views whatever the batch, order, rank or device.
"""

from __future__ import annotations

import hashlib
import math

import torch
from torch import Tensor

GOLDEN = 0x9E3779B97F4A7C15  # 2^64 / golden ratio: the step of the splitmix64 sequence
MIX_FIRST = 0xBF58476D1CE4E5B9
MIX_SECOND = 0x94D049BB133111EB


def _signed(value: int) -> int:
    """The int64 with the same 64 bits (torch has no arithmetic on uint64)."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >= 1 << 63 else value


def _shift_right(x: Tensor, bits: int) -> Tensor:
    """Logical (not sign-extending) right shift of int64."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _mix(x: Tensor) -> Tensor:
    """The splitmix64 finaliser: every input bit reaches every output bit."""
    x = (x ^ _shift_right(x, 30)) * _signed(MIX_FIRST)
    x = (x ^ _shift_right(x, 27)) * _signed(MIX_SECOND)
    return x ^ _shift_right(x, 31)


def _hash(seed: int, step: int, index: Tensor, purpose: str, count: int) -> Tensor:
    """(B, count) int64 with 64 well-mixed bits each."""
    words = hashlib.blake2b(f"{seed}|{step}|{purpose}".encode(), digest_size=8).digest()
    base = _signed(int.from_bytes(words, "little"))
    image = _mix(index.to(torch.int64) * _signed(GOLDEN) + base)  # (B,)
    draw = torch.arange(1, count + 1, device=index.device) * _signed(GOLDEN)  # (count,)
    return _mix(image[:, None] + draw)  # (B, count)


def uniform(seed: int, step: int, index: Tensor, purpose: str, count: int) -> Tensor:
    """Uniform draws for each image of a batch.

    Args:
        seed: of the run.
        step: training step, or 0 where there is none.
        index: position of each image in its set, (B,) int64; the draws are made on its device.
        purpose: what the draw is for ("view0/crop"); another purpose gives independent draws.
        count: numbers an image.

    Returns:
        (B, count) float32 in [0, 1); row b depends on index[b] alone, not on the rest of the batch.
    """
    return _shift_right(_hash(seed, step, index, purpose, count), 40).to(torch.float32) * 2.0**-24


def normal(seed: int, step: int, index: Tensor, purpose: str, count: int) -> Tensor:
    """Standard normal draws, (B, count) float32 (Box-Muller on two uniform draws); see `uniform`."""
    bits = _hash(seed, step, index, purpose, count)
    radius = (_shift_right(bits, 40).to(torch.float32) + 1) * 2.0**-24  # (0, 1]: its logarithm is finite
    angle = (bits & ((1 << 24) - 1)).to(torch.float32) * (2 * math.pi * 2.0**-24)
    return torch.sqrt(-2 * torch.log(radius)) * torch.cos(angle)
