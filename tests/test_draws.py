from __future__ import annotations

import hashlib

import torch

from fgssl_edu.draws import normal, uniform

INDEX = torch.arange(20_000)
MASK = (1 << 64) - 1


def splitmix(value: int) -> int:
    """The finaliser in Python's own integers."""
    value = ((value ^ value >> 30) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ value >> 27) * 0x94D049BB133111EB) & MASK
    return value ^ value >> 31


def test_draws_equal_an_independent_implementation() -> None:
    index, count = torch.tensor([0, 1, 12345, 2**40]), 5
    golden = 0x9E3779B97F4A7C15
    base = int.from_bytes(hashlib.blake2b(b"3|11|view0", digest_size=8).digest(), "little")
    expected = [
        [(splitmix(splitmix((i * golden + base) & MASK) + (j + 1) * golden & MASK) >> 40) / 2**24 for j in range(count)]
        for i in index.tolist()
    ]
    assert uniform(3, 11, index, "view0", count).tolist() == expected


def test_a_draw_depends_on_its_own_image_alone() -> None:
    whole = uniform(0, 5, INDEX[:100], "crop", 4)
    order = torch.randperm(100, generator=torch.Generator().manual_seed(0))[:37]
    assert torch.equal(uniform(0, 5, order, "crop", 4), whole[order])
    assert torch.equal(normal(0, 5, order, "crop", 4), normal(0, 5, INDEX[:100], "crop", 4)[order])
    assert torch.equal(uniform(0, 5, INDEX[:100], "crop", 9)[:, :4], whole)  # more numbers leave the first ones


def test_seed_step_and_purpose_give_independent_draws() -> None:
    base = uniform(0, 0, INDEX, "crop", 2)
    others = [uniform(1, 0, INDEX, "crop", 2), uniform(0, 1, INDEX, "crop", 2), uniform(0, 0, INDEX, "flip", 2)]
    others.append(uniform(0, 0, INDEX + 1, "crop", 2))
    columns = torch.cat([base, *others], dim=1)
    correlation = torch.corrcoef(columns.T) - torch.eye(columns.shape[1])
    assert correlation.abs().max() < 5 / len(INDEX) ** 0.5  # 5 standard errors over 45 pairs


def test_uniform_draws_fill_the_unit_interval_evenly() -> None:
    draws = uniform(0, 0, INDEX, "x", 5).flatten()
    assert draws.dtype == torch.float32 and draws.min() >= 0 and draws.max() < 1
    counts = torch.histc(draws, bins=100, min=0, max=1)
    chi_square = ((counts - 1000) ** 2 / 1000).sum()
    assert 50 < chi_square < 165  # 99 degrees of freedom: mean 99, standard deviation 14


def test_normal_draws_have_the_moments_of_the_standard_normal_and_are_finite() -> None:
    draws = normal(0, 0, INDEX, "x", 5).flatten().double()
    assert draws.isfinite().all() and draws.abs().max() < 6
    for power, expected, spread in [(1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)]:  # spread: variance of x^power
        assert abs((draws**power).mean().item() - expected) < 4.5 * (spread / len(draws)) ** 0.5


def test_the_global_generator_is_not_used() -> None:
    state = torch.random.get_rng_state()
    uniform(0, 0, INDEX[:3], "x", 2), normal(0, 0, INDEX[:3], "x", 2)
    assert torch.equal(torch.random.get_rng_state(), state)
