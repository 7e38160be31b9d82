"""Fixed tables: the logistic distribution, logs that choose contexts, rates of counters. From integers alone."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

_BITS = 60
_ONE = 1 << _BITS
_EXP_STEP = 1148426689630428643  # exp(-1/256), over 2**60
STEPS = 256  # of the distribution's argument, a unit of its scale
REACH = 20  # units of scale on both sides


@functools.cache
def distribution() -> NDArray[np.float64]:
    """Return 1 / (1 + exp(-x / STEPS)) for x = -REACH * STEPS .. REACH * STEPS: integers over 2^52, so exact."""
    upper, e = [], _ONE
    for _ in range(REACH * STEPS + 1):
        upper.append((_ONE << 52) // (_ONE + e))
        e = e * _EXP_STEP >> _BITS
    half = np.array(upper, np.float64) / float(1 << 52)
    return np.concatenate((1.0 - half[:0:-1], half))


@functools.cache
def logs() -> NDArray[np.int32]:
    """Return 4 log2(1 + i / 4), rounded down, for i = 0 .. 4095: from integers alone."""
    result, level = [], 0
    for i in range(4096):
        while (4 + i) ** 4 >= 2 ** (level + 1) * 4**4:
            level += 1
        result.append(level)
    return np.array(result, np.int32)


@functools.cache
def reciprocals() -> NDArray[np.int32]:
    """Return 65536 / (i + 1.5) for i = 0 .. 255: how far a counter moves that has seen i bits."""
    return (131072 // (2 * np.arange(256) + 3)).astype(np.int32)
