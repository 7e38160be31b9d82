"""Logarithms and code lengths in integers: what an encoder chooses by them, it chooses on every machine.

The logarithms of libraries differ in the last bit from one machine to another, and so do their sums.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

UNIT = 1 << 16  # parts of a bit


def log2_integer(values: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return log2 of values (1 to 2**31) in units of 1 / UNIT, rounded down: integers all the way."""
    x = np.asarray(values, np.uint64)
    whole = np.frexp(x.astype(np.float64))[1].astype(np.uint64) - np.uint64(1)  # exact: a float64 holds them
    x = x << (np.uint64(31) - whole)
    result = whole
    for _ in range(UNIT.bit_length() - 1):
        x = x * x >> np.uint64(31)
        bit = x >> np.uint64(32)
        x = x >> bit
        result = result << np.uint64(1) | bit
    return result.astype(np.int64)


@functools.cache
def bit_costs() -> NDArray[np.int64]:
    """Return the code length of an outcome that has i / 65536, in units of 1 / UNIT bits, for i = 0 (as 1) .. 65536."""
    return (16 * UNIT) - log2_integer(np.maximum(np.arange(65537), 1))


def decisions_cost(bits: NDArray[np.uint8], probabilities: NDArray[np.uint16]) -> int:
    """Return the code length of binary decisions, whose 1 has probabilities / 65536, in units of 1 / UNIT bits."""
    chances = probabilities.astype(np.int64)
    return int(bit_costs()[np.where(bits == 1, chances, 65536 - chances)].sum())
