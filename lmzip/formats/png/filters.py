# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
"""The filters of PNG's rows (PNG specification, section 9), compiled."""

from __future__ import annotations

import numpy as np

from lmzip.coders.compiled import compiled

kernel = compiled()


@kernel
def _predict(kind, rows, y, x, step):
    """Return what a filter subtracts from a byte of the rows, of which those on the left and above are known."""
    left = np.int32(rows[y, x - step]) if x >= step else np.int32(0)
    above = np.int32(rows[y - 1, x]) if y else np.int32(0)
    corner = np.int32(rows[y - 1, x - step]) if y and x >= step else np.int32(0)
    if kind == 0:
        return np.int32(0)
    if kind == 1:
        return left
    if kind == 2:
        return above
    if kind == 3:
        return (left + above) >> 1
    to_left, to_above, to_corner = abs(above - corner), abs(left - corner), abs(left + above - 2 * corner)
    if to_left <= to_above and to_left <= to_corner:
        return left
    return above if to_above <= to_corner else corner


@kernel
def filter_rows(rows, kinds, step, filtered):
    """Filter the rows, uint8 (height, size), with kinds, uint8 (height,), into `filtered`. step: bytes a pixel."""
    for y in range(rows.shape[0]):
        for x in range(rows.shape[1]):
            filtered[y, x] = np.int32(rows[y, x]) - _predict(kinds[y], rows, y, x, step)


@kernel
def unfilter_rows(filtered, kinds, step, rows):
    """Undo filter_rows."""
    for y in range(rows.shape[0]):
        for x in range(rows.shape[1]):
            rows[y, x] = np.int32(filtered[y, x]) + _predict(kinds[y], rows, y, x, step)
