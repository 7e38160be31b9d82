"""Fixed-point and floating-point constants of the sound model, all made by integer arithmetic.

Changing any number here changes the bits: it makes another profile and needs another name in FORMAT.md.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

_BITS = 60
_ONE = 1 << _BITS
CDF_REACH = 24  # mean absolute errors that the tables of a distribution reach, on either side
CDF_STEPS = 32  # entries of a table for each of them
LAPLACE, LOGISTIC, NORMAL = 0, 1, 2
_EXP_64TH = 1135060498171014400  # exp(-1/64) over 2**60


def _power(base: int, exponent: int) -> int:
    """Return base ** exponent for a fixed-point base over 2**60."""
    result = _ONE
    while exponent:
        if exponent & 1:
            result = result * base >> _BITS
        base = base * base >> _BITS
        exponent >>= 1
    return result


@functools.cache
def _exp_minus(numerator: int, denominator: int) -> int:
    """Return exp(-numerator / denominator) over 2**60, by its series around a small argument."""
    halvings = 0
    while numerator >> halvings >= denominator:
        halvings += 1
    x = (numerator << _BITS) // (denominator << halvings)
    term, total, k = _ONE, 0, 0
    while term:
        total += term if k % 2 == 0 else -term
        k += 1
        term = (term * x >> _BITS) // k
    return _power(total, 1 << halvings)


@functools.cache
def distribution_tables() -> NDArray[np.float64]:
    """Return the distribution functions (3, 2 * CDF_REACH * CDF_STEPS + 2) at multiples of 1 / CDF_STEPS.

    The mean absolute value of each is 1. The last entry is repeated, so that one may interpolate at the end.
    """
    n = CDF_REACH * CDF_STEPS
    laplace, logistic, density = [], [], []
    for i in range(n + 1):
        laplace.append(_exp_minus(i, CDF_STEPS) // 2)
        # The mean absolute value of the standard logistic distribution is 2 ln 2 = 1.386294
        e = _exp_minus(i * 1386294, CDF_STEPS * 1000000)
        logistic.append(e * _ONE // (_ONE + e))
        # That of the normal distribution is sqrt(2 / pi) of its deviation; its density is summed up (Simpson's weights
        # are not needed: the trapezoid rule is exact enough for a smooth density). z**2 / 2 * 2 / pi = z**2 / pi.
        density.append(_exp_minus(i * i * 1000000, CDF_STEPS * CDF_STEPS * 3141593))
    normal, total = [0] * (n + 1), 0
    for i in range(n - 1, -1, -1):
        total += density[i] + density[i + 1]
        normal[i] = total
    normal = [v * (_ONE // 2) // normal[0] for v in normal]
    rows = []
    for tail in (laplace, logistic, normal):
        upper = [(_ONE - v) / _ONE for v in tail]
        rows.append([v / _ONE for v in tail[:0:-1]] + upper + [upper[-1]])
    return np.array(rows, np.float64)
