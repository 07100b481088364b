"""Randomness without state: everything drawn is a pure function of keys, so that nothing has to be saved to resume."""

import numpy as np
from jaxtyping import Int64
from numpy import ndarray

_ROUNDS = 6
_MASK64 = (1 << 64) - 1


def generator(*keys: int) -> np.random.Generator:
    """A counter-based generator (Philox) for these non-negative keys; the same on every platform."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(keys)))


def shuffled(positions: Int64[ndarray, " k"], n: int, *keys: int) -> Int64[ndarray, " k"]:
    """Where `positions` of 0..n−1 go under a shuffle given by `keys`: a bijection of 0..n−1, O(1) a look-up.

    A Feistel network over the next power of four, walking on from values beyond n until one falls inside (Black and
    Rogaway 2002); fewer than four steps are expected.
    """
    half = max(1, (max(n - 1, 1).bit_length() + 1) // 2)
    round_keys = generator(*keys).integers(0, 1 << 63, _ROUNDS).tolist()
    return np.array([_walk(int(position), n, half, round_keys) for position in positions], dtype=np.int64)


def _walk(value: int, n: int, half: int, round_keys: list[int]) -> int:
    if not 0 <= value < n:
        raise IndexError(f"position {value} of {n}")
    mask = (1 << half) - 1
    while True:
        left, right = value >> half, value & mask
        for key in round_keys:
            left, right = right, left ^ (_mixed(right ^ key) & mask)
        value = left << half | right
        if value < n:
            return value


def _mixed(value: int) -> int:
    """The finaliser of splitmix64 (Steele et al. 2014): every bit of the result depends on every bit of the value."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK64
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK64
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK64
    return value ^ (value >> 31)
