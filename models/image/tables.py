"""Fixed tables of the picture model: the logistic distribution, and logarithms that choose contexts; integers alone."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from lmzip.models.mixing.logistic import EXP_ONE, exp_minus

STEPS = 256  # of the distribution's argument, a unit of its scale
REACH = 20  # units of scale on both sides


@functools.cache
def distribution() -> NDArray[np.float64]:
    """Return 1 / (1 + exp(-x / STEPS)) for x = -REACH * STEPS .. REACH * STEPS: integers over 2^52, so exact."""
    upper = [(EXP_ONE << 52) // (EXP_ONE + exp_minus(i, STEPS)) for i in range(REACH * STEPS + 1)]
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
