"""Does a block consist of rows of one length: of a table, of an image, or of samples of several bytes?"""

from __future__ import annotations

import numpy as np

LONGEST = 2048
_SAMPLE = 1 << 18  # bytes that are looked at
_LEAST = 0.08  # of the chances to recur that a distance must take beyond its neighbours
_MOST_TEXT = 0.995  # share of printable bytes and those above 127, from which on a block is text


def find_row_length(data: bytes) -> int:
    """Return the length of a block's rows in bytes, 2 to LONGEST, or 0: it has none, or is text.

    Equal bytes recur at the distance of a row more often than one byte nearer or farther.
    The gain is counted as a share of what the neighbours leave, so that it shows in an image
    that is white nearly everywhere as well. Of distances that do nearly as well as the best one
    the shortest counts, since several rows are no row.
    """
    start = max(len(data) - _SAMPLE, 0) // 2
    sample = np.frombuffer(data, np.uint8, min(len(data), _SAMPLE), start)
    longest = min(LONGEST, len(sample) // 8)
    if longest < 2 or np.isin(sample, _TEXT).mean() >= _MOST_TEXT:
        return 0
    n = len(sample) - longest - 1
    equal = np.array([np.count_nonzero(sample[:n] == sample[d : d + n]) for d in range(1, longest + 2)])
    beside = np.maximum(equal[:-2], equal[2:])
    gain = (equal[1:-1] - beside) / np.maximum(n - beside, 1)
    if gain.max() < _LEAST:
        return 0
    return 2 + int(np.argmax(gain >= 0.75 * gain.max()))


_TEXT = np.array([9, 10, 12, 13, 27, *range(32, 127), *range(128, 256)], np.uint8)
