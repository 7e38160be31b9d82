"""Fixed-point numbers of the ensemble: logistic tables, counter states, learning rates.

A probability is an integer p of 65536, a logit is ln(p / (1 - p)) in units of 1/256, within
+-LOGIT_MAX. All tables are made by integer arithmetic. Changing any number here changes the
bits: it makes another profile and needs another name in FORMAT.md.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

HISTORY_LIMIT = 16  # windows times the bytes of the longest are at most so many times those of the block

PROBABILITY_BITS = 16
LOGIT_MAX = 3071  # 12 in units of 1/256; p = 0.4 of 65536
_BITS = 60
_ONE = 1 << _BITS
_EXP_STEP = 1148426689630428643  # exp(-1/256), over 2**60


@functools.cache
def _exponentials() -> tuple[int, ...]:
    """Return exp(-x / 256) over 2**60 for x = 0 .. LOGIT_MAX + 1."""
    values = [_ONE]
    for _ in range(LOGIT_MAX + 1):
        values.append(values[-1] * _EXP_STEP >> _BITS)
    return tuple(values)


@functools.cache
def squash_table() -> NDArray[np.int32]:
    """Return the probability, 1 .. 65535, of every logit -LOGIT_MAX .. LOGIT_MAX."""
    upper = [(_ONE << PROBABILITY_BITS) // (_ONE + e) for e in _exponentials()[: LOGIT_MAX + 1]]
    half = np.minimum(np.array(upper, np.int32), 65535)
    return np.concatenate((65536 - half[:0:-1], half)).astype(np.int32)


@functools.cache
def stretch_table() -> NDArray[np.int16]:
    """Return the logit of the 4096 probabilities (i + 1/2) / 4096."""
    # ln(p / (1 - p)) >= x / 256  <=>  (1 - p) / p <= exp(-x / 256)
    upper = [-e for e in _exponentials()]
    ratios = [-((8191 - 2 * i) * _ONE // (2 * i + 1)) for i in range(2048, 4096)]
    half = np.searchsorted(np.array(upper), np.array(ratios), side="right") - 1
    return np.concatenate((-half[::-1], half)).astype(np.int16)


@functools.cache
def log_table() -> NDArray[np.int32]:
    """Return ln(1 + i / 1024) in units of 1/4096 for i = 0 .. 1023; the last entry is ln 2."""
    result = []
    for i in range(1025):
        z = (i << _BITS) // (2048 + i)  # ln(1 + r) = 2 artanh(r / (2 + r))
        term, total, k = z, 0, 1
        while term:
            total += term // k
            term = (term * z >> _BITS) * z >> _BITS
            k += 2
        result.append((2 * total * 4096 + _ONE // 2) >> _BITS)
    return np.array(result, np.int32)


# A counter's state remembers how many zeros and ones were seen, roughly, and the last bit.
# When a bit comes, what is known of the opposite one is discounted: the recent past counts more.
_COUNT_LIMITS = (40, 40, 16, 10, 8, 7, 6, 6)  # the largest other count beside a count of 0, 1, 2, ...
_DISCOUNTED = (0, 1, 2, 2, 3, 3, 4, 4, 4, 5, 5, 5, 5, 6)  # what is left of an opposite count


def _limit(n: int) -> int:
    return next((m for m in range(40, -1, -1) if _fits(m, n)), 0)


def _fits(a: int, b: int) -> bool:
    low, high = min(a, b), max(a, b)
    return low < len(_COUNT_LIMITS) and high <= _COUNT_LIMITS[low]


def _seen(n_same: int, n_other: int) -> tuple[int, int]:
    """Return the counts after a bit: (of the same bit, of the other)."""
    n_other = _DISCOUNTED[min(n_other, len(_DISCOUNTED) - 1)]
    return min(n_same + 1, _limit(n_other)), n_other


@functools.cache
def states() -> tuple[NDArray[np.uint16], NDArray[np.int32]]:
    """Return next (states, 2) and counts (states, 2) of zeros and ones; state 0 has seen nothing."""
    index = {(0, 0, 0): 0}
    order = [(0, 0, 0)]
    following: list[list[int]] = []
    for n0, n1, _ in order:  # grows as it goes
        row = []
        for bit in (0, 1):
            if bit:
                m1, m0 = _seen(n1, n0)
            else:
                m0, m1 = _seen(n0, n1)
            state = (m0, m1, bit)
            if state not in index:
                index[state] = len(order)
                order.append(state)
            row.append(index[state])
        following.append(row)
    return np.array(following, np.uint16), np.array([s[:2] for s in order], np.int32)


# Learning rates of the mixer's weights, in units of 1/65536: RATE_LAST + (RATE_FIRST - RATE_LAST)
# * RATE_FALL / (RATE_FALL + symbols coded). That of the final mixer is constant, in 1/16384.
RATE_FIRST, RATE_LAST, RATE_FALL = 300, 60, 20000
FINAL_RATE = 16
