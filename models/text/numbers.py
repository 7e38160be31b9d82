"""Fixed numbers of the ensemble: states of counters, learning rates, limits.

Changing any number here changes the bits: it makes another profile and needs another name in MODELS.md.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

HISTORY_LIMIT = 16  # windows times the bytes of the longest are at most so many times those of the block

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
