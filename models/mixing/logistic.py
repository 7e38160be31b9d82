"""Logistic tables: probabilities of logits, logits of probabilities, logarithms.

A probability is an integer p of 65536, a logit is ln(p / (1 - p)) in units of 1/256, within +-LOGIT_MAX. All tables are
made by integer arithmetic. Changing any number here changes the bits: it makes another profile and needs another name
in FORMAT.md.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

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
