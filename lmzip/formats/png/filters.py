# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
"""The filters of PNG's scan lines (PNG specification, section 9), compiled; `scanlines.py` calls them."""

from __future__ import annotations

import numpy as np

from lmzip.coders.compiled import compiled

kernel = compiled()

NONE, SUB, UP, AVERAGE, PAETH = range(5)  # filter types


@kernel
def _predict(type_, rows, y, x, step):
    """Return what a filter subtracts from byte (y, x) of the rows; the bytes on its left and above it are known."""
    left = np.int32(rows[y, x - step]) if x >= step else np.int32(0)
    above = np.int32(rows[y - 1, x]) if y else np.int32(0)
    corner = np.int32(rows[y - 1, x - step]) if y and x >= step else np.int32(0)
    if type_ == NONE:
        return np.int32(0)
    if type_ == SUB:
        return left
    if type_ == UP:
        return above
    if type_ == AVERAGE:
        return (left + above) >> 1
    to_left, to_above, to_corner = abs(above - corner), abs(left - corner), abs(left + above - 2 * corner)
    if to_left <= to_above and to_left <= to_corner:
        return left
    return above if to_above <= to_corner else corner


@kernel
def filter_rows(rows, types, step, filtered):
    """Filter the rows of a pass into `filtered`. Twin: unfilter_rows.

    rows, filtered: uint8, (height, size). types: uint8, (height,), the filter of each row. step: bytes a pixel.
    """
    for y in range(rows.shape[0]):
        for x in range(rows.shape[1]):
            filtered[y, x] = np.int32(rows[y, x]) - _predict(types[y], rows, y, x, step)


@kernel
def unfilter_rows(filtered, types, step, rows):
    """Undo filter_rows: set `rows`."""
    for y in range(rows.shape[0]):
        for x in range(rows.shape[1]):
            rows[y, x] = np.int32(filtered[y, x]) + _predict(types[y], rows, y, x, step)
