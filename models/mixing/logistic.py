"""Fixed tables that the models share: exponentials, probabilities of logits and back, logarithms, rates of counters.

A probability is an integer p of 65536, a logit is ln(p / (1 - p)) in units of 1/256, within +-LOGIT_MAX. All tables are
made by integer arithmetic, since exp and log of libraries differ in the last bit from one machine to another. Changing
any number here changes the bits: it makes another profile and needs another name in FORMAT.md.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

PROBABILITY_BITS = 16
LOGIT_MAX = 3071  # 12 in units of 1/256; p = 0.4 of 65536
EXP_BITS = 60
EXP_ONE = 1 << EXP_BITS


def exp_minus(numerator: int, denominator: int) -> int:
    """Return exp(-numerator / denominator) in units of 1 / EXP_ONE.

    The argument is halved until it is below 1. Then its power series is summed up, and the sum squared as often.
    """
    halvings = 0
    while numerator >> halvings >= denominator:
        halvings += 1
    x = (numerator << EXP_BITS) // (denominator << halvings)
    term, result, k = EXP_ONE, 0, 0
    while term:
        result += -term if k % 2 else term
        k += 1
        term = (term * x >> EXP_BITS) // k
    for _ in range(halvings):
        result = result * result >> EXP_BITS
    return result


@functools.cache
def _exponentials() -> tuple[int, ...]:
    """Return exp(-i / 256) in units of 1 / EXP_ONE for i = 0 .. LOGIT_MAX + 1."""
    return tuple(exp_minus(i, 256) for i in range(LOGIT_MAX + 2))


@functools.cache
def squash_table() -> NDArray[np.int32]:
    """Return the probability, 1 .. 65535, of every logit -LOGIT_MAX .. LOGIT_MAX."""
    upper = [(EXP_ONE << PROBABILITY_BITS) // (EXP_ONE + e) for e in _exponentials()[:-1]]
    half = np.minimum(np.array(upper, np.int32), 65535)
    return np.concatenate((65536 - half[:0:-1], half)).astype(np.int32)


@functools.cache
def stretch_table() -> NDArray[np.int16]:
    """Return the logit of the 4096 probabilities (i + 1/2) / 4096."""
    # ln(p / (1 - p)) >= x / 256  <=>  (1 - p) / p <= exp(-x / 256)
    upper = [-e for e in _exponentials()]
    ratios = [-((8191 - 2 * i) * EXP_ONE // (2 * i + 1)) for i in range(2048, 4096)]
    half = np.searchsorted(np.array(upper), np.array(ratios), side="right") - 1
    return np.concatenate((-half[::-1], half)).astype(np.int16)


@functools.cache
def log_table() -> NDArray[np.int32]:
    """Return ln(1 + i / 1024) in units of 1/4096 for i = 0 .. 1023; the last entry is ln 2."""
    result = []
    for i in range(1025):
        z = (i << EXP_BITS) // (2048 + i)  # ln(1 + r) = 2 artanh(r / (2 + r))
        term, total, k = z, 0, 1
        while term:
            total += term // k
            term = (term * z >> EXP_BITS) * z >> EXP_BITS
            k += 2
        result.append((2 * total * 4096 + EXP_ONE // 2) >> EXP_BITS)
    return np.array(result, np.int32)


@functools.cache
def counter_rates() -> NDArray[np.int32]:
    """Return how far, of 65536, a counter moves that has seen i bits: 65536 / (i + 1.5) for i = 0 .. 255."""
    return (131072 // (2 * np.arange(256) + 3)).astype(np.int32)
