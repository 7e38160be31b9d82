# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
"""Fields of bits and check values of FLAC's frames, compiled. The highest bit comes first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lmzip.coders.compiled import compiled
from lmzip.formats.flac.choices import BAD

kernel = compiled()


def _crc_table(polynomial: int, bits: int) -> NDArray[np.int64]:
    """Return the table of a CRC by bytes, (256,)."""
    table = np.zeros(256, np.int64)
    for byte in range(256):
        value = byte << bits - 8
        for _ in range(8):
            value = (value << 1 ^ (polynomial if value >> bits - 1 & 1 else 0)) & ((1 << bits) - 1)
        table[byte] = value
    return table


CRC_8, CRC_16 = _crc_table(0x07, 8), _crc_table(0x8005, 16)  # RFC 9639 sections 9.1.8 and 9.3


@kernel
def crc_8(data, start, end):
    """Return the CRC of the header of a frame."""
    crc = 0
    for i in range(start, end):
        crc = CRC_8[crc ^ data[i]]
    return crc


@kernel
def crc_16(data, start, end):
    """Return the CRC of a frame."""
    crc = 0
    for i in range(start, end):
        crc = (crc << 8 & 0xFFFF) ^ CRC_16[crc >> 8 ^ data[i]]
    return crc


@kernel
def get(data, at, count):
    """Return up to 32 bits from bit `at` on; data has 8 bytes more than are used."""
    byte, word = at >> 3, np.int64(0)
    for i in range(5):
        word = word << 8 | np.int64(data[byte + i])
    return word >> (40 - (at & 7) - count) & ((1 << count) - 1)


@kernel
def put(out, at, value, count, counts):
    """Write up to 33 bits at bit `at` of zeros; returns the bit behind them.

    Where there is no room, or the value has more bits, nothing is written and counts[BAD] is set.
    """
    if at + count > 8 * out.size or value >> count:
        counts[BAD] = 1
        return at
    left = count
    while left > 0:
        room = 8 - (at & 7)
        bits = min(room, left)
        out[at >> 3] |= (value >> left - bits & ((1 << bits) - 1)) << room - bits
        at += bits
        left -= bits
    return at


@kernel
def signed(value, bits):
    """Return the number that so many bits are in two's complement."""
    return value - (value >> bits - 1 << bits)


@kernel
def fold(value):
    """Return 0, 1, 2, 3 ... for 0, -1, 1, -2 ... Twin: unfold."""
    return value << 1 ^ value >> 63


@kernel
def unfold(value):
    """Return what fold was given."""
    return value >> 1 ^ -(value & 1)
