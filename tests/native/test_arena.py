"""Buffers that are alive at once never overlap, and those that are not share memory."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from edgevit_export.native.arena import ALIGNMENT, Lifetime, allocate


def random_lifetimes(seed: int) -> list[Lifetime]:
    rng = np.random.default_rng(seed)
    firsts = rng.integers(0, 40, 60)
    lengths = rng.integers(0, 1 + int(rng.integers(1, 40)), 60)
    sizes = rng.integers(1, 5000, 60)
    return [Lifetime(int(s), int(f), int(f + n)) for s, f, n in zip(sizes, firsts, lengths)]  # noqa: B905


@pytest.mark.parametrize("seed", range(50))
def test_live_buffers_are_apart(seed: int) -> None:
    lifetimes = random_lifetimes(seed)
    addresses, size = allocate(lifetimes)
    assert all(address % ALIGNMENT == 0 for address in addresses)
    assert size % ALIGNMENT == 0
    ends = [a + lifetime.size for a, lifetime in zip(addresses, lifetimes, strict=True)]
    assert max(ends) + ALIGNMENT <= size
    for i, j in combinations(range(len(lifetimes)), 2):
        if lifetimes[i].first <= lifetimes[j].last and lifetimes[j].first <= lifetimes[i].last:
            apart = ends[i] + ALIGNMENT <= addresses[j] or ends[j] + ALIGNMENT <= addresses[i]
            assert apart, (lifetimes[i], lifetimes[j])


def test_memory_is_used_again() -> None:
    chain = [Lifetime(1000, i, i + 1) for i in range(20)]
    _, size = allocate(chain)
    assert size == 2 * (1024 + ALIGNMENT)


def test_an_empty_plan_needs_no_memory() -> None:
    assert allocate([]) == ([], 0)
