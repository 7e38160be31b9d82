"""Varints: the integers of every frame, of side data and of ranks (FORMAT.md section 1.4).

A varint is a number of 0 to 2^63 - 1 in groups of 7 bits, the lowest group first; the high bit is set in all bytes but
the last. Only the shortest form is allowed. `create_...` makes bytes and `parse_...` reads them; the functions for
arrays do the same without an object for each number.
"""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from lmzip.errors import CorruptError, LimitError, TruncatedError

Buffer = bytes | bytearray | memoryview
_MOST_BYTES = 9  # of a varint
_PIECE = 1 << 16  # numbers that are written at once, and bytes that are read at once


def create_varint(value: int) -> bytes:
    """Return a value of 0 or more as a varint. Twin: parse_varint."""
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def parse_varint(buffer: Buffer, offset: int, limit: int, what: str) -> tuple[int, int]:
    """Read a varint of at most `limit`; return it and the offset behind it.

    Raises LimitError for a larger one, CorruptError for a longer form than needed and TruncatedError where the buffer
    ends. what: the place, which the message begins with.
    """
    value = shift = 0
    while True:
        if offset >= len(buffer):
            raise TruncatedError(f"{what}: the data ends 1 bytes too early")
        byte = buffer[offset]
        offset += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if value > limit or shift > 7 * _MOST_BYTES:
            _refuse_value(limit, what)
        if byte < 0x80:
            if byte == 0 and shift > 7:
                _refuse_form(what)
            return value, offset


def create_varints(values: NDArray[Any]) -> bytes:
    """Return values, (n,) integers of 0 or more, as varints one after the other. Twin: parse_varints."""
    pieces = [values[at : at + _PIECE].astype(np.int64) for at in range(0, len(values), _PIECE)]
    return b"".join(map(_create_piece, pieces))


def _create_piece(values: NDArray[np.int64]) -> bytes:
    places = np.arange(max(1, -(-int(values.max()).bit_length() // 7)))
    sizes = 1 + (values[:, None] >> 7 * places[1:] > 0).sum(axis=1)
    groups = values[:, None] >> 7 * places & 0x7F
    groups[sizes[:, None] - 1 > places] |= 0x80
    return bytes(groups[sizes[:, None] > places].astype(np.uint8))


def parse_varints(
    buffer: Buffer, offset: int, count: int, limit: int, what: str, dtype: type[np.int32] | type[np.int64] = np.int64
) -> tuple[NDArray[Any], int]:
    """Read `count` varints of at most `limit`; return them, (count,) of `dtype`, and the offset behind them.

    Takes memory for the result and little more. Errors: as for parse_varint; a buffer that is shorter than `count`
    raises before anything is allocated.
    """
    if count > len(buffer) - offset:
        raise TruncatedError(f"{what}: {count:,} numbers in {len(buffer) - offset:,} bytes")
    result, done = np.zeros(count, dtype), 0
    while done < count:
        piece = np.frombuffer(buffer, np.uint8, min(_PIECE, len(buffer) - offset), offset)
        ends = np.flatnonzero(piece < 0x80)[: count - done]
        if not len(ends):
            parse_varint(buffer, offset, limit, what)  # raises: no number has so many bytes
        sizes = np.diff(ends, prepend=-1)
        most = int(sizes.max())
        if most > _MOST_BYTES:
            _refuse_value(limit, what)
        values = np.zeros(len(ends), np.int64)
        for place in range(most):  # the last groups, then those before them
            longer = sizes > place
            values[longer] = values[longer] << 7 | piece[ends[longer] - place] & 0x7F
        if int(values.max()) > limit:
            _refuse_value(limit, what)
        if (piece[ends[sizes > 1]] == 0).any():
            _refuse_form(what)
        result[done : done + len(ends)] = values
        done, offset = done + len(ends), offset + int(ends[-1]) + 1
    return result, offset


def _refuse_value(limit: int, what: str) -> NoReturn:
    raise LimitError(f"{what}: more than {limit:,}, the most that this version allows")


def _refuse_form(what: str) -> NoReturn:
    raise CorruptError(f"{what}: a number in a longer form than needed")
